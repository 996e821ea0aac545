"""What an expression sees: the state of an execution from one of its scopes, nothing copied.

A decision evaluates before its event is booked, so a context can be laid over the state:
`output` and `settling` show a visit as settled that the state still has as active, and `vars`
may have the values just assigned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from heliostat.engine.expressions import MISSING, Instant, Missing
from heliostat.engine.identity import Address, ExecutionKey, idempotency_key
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.state import ITEM_STATUS, ExecutionState, ScopeState, Settled
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Held, Json, Reference, Value

_ITEM_PATH: Final = re.compile(r"\$\[(\d+|\*)\](.*)", re.DOTALL)
_PLAIN_PART: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_PLAIN_PATH: Final = re.compile(rf"(?:{_PLAIN_PART.pattern})*")

_PHASE_STATUS: Final = {
    "ready": "Pending",
    "running": "Running",
    "backoff": "Pending",
    "timer": "WaitingForTimer",
    "items": "Running",
    "stopping": "Running",
}


class StepReading:
    """`$.steps.<id>`: the results of the latest ended visit, the status of the latest visit."""

    __slots__ = ("_settled", "status")

    def __init__(self, settled: Settled | None, status: str) -> None:
        self._settled = settled
        self.status = status

    @property
    def settled(self) -> Settled | None:
        return self._settled

    @property
    def output(self) -> Value:
        return None if self._settled is None else self._settled.value

    @property
    def error(self) -> Value:
        if self._settled is None or self._settled.failure is None:
            return None
        return error_view(self._settled.failure)

    @property
    def items(self) -> Value:
        items = None if self._settled is None else self._settled.items
        if items is None:
            return None
        return [
            {
                "index": index,
                "status": ITEM_STATUS[items.statuses[index] - 1] if items.statuses[index] else None,
                "output": items.outputs[index],
                "error": error_view(items.failures[index]) if index in items.failures else None,
            }
            for index in range(items.width)
        ]

    @property
    def finished(self) -> Value:
        return None


class ScopeContext:
    """A `Context` (engine/expressions) over an execution's state, seen from a scope instance."""

    __slots__ = (
        "_at",
        "_field",
        "_plan",
        "_scope",
        "_settling",
        "_state",
        "error",
        "event",
        "index",
        "item",
        "now_ms",
        "output",
        "secrets",
        "vars",
    )

    def __init__(
        self,
        plan: Plan,
        state: ExecutionState,
        scope: ScopeState,
        now_ms: int,
        *,
        variables: Mapping[str, Value] | None = None,
        settling: tuple[int, Settled] | None = None,
        item: Value = None,
        index: int | None = None,
        error: Mapping[str, Value] | None = None,
    ) -> None:
        self._plan, self._state, self._scope, self.now_ms = plan, state, scope, now_ms
        self._settling = settling
        self.vars = variables if variables is not None else scope.variables
        self.output: Value = settling[1].value if settling is not None else None
        self.item, self.index = item, index
        self.error = error
        self._at: Address | None = None
        self._field = ""
        self.event: Value | None = None
        self.secrets: Mapping[str, str] | None = None

    def with_variables(self, assigned: Mapping[str, Value]) -> ScopeContext:
        """The same place with other variables: conditions after `assign` see the new values."""
        return ScopeContext(
            self._plan,
            self._state,
            self._scope,
            self.now_ms,
            variables={**self.vars, **assigned},
            settling=self._settling,
            item=self.item,
            index=self.index,
            error=self.error,
        ).seeded(self._at, self._field)

    def seeded(self, at: Address | None, field: str) -> ScopeContext:
        """The same place; `uuid()` is derived from an address (None: the execution) and a field."""
        self._at, self._field = at, field
        return self

    @property
    def uuid_seed(self) -> str:
        key = ExecutionKey(self._plan.namespace, self._state.execution_id)
        at = self._at
        if at is None:
            return f"{key}:{self._field}"
        return f"{idempotency_key(key, self._plan.steps[at.step].id, at)}:{self._field}"

    @property
    def input(self) -> Value:
        return self._state.input

    @property
    def now(self) -> Instant:
        return Instant(self.now_ms)

    @property
    def execution(self) -> Mapping[str, Value]:
        state = self._state
        return {
            "id": state.execution_id,
            "namespace": self._plan.namespace,
            "definition": self._plan.id,
            "version": self._plan.version,
            "run": state.run,
            "started_at": Instant(state.created_at_ms),
            "tags": state.tags,
        }

    def step(self, step_id: str) -> StepReading | None:
        """A step of this scope or of one around it; None if it was never visited."""
        number = self._plan.step_by_id.get(step_id)
        if number is None:
            return None
        if self._settling is not None and self._settling[0] == number:
            settled = self._settling[1]
            return StepReading(settled, settled.status)
        scope = self._home(number)
        if scope is None:
            return None
        latest = scope.visits.get(number)
        if latest is None:
            return None
        known = scope.settled.get(number)
        active = scope.active.get((number, latest))
        if active is not None:
            return StepReading(known, _PHASE_STATUS[active.phase])
        return StepReading(known, known.status if known is not None else "Pending")

    def pointer(self, step_id: str, settled: Settled, path: tuple[str | int, ...]) -> Held | None:
        """Where the history holds a step's output; None for one that no later event may find."""
        number = self._plan.step_by_id[step_id]
        home = self._home(number)
        return None if home is None else Held((home.number, number, settled.visit), path)

    def _home(self, number: int) -> ScopeState | None:
        """The instance, at or around this scope, of the scope that a step is written in."""
        wanted = self._plan.steps[number].scope
        scope = self._scope
        while scope.plan_scope != wanted:
            if scope.parent is None:
                return None
            scope = self._state.scopes[scope.parent[0]]
        return scope

    def extract(self, root: tuple[str, ...], path: str) -> Value | Missing:
        """The part of a large value that came with it, because the plan reads it."""
        if root == ("input",):
            return _found(self._state.extracts, path)
        if root == ("output",):
            settled = self._settling[1] if self._settling is not None else None
        else:
            reading = self.step(root[1])
            settled = reading.settled if reading is not None else None
        if settled is None:
            return MISSING
        if settled.collected:
            return self._extract_of_items(settled, path)
        return _found(settled.extracts, path)

    def _extract_of_items(self, settled: Settled, path: str) -> Value | Missing:
        """A `foreach` output is a list of its items' outputs, each with extracts of its own."""
        items, matched = settled.items, _ITEM_PATH.fullmatch(path)
        if items is None or matched is None:
            return MISSING
        which, rest = matched.groups()
        if which != "*":
            return _found(items.extracts.get(int(which)), "$" + rest)
        found: list[Value] = []
        for index, output in enumerate(items.outputs):
            if index in items.extracts:
                found.append(_found(items.extracts[index], "$" + rest))
            else:  # one that is here, among others that are not
                found += _nodes(output, rest)
        return MISSING if any(value is MISSING for value in found) else found


