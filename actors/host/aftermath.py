"""What follows from a durable turn, in order: runners, other executions, watchers, clients.

Runners are acknowledged first, then commands dispatched, then messages and events sent on, then
watchers and waiting clients told. Nothing here waits, and nothing here can be refused.
"""

from __future__ import annotations

from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.api import Started
from heliostat.actors.host.clock import Clock
from heliostat.actors.host.events import EventPump
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.feeds import Feeds
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.following import Followers
from heliostat.actors.host.outbox import Outbox
from heliostat.actors.host.requests import answer_for
from heliostat.actors.host.residency import Residents
from heliostat.actors.host.starts import StartDesk
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.turn import Turn, commands_of


class Aftermath:
    """Acts on turns whose commit has returned."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        outbox: Outbox,
        pump: EventPump,
        streams: ResultStreams,
        followers: Followers,
        feeds: Feeds,
        residents: Residents,
        desk: StartDesk,
        figures: Figures,
        clock: Clock,
    ) -> None:
        self._dispatch, self._outbox, self._pump = dispatch, outbox, pump
        self._streams, self._residents, self._desk = streams, residents, desk
        self._figures, self._clock = figures, clock
        self._followers, self._feeds = followers, feeds

    def act(self, turn: Turn) -> None:
        """All that waited for a turn's commit."""
        if turn.reports:
            self._dispatch.acknowledge(turn.reports)
        assignments, stops = commands_of(turn.touched)
        if assignments:
            self._dispatch.send(assignments)
        if stops:
            self._dispatch.stop(stops)
        self._tell_others(turn)
        self._tell_watchers(turn)
        for item, live in turn.starts:
            self._desk.answer(item, Started(key=item.key, version=live.state.version))
        for request, live in turn.requests:
            request.answer(answer_for(request, live.state))

    def _tell_others(self, turn: Turn) -> None:
        published = False
        for live in turn.touched:
            beside = live.beside
            if beside is not None:
                if beside.sent:
                    self._outbox.sent(live.shard, beside.sent)
                published |= bool(beside.published)
        if published:
            self._pump.ring()
        for delivery, live, refusal in turn.deliveries:
            if delivery.creates and live.events and refusal is None:
                self._figures.started += 1
            delivery.told(delivery, refusal)
        for arrival, _ in turn.arrivals:
            arrival.done()

    def _tell_watchers(self, turn: Turn) -> None:
        figures, residents, streams = self._figures, self._residents, self._streams
        for item, live in turn.starts:
            client = item.group.client
            if client is not None:
                streams.watch(client, live.key)
            if live.state.seq:
                figures.started += 1
        now_ms = self._clock.steady_ms()
        if self._followers:
            for live in turn.touched:
                self._followers.recorded(live.key)
        if self._feeds:
            for live in turn.touched:
                self._feeds.recorded(live.key, live.after_seq, live.events)
        for live in turn.touched:
            figures.events += len(live.events)
            if not live.state.ended:
                residents.settle(live, now_ms)
                continue
            if live.ended_now:
                figures.ended += 1
                streams.ended(live.key, live.state, live.hosted.plan, _last_bytes(live))
            residents.drop(live)
        streams.flush()


def _last_bytes(live: LiveExecution) -> int:
    return len(live.events[-1]) if live.events else 0
