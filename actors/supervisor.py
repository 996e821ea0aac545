"""The supervisor: recreates actors that are missing, and ends hosts that stand still.

Ray restarts an actor whose process ended. It does not recreate one that is gone with its name, and
does not notice a process that is stopped or stuck: that one keeps the journal's lock, and nothing
goes on. A host is taken as stuck when its row in the journal has not moved for a bound *and* it
either does not answer, or answers that its turns have not moved and that the journal is not why.
The bound is short where the process is stopped, which the operating system tells, and longer where
it may only be slow.

A plain class: reading rows, asking, killing and creating are passed in. It decides nothing about
executions, keeps nothing, and may itself be recreated at any time, by any host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from heliostat.actors.host.clock import Clock, Doorbell, SystemClock
from heliostat.actors.host.ownership import Silence
from heliostat.actors.host.questions import HostInfo
from heliostat.actors.settings import SupervisorBounds
from heliostat.engine.journal.protocol import OwnerRow

_log = logging.getLogger(__name__)

RECREATE_PAUSE_MAX_MS = 60_000
"""Between two attempts to recreate one actor that cannot be created."""


class Duty(Protocol):
    """An actor that must exist."""

    @property
    def name(self) -> str: ...

    def exists(self) -> bool:
        """Whether an actor has the name; one that restarts does. May block for a moment."""
        ...

    def create(self) -> None:
        """Create it; harmless when it came up meanwhile. May block for a moment."""
        ...


class SupervisorInfo(Struct, frozen=True, kw_only=True):
    """What a supervisor did since it began."""

    looks: int
    killed: int
    recreated: int
    trouble: str | None


class Supervisor:
    """Looks, again and again; every look is bounded."""

    def __init__(
        self,
        *,
        duties: Iterable[Duty],
        owners: Callable[[], Awaitable[Sequence[OwnerRow]]],
        ask: Callable[[str], Awaitable[HostInfo | None]],
        kill: Callable[[OwnerRow], Awaitable[bool]],
        is_stopped: Callable[[OwnerRow], bool],
        bounds: SupervisorBounds,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._duties, self._bounds = duties, bounds
        self._owners, self._ask, self._kill = owners, ask, kill
        self._is_stopped = is_stopped
        self._silence = Silence(self._clock)
        self._killed_at: dict[str, int] = {}  # by host name, by the steady clock
        self._create_after: dict[str, tuple[int, int]] = {}  # name -> (instant, next pause)
        self._bell = Doorbell(self._clock)
        self._task: asyncio.Task[None] | None = None
        self._looks = self._killed = self._recreated = 0
        self._trouble: str | None = None

    def begin(self) -> None:
        """Look in the background; on the event loop's thread."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 – the outer edge: the next look tries again
                if self._trouble is None:
                    _log.warning("a look of the supervisor failed: %s", error, exc_info=error)
                self._trouble = f"{type(error).__name__}: {error}"
            await self._bell.wait(self._bounds.look_ms)

    async def info(self) -> SupervisorInfo:
        """What it did so far."""
        return SupervisorInfo(
            looks=self._looks,
            killed=self._killed,
            recreated=self._recreated,
            trouble=self._trouble,
        )

    async def look(self) -> None:
        """Recreate what is missing, then end hosts that stand still."""
        self._looks += 1
        for duty in await asyncio.to_thread(list, self._duties):  # how many is read from a file
            await self._attend(duty)
        owners = await self._owners()
        silence = self._silence.of(owners)
        for owner in owners:
            if silence[owner.incarnation] >= self._bounds.stale_ms:
                await self._examine(owner, silence[owner.incarnation])

    async def _attend(self, duty: Duty) -> None:
        if await asyncio.to_thread(duty.exists):
            self._create_after.pop(duty.name, None)
            return
        now = self._clock.steady_ms()
        after, pause_ms = self._create_after.get(duty.name, (0, self._bounds.recreate_pause_ms))
        if now < after:
            return
        self._create_after[duty.name] = (
            now + pause_ms,
            min(2 * pause_ms, RECREATE_PAUSE_MAX_MS),
        )
        _log.warning("actor %s is missing and is created again", duty.name)
        await asyncio.to_thread(duty.create)
        self._recreated += 1

    async def _examine(self, owner: OwnerRow, silent_ms: int) -> None:
        stopped = self._is_stopped(owner)
        bound_ms = self._bounds.stale_ms if stopped else self._bounds.stuck_ms
        if silent_ms < bound_ms:
            return
        now = self._clock.steady_ms()
        killed_at = self._killed_at.get(owner.name)
        if killed_at is not None and now - killed_at < self._bounds.kill_pause_ms:
            return
        info = await self._ask(owner.name)
        if info is not None and (
            info.incarnation != owner.incarnation  # an earlier life; the new one clears its row
            or info.moved_ms_ago < bound_ms
            or info.trouble is not None  # killing a host does not mend its journal
        ):
            return
        if await self._kill(owner):
            self._killed += 1
            self._killed_at[owner.name] = now
            _log.error(
                "host %s (process %d) %s for over %d ms and was killed",
                owner.name,
                owner.pid,
                "was stopped" if stopped else "stood still",
                bound_ms,
            )
