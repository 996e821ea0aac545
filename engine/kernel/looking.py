"""What an event has brought to an end: scopes, and visits whose items or branches have settled.

A scope ends when nothing in it is active any more: well, or stuck at a join. It closes early when a
failure was caught by nobody, when a step ended it (`end: terminate`), or when a DAG's step came out
of reach; then what still runs is withdrawn, and nothing follows before that has ended.

Everything here reads the state only, whatever happened before. So a matter may be looked at twice,
and a history that was cut within a turn can be gone on with (`resume`).
"""

from __future__ import annotations

from heliostat.engine.identity import Address
from heliostat.engine.kernel.ending import finish
from heliostat.engine.kernel.events import Failure, JoinReopened, ScopeClosing
from heliostat.engine.kernel.flow import attempt_failed, complete, fail
from heliostat.engine.kernel.items import outcome_of
from heliostat.engine.kernel.result import Result, kept_result
from heliostat.engine.kernel.routing import out_of_reach, reopened_joins, stuck_join
from heliostat.engine.kernel.state import ROOT, ExecutionState, ScopeState, Visit
from heliostat.engine.kernel.stopping import stop_all
from heliostat.engine.kernel.turn import Matter, Turn
from heliostat.engine.kernel.visits import is_item, is_own_deadline, is_side, owner_of
from heliostat.engine.kernel.withdrawing import active_in, inner_scopes


def settle_matters(turn: Turn) -> None:
    """Look at all that is on the agenda, and at what comes onto it meanwhile."""
    while turn.agenda:
        matters, turn.agenda = turn.agenda, []
        for matter in matters:
            _look(turn, matter)


def _look(turn: Turn, matter: Matter) -> None:
    number, key, reach = matter
    scope = turn.state.scopes.get(number)
    if scope is None or turn.state.ended:
        return
    if key is None:
        _look_at_scope(turn, scope, reach)
        return
    visit = scope.active.get(key)
    if visit is not None:
        _look_at_items(turn, scope, visit)


def outwards(state: ExecutionState, scope: ScopeState) -> list[ScopeState]:
    """A scope and those around it, from the inside out."""
    found = [scope]
    while scope.parent is not None:
        scope = state.scopes[scope.parent[0]]
        found.append(scope)
    return found


def look_around(turn: Turn, chain: list[ScopeState]) -> None:
    """Something withdrawn has ended in the first of these scopes, and with it perhaps what is
    around: some of them may be gone by now."""
    scopes = turn.state.scopes
    for scope in chain:
        if scope.number in scopes:
            turn.look_at(scope)
        if scope.parent is None:
            return
        outer = scopes.get(scope.parent[0])
        owner = None if outer is None else outer.active.get((scope.parent[1], scope.parent[2]))
        if outer is not None and owner is not None:
            turn.look_at_visit(outer, owner)


def resume(turn: Turn) -> None:
    """Go on from where a history was cut within a turn. A whole turn is stored at once, so that
    this finds nothing to do unless somebody cut a history on purpose."""
    state = turn.state
    if not state.seq:
        return
    for scope in sorted(state.scopes.values(), key=lambda scope: -scope.number):
        for visit in list(scope.active.values()):
            if visit.items is not None:
                turn.look_at_visit(scope, visit)
        turn.agenda.append((scope.number, None, True))
    settle_matters(turn)


# -- scopes


def _look_at_scope(turn: Turn, scope: ScopeState, reach: bool) -> None:
    plan, state = turn.plan, turn.state
    if is_item(scope) or not is_open(state, scope):
        return
    if scope.closing is not None:
        closing = scope.closing
        if not closing.withdrawn and _quiet(state, scope):
            finish(turn, scope, closing.failure, canceled=closing.canceled)
        return
    for step_number, visit_number in list(scope.canceling):
        visit = scope.active[step_number, visit_number]
        if _region_ended(turn, scope, visit):
            _complete_canceling(turn, scope, visit)
            return  # which looks at the scope again
    if scope.number == ROOT and state.cancel_ids:
        close_scope(turn, scope, canceled=True)
    elif scope.failing is not None:
        close_scope(turn, scope, failure=scope.failing)
    elif scope.terminated:
        close_scope(turn, scope)
    elif reach and (unreachable := out_of_reach(plan, scope)) is not None:
        close_scope(turn, scope, failure=unreachable)
    else:
        if scope.joins:
            for number in reopened_joins(plan, scope):
                turn.emit(JoinReopened(at_ms=turn.now_ms, scope=scope.number, step=number))
        if _quiet(state, scope):
            finish(turn, scope, stuck_join(plan, scope))


