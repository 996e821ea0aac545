"""Whether a history is a run of its plan: each event is a step of the plan's token game, or not.

`Conformance` is incremental: it follows the events of one execution as they are committed, and
costs the same in a short and a long history. What it needs of them is where they happened and what
they opened; it evaluates no expression and reads no value, so that which of several ways a
condition chose, and what was computed, is beyond it.

An execution that was tried again or moved to another version goes on from a marking that only the
kernel knows: `lost` is then set, and `restored.py` makes the marking from the kernel's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.kernel import events as e
from heliostat.engine.kernel.events import ExecutionStarted, StepCompleted
from heliostat.engine.monitor.frequent import completed, started
from heliostat.engine.monitor.marking import (
    ROOT,
    Awaited,
    Group,
    Key,
    Marking,
    Scope,
    Unfit,
)
from heliostat.engine.monitor.opening import Opened
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.monitor.ways import (
    Expected,
    arrivals,
    check_taken,
    is_out_of_reach,
    needs,
    outcome,
)
from heliostat.engine.plan.plan import StepPlan

_LATE: Final = "DeadlineExceeded"


_OWN_MISTAKES: Final = (LookupError, AssertionError, AttributeError, TypeError, ValueError)


class Conformance:
    """Follows one execution."""

    __slots__ = ("_tables", "fault", "lost", "marking", "seq")

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.marking = Marking(tables.plan)
        self.seq = 0
        """Of the last event that was followed."""
        self.lost = False
        """The marking is not known: `restored.marking_of` says how it goes on."""
        self.fault: str | None = None
        """A mistake of this check itself, by which it was lost: no event is refused for that."""

    def go_on(self, tables: Tables, marking: Marking, seq: int) -> None:
        """Follow from a marking that is known otherwise, as it is after event `seq`."""
        self._tables, self.marking, self.seq, self.lost = tables, marking, seq, False

    def follow(self, events: Iterable[e.ExecutionEvent]) -> None:
        """Play events, each as a step of the token game.

        Raises:
            HistoryMisfit: one of them does not fit. The marking is of no use then.
        """
        tables, marking = self._tables, self.marking
        for event in events:
            self.seq += 1
            if self.lost:
                continue
            kind = type(event)
            if kind is StepCompleted:
                if completed(tables, marking, event):  # type: ignore[arg-type]  # by `kind`
                    continue
            elif kind is ExecutionStarted and started(tables, marking, event):  # type: ignore[arg-type]  # by `kind`
                continue
            try:
                _FOLLOW[kind](marking, event)
            except Unfit as unfit:
                raise self._misfit(event, str(unfit)) from None
            except _OWN_MISTAKES as error:
                self.lost = True
                self.fault = f"event {self.seq}: {type(error).__name__}: {error}"
            if kind is e.ExecutionRetried or kind is e.ExecutionMigrated:
                self.lost = True

    def _misfit(self, event: e.ExecutionEvent, why: str) -> HistoryMisfit:
        name = str(type(event).__struct_config__.tag)
        at = getattr(event, "at", None)
        step = None
        if at is not None and 0 <= at.step < len(self.marking.plan.steps):
            step = self.marking.plan.steps[at.step].id
        return HistoryMisfit(self.seq, name, step, why)


# -- the execution as a whole


def _started(marking: Marking, event: e.ExecutionStarted) -> None:
    if marking.scopes or marking.ended:
        raise Unfit("it has begun already")
    marking.next_scope = ROOT + 1
    root = marking.add_scope(ROOT, marking.plan.root.number, None)
    opened = Opened(marking, event.activated)
    if event.failure is None:
        opened.start_of(root)
    else:
        root.failing = True
    opened.end()


def _root(marking: Marking) -> Scope:
    if marking.ended:
        raise Unfit(f"the execution has ended: {marking.ended}")
    root = marking.scopes.get(ROOT)
    if root is None:
        raise Unfit("the execution has not begun")
    return root


def _over(marking: Marking) -> Scope:
    """The root, where nothing of the execution is under way any more."""
    root = _root(marking)
    if not marking.rare.sides and root.quiet:
        return root
    for number in (ROOT, *marking.rare.sides):
        scope = marking.scopes[number]
        if not scope.quiet:
            raise Unfit(f"the execution ends, and {_under_way(marking, scope)}")
    return root


def _under_way(marking: Marking, scope: Scope) -> str:
    names = sorted({marking.plan.steps[step].id for step, _ in scope.open})
    if names:
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} under way"
    return "what was told to stop has not ended"


def _end(marking: Marking, status: str) -> None:
    for number in marking.rare.sides:
        marking.drop_scope(number)
    marking.rare.sides.clear()
    marking.ended = status
    marking.paused = False


def _completed_execution(marking: Marking, event: e.ExecutionCompleted) -> None:
    root = _over(marking)
    if marking.canceled:
        raise Unfit("the execution was to be canceled")
    if event.recovered is None:
        if root.failing:
            raise Unfit("a failure was caught by nobody")
        if root.stuck and not root.terminated:
            raise Unfit("a join waits")
    _end(marking, "Completed")


def _failed_execution(marking: Marking, event: e.ExecutionFailed) -> None:
    _over(marking)
    if marking.canceled:
        raise Unfit("the execution was to be canceled")
    _end(marking, "Failed")


def _canceled_execution(marking: Marking, event: e.ExecutionCanceled) -> None:
    root = _over(marking)
    if not (marking.canceled or root.canceled):
        raise Unfit("nobody asked for it")
    _end(marking, "Canceled")


def _cancel_requested(marking: Marking, event: e.CancelRequested) -> None:
    _root(marking)
    if marking.canceled:
        raise Unfit("it is to be canceled already")
    marking.canceled = True


def _redirected(marking: Marking, event: e.ExecutionRedirected) -> None:
    root = _over(marking)
    if marking.redirected or marking.canceled:
        raise Unfit("the definition's `on_error` leads on once a run")
    for number in marking.rare.sides:
        marking.drop_scope(number)
    marking.rare.sides.clear()
    marking.redirected = True
    root.awaited = None
    root.failing = root.terminated = False
    root.joins = None
    targets = {each.edge.target for each in marking.plan.on_error if each.edge is not None}
    opened = Opened(marking, event.activated)
    if not event.activated or event.activated[0].step not in targets:
        raise Unfit("the definition's `on_error` does not lead there")
    opened.visit(root, marking.plan.steps[event.activated[0].step])
    opened.end()


def _paused(marking: Marking, event: e.ExecutionPaused) -> None:
    _root(marking)
    if marking.paused:
        raise Unfit("it is paused already")
    marking.paused = marking.was_paused = True


def _resumed(marking: Marking, event: e.ExecutionResumed) -> None:
    _root(marking)
    if not marking.paused:
        raise Unfit("it is not paused")
    marking.paused = False


def _retried(marking: Marking, event: e.ExecutionRetried) -> None:
    if marking.ended != "Failed":
        raise Unfit("the execution has not failed")
    if event.run != marking.run + 1:
        raise Unfit(f"run {event.run} begins, {marking.run + 1} is the next")


def _migrated(marking: Marking, event: e.ExecutionMigrated) -> None:
    _root(marking)
    if event.from_version != marking.plan.version:
        raise Unfit(f"it is at version {marking.plan.version}, not {event.from_version}")


def _goes_on(marking: Marking, event: e.ExecutionEvent) -> None:
    _root(marking)


def _noted(marking: Marking, event: e.ExecutionEvent) -> None:
    """People may note something at any time."""
    if not marking.scopes:
        raise Unfit("the execution has not begun")


# -- visits


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
    _root(marking)
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


# -- attempts


def _attempt_started(marking: Marking, event: e.AttemptStarted) -> None:
    marking.visit(event.at)
    at = event.at
    key = (at.scope, at.step, at.visit)
    if marking.rare.started.get(key) == at.attempt:
        raise Unfit("it may run at most once, and has begun")
    marking.rarely().started[key] = at.attempt


def _attempt_failed(marking: Marking, event: e.AttemptFailed) -> None:
    scope = _between(marking, event)
    at = event.at
    marking.rare.at_rest.discard((at.scope, at.step, at.visit))
    scope.open[at.step, at.visit] = -(at.attempt + 1)


def _task_opened(marking: Marking, event: e.TaskOpened) -> None:
    scope = _between(marking, event)
    at = event.at
    marking.rarely().at_rest.add((at.scope, at.step, at.visit))
    scope.open[at.step, at.visit] = at.attempt


def _between(marking: Marking, event: e.AttemptFailed | e.TaskOpened) -> Scope:
    """One attempt is over, and the visit is not: what it has opened has ended."""
    at = event.at
    scope = marking.visit(at, backing_off=isinstance(event, e.TaskOpened))
    key = (at.step, at.visit)
    if (at.scope, *key) in marking.rare.stopping:
        raise Unfit("its attempt was told to stop, and has not ended")
    inner = marking.inner_of(scope, key)
    if inner is not None:
        if not inner.quiet:
            raise Unfit("it failed, and what it holds is under way")
        marking.drop_inner(scope, key)
    return scope


def _retry_due(marking: Marking, event: e.RetryDue) -> None:
    at = event.at
    scope = marking.scope(at.scope)
    if scope.open.get((at.step, at.visit)) != -at.attempt:
        raise Unfit("it does not wait for its back-off")
    scope.open[at.step, at.visit] = at.attempt


def _attempt_lost(marking: Marking, event: e.AttemptLost) -> None:
    scope = marking.visit(event.at)
    scope.open[event.at.step, event.at.visit] = event.at.attempt + 1


def _owner_changed(marking: Marking, event: e.OwnerChanged) -> None:
    for at in event.reissued:
        scope = marking.visit(at)
        scope.open[at.step, at.visit] = at.attempt + 1


def _attempt_stopping(marking: Marking, event: e.AttemptStopping) -> None:
    at = event.at
    marking.visit(at)
    marking.rarely().stopping[at.scope, at.step, at.visit] = (at.attempt, None)


def _attempt_ended(marking: Marking, event: e.AttemptEnded) -> None:
    at = event.at
    stop = marking.rare.stopping.pop((at.scope, at.step, at.visit), None)
    if stop is None or stop[0] != at.attempt:
        raise Unfit("nobody told it to stop")
    awaited = stop[1]
    if awaited is None:  # what becomes of its visit follows
        marking.rarely().at_rest.add((at.scope, at.step, at.visit))
        return
    awaited.left -= 1
    if awaited.region and not awaited.left:
        scope = marking.scope(awaited.scope)
        assert awaited.key is not None
        if scope.ending and scope.ending.pop(awaited.key, None) is not None:
            marking.settle_need(scope, marking.plan.steps[awaited.key[0]], "Canceled")


def _of_task(marking: Marking, event: Any) -> None:
    _root(marking)
    marking.visit(event.at)


# -- scopes


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
    root = _root(marking)
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
    _root(marking)
    scope = marking.scope(event.scope)
    well = isinstance(event, e.BranchCompleted)
    if not scope.quiet:
        raise Unfit(f"it ends, and {_under_way(marking, scope)}")
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
    root = _root(marking)
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


_FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    e.ExecutionStarted: _started,
    e.StepCompleted: _settled,
    e.StepSkipped: _settled,
    e.StepFailed: _settled,
    e.AttemptStarted: _attempt_started,
    e.AttemptFailed: _attempt_failed,
    e.RetryDue: _retry_due,
    e.AttemptLost: _attempt_lost,
    e.AttemptStopping: _attempt_stopping,
    e.ScopeClosing: _scope_closing,
    e.AttemptEnded: _attempt_ended,
    e.CancelRequested: _cancel_requested,
    e.ExecutionRedirected: _redirected,
    e.ExecutionCompleted: _completed_execution,
    e.ExecutionFailed: _failed_execution,
    e.ExecutionCanceled: _canceled_execution,
    e.JoinReopened: _join_reopened,
    e.OwnerChanged: _owner_changed,
    e.ScopesOpened: _scopes_opened,
    e.BranchCompleted: _branch_over,
    e.BranchFailed: _branch_over,
    e.RegionCanceling: _region_canceling,
    e.SignalKept: _goes_on,
    e.EventKept: _goes_on,
    e.HandlerFired: _handler_fired,
    e.MessageTaken: _goes_on,
    e.TaskOpened: _task_opened,
    e.TaskClaimed: _of_task,
    e.TaskReleased: _of_task,
    e.TaskAssigned: _of_task,
    e.TaskProgressed: _of_task,
    e.TaskFailed: _of_task,
    e.MetadataChanged: _noted,
    e.PropertyViolated: _noted,
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.ExecutionRetried: _retried,
    e.ExecutionMigrated: _migrated,
}
