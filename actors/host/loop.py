"""The turn loop: gather, decide, commit, then act. Commits never overlap.

Rules:

1. Only the loop touches executions in memory. Everything else leaves something in a queue and
   rings; one wake-up carries all that gathered.
2. Nothing leaves the process before the commit that it follows from. Afterwards, in this order:
   runners are acknowledged, commands dispatched, messages sent on, watchers and waiting clients
   told (`aftermath.py`).
3. What the journal refused leaves the turn, and only that: its state is thrown away, and the
   reasons of its stimuli come back into the queues.
4. While a commit is on its way the next turn may be decided, of executions that are not in it. It
   is committed after it; nothing of it leaves before.
5. The owner row beats from here and from nowhere else, so that it stands still when turns do.

A turn is filled in `gathering.py` and decided in `deciding.py`; here it is committed and acted on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence

from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.aftermath import Aftermath
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.commit import Committer, Outcome, Stopping
from heliostat.actors.host.deciding import internal
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.gathering import Gathering
from heliostat.actors.host.keeper import ShardKeeper
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.starts import StartItem
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.takeover import Recovered
from heliostat.actors.host.turn import Turn
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Append, Journal

_log = logging.getLogger(__name__)


class TurnLoop(Gathering):
    """The executions of the shards that one host claimed."""

    def __init__(
        self,
        *,
        journal: Journal,
        dispatch: Dispatch,
        plans: PlanStore,
        ownership: Ownership,
        streams: ResultStreams,
        figures: Figures,
        bell: Doorbell,
        clock: Clock,
        bounds: HostBounds,
    ) -> None:
        super().__init__(
            journal=journal,
            dispatch=dispatch,
            plans=plans,
            ownership=ownership,
            streams=streams,
            figures=figures,
            bell=bell,
            clock=clock,
            bounds=bounds,
        )
        self.aftermath: Aftermath  # set by the host
        self.committer = Committer(journal=journal, ownership=ownership, clock=clock, bounds=bounds)
        self.keeper = ShardKeeper(
            journal=journal,
            dispatch=dispatch,
            plans=plans,
            ownership=ownership,
            figures=figures,
            clock=clock,
            bounds=bounds,
            lost=self._shards_lost,
            recovered=self._shards_recovered,
            looked=self._looked,
        )
        self._recovered = deque()
        self._lost: list[OwnedShard] = []
        self._number = self._durable = 0
        self._ahead = None
        self._stopping = False
        self.moved_at_ms = clock.steady_ms()

    # what others ask

    def durable(self, key: ExecutionKey) -> LiveExecution | None:
        """An execution in memory whose state is not ahead of the journal."""
        live = self.residents.all.get(key)
        return None if live is None or live.turn > self._durable else live

    def stop(self) -> None:
        """End after the turn that runs now; one whose commit cannot end is given up."""
        self._stopping = True
        self.keeper.stop()
        self.committer.stop()
        self._bell.ring()

    def refuse_all(self, refusal: Refusal) -> None:
        """The host ends: tell the clients whose requests were not committed."""
        given_up = [
            reason
            for live in self.residents.all.values()
            if live.turn > self._durable  # its commit did not end
            for reason in live.reasons
        ]
        self.intake.refuse_all(refusal, given_up)

    # the loop

    async def run(self) -> None:
        """Turn until stopped."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while not self._stopping:
            await self._bell.wait(self._pause_ms())
            try:
                await self._round()
            except Stopping:
                break
            except JournalError as error:  # beats and timer pages: the next round tries again
                self._figures.trouble = f"{type(error).__name__}: {error}"
                self._bell.ring()
                await backoff.wait()
                continue
            except Exception as error:  # noqa: BLE001 – the outer edge of all turns
                # Memory is in a state that nobody knows: begin again from the journal.
                _log.exception("a turn broke; all shards are claimed again")
                self._figures.fault("a turn broke", error)
                self._forget_everything(error)
                self._bell.ring()
                await backoff.wait()
                continue
            backoff.reset()
            await asyncio.sleep(0)  # a journal in memory never suspends: let others run

    async def _round(self) -> None:
        now_ms = self._figures.watch_clock(self._clock.now_ms(), self._clock.steady_ms())
        self.moved_at_ms = self._clock.steady_ms()
        await self._ownership.beat()
        shard = self.timers.wanting(now_ms)
        if shard is not None:
            await self.timers.read_page(self._journal, shard, now_ms)
        self._figures.trouble = None
        self._drop_lost()
        turn = self._gather(self._clock.now_ms())
        if turn.touched:
            await self._settle(turn)
        else:
            self._durable = turn.number
        self.residents.hibernate(self._clock.steady_ms())
        if (
            self.intake.waiting
            or self._ahead is not None
            or self._recovered
            or self.residents.loaded
            or self.timers.wanting(now_ms) is not None
        ):
            self._bell.ring()

    def _pause_ms(self) -> float:
        pause_ms = float(self._bounds.beat_ms)
        next_ms = self.timers.next_ms
        if next_ms is not None:
            pause_ms = min(pause_ms, max(0, next_ms - self._clock.now_ms()))
        return pause_ms

    # owners

    def _shards_recovered(self, shards: Sequence[Recovered]) -> None:
        """Claimed shards are ready; one is taken into service per turn."""
        self._recovered.extend(shards)
        self._bell.ring()

    def _shards_lost(self, shards: Sequence[OwnedShard]) -> None:
        """Others claimed these; they are dropped before the next turn."""
        self._lost.extend(shards)
        self._bell.ring()

    def _looked(self) -> None:
        """Owners are known afresh."""
        self.intake.expire()
        self._streams.forget_gone()
        self.feeds.look()
        if self.guard is not None:
            self.guard.look_soon()

    # commit and act

    async def _settle(self, turn: Turn) -> None:
        decided_ms = self._clock.steady_ms()
        appends, wakes = turn.appends(self._bounds.snapshot_bytes)
        outcome = Outcome()
        if appends:
            outcome = await self._commit(appends)
        self._figures.turned(turn, self._clock.steady_ms() - decided_ms)
        if not outcome.whole:
            wakes = self._take_out(turn, outcome, wakes)
        self.aftermath.act(turn)
        self._durable = turn.number
        for live, wake_at_ms in wakes:
            self.timers.arm(live.key, live.shard, wake_at_ms)

    async def _commit(self, appends: Mapping[OwnedShard, list[Append]]) -> Outcome:
        """Make a turn durable, and decide the next one meanwhile."""
        commit = asyncio.ensure_future(self.committer.store(appends))
        commit.add_done_callback(lambda _: self._bell.ring())
        try:
            while not commit.done():
                await self._bell.wait()
                if not commit.done() and (self.intake.reports or self.intake.starts):
                    self._decide_ahead()
        finally:
            if not commit.done():  # deciding broke, or the host ends: commits never overlap
                await asyncio.wait([commit])
            self._bell.ring()  # the next round looks at whatever rang
        return commit.result()

    def _take_out(
        self, turn: Turn, outcome: Outcome, wakes: list[tuple[LiveExecution, int | None]]
    ) -> list[tuple[LiveExecution, int | None]]:
        """Remove what was refused; its reasons are asked again."""
        refused = [
            live
            for live in turn.touched
            if live.shard in outcome.lost or live.key in outcome.conflicts
        ]
        for live in refused:
            turn.discard(live)
            self.residents.drop(live)
        for shard in outcome.lost:
            self._ownership.forget(shard)
            self._lost.append(shard)
        if outcome.lost:
            self._drop_lost()
            self.keeper.look_soon()
        for live in refused:
            if live.key in outcome.conflicts:
                again = []
                for reason in live.reasons:
                    if type(reason) is StartItem:
                        self.intake.desk.compare(reason)
                        continue
                    if type(reason) is Delivery and reason.creates:
                        reason.exists = True
                    again.append(reason)
                self._again(again)
            else:
                self._again(live.reasons)
        gone = set(map(id, refused))
        return [wake for wake in wakes if id(wake[0]) not in gone]

    def _drop_lost(self) -> None:
        """Drop the executions of shards that another owner has, or that are not trusted."""
        if not self._lost:
            return
        lost, self._lost = self._lost, []
        for shard in lost:
            shard.serving = False
            self.timers.drop(shard)
            self.outbox.drop(shard)
            self.pump.drop(shard)
            for live in self.residents.of(shard):
                self.residents.drop(live)
            if self._ahead is not None:
                for live in [each for each in self._ahead.touched if each.shard is shard]:
                    self._ahead.discard(live)
                    self._again(live.reasons)
        names = {shard.name for shard in lost}

        def is_lost(key: ExecutionKey) -> bool:
            own = self._ownership
            return own.shard_name(key) in names or own.start_shard(key) in names

        self._dispatch.forget(is_lost)
        self._streams.shard_lost(is_lost)
        self.feeds.shard_lost(is_lost)

    def _forget_everything(self, error: Exception) -> None:
        for shard in list(self._ownership.shards.values()):
            self._ownership.forget(shard)
            self._lost.append(shard)
        for live in list(self.residents.all.values()):
            for reason in live.reasons if live.turn > self._durable else ():
                self.intake.answer(reason, internal(live.key, error))
            self.residents.drop(live)
        self._ahead, self._durable = None, self._number
        self._drop_lost()
        self.keeper.look_soon()
