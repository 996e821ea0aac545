"""Moving an execution to another version of its definition.

It is moved if all that it has maps: every open scope, visit and arrival has its counterpart
(`plan/mapping.py` says which have none), variables that are new have a value, and what the new
version reads of its input and of large outputs is there. Numbers are those that it had, since
versions share them; so attempts under way, tasks, children and timers go on as they are.

One event says so. It carries what was chosen: first values of new variables, and the visits that
begin because the new version begins them where this execution is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Read, leads_outside
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import Overlay, ScopeContext
from heliostat.engine.kernel.events import Activation, ExecutionMigrated
from heliostat.engine.kernel.looking import is_open
from heliostat.engine.kernel.routing import beginning, tolerated
from heliostat.engine.kernel.state import ExecutionState, Phase, ScopeState
from heliostat.engine.kernel.stimuli import Migrate
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.visits import tallied
from heliostat.engine.plan.mapping import Obstacle, PlanMapping, scope_place, step_place
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Value, refers

OBSTACLES_MAX: Final = 20
"""That a refusal names; a wide `foreach` would have one for each item."""

_DOING: Final[dict[Phase, str]] = {
    "ready": "is about to go on",
    "running": "is running",
    "backoff": "waits for another attempt",
    "timer": "waits for an instant",
    "items": "is under way",
    "body": "is under way",
    "waiting": "is waiting",
    "human": "waits for a person",
    "child": "waits for its child",
    "queued": "waits for a semaphore",
    "held": "is held by a pause",
    "canceling": "cancels others",
    "stopping": "is being stopped",
}


def on_migrate(turn: Turn, stimulus: Migrate) -> None:
    """Go on with another version, if all that there is maps; else refused, with each place."""
    state, mapping = turn.state, stimulus.mapping
    if turn.knows(stimulus.message_id):
        return
    version = mapping.after.version
    if state.ended or not state.seq or state.closing is not None:
        ends = f"is {state.status}" if state.ended else "is about to end"
        turn.refuse("CONFLICT", f"the execution {ends}; only one that goes on can be moved")
        return
    if state.version == version:
        turn.refuse("CONFLICT", f"the execution is at version {version} already")
        return
    if state.version != mapping.before.version:
        turn.refuse("CONFLICT", f"the execution is at version {state.version} by now; ask again")
        return
    move = _Move(mapping, state, turn.now_ms)
    obstacles = [*_unmapped(mapping, state), *move.obstacles]
    if obstacles:
        turn.refuse("CONFLICT", _told(version, obstacles), obstacles=obstacles[:OBSTACLES_MAX])
        return
    if stimulus.dry_run:
        return
    turn.plan = mapping.after
    turn.emit(
        ExecutionMigrated(
            at_ms=turn.now_ms,
            message_id=stimulus.message_id,
            from_version=state.version,
            version=version,
            reason=stimulus.reason,
            variables=move.variables,
            activated=move.activated,
        )
    )
    for scope in sorted(state.scopes.values(), key=lambda scope: -scope.number):
        for visit in list(scope.active.values()):
            if visit.items is not None:
                turn.look_at_visit(scope, visit)
        turn.look_at(scope, out_of_reach=True)


def _told(version: str, obstacles: Sequence[Obstacle]) -> str:
    shown = "; ".join(map(str, obstacles[:OBSTACLES_MAX]))
    more = len(obstacles) - OBSTACLES_MAX
    rest = f"; and {more} more" if more > 0 else ""
    return f"it cannot be moved to version {version}: {shown}{rest}"


# -- what does not map


def _unmapped(mapping: PlanMapping, state: ExecutionState) -> Iterator[Obstacle]:
    """What the execution has at places that have no counterpart, each place once."""
    yield from mapping.whole
    if mapping.whole:
        return
    found: dict[Obstacle, None] = {}
    for scope in state.scopes.values():
        if scope.plan_scope is not None and scope.plan_scope in mapping.scopes:
            there = mapping.scopes[scope.plan_scope]
            found[Obstacle(there.place, f"is open and {there.reason}")] = None
        for visit in (*scope.active.values(), *(each.visit for each in scope.fallen.values())):
            if visit.step in mapping.visits:
                there = mapping.visits[visit.step]
                found[Obstacle(there.place, f"{_DOING[visit.phase]} and {there.reason}")] = None
        for number in scope.joins:
            if number in mapping.arrivals:
                there = mapping.arrivals[number]
                found[Obstacle(there.place, f"has arrivals and {there.reason}")] = None
    yield from found
    yield from _unreadable(mapping.after, state)


def _unreadable(plan: Plan, state: ExecutionState) -> Iterator[Obstacle]:
    """Values that the version does not allow, or reads parts of that did not come with them."""
    fault = None
    if plan.validate_input is not None and not refers(state.input):
        fault = plan.validate_input(state.input)
    if fault is not None:
        yield Obstacle("its input", f"does not fit version {plan.version}: {fault}")
    for path in _missing(plan.input_reads, state.input, state.extracts):
        yield _elsewhere("its input", plan, path)
    for scope in state.scopes.values():
        for number, settled in scope.settled.items():
            step = plan.steps[number]
            if not settled.collected and not step.retired:
                for path in _missing(step.reads, settled.output, settled.extracts):
                    yield _elsewhere(f"the output of {step_place(plan, step)}", plan, path)


def _elsewhere(place: str, plan: Plan, path: str) -> Obstacle:
    return Obstacle(
        place,
        f"is stored apart, and version {plan.version} reads `{path}` of it, which is not here",
    )


def _missing(
    reads: Sequence[Read], value: Value, extracts: Mapping[str, Value] | None
) -> Iterator[str]:
    if not refers(value):
        return
    for read in reads:
        if not read.whole and read.path not in (extracts or {}) and leads_outside(read, value):
            yield read.path


# -- what is chosen


class _Move:
    """First values of new variables, and what begins, as the execution will be by then."""

    def __init__(self, mapping: PlanMapping, state: ExecutionState, now_ms: int) -> None:
        self._plan, self._state, self._now_ms = mapping.after, state, now_ms
        self._overlay = Overlay()
        self.obstacles: list[Obstacle] = []
        self.variables: dict[int, dict[str, Value]] = {}
        self.activated: tuple[Activation, ...] = ()
        open_scopes = {scope.plan_scope for scope in state.scopes.values()}
        if mapping.whole or not open_scopes.isdisjoint(mapping.scopes):
            return  # there is nothing to choose for
        for scope in sorted(state.scopes.values(), key=lambda scope: scope.number):
            self._declare(scope)
        opening = Opening(self._plan, state)
        for scope in state.scopes.values():
            if scope.plan_scope is not None and self._goes_on(scope):
                self._begin(opening, self._overlay.scopes[scope.number])
        self.activated = tuple(opening.activated)

    def _context(self, scope: ScopeState) -> ScopeContext:
        return ScopeContext(self._plan, self._state, scope, self._now_ms, overlay=self._overlay)

    def _declare(self, scope: ScopeState) -> None:
        """A scope as it will be, with what is new in it; each value sees what is around the
        scope, those of the root also the ones before it."""
        if scope.plan_scope is None:
            self._overlay.scopes[scope.number] = scope
            return
        written = self._plan.scopes[scope.plan_scope]
        variables = {n: value for n, value in scope.variables.items() if n in written.variables}
        after = replace(scope, variables=variables, tallies=tallied(self._plan, scope))
        self._overlay.scopes[scope.number] = after
        around = after if scope.parent is None else self._overlay.scopes[scope.parent[0]]
        at = None if scope.parent is None else Address(*scope.parent)
        for name, data in written.variables.items():
            if name in variables:
                continue
            field = "vars" if at is None else f"vars.{name}"
            try:
                value = data.evaluate(self._context(around).seeded(at, field))
            except ExpressionError as error:
                place = scope_place(self._plan, written)
                reason = f"of {place} has no first value in version {self._plan.version}: {error}"
                self.obstacles.append(Obstacle(f"variable `{name}`", reason))
                continue
            variables[name] = value
            self.variables.setdefault(scope.number, {})[name] = value

    def _goes_on(self, scope: ScopeState) -> bool:
        return (
            is_open(self._state, scope)
            and scope.closing is None
            and scope.failing is None
            and not scope.terminated
        )

    def _begin(self, opening: Opening, scope: ScopeState) -> None:
        """Open what a DAG of the version has begun where this one is."""
        assert scope.plan_scope is not None
        if self._plan.scopes[scope.plan_scope].notation != "dag":
            return
        for number, settled in scope.settled.items():
            step = self._plan.steps[number]
            if settled.status != "Failed" or step.retired:
                continue
            if not tolerated(self._plan, scope, step, settled=True):
                reason = f"has failed, and what needs it in version {self._plan.version} needs more"
                self.obstacles.append(Obstacle(step_place(self._plan, step), reason))
        context = self._context(scope)
        for step, skip in beginning(self._plan, scope):
            opening.visit(step, scope, context, skip=skip)
