"""Gathering a turn: from the queues, the timers, what was loaded and what was taken over.

Each queue is taken from in an order that keeps what was promised first, and at most so much that a
turn stays short (`HostBounds.turn_stimuli`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from heliostat.actors.dispatch.protocol import Assignment, Noticed, Raised, Report, Returned
from heliostat.actors.host.deciding import Deciding, internal
from heliostat.actors.host.events import EventArrival
from heliostat.actors.host.feeds import Feeds
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.rendering import render_notice
from heliostat.actors.host.requests import RequestItem, unknown
from heliostat.actors.host.residency import Loaded
from heliostat.actors.host.starts import StartItem
from heliostat.actors.host.takeover import Recovered
from heliostat.actors.host.turn import Reason, Turn, Wake, held_of
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.outstanding import outstanding

_log = logging.getLogger(__name__)


class Gathering(Deciding):
    """The part of a `TurnLoop` that fills a turn; the loop begins these."""

    feeds: Feeds  # set by the host
    _recovered: deque[Recovered]
    _number: int  # of the latest turn
    _durable: int  # of the latest one whose commit has returned
    _ahead: Turn | None  # decided while the commit before was on its way

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
            elif type(report) is Noticed:
                self._noticed(report)
            else:
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
                self._noticed(report)
                continue
            room -= 1
            live = residents.get(report.key)
            if live is None:
                self._ask(turn, report)
            else:
                self._decide(turn, live, report)

    def _noticed(self, notice: Noticed) -> None:
        """Tell those who follow; nothing is decided by it."""
        self._figures.notices += 1
        if not self.feeds or not self.feeds.follows(notice.key):
            return
        live = self.residents.all.get(notice.key)
        if live is not None:
            at_ms = self._clock.now_ms()
            self.feeds.notice(notice.key, render_notice(live.hosted.plan, notice, at_ms))

    def _serve(self, turn: Turn, recovered: Recovered) -> None:
        shard = recovered.shard
        if not self._ownership.holds(shard):
            return
        shard.serving = True
        self.timers.serve(shard)
        self.outbox.serve(shard, recovered.messages, more=recovered.more_messages)
        self.pump.serve(shard, recovered.bus_position)
        held: list[Assignment] = []
        for live in recovered.lives:
            self.residents.add(live)
            stimulus = recovered.stimulus(
                live, owner=self._ownership.incarnation, now_ms=turn.now_ms
            )
            try:
                turn.join(live)
                live.decide(stimulus)
                held += held_of(live, stimulus.known)
            except Exception as error:  # noqa: BLE001 – one execution's fault must not stop the others
                self._broken(turn, live, None, error)
        self._dispatch.hold(shard.name, shard.epoch, held)
        self.intake.release()

    def _take_loaded(self, turn: Turn, loaded: Loaded) -> None:
        live, reasons = loaded.live, loaded.reasons
        if not self._ownership.holds(loaded.shard) or loaded.key in self.residents.all:
            self._again(reasons)  # the world changed while it was loaded
            return
        if loaded.elsewhere:
            self._ownership.dedicated.learn(loaded.key)
            self._again(reasons)
            return
        if loaded.fault is not None:
            _log.error("execution %s cannot be loaded", loaded.key, exc_info=loaded.fault)
            self._figures.fault(f"execution {loaded.key} cannot be loaded", loaded.fault)
            for reason in reasons:
                self.intake.answer(reason, internal(loaded.key, loaded.fault))
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
