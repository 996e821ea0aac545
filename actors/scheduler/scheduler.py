"""The scheduler: hears demands, looks at nodes, lets time pass, and answers. It decides nothing
itself; `engine/scheduling/board.py` does.

Nothing here is kept: one that begins anew learns what is held from the next demand of each host,
and what is used from its first look. A host's call waits until there is something to tell it, no
longer than it asked; a later demand of the same host ends the wait of the earlier one.

A plain class that has never heard of Ray. The look at the nodes is passed in, and bounded: one that
does not return is told, and the board goes on with what was seen last.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from heliostat.actors.calls import pack, unpack
from heliostat.actors.host.clock import Clock, Doorbell, SystemClock, pause
from heliostat.engine.scheduling.board import Board, Rules
from heliostat.engine.scheduling.nodes import NodeView
from heliostat.engine.scheduling.protocol import Demand

from .view import QueueRequest, view

_log = logging.getLogger(__name__)

LOOK_MS: Final = 500
"""Between two looks at the nodes while anybody waits or holds: what others take or give back is
seen within two."""

LOOK_IDLE_MS: Final = 2_000
"""The same while nobody does."""

LOOK_MAX_MS: Final = 5_000
"""A look that takes longer is told as trouble; the next begins when it has ended."""

WAIT_MAX_MS: Final = 10_000
"""A demand is answered at the latest then, whatever it asked for."""

WAITERS_MAX: Final = 2_000
"""Hosts whose call waits; those beyond are answered at once, and ask again."""

REASONS_MS: Final = 500
"""A host is told why its wants wait that often at most: it takes the longer the more wait."""

SHAPES_MAX: Final = 200
"""That Ray's autoscaler is asked for at a time."""

Look = Callable[[], Awaitable[Sequence[NodeView]]]
AskForNodes = Callable[[Sequence[dict[str, float]]], Awaitable[None]]


class SchedulerInfo(Struct, frozen=True, kw_only=True):
    """The scheduler as it sees itself."""

    life: str
    pid: int
    machine: str
    uptime_ms: int
    holders: int
    waiting: int
    held: int
    looks: int
    draining: tuple[str, ...]
    trouble: str | None


