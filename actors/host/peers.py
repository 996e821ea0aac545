"""Messages to executions of other hosts: one call at a time to each, and the answers to theirs.

The sender's host keeps each message until it is told that the receiver has it. So a call that
breaks is no loss: its messages are offered again, to whoever owns the receiver's shard by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from heliostat.actors.calls import pack, unpack
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.starts import fault_of_input, overloaded, refusal_of
from heliostat.engine.errors import HeliostatError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.messages import AnyMessage, StartChild

_log = logging.getLogger(__name__)

BATCH_MAX: Final = 500
"""Messages of one call."""

CallPeer: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
"""Calls `deliver` of the host with this name; raises whatever says that it did not answer."""


class Handed(Struct, frozen=True, kw_only=True):
    """One message, as hosts hand it on."""

    id: str
    row: str
    key: ExecutionKey
    sender: ExecutionKey
    says: AnyMessage | None
    sent_at_ms: int


class Deliveries(Struct, frozen=True, kw_only=True):
    """Messages for executions of the host that is asked, in the order in which they were sent."""

    messages: tuple[Handed, ...]


class DeliveryAnswers(Struct, frozen=True, kw_only=True):
    """By message: None, once the receiver's commit has it; or why it was refused."""

    answers: tuple[Refusal | None, ...]


class Peers:
    """The way to other hosts."""

    def __init__(self, call: CallPeer | None, *, clock: Clock, bounds: HostBounds) -> None:
        self._call, self._clock, self._bounds = call, clock, bounds
        self._queues: dict[str, deque[Delivery]] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}

    def send(self, host: str, delivery: Delivery) -> bool:
        """Have a message handed to a host; False where there is no way to it now."""
        if self._call is None:
            return False
        queue = self._queues.setdefault(host, deque())
        queue.append(delivery)
        if host not in self._calls:
            self._calls[host] = asyncio.get_running_loop().create_task(self._serve(host, queue))
        return True

    async def _serve(self, host: str, queue: deque[Delivery]) -> None:
        try:
            while queue:
                await self._hand(host, queue)
        finally:
            del self._calls[host], self._queues[host]

    async def _hand(self, host: str, queue: deque[Delivery]) -> None:
        batch = [queue.popleft() for _ in range(min(len(queue), BATCH_MAX))]
        body = pack(Deliveries(messages=tuple(map(_handed, batch))))
        answers: Sequence[Refusal | None]
        try:
            answers = await self._answers(host, body)
        except Exception as error:  # noqa: BLE001 – whatever it is, the host has not answered
            _log.warning("host %s does not take messages: %s", host, error)
            # Those that queued meanwhile too: nothing may overtake what is offered again.
            batch += queue
            queue.clear()
            away = Refusal(code="UNREACHABLE", message=f"host {host!r} does not answer: {error}")
            answers = [away] * len(batch)
        for delivery, answer in zip(batch, answers, strict=True):
            delivery.told(delivery, answer)

    async def _answers(self, host: str, body: bytes) -> Sequence[Refusal | None]:
        assert self._call is not None, "`send` has refused"
        answered = unpack(await self._call(host, body), _Answered)
        if answered.type == "refusal" or answered.answers is None:
            raise ConnectionError(answered.message or "an answer that is none")
        return answered.answers

    def close(self) -> None:
        """End the calls; what they carried stays in the journal."""
        for task in self._calls.values():
            task.cancel()


class _Answered(Struct):
    """`DeliveryAnswers`, or the refusal of the whole call."""

    answers: tuple[Refusal | None, ...] | None = None
    type: str | None = None
    message: str | None = None


def _handed(delivery: Delivery) -> Handed:
    return Handed(
        id=delivery.id,
        row=delivery.row,
        key=delivery.key,
        sender=delivery.sender,
        says=delivery.says,
        sent_at_ms=delivery.sent_at_ms,
    )


class Inbox:
    """What other hosts hand to this one, brought to the turns; answered after the commits."""

    def __init__(
        self,
        *,
        plans: PlanStore,
        clock: Clock,
        bounds: HostBounds,
        arrive: Callable[[Delivery], None],
        room: Callable[[], bool],
    ) -> None:
        self._plans, self._clock, self._bounds = plans, clock, bounds
        self._arrive, self._room = arrive, room

    async def deliver(self, request: Deliveries) -> DeliveryAnswers:
        """Take messages in; answered when each is durable or refused."""
        waiting = _Waiting(len(request.messages), self._clock)
        for index, handed in enumerate(request.messages):
            told = waiting.teller(index)
            delivery = Delivery(
                id=handed.id,
                row=handed.row,
                key=handed.key,
                sender=handed.sender,
                says=handed.says,
                sent_at_ms=handed.sent_at_ms,
                told=told,
            )
            refusal = await self._prepare(delivery)
            if refusal is None:
                self._arrive(delivery)
            else:
                told(delivery, refusal)
        return DeliveryAnswers(answers=await waiting.answers())

    async def _prepare(self, delivery: Delivery) -> Refusal | None:
        says = delivery.says
        if not isinstance(says, StartChild):
            return None
        if not self._room():
            return overloaded("the host's memory for executions", self._bounds)
        try:
            delivery.hosted = await self._plans.get(
                delivery.key.namespace, says.definition, says.version
            )
        except HeliostatError as error:
            return refusal_of(error)
        return fault_of_input(says.input, delivery.hosted)


class _Waiting:
    """The answers of one call, as they come."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._answers: list[Refusal | None] = [None] * count
        self._missing = count
        self._bell = Doorbell(clock)

    def teller(self, index: int) -> Callable[[Delivery, Refusal | None], None]:
        def tell(_: Delivery, answer: Refusal | None) -> None:
            self._answers[index] = answer
            self._missing -= 1
            if not self._missing:
                self._bell.ring()

        return tell

    async def answers(self) -> tuple[Refusal | None, ...]:
        while self._missing:
            await self._bell.wait()
        return tuple(self._answers)
