"""Clients' requests to one execution: idempotent by message id, answered after the commit.

Whether a request can be followed is the kernel's to say. It says so in the turn that the request
reached, and the answer waits for that turn's commit like any other: what a client hears is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from msgspec import to_builtins

from heliostat.actors.host.api import (
    Accepted,
    AnyRequest,
    CancelRequest,
    MetadataRequest,
    MigrateRequest,
    PauseRequest,
    Refusal,
    ResumeRequest,
    RetryRequest,
    SignalRequest,
    TaskActionRequest,
)
from heliostat.actors.host.plans import HostedPlan
from heliostat.actors.host.tasks import task_address
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    Migrate,
    Pause,
    Resume,
    Retry,
    SetMetadata,
    Signal,
    TaskAction,
)
from heliostat.engine.kernel.turn import Refused
from heliostat.engine.plan.plan import Plan


class RequestItem:
    """One request on its way through a turn."""

    __slots__ = ("future", "key", "refused", "request", "since_ms", "target")

    def __init__(self, request: AnyRequest, since_ms: int) -> None:
        self.key = request.key
        self.request = request
        self.since_ms = since_ms
        self.refused: Refused | None = None  # by the kernel, in the turn under way
        self.target: HostedPlan | None = None  # of a `MigrateRequest`: what it is moved to
        self.future: asyncio.Future[Accepted | Refusal] = asyncio.get_running_loop().create_future()

    def answer(self, answer: Accepted | Refusal) -> None:
        """Tell the client, unless it went away."""
        if not self.future.done():
            self.future.set_result(answer)


def answer_for(item: RequestItem, state: ExecutionState) -> Accepted | Refusal:
    """What the client hears, once the state that its request led to is durable."""
    refused = item.refused
    if refused is None and _is_late(item, state):
        refused = Refused("CONFLICT", f"the execution has ended as {state.status} already")
    if refused is None:
        return Accepted(key=item.key, status=state.status, run=state.run)
    return Refusal(
        code="UNMAPPED" if refused.obstacles else refused.code,
        message=f"execution {item.key.execution_id!r}: {refused.message}",
        details={"status": str(state.status)}
        | ({} if refused.field is None else {"field": refused.field})
        | ({"obstacles": to_builtins(refused.obstacles)} if refused.obstacles else {}),
    )


def _is_late(item: RequestItem, state: ExecutionState) -> bool:
    """A cancel that nothing was left for; a repetition of one that was followed is not late."""
    request = item.request
    return (
        isinstance(request, CancelRequest)
        and state.ended
        and request.message_id not in state.cancel_ids
    )


def unknown(key: ExecutionKey) -> Refusal:
    """No execution has this id."""
    return Refusal(
        code="NOT_FOUND",
        message=f"there is no execution {key.execution_id!r} in namespace {key.namespace!r}",
        details={"kind": "execution", "name": key.execution_id},
    )


def request_stimulus(item: RequestItem, now_ms: int) -> AnyStimulus:
    """How a request reaches the kernel; raises `NotFound` for what is no task's id."""
    return _STIMULI[type(item.request)](item.request, now_ms)


def migrate_stimulus(item: RequestItem, plan: Plan, now_ms: int) -> Migrate:
    """How a move reaches the kernel: with what of the execution's plan there is in the target's."""
    request, target = item.request, item.target
    assert isinstance(request, MigrateRequest)
    assert target is not None, "it was looked up before the request came here"
    return Migrate(
        now_ms=now_ms,
        message_id=request.message_id,
        mapping=target.mapped_from(plan),
        reason=request.reason,
        dry_run=request.dry_run,
    )


def _cancel(request: CancelRequest, now_ms: int) -> Cancel:
    return Cancel(now_ms=now_ms, message_id=request.message_id, reason=request.reason)


def _pause(request: PauseRequest, now_ms: int) -> Pause:
    return Pause(now_ms=now_ms, message_id=request.message_id, reason=request.reason)


def _resume(request: ResumeRequest, now_ms: int) -> Resume:
    return Resume(now_ms=now_ms, message_id=request.message_id)


def _retry(request: RetryRequest, now_ms: int) -> Retry:
    return Retry(now_ms=now_ms, message_id=request.message_id, from_step=request.from_step)


def _signal(request: SignalRequest, now_ms: int) -> Signal:
    return Signal(
        now_ms=now_ms, message_id=request.message_id, name=request.name, data=request.data
    )


def _act(request: TaskActionRequest, now_ms: int) -> TaskAction:
    return TaskAction(
        now_ms=now_ms,
        message_id=request.message_id,
        at=task_address(request.task_id),
        verb=request.verb,
        user=request.user,
        assignees=request.assignees,
        candidates=request.candidates,
        data=request.data,
        error=request.error,
        progress=request.progress,
        force=request.force,
    )


def _note(request: MetadataRequest, now_ms: int) -> SetMetadata:
    return SetMetadata(now_ms=now_ms, message_id=request.message_id, metadata=request.metadata)


_STIMULI: Final[dict[type, Callable[[Any, int], AnyStimulus]]] = {
    CancelRequest: _cancel,
    PauseRequest: _pause,
    ResumeRequest: _resume,
    RetryRequest: _retry,
    SignalRequest: _signal,
    TaskActionRequest: _act,
    MetadataRequest: _note,
}