def item_of(state: ExecutionState, scope: ScopeState) -> Value:
    """`$.item` of an item's scope, from the list of the `foreach` that opened it."""
    assert scope.parent is not None
    assert scope.index is not None
    parent, step, visit = scope.parent
    items = state.scopes[parent].active[step, visit].items
    assert items is not None
    values = items.values
    return (values if isinstance(values, list) else state.held(values))[scope.index]


def error_view(failure: Failure) -> dict[str, Json]:
    """`$.error`, and `$.steps.<id>.error`."""
    return {
        "type": failure.type,
        "message": failure.message,
        "step": failure.step,
        "attempt": failure.attempt,
        "item_index": failure.item_index,
    }


def _nodes(value: Value, rest: str) -> list[Value | Missing]:
    """What a path of names and indices finds; `MISSING` if it is more, or meets a reference."""
    if _PLAIN_PATH.fullmatch(rest) is None:
        return [MISSING]
    for name, index in _PLAIN_PART.findall(rest):
        if isinstance(value, Reference):
            return [MISSING]
        if name and isinstance(value, dict) and name in value:
            value = value[name]
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return []
    return [value]


def _found(extracts: Mapping[str, Value] | None, path: str) -> Value | Missing:
    return MISSING if extracts is None else extracts.get(path, MISSING)
