"""A marking from the kernel's state: where a snapshot stands for a history, and after a retry or a
move, which go on from what only the kernel has kept."""

from __future__ import annotations

from heliostat.engine.kernel.looking import is_open
from heliostat.engine.kernel.state import ExecutionState, ScopeState, Visit
from heliostat.engine.monitor.marking import (
    ROOT,
    Awaited,
    Group,
    Key,
    Marking,
    Scope,
    Waiting,
)
from heliostat.engine.monitor.opening import items_of
from heliostat.engine.plan.plan import Plan


def marking_of(plan: Plan, state: ExecutionState) -> Marking:
    """Where the tokens are that the state knows of."""
    marking = Marking(plan)
    marking.next_scope = state.next_scope
    marking.run, marking.paused = state.run, state.paused
    marking.was_paused = state.paused
    marking.canceled, marking.redirected = bool(state.cancel_ids), state.redirected
    marking.ended = state.status if state.ended else ""
    if not state.seq:
        marking.next_scope = ROOT
        return marking
    open_scopes = {ROOT}
    for number, scope in sorted(state.scopes.items()):
        around = scope.parent is None or scope.parent[0] in open_scopes
        if number == ROOT or (around and is_open(state, scope)):
            open_scopes.add(number)
    stopping: list[tuple[ScopeState, Visit]] = []
    for number in sorted(open_scopes):
        _add_scope(plan, state, marking, state.scopes[number], stopping)
    for scope, visit in stopping:
        _await_end(state, marking, scope, visit)
    _drop_withdrawn(state, marking, open_scopes)
    return marking


def _add_scope(
    plan: Plan,
    state: ExecutionState,
    marking: Marking,
    known: ScopeState,
    stopping: list[tuple[ScopeState, Visit]],
) -> None:
    scope = marking.add_scope(known.number, known.plan_scope, known.parent)
    scope.index = known.index
    if known.parent is not None and known.index is not None:
        outer = marking.scopes[known.parent[0]].inner or {}
        group = outer.get((known.parent[1], known.parent[2]))
        scope.group = group if isinstance(group, Group) else None
    if known.parent is None and known.number != ROOT:
        marking.rarely().sides.add(known.number)
    scope.visits = dict(known.visits)
    scope.failing = known.failing is not None
    scope.terminated = known.terminated
    if known.closing is not None and not known.closing.withdrawn:
        scope.awaited = Awaited(known.number)
        scope.failing = scope.failing or known.closing.failure is not None
        scope.canceled = known.closing.canceled
    if known.canceling:
        scope.canceling = {(key[0], key[1]) for key in known.canceling}
    for number, waiting in known.joins.items():
        if scope.joins is None:
            scope.joins = {}
        joined = scope.joins[number] = Waiting()
        joined.arrived, joined.fired = dict(waiting.arrived), waiting.fired
    if scope.tallies is not None:
        scope.tallies = {
            number: [tally.settled, tally.completed, tally.failed]
            for number, tally in known.tallies.items()
        }
        scope.begun = {
            number
            for number, latest in known.visits.items()
            if number in known.settled or (number, latest) in known.active
        }
    for key, visit in known.active.items():
        _add_visit(plan, state, marking, scope, (key[0], key[1]), visit)
        if visit.phase == "stopping":
            stopping.append((known, visit))


def _add_visit(
    plan: Plan,
    state: ExecutionState,
    marking: Marking,
    scope: Scope,
    key: Key,
    visit: Visit,
) -> None:
    if visit.started:
        marking.rarely().started[scope.number, *key] = visit.attempt
    if visit.phase != "running" and plan.steps[visit.step].kind == "activity":
        marking.rarely().at_rest.add((scope.number, *key))
    if not visit.withdrawn:
        scope.open[key] = -visit.attempt if visit.phase == "backoff" else visit.attempt
    if visit.withdrawn or visit.phase == "canceling":
        return  # what it had opened is over, or awaited elsewhere
    items = visit.items
    if items is not None:
        if scope.inner is None:
            scope.inner = {}
        step = plan.steps[visit.step]
        of_items = scope.plan_scope is not None and step.foreach is not None
        group = Group(items.first_scope, items.width)
        if of_items:
            group = items_of(step, items.first_scope, items.width)
        scope.inner[key] = group
        group.next, group.flying = items.next_index, items.in_flight
        group.completed, group.failed = items.completed, items.failed
        if items.closing:
            group.awaited = Awaited(scope.number, key)
            group.closing_failed = items.failure is not None
            group.next = 0
    elif visit.inner is not None and visit.inner in state.scopes:
        if scope.inner is None:
            scope.inner = {}
        scope.inner[key] = visit.inner


def _await_end(state: ExecutionState, marking: Marking, scope: ScopeState, visit: Visit) -> None:
    key3 = (scope.number, visit.step, visit.visit)
    if not visit.withdrawn:
        marking.rarely().stopping[key3] = (visit.attempt, None)
        return
    attempt = visit.attempt
    awaited: Awaited | None = None
    while awaited is None:
        here = marking.scopes[scope.number]
        closing = scope.closing
        if closing is not None and not closing.withdrawn:
            awaited = here.awaited
            continue
        if closing is None and scope.plan_scope is not None:
            key = (visit.step, visit.visit)
            if here.ending is None:
                here.ending = {}
            awaited = here.ending.setdefault(key, Awaited(here.number, key, region=True))
            continue
        assert scope.parent is not None
        scope = state.scopes[scope.parent[0]]
        visit = scope.active[state.scopes[here.number].parent[1:]]  # type: ignore[index]
        if not visit.withdrawn:
            inner = marking.scopes[scope.number].inner or {}
            group = inner[visit.step, visit.visit]
            assert isinstance(group, Group)
            awaited = group.awaited
            assert awaited is not None, "what is withdrawn is awaited"
    awaited.left += 1
    marking.rarely().stopping[key3] = (attempt, awaited)


def _drop_withdrawn(state: ExecutionState, marking: Marking, numbers: set[int]) -> None:
    """Scopes within what was withdrawn are gone; their attempts are awaited elsewhere."""
    for number in numbers:
        scope = state.scopes[number]
        while scope.parent is not None:
            outer = state.scopes[scope.parent[0]]
            owner = outer.active[scope.parent[1], scope.parent[2]]
            gone = scope.closing is not None and scope.closing.withdrawn
            if gone or owner.withdrawn or (owner.items is not None and owner.items.closing):
                marking.scopes.pop(number, None)
                break
            scope = outer
