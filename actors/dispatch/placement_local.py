"""`LocalPlacement`: the scheduler's rules in the host's own process, for a host that is alone.

Where there is no Ray, and in tests. The nodes are what it is told, and nobody else uses them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Final

from heliostat.engine.scheduling.board import Board, Rules
from heliostat.engine.scheduling.nodes import NodeView
from heliostat.engine.scheduling.protocol import SlotLease, Waiting, Want

from .placement import Asker
from .placement_book import PlacementBook

TICK_S: Final = 0.5
"""Between two moments at which time alone may change something: as the scheduler's looks."""


class LocalPlacement:
    """A `Placement` that decides itself, right after the event loop's turn that asked."""

    def __init__(
        self,
        *,
        holder: str = "local",
        nodes: Sequence[NodeView] = (),
        rules: Rules | None = None,
    ) -> None:
        """Args:
        nodes: what there is; absent, one node "" with this machine's CPUs.
        """
        self._loop = asyncio.get_running_loop()
        self._nodes = list(nodes) or [
            NodeView(id="", name="here", total={"CPU": float(os.cpu_count() or 1)})
        ]
        self._holder = holder
        self._book = PlacementBook(
            holder=holder, name=holder, node=self._nodes[0].id, now_ms=self._now_ms
        )
        self._board = Board(rules or Rules(), life="local", now_ms=self._now_ms())
        self._board.look(self._nodes, self._now_ms())
        self._soon: asyncio.Handle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._closed = False

    def begin(self) -> None:
        self._ring()

    def want(self, wants: Sequence[Want], asker: Asker) -> None:
        if self._book.want(wants, asker):
            self._ring()

    def hold(self, leases: Sequence[SlotLease], asker: Asker) -> None:
        if self._book.hold(leases, asker):
            self._ring()

    def serve(self, shard: str, epoch: int) -> None:
        if self._book.serve(shard, epoch):
            self._ring()

    def release(self, ids: Sequence[str]) -> None:
        if self._book.release(ids):
            self._ring()

    def dispatched(self, count: int) -> None:
        self._book.dispatched(count)

    def reasons(self) -> Mapping[str, Waiting]:
        return self._book.reasons()

    @property
    def draining(self) -> frozenset[str]:
        return self._book.draining

    @property
    def silent_ms(self) -> int:
        return 0

    async def close(self) -> None:
        self._closed = True
        for handle in (self._soon, self._tick):
            if handle is not None:
                handle.cancel()

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1_000)

    def _ring(self) -> None:
        if self._soon is None and not self._closed:
            self._soon = self._loop.call_soon(self._decide)

    def _decide(self) -> None:
        self._soon = None
        board, now_ms = self._board, self._now_ms()
        board.advance(now_ms)
        board.take(self._book.demand(), now_ms)
        board.decide(now_ms)
        if self._book.take(board.answer(self._holder, now_ms)):
            self._ring()  # so that the board knows what was taken in
        if self._tick is not None:
            self._tick.cancel()
        self._tick = self._loop.call_later(TICK_S, self._ring)
