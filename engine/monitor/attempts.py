"""What attempts, retries and human tasks do to a marking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.kernel import events as e
from heliostat.engine.monitor.executions import root_of
from heliostat.engine.monitor.marking import (
    Marking,
    Scope,
    Unfit,
)


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
    root_of(marking)
    marking.visit(event.at)


FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    e.AttemptStarted: _attempt_started,
    e.AttemptFailed: _attempt_failed,
    e.RetryDue: _retry_due,
    e.AttemptLost: _attempt_lost,
    e.AttemptStopping: _attempt_stopping,
    e.AttemptEnded: _attempt_ended,
    e.OwnerChanged: _owner_changed,
    e.TaskOpened: _task_opened,
    e.TaskClaimed: _of_task,
    e.TaskReleased: _of_task,
    e.TaskAssigned: _of_task,
    e.TaskProgressed: _of_task,
    e.TaskFailed: _of_task,
}
