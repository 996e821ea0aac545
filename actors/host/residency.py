"""Who is in memory: executions with something at a runner, and those that rested only a moment.

An execution with nothing outstanding leaves after a short idle time, or when too many rest, and
is folded again when a message or a timer wants it. Such reasons wait here while it is loaded, so
that the turn never does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.execution import LiveExecution, revive
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.plans import PlanStore
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Journal

if TYPE_CHECKING:
    from heliostat.actors.host.turn import Reason

_log = logging.getLogger(__name__)


class Loaded:
    """What came of a load: an execution, or none (it does not exist, or cannot be folded)."""

    __slots__ = ("elsewhere", "fault", "key", "live", "reasons", "shard")

    def __init__(
        self,
        key: ExecutionKey,
        shard: OwnedShard,
        reasons: list[Reason],
        live: LiveExecution | None,
        fault: BaseException | None,
        *,
        elsewhere: bool,
    ) -> None:
        self.key, self.shard, self.reasons = key, shard, reasons
        self.live, self.fault = live, fault
        self.elsewhere = elsewhere
        """It is dedicated: another shard than the one that its id falls to."""


class Residents:
    """The executions in memory, and the way back into it."""

    def __init__(
        self,
        *,
        journal: Journal,
        plans: PlanStore,
        clock: Clock,
        bounds: HostBounds,
        bell: Doorbell,
    ) -> None:
        self._journal, self._plans = journal, plans
        self._clock, self._bounds = clock, bounds
        self._bell = bell  # the turn loop's
        self.all: dict[ExecutionKey, LiveExecution] = {}
        self._idle: dict[ExecutionKey, LiveExecution] = {}  # the longest idle first
        self._wanted: dict[ExecutionKey, tuple[OwnedShard, list[Reason]]] = {}
        self._to_load: deque[ExecutionKey] = deque()
        self._load_bell = Doorbell(clock)
        self.loaded: deque[Loaded] = deque()

    def __len__(self) -> int:
        return len(self.all)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def loading(self) -> int:
        return len(self._wanted)

    def add(self, live: LiveExecution) -> None:
        """Keep an execution in memory."""
        assert live.key not in self.all, f"{live.key} is in memory already"
        self.all[live.key] = live

    def drop(self, live: LiveExecution) -> None:
        """Take an execution out of memory: it ended, or its state is not trusted any more."""
        if self.all.get(live.key) is live:
            del self.all[live.key]
            self._idle.pop(live.key, None)

    def settle(self, live: LiveExecution, now_ms: int) -> None:
        """After a turn: note whether an execution rests, and since when."""
        self._idle.pop(live.key, None)
        if live.state.busy == 0 and self.all.get(live.key) is live:
            live.idle_since_ms = now_ms
            self._idle[live.key] = live

    def hibernate(self, now_ms: int) -> None:
        """Let those go that rested long enough. Between turns only: their commit has returned."""
        surplus = len(self._idle) - self._bounds.idle_max
        gone = []
        for live in self._idle.values():
            rested = now_ms - live.idle_since_ms >= self._bounds.idle_ms
            if not (rested or surplus > 0):
                break
            surplus -= 1
            gone.append(live)
        for live in gone:
            self.drop(live)

    def of(self, shard: OwnedShard) -> Iterator[LiveExecution]:
        """The executions of a shard that are in memory."""
        return (live for live in list(self.all.values()) if live.shard is shard)

    def want(self, key: ExecutionKey, shard: OwnedShard, reason: Reason) -> None:
        """Have an execution loaded; the reason comes back with it in `loaded`."""
        entry = self._wanted.get(key)
        if entry is not None:
            entry[1].append(reason)
            return
        self._wanted[key] = (shard, [reason])
        self._to_load.append(key)
        self._load_bell.ring()

    async def load_forever(self) -> None:
        """The task behind `want`: loads a few side by side."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while True:
            while self._to_load:
                count = min(len(self._to_load), self._bounds.loads_at_once)
                keys = [self._to_load.popleft() for _ in range(count)]
                failed = [key for key in await asyncio.gather(*map(self._load, keys)) if key]
                if failed:
                    self._to_load.extendleft(reversed(failed))
                    await backoff.wait()
                else:
                    backoff.reset()
            await self._load_bell.wait()

    async def _load(self, key: ExecutionKey) -> ExecutionKey | None:
        """Load one; returns its key when the journal cannot answer now."""
        shard = self._wanted[key][0]
        live: LiveExecution | None = None
        fault: Exception | None = None
        elsewhere = False
        try:
            stored = await self._journal.load(key)
            elsewhere = stored is not None and stored.row.shard != shard.name
            if stored is not None and not elsewhere:
                live = await revive(self._journal, stored, shard, self._plans)
        except JournalError as error:
            _log.warning("cannot load execution %s: %s", key, error)
            return key
        except Exception as error:  # noqa: BLE001 – one history must not stop the others
            fault = error
        _, reasons = self._wanted.pop(key)
        self.loaded.append(Loaded(key, shard, reasons, live, fault, elsewhere=elsewhere))
        self._bell.ring()
        return None
