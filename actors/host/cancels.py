"""Requests to end an execution: idempotent by message id, answered after the commit."""

from __future__ import annotations

import asyncio

from heliostat.actors.host.api import CancelRequest, Refusal
from heliostat.actors.host.questions import CancelAccepted
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.state import ExecutionState


class CancelItem:
    """One request on its way through a turn."""

    __slots__ = ("future", "key", "request", "since_ms")

    def __init__(self, request: CancelRequest, since_ms: int) -> None:
        self.key = request.key
        self.request = request
        self.since_ms = since_ms
        self.future: asyncio.Future[CancelAccepted | Refusal] = (
            asyncio.get_running_loop().create_future()
        )

    def answer(self, answer: CancelAccepted | Refusal) -> None:
        """Tell the client, unless it went away."""
        if not self.future.done():
            self.future.set_result(answer)


def answer_for(item: CancelItem, state: ExecutionState) -> CancelAccepted | Refusal:
    """What the client hears, once the state that its request led to is durable.

    An execution that ended is refused, but for a repeated request: the first one was accepted.
    """
    if state.ended and item.request.message_id not in state.cancel_ids:
        return Refusal(
            code="CONFLICT",
            message=f"execution {item.key} has ended as {state.status}; nothing is left to cancel",
            details={"status": state.status},
        )
    return CancelAccepted(key=item.key, status=state.status)


def unknown(key: ExecutionKey) -> Refusal:
    """No execution has this id."""
    return Refusal(
        code="NOT_FOUND",
        message=f"there is no execution {key.execution_id!r} in namespace {key.namespace!r}",
        details={"kind": "execution", "name": key.execution_id},
    )
