"""Attempts that are under way or have failed, as a list of what there is to do and to mend.

Read from the state alone, so they are those of now: of a step that was visited again, or went on
after a failure, the history has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal

from msgspec import Struct

from heliostat.actors.host.rendering import placed
from heliostat.actors.host.tasks import task_id
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.state import ExecutionState, Items, ScopeState
from heliostat.engine.plan.plan import Plan, StepPlan

ATTEMPTS_MAX: Final = 1_000
"""Of one answer; a wide `foreach` may have many more."""

_KINDS: Final = ("activity", "sub_workflow")
"""Steps that make attempts; a script and a service call are activities of ours."""

_UNDER_WAY: Final = ("running", "stopping", "child")
_SOON: Final = ("ready", "backoff", "queued", "held")


class AttemptInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt. `task_id` is its address, as human tasks have one."""

    key: ExecutionKey
    task_id: str
    definition: str
    step: str
    name: str | None = None
    task_type: str
    status: Literal["Pending", "Running", "Failed"]
    attempt: int
    item_index: int | None = None
    child: str | None = None  # the execution that it started and waits for
    error: Failure | None = None  # of one that failed, or why one that runs was told to stop


class Attempts(Struct, frozen=True, kw_only=True):
    """Those of one execution, what is under way first."""

    attempts: tuple[AttemptInfo, ...]


def attempts_of(key: ExecutionKey, plan: Plan, state: ExecutionState) -> Attempts:
    """As they are now; `ATTEMPTS_MAX` at most."""
    told = _Told(key, plan, state.definition)
    found = (
        each
        for part in (told.active, told.failed)
        for scope in state.scopes.values()
        for each in part(scope)
    )
    return Attempts(attempts=tuple(islice(found, ATTEMPTS_MAX)))


class _Told:
    def __init__(self, key: ExecutionKey, plan: Plan, definition: str) -> None:
        self._key, self._plan, self._definition = key, plan, definition

    def active(self, scope: ScopeState) -> Iterator[AttemptInfo]:
        for visit in scope.active.values():
            step = self._plan.steps[visit.step]
            if step.kind not in _KINDS or visit.phase not in (*_UNDER_WAY, *_SOON):
                continue
            status: Literal["Running", "Pending"]
            status = "Running" if visit.phase in _UNDER_WAY else "Pending"
            at = Address(scope.number, visit.step, visit.visit, visit.attempt)
            yield self._info(
                at, step, status, index=scope.index, child=visit.child, error=visit.failure
            )

    def failed(self, scope: ScopeState) -> Iterator[AttemptInfo]:
        for visit in scope.active.values():
            if visit.items is not None:
                yield from self._items(visit.items, self._plan.steps[visit.step])
        for number, settled in scope.settled.items():
            step, failure = self._plan.steps[number], settled.failure
            if settled.items is not None:
                yield from self._items(settled.items, step)
            elif step.kind in _KINDS and settled.status == "Failed" and failure is not None:
                at = Address(scope.number, number, settled.visit, failure.attempt or 1)
                yield self._info(at, step, "Failed", index=scope.index, error=failure)

    def _items(self, items: Items, step: StepPlan) -> Iterator[AttemptInfo]:
        if step.kind not in _KINDS:
            return  # branches and bodies: what failed in them stands in their scopes
        for index, failure in items.failures.items():
            at = Address(items.first_scope + index, step.number, 1, failure.attempt or 1)
            yield self._info(at, step, "Failed", index=index, error=failure)

    def _info(
        self,
        at: Address,
        step: StepPlan,
        status: Literal["Pending", "Running", "Failed"],
        *,
        index: int | None,
        child: str | None = None,
        error: Failure | None = None,
    ) -> AttemptInfo:
        return AttemptInfo(
            key=self._key,
            task_id=task_id(at),
            definition=self._definition,
            step=step.id,
            name=step.name,
            task_type=step.kind,
            status=status,
            attempt=at.attempt,
            item_index=index,
            child=child,
            error=placed(self._plan, error),
        )
