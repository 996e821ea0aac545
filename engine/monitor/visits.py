"""What the ends of visits do to a marking: completed, skipped, failed, and what they cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from heliostat.engine.kernel import events as e
from heliostat.engine.monitor.executions import root_of
from heliostat.engine.monitor.marking import (
    Key,
    Marking,
    Scope,
    Unfit,
)
from heliostat.engine.monitor.opening import Opened
from heliostat.engine.monitor.ways import (
    Expected,
    arrivals,
    check_taken,
    needs,
    outcome,
)
from heliostat.engine.plan.plan import StepPlan


def _settled(marking: Marking, event: e.StepCompleted | e.StepSkipped | e.StepFailed) -> None:
    at = event.at
    scope = marking.visit(at, backing_off=_may_be_late(event))
    step = marking.step(at.step)
    key = (at.step, at.visit)
    key3 = (at.scope, at.step, at.visit)
    if marking.rare.stopping and key3 in marking.rare.stopping:
        raise Unfit("its attempt was told to stop, and has not ended")
    if scope.inner and key in scope.inner:
        well = isinstance(event, e.StepCompleted) and event.recovered is None
        _inner_over(marking, scope, step, key, well=well)
    marking.rare.started.pop(key3, None)
    marking.rare.at_rest.discard(key3)
    if scope.plan_scope is None:
        _settled_item(marking, scope, step, event)
        return
    is_completed = isinstance(event, e.StepCompleted)
    if is_completed and step.cancels:
        _cancels(marking, scope, step, key)
    marking.drop_inner(scope, key)
    scope.open.pop(key)  # last: a region may hold it
    opened = Opened(marking, event.activated)
    expected: Iterable[Expected] | None = ()
    if isinstance(event, e.StepFailed):
        check_taken(marking, step, event.taken, failed=True)
        marking.settle_need(scope, step, "Failed")
        if not event.taken and not event.tolerated:
            scope.failing = True
        elif scope.tallies is None:
            expected = arrivals(marking, scope, event.taken)
        else:
            expected = needs(marking, scope, step)
    else:
        if is_completed and step.terminate:
            if event.taken:
                raise Unfit("it ends its scope, and went on")
            scope.terminated = True
        else:
            check_taken(marking, step, event.taken, failed=False)
        marking.settle_need(scope, step, "Completed" if is_completed else "Skipped")
        if isinstance(event, e.StepCompleted) and event.skipped:
            _skip(marking, scope, step, event.skipped)
        if scope.tallies is None:
            expected = arrivals(marking, scope, event.taken)
        elif not scope.terminated:
            cancelled = step.cancels if is_completed else ()
            expected = needs(marking, scope, step, cancelled=cancelled)
    if expected is None:  # a step is out of reach
        scope.failing = True
        expected = ()
    if expected and scope.awaited is not None:
        raise Unfit("its scope is closing")
    opened.all(scope, expected)


def _may_be_late(event: e.StepCompleted | e.StepSkipped | e.StepFailed) -> bool:
    """Whether it may come within a back-off: a deadline passed, and perhaps was recovered from."""
    if isinstance(event, e.StepCompleted):
        return event.recovered is not None
    return isinstance(event, e.StepFailed)


def _settled_item(
    marking: Marking,
    scope: Scope,
    step: StepPlan,
    event: e.StepCompleted | e.StepSkipped | e.StepFailed,
) -> None:
    """An item is over; the next may begin."""
    outer, key, group = marking.group_of(scope)
    if event.taken:
        raise Unfit("an item goes nowhere")
    marking.drop_scope(scope.number)
    group.flying -= 1
    group.completed += isinstance(event, e.StepCompleted)
    group.failed += isinstance(event, e.StepFailed)
    opened = Opened(marking, event.activated)
    foreach = step.foreach
    goes_on = group.next < group.width and group.awaited is None
    if foreach is not None and goes_on and outcome(step, group) is None:
        upto = min(group.next + foreach.concurrency - group.flying, group.width)
        opened.items(outer, key, group, upto)
    opened.end()


def _inner_over(marking: Marking, scope: Scope, step: StepPlan, key: Key, *, well: bool) -> None:
    """A body, a parallel step or a `foreach` settles: all that it opened has ended, as it says."""
    inner = marking.inner_of(scope, key)
    assert inner is not None
    if not inner.quiet:
        raise Unfit(f"step {step.id!r} ends, and what it holds is under way")
    if not well:
        return
    if isinstance(inner, Scope):
        if inner.failing:
            raise Unfit(f"step {step.id!r} completes, and a failure in it was caught by nobody")
        if inner.stuck and not inner.terminated:
            raise Unfit(f"step {step.id!r} completes, and a join in it waits")
    elif inner.awaited is not None:
        if inner.closing_failed:
            raise Unfit(f"step {step.id!r} completes, and has failed")
    elif outcome(step, inner) is not True:
        raise Unfit(f"step {step.id!r} completes with {inner.completed} of {inner.width} completed")


def _cancels(marking: Marking, scope: Scope, step: StepPlan, key: Key) -> None:
    """A step with `cancels` completes: its region is at an end, or ends with it."""
    if scope.canceling is not None and key in scope.canceling:
        scope.canceling.discard(key)
        for number, _ in scope.ending or ():
            if number in step.cancels:
                raise Unfit("what it cancels has not ended")
        return
    _withdraw_region(marking, scope, step, key, ())


def _withdraw_region(
    marking: Marking, scope: Scope, step: StepPlan, key: Key, withdrawn: tuple[Any, ...]
) -> None:
    for number in step.cancels:
        if scope.joins:
            scope.joins.pop(number, None)
    region = [each for each in scope.open if each[0] in step.cancels and each != key]
    region += [each for each in scope.ending or () if each[0] in step.cancels]
    found = marking.withdraw(scope, region, withdrawn)
    for each in region:
        awaited = found.get(each)
        if awaited is None:
            marking.settle_need(scope, marking.plan.steps[each[0]], "Canceled")
        else:
            awaited.region = True
            if scope.ending is None:
                scope.ending = {}
            scope.ending[each] = awaited


def _skip(marking: Marking, scope: Scope, step: StepPlan, skipped: tuple[int, ...]) -> None:
    """Steps of a DAG that are cancelled before they could start."""
    for number in skipped:
        if number not in step.cancels or scope.begun is None or number in scope.begun:
            raise Unfit(f"{marking.name(number)} is cancelled, and cannot be")
        scope.visits[number] = scope.visits.get(number, 0) + 1
        marking.settle_need(scope, marking.plan.steps[number], "Skipped")


def _region_canceling(marking: Marking, event: e.RegionCanceling) -> None:
    root_of(marking)
    scope = marking.visit(event.at)
    step = marking.step(event.at.step)
    key = (event.at.step, event.at.visit)
    if not step.cancels or scope.plan_scope is None:
        raise Unfit("it cancels nothing")
    if scope.inner and key in scope.inner:
        _inner_over(marking, scope, step, key, well=event.recovered is None)
        marking.drop_inner(scope, key)
    if scope.canceling is None:
        scope.canceling = set()
    elif key in scope.canceling:
        raise Unfit("it cancels already")
    scope.canceling.add(key)
    marking.rarely().at_rest.add((event.at.scope, *key))
    _withdraw_region(marking, scope, step, key, event.withdrawn)
    _skip(marking, scope, step, event.skipped)


FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    e.StepCompleted: _settled,
    e.StepSkipped: _settled,
    e.StepFailed: _settled,
    e.RegionCanceling: _region_canceling,
}
