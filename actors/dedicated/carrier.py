"""The actor of one dedicated execution: an `ExecutionHost` that owns one shard, and ends with it.

A plain class that has never heard of Ray; `process.py` makes it an actor. A spare one begins
without an execution and is given one by `carry`. It ends when its execution has ended, everything
the execution said was heard, and nobody has asked anything for a while; and when another actor
carries the execution by now.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dedicated.ownership import DedicatedOwnership
from heliostat.actors.host.clock import Doorbell, pause
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.works import Works
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.status import TERMINAL

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

TellGuard: TypeAlias = Callable[[str, bytes], Awaitable[object]]
"""Calls `ended` of the host with this name."""


class ExecutionCarrier(ExecutionHost):
    """Carries one execution."""

    def __init__(
        self,
        *,
        key: ExecutionKey | None,
        tell_guard: TellGuard,
        leave: Callable[[], Awaitable[None]],
        **arguments: Any,
    ) -> None:
        """Args:
        key: the execution; None for a spare actor.
        leave: end this actor for good, its name too.
        """
        super().__init__(own=self._made_ownership, **arguments)
        self._key = key
        self._tell_guard, self._leave = tell_guard, leave
        self._asked_at_ms = self.clock.steady_ms()
        self._end_bell = Doorbell(self.clock)

    def _made_ownership(self, **arguments: Any) -> DedicatedOwnership:
        ownership = DedicatedOwnership(**arguments)
        if self._key is not None:
            ownership.carry(self._key)
        return ownership

    async def carry(self, body: bytes) -> bytes:
        """Take an execution; `false` where this actor has one, or cannot serve."""
        key = unpack(body, ExecutionKey)
        works = self._works
        if works is None or self._state != "running" or not _own(works).carry(key):
            return pack(False)
        self._key = key
        self._asked_at_ms = self.clock.steady_ms()
        works.loop.keeper.look_soon()
        return pack(True)

    async def _open(self) -> None:
        await super()._open()
        works = self._works
        assert works is not None, "just opened"
        works.streams.on_end = lambda _: self._end_bell.ring()
        self._spawn(self._keep(self._see_it_out, "end"), "end")

    async def _call(
        self,
        body: bytes,
        type_: type[_T],
        ask: Callable[[Works, _T], Awaitable[Any]],
        bytes_max: int | None = None,
    ) -> bytes:
        self._asked_at_ms = self.clock.steady_ms()
        return await super()._call(body, type_, ask, bytes_max)

    # the end

    async def _see_it_out(self) -> None:
        """Tell the guard of the end, and leave when there is nothing left to do."""
        works = self._works
        assert works is not None, "open"
        while True:
            if await self._end_bell.wait(self.bounds.look_ms):
                await self._tell()
            if self._state == "running" and await self._is_over(works):
                self._end_bell.ring()  # should leaving fail, it is tried again
                await self._go(works)

    async def _tell(self) -> None:
        works, key = self._works, self._key
        assert works is not None
        if key is None:
            return
        guard = _own(works).guard_of(key)
        if guard is not None:
            try:
                await self._tell_guard(guard, pack(key))
            except Exception as error:  # noqa: BLE001 – it looks itself as well, only later
                _log.info("host %s was not told of the end of %s: %s", guard, key, error)

    async def _is_over(self, works: Works) -> bool:
        own = _own(works)
        if own.superseded:
            return True
        key = own.key
        if key is None or works.loop.residents.all.get(key) is not None:
            return False
        lingered_ms = self.clock.steady_ms() - self._asked_at_ms
        if lingered_ms < self.bounds.dedicated_linger_ms or not own.serves:
            return False
        if len(works.outbox) or works.intake.waiting or works.desk.unanswered:
            return False
        try:
            row = await works.journal.get_row(key)
        except JournalError:
            return False
        return row is None or row.status in TERMINAL

    async def _go(self, works: Works) -> None:
        """Take the row off the list, so that no one takes this for a death, and end."""
        self._state = "stopped"
        try:
            await works.ownership.leave()
        except JournalError as error:
            _log.warning("%s could not take its row off the list: %s", self.name, error)
        await self._leave()
        await pause(self.clock, 3_600_000)  # the process ends meanwhile


def _own(works: Works) -> DedicatedOwnership:
    ownership = works.ownership
    assert isinstance(ownership, DedicatedOwnership), "made here"
    return ownership
