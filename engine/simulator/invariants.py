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
from heliostat.engine.kernel.names import wait_key
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
    """Counters, timers, waiting, semaphores, holders and bounds of one state."""
    visits = [(scope, visit) for scope in state.scopes.values() for visit in scope.active.values()]
    attempts = Counter(visit.phase for _, visit in visits if visit.child is None)
    running, stopping = attempts["running"], attempts["stopping"]
    require(state.busy == running + stopping, f"busy {state.busy}: {attempts}")
    require(state.stopping == stopping, f"stopping {state.stopping}: {attempts}")
    ready = [(s.number, v.step, v.visit) for s, v in visits if v.phase == "ready"]
    require(sorted(ready) == sorted(state.ready), f"ready {state.ready} is not {ready}")
    require(state.wake_at_ms == naive_wake(state), f"wakes at {state.wake_at_ms}")
    if state.ended:
        require(not visits, f"ended with active visits: {visits}")
    elif state.seq:
        require(bool(visits), "neither ended nor waiting for anything")
        expected = "Running" if state.busy or state.ready else "Waiting"
        if state.paused and state.closing is None:
            expected = "Paused"
        require(state.status == expected, f"status {state.status}, but it is {expected}")
    for scope, visit in visits:
        _check_visit(plan, state, scope, visit)
    _check_semaphores(plan, state, visits)
    _check_waits(plan, state, visits)
    _check_holders(state)


def naive_wake(state: ExecutionState) -> int | None:
    """The instant to wake at, from all that waits for an instant."""
    if state.ended:
        return None
    if state.ready:
        return 0
    instants = []
    for scope in state.scopes.values():
        for visit in scope.active.values():
            held = state.paused and visit.phase != "stopping"
            instants += [] if held else [visit.due_at_ms]
            instants.append(visit.deadline_at_ms)
    if state.closing is None:
        instants.append(state.deadline_at_ms)
    return min((instant for instant in instants if instant is not None), default=None)


def _check_visit(plan: Plan, state: ExecutionState, scope: ScopeState, visit: Visit) -> None:
    step = plan.steps[visit.step]
    where = f"{step.id} {(scope.number, visit.step, visit.visit)}: {visit}"
    require(scope.visits[visit.step] >= visit.visit, where)
    if scope.closing is not None:
        require(visit.withdrawn, f"goes on in a closing scope: {where}")
    if visit.withdrawn:
        require(visit.phase in ("stopping", "items", "body"), f"withdrawn, and goes on: {where}")
    match visit.phase:
        case "timer" | "backoff" | "stopping":
            require(visit.due_at_ms is not None, f"waits for no instant: {where}")
        case "running":
            require(step.kind == "activity", f"runs, but is no activity: {where}")
        case "child":
            require(visit.child is not None, f"waits for no child: {where}")
        case "human":
            require(visit.task is not None, f"waits for nobody: {where}")
        case "held":
            require(state.paused, f"held, and there is no pause: {where}")
        case "body":
            require(visit.inner in state.scopes, f"has no scope: {where}")
        case "canceling":
            require((visit.step, visit.visit) in scope.canceling, f"cancels nothing: {where}")
        case "items":
            items = visit.items
            assert items is not None
            parent = (scope.number, visit.step, visit.visit)
            flying = [
                each
                for each in state.scopes.values()
                if each.parent == parent and not items.statuses[each.index or 0]
            ]
            require(items.in_flight == len(flying), f"in flight {len(flying)}: {where}")
            require(items.in_flight > 0, f"waits for no item: {where}")
            bound = items.width
            if step.foreach is not None and not state.moves:  # a later version may allow fewer
                bound = step.foreach.concurrency
            require(items.in_flight <= bound, f"concurrency {bound} exceeded: {where}")
            settled = items.width - items.statuses.count(0)
            require(settled + items.in_flight == items.next_index, f"items do not add up: {where}")


def _check_semaphores(
    plan: Plan, state: ExecutionState, visits: list[tuple[ScopeState, Visit]]
) -> None:
    held: Counter[str] = Counter()
    for _, visit in visits:
        if visit.permits:
            held.update(dict(plan.steps[visit.step].uses))
    require(dict(held) == state.permits, f"permits {state.permits}, but {held} are held")
    for name, count in held.items():
        require(count <= plan.semaphores[name], f"{count} of {name!r}, above its capacity")
    queued = {(s.number, v.step, v.visit) for s, v in visits if v.phase == "queued"}
    waiting = {visit for queue in state.queues.values() for visit in queue}
    require(queued == waiting, f"{waiting} wait for semaphores, {queued} say so")


def _check_waits(plan: Plan, state: ExecutionState, visits: list[tuple[ScopeState, Visit]]) -> None:
    wanted: dict[str, set[tuple[int, int, int]]] = {}
    for scope, visit in visits:
        if visit.phase == "waiting":
            for alternative in plan.steps[visit.step].alternatives:
                if alternative.kind != "timer":
                    key = wait_key(alternative.kind, alternative.key)
                    wanted.setdefault(key, set()).add((scope.number, visit.step, visit.visit))
    known = {key: set(waits) for key, waits in state.waits.items()}
    require(known == wanted, f"open waits {known}, not {wanted}")


def _check_holders(state: ExecutionState) -> None:
    pointing: Counter[tuple[int, int, int]] = Counter()
    for scope in state.scopes.values():
        fallen = [each.visit for each in scope.fallen.values()]
        for visit in [*scope.active.values(), *fallen]:
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
    if encode_snapshot(one) == encode_snapshot(other):
        return  # byte for byte: nothing can differ
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
