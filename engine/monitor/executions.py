"""What events about an execution as a whole do to its marking, or why they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.kernel import events as e
from heliostat.engine.monitor.marking import (
    ROOT,
    Marking,
    Scope,
    Unfit,
)
from heliostat.engine.monitor.opening import Opened


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


def root_of(marking: Marking) -> Scope:
    """The scope of an execution that goes on.

    Raises:
        Unfit: it has ended, or not begun.
    """
    if marking.ended:
        raise Unfit(f"the execution has ended: {marking.ended}")
    root = marking.scopes.get(ROOT)
    if root is None:
        raise Unfit("the execution has not begun")
    return root


def _over(marking: Marking) -> Scope:
    """The root, where nothing of the execution is under way any more."""
    root = root_of(marking)
    if not marking.rare.sides and root.quiet:
        return root
    for number in (ROOT, *marking.rare.sides):
        scope = marking.scopes[number]
        if not scope.quiet:
            raise Unfit(f"the execution ends, and {under_way(marking, scope)}")
    return root


def under_way(marking: Marking, scope: Scope) -> str:
    """What has not ended there, in words."""
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
    root_of(marking)
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
    root_of(marking)
    if marking.paused:
        raise Unfit("it is paused already")
    marking.paused = marking.was_paused = True


def _resumed(marking: Marking, event: e.ExecutionResumed) -> None:
    root_of(marking)
    if not marking.paused:
        raise Unfit("it is not paused")
    marking.paused = False


def _retried(marking: Marking, event: e.ExecutionRetried) -> None:
    if marking.ended != "Failed":
        raise Unfit("the execution has not failed")
    if event.run != marking.run + 1:
        raise Unfit(f"run {event.run} begins, {marking.run + 1} is the next")


def _migrated(marking: Marking, event: e.ExecutionMigrated) -> None:
    root_of(marking)
    if event.from_version != marking.plan.version:
        raise Unfit(f"it is at version {marking.plan.version}, not {event.from_version}")


def _goes_on(marking: Marking, event: e.ExecutionEvent) -> None:
    root_of(marking)


def _noted(marking: Marking, event: e.ExecutionEvent) -> None:
    """People may note something at any time."""
    if not marking.scopes:
        raise Unfit("the execution has not begun")


FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    e.ExecutionStarted: _started,
    e.CancelRequested: _cancel_requested,
    e.ExecutionRedirected: _redirected,
    e.ExecutionCompleted: _completed_execution,
    e.ExecutionFailed: _failed_execution,
    e.ExecutionCanceled: _canceled_execution,
    e.SignalKept: _goes_on,
    e.EventKept: _goes_on,
    e.MessageTaken: _goes_on,
    e.MetadataChanged: _noted,
    e.PropertyViolated: _noted,
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.ExecutionRetried: _retried,
    e.ExecutionMigrated: _migrated,
}
