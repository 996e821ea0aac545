"""What must hold of a state after every turn, recomputed by naive walks.

The kernel keeps counters, a timer heap and deltas of commands so that a step costs the same in a
small and a huge execution. Here the same facts are found the long way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import decode_snapshot, encode_snapshot
from heliostat.engine.kernel.commands import Command, RunStep
from heliostat.engine.kernel.outstanding import outstanding
from heliostat.engine.kernel.state import ExecutionState, ScopeState, Visit
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Held, Value


class Broken(AssertionError):
    """An invariant does not hold; the text says which, and what was found."""


def require(holds: bool, what: str) -> None:
    """Raise `Broken` unless the invariant holds."""
    if not holds:
        raise Broken(what)


def check_state(plan: Plan, state: ExecutionState) -> None:
    """Counters, timers, waiting, holders and bounds of one state."""
    visits = [(scope, visit) for scope in state.scopes.values() for visit in scope.active.values()]
    phases = Counter(visit.phase for _, visit in visits)
    require(state.busy == phases["running"] + phases["stopping"], f"busy {state.busy}: {phases}")
    require(state.stopping == phases["stopping"], f"stopping {state.stopping}: {phases}")
    ready = [(s.number, v.step, v.visit) for s, v in visits if v.phase == "ready"]
    require(sorted(ready) == sorted(state.ready), f"ready {state.ready} is not {ready}")
    require(state.wake_at_ms == naive_wake(state), f"wakes at {state.wake_at_ms}")
    if state.ended:
        require(not visits, f"ended with active visits: {visits}")
    elif state.seq:
        require(bool(visits), "neither ended nor waiting for anything")
        running = "Running" if state.busy or state.ready else "Waiting"
        require(state.status == running, f"status {state.status}, but it is {running}")
    for scope, visit in visits:
        _check_visit(plan, state, scope, visit)
    _check_holders(state)


def naive_wake(state: ExecutionState) -> int | None:
    """The instant to wake at, from all that waits for an instant."""
    if state.ended:
        return None
    if state.ready:
        return 0
    instants = [
        instant
        for scope in state.scopes.values()
        for visit in scope.active.values()
        for instant in (visit.due_at_ms, visit.deadline_at_ms)
        if instant is not None
    ]
    if state.deadline_at_ms is not None and state.closing is None:
        instants.append(state.deadline_at_ms)
    return min(instants, default=None)


def _check_visit(plan: Plan, state: ExecutionState, scope: ScopeState, visit: Visit) -> None:
    step = plan.steps[visit.step]
    where = f"{step.id} {(scope.number, visit.step, visit.visit)}: {visit}"
    require(scope.visits[visit.step] >= visit.visit, where)
    if state.closing is not None:
        closing = visit.phase == "stopping" or (visit.items is not None and visit.items.closing)
        require(closing, f"goes on in a closing scope: {where}")
    match visit.phase:
        case "timer" | "backoff" | "stopping":
            require(visit.due_at_ms is not None, f"waits for no instant: {where}")
        case "running":
            require(step.kind == "activity", f"runs, but is no activity: {where}")
        case "items":
            items = visit.items
            assert items is not None
            flying = [
                s
                for s in state.scopes.values()
                if s.parent == (scope.number, visit.step, visit.visit)
            ]
            require(items.in_flight == len(flying), f"in flight {len(flying)}: {where}")
            require(items.in_flight > 0, f"waits for no item: {where}")
            assert step.foreach is not None
            bound = step.foreach.concurrency
            require(items.in_flight <= bound, f"concurrency {bound} exceeded: {where}")
            settled = items.width - items.statuses.count(0)
            require(settled + items.in_flight == items.next_index, f"items do not add up: {where}")


def _check_holders(state: ExecutionState) -> None:
    pointing: Counter[tuple[int, int, int]] = Counter()
    for scope in state.scopes.values():
        for visit in scope.active.values():
            if visit.holds:
                values = visit.items.values if visit.items is not None else None
                pointing.update(_pointed_at(visit.input) + _pointed_at(values))
    for scope in state.scopes.values():
        kept = {(step, settled.visit): settled for step, settled in scope.settled.items()}
        for (step, number), settled in {**kept, **scope.replaced}.items():
            wanted = pointing.pop((scope.number, step, number), 0)
            require(settled.holders == wanted, f"{settled.holders} holders, not {wanted}")
        require(
            all(settled.holders for settled in scope.replaced.values()), "an output kept for nobody"
        )
    require(not pointing, f"pointers to nothing: {pointing}")


def _pointed_at(recorded: Value) -> list[tuple[int, int, int]]:
    if isinstance(recorded, Held):
        return [] if recorded.at is None else [recorded.at]
    if isinstance(recorded, dict):
        return [at for item in recorded.values() for at in _pointed_at(item)]
    if isinstance(recorded, list):
        return [at for item in recorded for at in _pointed_at(item)]
    return []


def comparable(state: ExecutionState) -> tuple[ExecutionState, object]:
    """A state without what may differ between equal ones: stale timers; and its orders."""
    copy = decode_snapshot(encode_snapshot(state))
    assert copy is not None
    copy.timers = sorted({timer for timer in copy.timers if copy.is_live(timer)})
    copy.timers_swept = 0
    orders = (list(copy.ready), list(copy.scopes), [list(s.active) for s in copy.scopes.values()])
    return copy, orders


def check_equal(one: ExecutionState, other: ExecutionState, what: str) -> None:
    """Two states of which one is the replay of the other."""
    first, second = comparable(one), comparable(other)
    if first != second:
        names = [
            name
            for name in ExecutionState.__struct_fields__
            if getattr(first[0], name) != getattr(second[0], name)
        ]
        told = "; ".join(
            f"{name}: {getattr(first[0], name)!r} ≠ {getattr(second[0], name)!r}" for name in names
        )
        raise Broken(f"{what}: {told or 'the order of visits differs'}")


def check_outstanding(
    plan: Plan, state: ExecutionState, expected: Mapping[Address, Command]
) -> None:
    """`outstanding` names the attempts that the commands so far asked for and no event ended."""
    recomputed = {command.at: _asked(command) for command in outstanding(plan, state)}
    by_commands = {at: _asked(command) for at, command in expected.items()}
    if recomputed != by_commands:
        raise Broken(f"outstanding {recomputed}, by commands {by_commands}")


def _asked(command: Command) -> object:
    """A command without the grace, of which only a part may be left."""
    return command if isinstance(command, RunStep) else type(command)
