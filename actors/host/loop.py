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
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence

from heliostat.actors.dispatch.protocol import Dispatch, Noticed, Raised, Report, Returned
from heliostat.actors.host.aftermath import Aftermath
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.commit import Committer, Outcome, Stopping
from heliostat.actors.host.events import EventArrival, EventPump
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.intake import Intake
from heliostat.actors.host.keeper import ShardKeeper
from heliostat.actors.host.outbox import Outbox
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.plans import HostedPlan, PlanStore
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.requests import RequestItem, unknown
from heliostat.actors.host.residency import Loaded, Residents
from heliostat.actors.host.starts import StartItem
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.takeover import Recovered
from heliostat.actors.host.timers import Timers
from heliostat.actors.host.turn import Reason, Turn, Wake
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Append, Journal
from heliostat.engine.kernel.outstanding import outstanding
from heliostat.engine.kernel.state import ExecutionState

_log = logging.getLogger(__name__)


class TurnLoop:
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
        self._journal, self._dispatch = journal, dispatch
        self._ownership, self._streams, self._figures = ownership, streams, figures
        self._clock, self._bounds = clock, bounds
        self._bell = bell
        # Set by the host, which ties its starts to the reads and its messages to other hosts:
        self.intake: Intake
        self.outbox: Outbox
        self.pump: EventPump
        self.aftermath: Aftermath
        self.committer = Committer(journal=journal, ownership=ownership, clock=clock, bounds=bounds)
        self.residents = Residents(
            journal=journal, plans=plans, clock=clock, bounds=bounds, bell=self._bell
        )
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
        self.timers = Timers(bounds)
        self._recovered: deque[Recovered] = deque()
        self._lost: list[OwnedShard] = []
        self._number = 0  # of the latest turn
        self._durable = 0  # of the latest one whose commit has returned
        self._ahead: Turn | None = None  # decided while the commit before was on its way
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

    # gather and decide

    def _gather(self, now_ms: int) -> Turn:
        turn, self._ahead = self._ahead or self._new_turn(now_ms), None
        turn.now_ms = now_ms
        if self._recovered:
            self._serve(turn, self._recovered.popleft())
        while self.residents.loaded and turn.stimuli < self._bounds.turn_stimuli:
            self._take_loaded(turn, self.residents.loaded.popleft())
        for key in self.timers.due(now_ms, self._bounds.turn_stimuli - turn.stimuli):
            self._ask(turn, Wake(key))
        requests, queue = self.intake.requests, self.intake.starts
        while requests and turn.stimuli < self._bounds.turn_stimuli:
            self._ask(turn, requests.popleft())
        if self.intake.arrivals:
            self._take_arrivals(turn)
        self._take_reports(turn)
        starts = max(self._bounds.turn_starts, self._bounds.turn_stimuli - turn.stimuli)
        while queue and starts > 0:
            starts -= 1
            self._start(turn, queue.popleft())
        return turn

    def _new_turn(self, now_ms: int) -> Turn:
        self._number += 1
        return Turn(self._number, now_ms)

    def _decide_ahead(self) -> None:
        """Use the time of a commit: decide on reports and starts of executions not part of it.

        All else waits for the commit: what it refuses may change who owns what.
        """
        turn = self._ahead = self._ahead or self._new_turn(self._clock.now_ms())
        reports, starts = self.intake.reports, self.intake.starts
        room = self._bounds.turn_stimuli - turn.stimuli
        later: list[Report] = []
        for _ in range(min(len(reports), room)):
            report = reports.popleft()
            live = self.residents.all.get(report.key)
            if live is None or self._durable < live.turn < turn.number:
                later.append(report)
            elif type(report) is not Noticed:
                self._decide(turn, live, report)
        reports.extendleft(reversed(later))
        for _ in range(min(len(starts), self._bounds.turn_stimuli - turn.stimuli)):
            self._start(turn, starts.popleft())

    def _take_arrivals(self, turn: Turn) -> None:
        arrivals = self.intake.arrivals
        room = min(self._bounds.turn_arrivals, self._bounds.turn_stimuli - turn.stimuli)
        while arrivals and room > 0:
            room -= 1
            arrival = arrivals.popleft()
            if type(arrival) is Delivery and arrival.creates:
                self._start_child(turn, arrival)
            else:
                self._ask(turn, arrival)

    def _take_reports(self, turn: Turn) -> None:
        reports, room = self.intake.reports, self._bounds.turn_stimuli - turn.stimuli
        residents = self.residents.all
        while reports and room > 0:
            report = reports.popleft()
            if type(report) is Noticed:
                self._figures.notices += 1
                continue
            room -= 1
            live = residents.get(report.key)
            if live is None:
                self._ask(turn, report)
            else:
                self._decide(turn, live, report)

    def _ask(self, turn: Turn, reason: Reason) -> None:
        """Bring a reason to its execution, wherever that is."""
        key = reason.key
        live = self.residents.all.get(key)
        if live is not None:
            self._decide(turn, live, reason)
            return
        name = self._ownership.shard_name(key)
        shard = self._ownership.find(name)
        if shard is None:
            self.intake.elsewhere(reason, name)
        elif not shard.serving:
            self.intake.hold(reason)
        else:
            self.residents.want(key, shard, reason)

    def _start(self, turn: Turn, item: StartItem) -> None:
        key = item.key
        name = self._ownership.shard_name(key)
        shard = self._ownership.find(name)
        if shard is None:
            self.intake.elsewhere(item, name)
        elif not shard.serving:
            self.intake.hold(item)
        elif key in self.residents.all:
            self.intake.desk.compare(item)
        else:
            self._create(turn, shard, item.hosted, item)

    def _start_child(self, turn: Turn, delivery: Delivery) -> None:
        """Start what another execution asks for, or find that it was started before.

        Whether it exists is not asked first: the journal's refusal to create it again tells.
        """
        shard = self._ownership.find(self._ownership.shard_name(delivery.key))
        if (
            shard is None
            or not shard.serving
            or delivery.hosted is None
            or delivery.key in self.residents.all
        ):
            self._ask(turn, delivery)
        else:
            self._create(turn, shard, delivery.hosted, delivery)

    def _create(
        self, turn: Turn, shard: OwnedShard, hosted: HostedPlan, reason: StartItem | Delivery
    ) -> None:
        live = LiveExecution(reason.key, shard, hosted, ExecutionState())
        self.residents.add(live)
        self._decide(turn, live, reason)

    def _decide(self, turn: Turn, live: LiveExecution, reason: Reason) -> None:
        try:
            turn.ask(live, reason)
        except Exception as error:  # noqa: BLE001 – one execution's fault must not stop the others
            self._broken(turn, live, reason, error)

    def _broken(
        self, turn: Turn, live: LiveExecution, reason: Reason | None, error: Exception
    ) -> None:
        """The kernel failed on an execution: nothing of it is committed, its state is dropped.

        What else reached it in this turn is asked again. The reason at fault is not: a client is
        told, a report stays with its runner for the next owner.
        """
        _log.exception("execution %s: the kernel failed on %s", live.key, type(reason).__name__)
        self._figures.fault(f"execution {live.key}: the kernel failed", error)
        reasons = [each for each in live.reasons if each is not reason]
        turn.discard(live)
        self.residents.drop(live)
        if reason is not None:
            self.intake.answer(reason, _internal(live.key, error))
        self._again(reasons)

    # taking over, loading

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

    def _serve(self, turn: Turn, recovered: Recovered) -> None:
        shard = recovered.shard
        if not self._ownership.holds(shard):
            return
        shard.serving = True
        self.timers.serve(shard)
        self.outbox.serve(shard, recovered.messages, more=recovered.more_messages)
        self.pump.serve(shard, recovered.bus_position)
        for live in recovered.lives:
            self.residents.add(live)
            stimulus = recovered.stimulus(
                live, owner=self._ownership.incarnation, now_ms=turn.now_ms
            )
            try:
                turn.join(live)
                live.decide(stimulus)
            except Exception as error:  # noqa: BLE001 – one execution's fault must not stop the others
                self._broken(turn, live, None, error)
        self.intake.release()

    def _take_loaded(self, turn: Turn, loaded: Loaded) -> None:
        live, reasons = loaded.live, loaded.reasons
        if not self._ownership.holds(loaded.shard) or loaded.key in self.residents.all:
            self._again(reasons)  # the world changed while it was loaded
            return
        if loaded.fault is not None:
            _log.error("execution %s cannot be loaded", loaded.key, exc_info=loaded.fault)
            self._figures.fault(f"execution {loaded.key} cannot be loaded", loaded.fault)
            for reason in reasons:
                self.intake.answer(reason, _internal(loaded.key, loaded.fault))
            return
        if live is None:
            self._answer_missing(loaded.key, reasons)
            return
        self.residents.add(live)
        turn.join(live)
        if live.state.busy:
            # It left memory with attempts outstanding, after a refused commit: whether their
            # commands were sent is not known, and repeating them is harmless.
            live.commands += outstanding(live.hosted.plan, live.state)
        for reason in reasons:
            if self.residents.all.get(loaded.key) is not live:
                self._again([reason])
            elif isinstance(reason, StartItem):
                self.intake.desk.compare(reason)
            else:
                self._decide(turn, live, reason)

    def _answer_missing(self, key: ExecutionKey, reasons: Sequence[Reason]) -> None:
        """There is no such execution."""
        void = []
        for reason in reasons:
            match reason:
                case Delivery() if reason.exists:  # what made it was refused itself
                    reason.exists = False
                    self._again([reason])
                case RequestItem() | Delivery() | EventArrival():
                    self.intake.answer(reason, unknown(key))
                case StartItem():
                    self.intake.desk.compare(reason)
                case Returned() | Raised():
                    void.append((reason.key, reason.at))
        if void:
            self._dispatch.acknowledge(void)

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

    # going back

    def _again(self, reasons: Sequence[Reason]) -> None:
        """Bring reasons back: into their queues, and timers into the heap."""
        for reason in reasons:
            if isinstance(reason, Wake):
                shard = self._ownership.find(self._ownership.shard_name(reason.key))
                if shard is not None and shard.serving:
                    self.timers.arm(reason.key, shard, 0)
        self.intake.again(reasons)

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
        self._streams.shard_lost(lambda key: self._ownership.shard_name(key) in names)

    def _forget_everything(self, error: Exception) -> None:
        for shard in list(self._ownership.shards.values()):
            self._ownership.forget(shard)
            self._lost.append(shard)
        for live in list(self.residents.all.values()):
            for reason in live.reasons if live.turn > self._durable else ():
                self.intake.answer(reason, _internal(live.key, error))
            self.residents.drop(live)
        self._ahead, self._durable = None, self._number
        self._drop_lost()
        self.keeper.look_soon()


def _internal(key: ExecutionKey, error: BaseException) -> Refusal:
    return Refusal(
        code="INTERNAL",
        message=(
            f"execution {key} could not go on: {type(error).__name__}: {error}; "
            f"nothing was recorded, the host's log has the traceback"
        ),
    )
