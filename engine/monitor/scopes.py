"""What the scopes of bodies, branches, items and handlers do to a marking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.kernel import events as e
from heliostat.engine.monitor.executions import root_of, under_way
from heliostat.engine.monitor.marking import (
    ROOT,
    Awaited,
    Group,
    Marking,
    Scope,
    Unfit,
)
from heliostat.engine.monitor.opening import Opened
from heliostat.engine.monitor.ways import (
    is_out_of_reach,
    outcome,
)

_LATE: Final = "DeadlineExceeded"


def _scopes_opened(marking: Marking, event: e.ScopesOpened) -> None:
    scope = marking.visit(event.at)
    step = marking.step(event.at.step)
    key = (event.at.step, event.at.visit)
    if scope.inner and key in scope.inner:
        raise Unfit("its scopes are open already")
    opened = Opened(marking, event.activated)
    if event.failure is None:
        opened.scopes(scope, step, key, event.first_scope)
    opened.end()


def _scope_closing(marking: Marking, event: e.ScopeClosing) -> None:
    root = root_of(marking)
    scope = marking.scope(event.scope)
    if event.step is not None:
        _items_closing(marking, scope, event)
        return
    if scope.awaited is not None:
        raise Unfit("it is closing already")
    owner = None if scope.parent is None else marking.plan.steps[scope.parent[1]].id
    late = _is_late(event, owner)
    if event.canceled and not marking.canceled:
        raise Unfit("nobody asked for it")
    if not (event.canceled or late):
        if event.failure is None and not scope.terminated:
            raise Unfit("nothing has ended it")
        if event.failure is not None and not (scope.failing or is_out_of_reach(marking, scope)):
            raise Unfit("nothing in it has failed for good")
    closed = [scope]
    if scope is root:
        closed += [marking.scopes[number] for number in marking.rare.sides]
    for each in closed:
        within = [at for at in event.withdrawn if _lies_in(marking, each, at.scope, at)]
        if each.tallies is not None:  # the definition's `on_error` may lead on in a DAG
            for number, _ in (*each.open, *(each.ending or ())):
                marking.settle_need(each, marking.plan.steps[number], "Canceled")
        found = marking.withdraw(each, None, within)
        each.awaited = found.get(None) or Awaited(each.number)
        each.failing = each.failing or event.failure is not None
        each.canceled = event.canceled
        each.joins = None if event.failure is not None else each.joins
    told = sum(each.awaited.left for each in closed if each.awaited is not None)
    if told != len(event.withdrawn):
        raise Unfit("it stops what lies elsewhere")


def _is_late(event: e.ScopeClosing, owner: str | None) -> bool:
    """Whether the deadline of a step, or of the execution, has passed."""
    failure = event.failure
    return failure is not None and failure.type == _LATE and failure.step == owner


def _lies_in(marking: Marking, scope: Scope, number: int, at: Any) -> bool:
    if scope.number != ROOT and scope.parent is not None:
        return True  # then all must: `withdraw` sees to it
    stop = marking.rare.stopping.get((at.scope, at.step, at.visit))
    if stop is not None and stop[1] is not None:
        number = stop[1].scope
    found = marking.scope(number)
    while found.parent is not None:
        found = marking.scope(found.parent[0])
    return found is scope


def _items_closing(marking: Marking, scope: Scope, event: e.ScopeClosing) -> None:
    assert event.step is not None
    step = marking.step(event.step)
    key = (event.step, event.visit or 0)
    group = marking.inner_of(scope, key)
    if key not in scope.open or not isinstance(group, Group):
        raise Unfit(f"{marking.name(event.step)} has no items or branches under way")
    if group.awaited is not None:
        raise Unfit("they are closing already")
    if not _is_late(event, step.id):
        well = outcome(step, group)
        if well is None or well is not (event.failure is None):
            raise Unfit(
                f"{group.completed} completed and {group.failed} failed of {group.width} do not "
                f"settle {step.id!r} like that"
            )
    found = marking.withdraw(scope, (key,), event.withdrawn, inner_only=True)
    if scope.inner is None:
        scope.inner = {}
    scope.inner[key] = group
    group.awaited = found.get(key) or Awaited(scope.number, key)
    group.closing_failed = event.failure is not None
    group.next = 0  # none of them is left


def _branch_over(marking: Marking, event: e.BranchCompleted | e.BranchFailed) -> None:
    root_of(marking)
    scope = marking.scope(event.scope)
    well = isinstance(event, e.BranchCompleted)
    if not scope.quiet:
        raise Unfit(f"it ends, and {under_way(marking, scope)}")
    if well and (scope.failing or (scope.stuck and not scope.terminated)):
        raise Unfit("it completes, and has failed or waits")
    if scope.parent is None:
        if event.scope not in marking.rare.sides:
            raise Unfit("it is no branch")
        marking.rare.sides.discard(event.scope)
        marking.drop_scope(event.scope)
        return
    _, _, group = marking.group_of(scope)
    if scope.plan_scope is None:
        raise Unfit("it is an item, and no branch")
    marking.drop_scope(event.scope)
    group.flying -= 1
    group.completed += well
    group.failed += not well


def _join_reopened(marking: Marking, event: e.JoinReopened) -> None:
    scope = marking.scope(event.scope)
    waiting = scope.joins.get(event.step) if scope.joins else None
    if waiting is None or not waiting.fired:
        raise Unfit(f"the join {marking.name(event.step)} has not fired")
    assert scope.joins is not None
    del scope.joins[event.step]


def _handler_fired(marking: Marking, event: e.HandlerFired) -> None:
    root = root_of(marking)
    plan = marking.plan
    if not 0 <= event.handler < len(plan.handlers):
        raise Unfit(f"there is no handler {event.handler}")
    actions = plan.handlers[event.handler].actions
    if event.activated and root.awaited is not None:
        raise Unfit("the execution is closing")
    triggered = [each.step for each in actions if each.step is not None]
    customs = [each.scope for each in actions if each.scope is not None]
    opened = Opened(marking, event.activated)
    sides = dict(event.scopes)
    while opened.rest:
        each = opened.rest[0]
        if each.scope == ROOT and each.step in triggered:
            triggered.remove(each.step)
            opened.visit(root, plan.steps[each.step])
        elif each.scope in sides and sides[each.scope] in customs:
            if each.scope < marking.next_scope:
                raise Unfit(f"scope {each.scope} opens, {marking.next_scope} is the next")
            marking.next_scope = each.scope + 1
            side = marking.add_scope(each.scope, sides.pop(each.scope), None)
            marking.rarely().sides.add(each.scope)
            opened.start_of(side)
        else:
            raise Unfit(f"its actions do not open {marking.name(each.step)}")
    if sides:
        raise Unfit("it opens a scope in which nothing starts")


FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    e.ScopeClosing: _scope_closing,
    e.JoinReopened: _join_reopened,
    e.ScopesOpened: _scopes_opened,
    e.BranchCompleted: _branch_over,
    e.BranchFailed: _branch_over,
    e.HandlerFired: _handler_fired,
}