class Scheduler:
    """Every method is called on the event loop; only looks leave it."""

    def __init__(
        self,
        rules: Rules,
        *,
        look: Look,
        ask_for_nodes: AskForNodes | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Args:
        ask_for_nodes: told what the cluster should have room for, each time that it changes;
            nothing when nobody waits. Absent, nobody is told.
        """
        self._clock = clock or SystemClock()
        self._look, self._ask_for_nodes = look, ask_for_nodes
        self._life = uuid4().hex
        self._began_ms = self._clock.steady_ms()
        self._board = Board(rules, life=self._life, now_ms=self._began_ms)
        self._waiters: dict[str, Doorbell] = {}
        self._superseded: set[Doorbell] = set()
        self._reasons_at_ms: dict[str, int] = {}
        self._bell = Doorbell(self._clock)  # somebody waits: look sooner
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Future[Sequence[NodeView]] | None = None
        self._looks = 0
        self._trouble: str | None = None
        # Not known at first: what an earlier life asked for stands at Ray's until it is withdrawn.
        self._asked_for: list[dict[str, float]] | None = None

    def begin(self) -> None:
        """Look in the background, from now on."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # calls of hosts

    async def exchange(self, body: bytes) -> bytes:
        """A `Demand`, answered by `Grants` when there is something to tell; by nothing when a later
        demand of the same holder came meanwhile, which is answered instead."""
        self.begin()
        demand = unpack(body, Demand)
        holder = demand.holder
        earlier = self._waiters.pop(holder, None)
        if earlier is not None:
            self._superseded.add(earlier)
            earlier.ring()
        now_ms = self._clock.steady_ms()
        if not self._board.take(demand, now_ms):
            return b""
        self._board.decide(now_ms)
        self._ring()
        if demand.wants:
            self._bell.ring()
        if demand.wait_ms and len(self._waiters) < WAITERS_MAX:
            bell = self._waiters[holder] = Doorbell(self._clock)
            if not self._board.has_news(holder):
                await bell.wait(min(demand.wait_ms, WAIT_MAX_MS))
            if bell in self._superseded:
                self._superseded.discard(bell)
                return b""
            del self._waiters[holder]
        return self._answer(holder)

    def _answer(self, holder: str) -> bytes:
        now_ms = self._clock.steady_ms()
        reasons = now_ms - self._reasons_at_ms.get(holder, -REASONS_MS) >= REASONS_MS
        if reasons:
            self._reasons_at_ms[holder] = now_ms
        grants = self._board.answer(holder, now_ms, reasons=reasons)
        return pack(msgspec.structs.replace(grants, pid=os.getpid(), machine=platform.node()))

    # calls of people and of other parts

    async def queue(self, body: bytes) -> bytes:
        """A `QueueRequest`, answered by a `QueueView`: for people."""
        request = unpack(body, QueueRequest)
        return pack(view(self._board, now_ms=self._clock.steady_ms(), limit=request.limit))

    async def drain_node(self, node: str) -> None:
        """A node, by Ray's id, takes no new work until it leaves; harmless to repeat."""
        self._board.drain(node)
        self._decide()

    async def info(self) -> bytes:
        """A `SchedulerInfo`; answered at once."""
        board = self._board
        return pack(
            SchedulerInfo(
                life=self._life,
                pid=os.getpid(),
                machine=platform.node(),
                uptime_ms=self._clock.steady_ms() - self._began_ms,
                holders=len(board.book.holders),
                waiting=len(board.queue) + len(board.runner_wants),
                held=len(board.book.leases),
                looks=self._looks,
                draining=board.nodes.draining,
                trouble=self._trouble,
            )
        )

    # time

    async def _run(self) -> None:
        while True:
            await self._look_once()
            self._decide()
            await self._tell_autoscaler()
            await pause(self._clock, LOOK_MS)
            board = self._board
            if not board.queue and not board.runner_wants and not board.book.leases:
                await self._bell.wait(LOOK_IDLE_MS - LOOK_MS)

    async def _look_once(self) -> None:
        try:
            if self._looking is None:
                self._looking = asyncio.ensure_future(self._look())
            async with asyncio.timeout(LOOK_MAX_MS / 1_000):
                views = await asyncio.shield(self._looking)
        except Exception as error:  # noqa: BLE001 – whatever Ray raises: the board goes on without
            if self._looking is not None and self._looking.done():
                self._looking = None
            trouble = f"cannot look at the cluster's nodes: {type(error).__name__}: {error}"
            if self._trouble is None:
                _log.warning("%s", trouble)
            self._trouble = trouble
            return
        self._looking = None
        self._trouble = None
        self._looks += 1
        self._board.look(views, self._clock.steady_ms())

    def _decide(self) -> None:
        now_ms = self._clock.steady_ms()
        self._board.advance(now_ms)
        self._board.decide(now_ms)
        self._ring()
        if len(self._reasons_at_ms) > 2 * len(self._board.book.holders) + 100:
            self._reasons_at_ms.clear()  # of holders that are gone; told once too often at worst

    def _ring(self) -> None:
        """Wake the hosts that there is something to tell."""
        for holder, bell in self._waiters.items():
            if not bell.rung and self._board.has_news(holder):
                bell.ring()

    async def _tell_autoscaler(self) -> None:
        if self._ask_for_nodes is None:
            return
        shapes = self._board.wanted_shapes(SHAPES_MAX)
        if shapes == self._asked_for:
            return
        try:
            async with asyncio.timeout(LOOK_MAX_MS / 1_000):
                await self._ask_for_nodes(shapes)
        except Exception as error:  # noqa: BLE001 – as above; said again with the next look
            _log.warning("cannot tell the autoscaler what waits: %s", error)
            return
        self._asked_for = shapes