def is_open(state: ExecutionState, scope: ScopeState) -> bool:
    """Whether a scope has not ended: what fell with a failure is kept, but is no matter."""
    if scope.parent is None:
        return True
    outer = state.scopes.get(scope.parent[0])
    owner = None if outer is None else outer.active.get((scope.parent[1], scope.parent[2]))
    if owner is None:
        return False
    if scope.index is None:
        return owner.phase == "body" and owner.inner == scope.number
    return owner.phase == "items" and not (owner.items and owner.items.statuses[scope.index])


def _quiet(state: ExecutionState, scope: ScopeState) -> bool:
    """Whether nothing is active in a scope; for the root, in a handler's custom actions either."""
    if scope.active:
        return False
    if scope.number != ROOT:
        return True
    return not any(each.active for each in state.scopes.values() if is_side(each))


def close_scope(
    turn: Turn, scope: ScopeState, *, failure: Failure | None = None, canceled: bool = False
) -> None:
    """Settle a scope's outcome, and withdraw what is still active in it."""
    state = turn.state
    closed = [scope]
    if scope.number == ROOT:
        closed += [each for each in state.scopes.values() if is_side(each)]
    if not any(each.active for each in closed):
        finish(turn, scope, failure, canceled=canceled)
        return
    withdrawn, grace_ms = stop_all(turn, active_in(closed))
    turn.emit(
        ScopeClosing(
            at_ms=turn.now_ms,
            scope=scope.number,
            failure=failure,
            canceled=canceled,
            withdrawn=withdrawn,
            grace_until_ms=turn.now_ms + grace_ms,
        )
    )
    turn.look_at(scope)


# -- items and branches


def _look_at_items(turn: Turn, scope: ScopeState, visit: Visit) -> None:
    items = visit.items
    if items is None or visit.withdrawn or visit.phase not in ("items", "ready"):
        return
    if not items.closing:
        step = turn.plan.steps[visit.step]
        outcome = outcome_of(step, items.width, items.completed, items.failed)
        if outcome is None:
            return
        # The latest failure: that of the item which decided the outcome.
        failure = None if outcome else next(reversed(items.failures.values()))
        if items.in_flight:
            close_items(turn, scope, visit, failure)
            return
    elif items.in_flight:
        return
    else:
        failure = items.failure
    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
    if failure is None:
        complete(turn, at, Result(collected=True))
    else:
        fail_composite(turn, at, failure)


def close_items(turn: Turn, scope: ScopeState, visit: Visit, failure: Failure | None) -> None:
    """The outcome of items or branches is settled: withdraw those that are still in flight."""
    withdrawn, grace_ms = stop_all(turn, active_in(inner_scopes(turn.state, visit)))
    turn.emit(
        ScopeClosing(
            at_ms=turn.now_ms,
            scope=scope.number,
            step=visit.step,
            visit=visit.visit,
            failure=failure,
            withdrawn=withdrawn,
            grace_until_ms=turn.now_ms + grace_ms,
        )
    )
    turn.look_at_visit(scope, visit)


def fail_composite(turn: Turn, at: Address, failure: Failure) -> None:
    """What a step opened has failed; a body or a parallel step may be tried again as a whole."""
    step = turn.plan.steps[at.step]
    scope, visit, _ = turn.locate(at)
    whole = visit.items is not None and step.foreach is not None and not is_item(scope)
    if whole or is_own_deadline(failure, step):
        fail(turn, at, failure)
    else:
        attempt_failed(turn, at, failure)


# -- regions


def _region_ended(turn: Turn, scope: ScopeState, visit: Visit) -> bool:
    cancels = turn.plan.steps[visit.step].cancels
    return not any(each.withdrawn and each.step in cancels for each in scope.active.values())


def _complete_canceling(turn: Turn, scope: ScopeState, visit: Visit) -> None:
    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
    complete(turn, at, kept_result(visit))


def owner_address(state: ExecutionState, scope: ScopeState) -> Address:
    """The visit that opened a scope."""
    outer, owner = owner_of(state, scope)
    return Address(outer.number, owner.step, owner.visit, owner.attempt)
