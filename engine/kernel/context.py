"""What an expression sees: the state of an execution from one of its scopes, nothing copied.

A decision evaluates before its event is booked, so a context can be laid over the state:
`output` and `settling` show a visit as settled that the state still has as active, `vars` may have
the values just assigned, and an `Overlay` has the scopes that the decision is about to open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from heliostat.engine.calendars import Calendars
from heliostat.engine.expressions import MISSING, Instant, Missing
from heliostat.engine.identity import Address, ExecutionKey, idempotency_key
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.state import (
    ITEM_STATUS,
    ROOT,
    ExecutionState,
    Items,
    ScopeState,
    Settled,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import SECRETS, Held, Json, Reference, Value

_ITEM_PATH: Final = re.compile(r"\$\[(\d+|\*)\](.*)", re.DOTALL)
_BRANCH_PATH: Final = re.compile(r"\$\.([A-Za-z_]\w*)(.*)", re.DOTALL)
_PLAIN_PART: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_PLAIN_PATH: Final = re.compile(rf"(?:{_PLAIN_PART.pattern})*")

_PHASE_STATUS: Final = {
    "ready": "Pending",
    "running": "Running",
    "backoff": "Pending",
    "timer": "WaitingForTimer",
    "items": "Running",
    "body": "Running",
    "waiting": "WaitingForEvent",
    "human": "WaitingForHuman",
    "child": "Running",
    "queued": "Pending",
    "held": "Pending",
    "canceling": "Running",
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
                **({"name": items.names[index]} if items.names else {}),
                "index": index,
                "status": ITEM_STATUS[items.statuses[index] - 1] if items.statuses[index] else None,
                "output": items.outputs[index],
                "error": error_view(items.failures[index]) if index in items.failures else None,
            }
            for index in range(items.width)
        ]

    @property
    def finished(self) -> Value:
        items = None if self._settled is None else self._settled.items
        if items is None or not items.names:
            return None
        return [items.names[index] for index in items.order]


class Overlay:
    """Scopes that the decision under way opens, and the items they are for."""

    __slots__ = ("items", "scopes")

    def __init__(self) -> None:
        self.scopes: dict[int, ScopeState] = {}
        self.items: dict[int, Value] = {}


class ScopeContext:
    """A `Context` (engine/expressions) over an execution's state, seen from a scope instance."""

    __slots__ = (
        "_around",
        "_at",
        "_field",
        "_item",
        "_overlay",
        "_plan",
        "_scope",
        "_settling",
        "_state",
        "_vars",
        "error",
        "event",
        "now_ms",
        "output",
        "secrets",
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
        overlay: Overlay | None = None,
        error: Mapping[str, Value] | None = None,
        event: Value | None = None,
        around: tuple[int, Mapping[str, Value]] | None = None,
    ) -> None:
        self._plan, self._state, self._scope, self.now_ms = plan, state, scope, now_ms
        self._settling, self._overlay = settling, overlay
        self._vars, self._around = variables, around
        self._item: tuple[Value, int | None] | None = None
        self.output: Value = settling[1].value if settling is not None else None
        self.error, self.event = error, event
        self._at: Address | None = None
        self._field = ""
        self.secrets: Mapping[str, Value] | None = SECRETS

    def with_variables(self, assigned: Mapping[str, Value]) -> ScopeContext:
        """The same place with other variables: conditions after `assign` see the new values."""
        return ScopeContext(
            self._plan,
            self._state,
            self._scope,
            self.now_ms,
            variables={**self.vars, **assigned},
            settling=self._settling,
            overlay=self._overlay,
            error=self.error,
            event=self.event,
            around=self._around,
        ).seeded(self._at, self._field)

    def at_item(self, index: int, item: Value, alias: str | None) -> None:
        """Move to where an item of a `foreach` of this scope sees the world from."""
        self._item = (item, index)
        if alias is not None:
            self._vars = {**self.vars, alias: item}

    def copy(self) -> ScopeContext:
        """The same place, to be moved on its own."""
        return self.with_variables({})

    def inside(self, scope: ScopeState, overlay: Overlay) -> ScopeContext:
        """The world as it is seen from a scope that opens within this one."""
        return ScopeContext(
            self._plan,
            self._state,
            scope,
            self.now_ms,
            settling=self._settling,
            overlay=overlay,
            event=self.event,
            around=(self._scope.number, self.vars),
        )

    @property
    def calendars(self) -> Calendars:
        """Those that the version knows."""
        return self._plan.calendars

    @property
    def vars(self) -> Mapping[str, Value]:
        """The variables of this scope and of those around it, and the names given by `as`."""
        if self._vars is None:
            self._vars = self._visible()
        return self._vars

    def _visible(self) -> Mapping[str, Value]:
        scope = self._scope
        if scope.parent is None and scope.number == ROOT:
            return scope.variables
        layers: list[Mapping[str, Value]] = []
        for each in self._outwards():
            if self._around is not None and each.number == self._around[0]:
                layers.append(self._around[1])  # with what the decision under way assigns
                break
            if each.plan_scope is not None:
                layers.append(each.variables)
                continue
            assert each.parent is not None
            foreach = self._plan.steps[each.parent[1]].foreach
            if foreach is not None and foreach.alias is not None:
                layers.append({foreach.alias: self._item_of(each)})
        found: dict[str, Value] = {}
        for layer in reversed(layers):
            found.update(layer)
        return found

    @property
    def item(self) -> Value:
        """`$.item` of the nearest `foreach` around."""
        return self._nearest_item()[0]

    @property
    def index(self) -> int | None:
        """`$.index` of the nearest `foreach` around."""
        return self._nearest_item()[1]

    def _nearest_item(self) -> tuple[Value, int | None]:
        if self._item is None:
            self._item = (None, None)
            for each in self._outwards():
                if each.plan_scope is None:
                    self._item = (self._item_of(each), each.index)
                    break
        return self._item

    def _item_of(self, scope: ScopeState) -> Value:
        if self._overlay is not None and scope.number in self._overlay.items:
            return self._overlay.items[scope.number]
        return item_of(self._state, scope)

    def _outwards(self) -> Iterator[ScopeState]:
        """This scope and those around it, from the inside out; a handler's sees the root."""
        scope = self._scope
        while True:
            yield scope
            if scope.parent is not None:
                scope = self._scope_at(scope.parent[0])
            elif scope.number != ROOT:
                scope = self._scope_at(ROOT)
            else:
                return

    def _scope_at(self, number: int) -> ScopeState:
        if self._overlay is not None and number in self._overlay.scopes:
            return self._overlay.scopes[number]
        return self._state.scopes[number]

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
            "metadata": state.metadata,
            "correlation_id": state.correlation_id,
            "parent": None if state.parent is None else state.parent.execution_id,
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
        for scope in self._outwards():
            if scope.plan_scope == wanted:
                return scope
        return None

    def extract(self, root: tuple[str, ...], path: str) -> Value | Missing:
        """The part of a large value that came with it, because the plan reads it."""
        if root == ("input",):
            return _found(self._state.extracts, path)
        if root == ("event",):
            return MISSING  # nobody asks for parts of what an event carries
        if root == ("output",):
            settled = self._settling[1] if self._settling is not None else None
        else:
            reading = self.step(root[1])
            settled = reading.settled if reading is not None else None
        if settled is None:
            return MISSING
        if settled.collected and settled.items is not None:
            if settled.items.names:
                return _extract_of_branches(settled.items, path)
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


def _extract_of_branches(items: Items, path: str) -> Value | Missing:
    """A parallel step's output is a map of its branches' outputs, each with its extracts."""
    matched = _BRANCH_PATH.fullmatch(path)
    if matched is None or matched.group(1) not in items.names:
        return MISSING
    return _found(items.extracts.get(items.names.index(matched.group(1))), "$" + matched.group(2))


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
        "details": failure.details,
        **({"bases": list(failure.mro)} if failure.mro else {}),
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
