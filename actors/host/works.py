"""A host's parts, put together: what exists once its journal is open.

Who tells whom: everything that reaches an execution goes through the intake to the turn loop; what
follows from a durable turn leaves through the aftermath, to runners, the outbox, the event pump,
result streams and waiting clients.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from heliostat.actors.dedicated.carriers import Carriers
from heliostat.actors.dedicated.guard import DedicatedGuard
from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.aftermath import Aftermath
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.definitions import Definitions
from heliostat.actors.host.events import EventPump
from heliostat.actors.host.feeds import Feeds
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.following import Followers
from heliostat.actors.host.intake import Intake
from heliostat.actors.host.loop import TurnLoop
from heliostat.actors.host.outbox import Outbox
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.peers import CallPeer, Inbox, Peers
from heliostat.actors.host.plans import Compile, JournalPlans
from heliostat.actors.host.reads import Reads
from heliostat.actors.host.retention import Retention
from heliostat.actors.host.starts import StartDesk
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.tasks import Tasks
from heliostat.engine.journal.protocol import BlobStore, Journal, OwnerRow

IsRunning: TypeAlias = Callable[[OwnerRow], bool]


class Parts(Struct, frozen=True, kw_only=True):
    """What a host works with; opened in the background, closed by `drain`."""

    journal: Journal
    dispatch: Dispatch
    compile: Compile
    blobs: BlobStore | None = None  # None: nothing is looked after there


class Works:
    """All that exists once the journal is open."""

    def __init__(
        self,
        parts: Parts,
        *,
        name: str,
        node: str,
        incarnation: str,
        figures: Figures,
        clock: Clock,
        bounds: HostBounds,
        process_is_running: IsRunning,
        call_peer: CallPeer | None,
        own: Callable[..., Ownership] = Ownership,
        carriers: Carriers | None = None,
        spares: int = 0,
    ) -> None:
        self.journal, self.dispatch = parts.journal, parts.dispatch
        bus_bell = Doorbell(clock)
        self.plans = plans = JournalPlans(
            parts.journal,
            parts.compile,
            capacity=bounds.plans,
            expect=bus_bell.ring,
            conformance=bounds.conformance,
        )
        self.definitions = Definitions(
            journal=parts.journal, plans=plans, compile=parts.compile, clock=clock
        )
        self.streams = ResultStreams(clock=clock, bounds=bounds)
        self.ownership = own(
            journal=parts.journal,
            name=name,
            incarnation=incarnation,
            pid=os.getpid(),
            node=node,
            clock=clock,
            bounds=bounds,
            process_is_running=process_is_running,
        )
        bell = Doorbell(clock)
        self.loop = loop = TurnLoop(
            journal=parts.journal,
            dispatch=parts.dispatch,
            plans=plans,
            ownership=self.ownership,
            streams=self.streams,
            figures=figures,
            bell=bell,
            clock=clock,
            bounds=bounds,
        )
        self.reads = Reads(
            journal=parts.journal,
            plans=plans,
            ownership=self.ownership,
            streams=self.streams,
            bounds=bounds,
            live=loop.residents.all.get,
            durable=loop.durable,
            misfit=figures.misfits.get,
            reasons=parts.dispatch.reasons,
        )
        self.followers = Followers(
            journal=parts.journal,
            ownership=self.ownership,
            reads=self.reads,
            clock=clock,
            bounds=bounds,
        )
        self.feeds = loop.feeds = Feeds(
            journal=parts.journal,
            ownership=self.ownership,
            reads=self.reads,
            clock=clock,
            bounds=bounds,
        )
        self.desk = StartDesk(
            journal=parts.journal,
            plans=plans,
            clock=clock,
            bounds=bounds,
            bell=bell,
            watch=self.reads.watch_one,
            resident=loop.residents.__len__,
        )
        self.intake = loop.intake = Intake(
            ownership=self.ownership, desk=self.desk, clock=clock, bounds=bounds
        )
        self.intake.relay = lambda host, delivery: self.peers.send(host, delivery)
        self.tasks = Tasks(parts.journal)
        self.peers = Peers(call_peer, clock=clock, bounds=bounds)

        def room() -> bool:
            return len(loop.residents) < bounds.executions_resident

        self.outbox = loop.outbox = Outbox(
            journal=parts.journal,
            plans=plans,
            ownership=self.ownership,
            peers=self.peers,
            clock=clock,
            bounds=bounds,
            arrive=self.intake.arrive,
            room=room,
        )
        self.inbox = Inbox(
            plans=plans, clock=clock, bounds=bounds, arrive=self.intake.arrive, room=room
        )
        self.pump = loop.pump = EventPump(
            journal=parts.journal,
            ownership=self.ownership,
            clock=clock,
            bounds=bounds,
            bell=bus_bell,
            arrive=self.intake.arrive,
            expecting=lambda: plans.expecting,
        )
        self.retention = Retention(
            journal=parts.journal,
            blobs=parts.blobs,
            ownership=self.ownership,
            clock=clock,
            bounds=bounds,
        )
        loop.aftermath = Aftermath(
            dispatch=parts.dispatch,
            outbox=self.outbox,
            pump=self.pump,
            streams=self.streams,
            followers=self.followers,
            feeds=self.feeds,
            residents=loop.residents,
            desk=self.desk,
            figures=figures,
            clock=clock,
        )
        self.guard: DedicatedGuard | None = None
        if carriers is not None:
            self.guard = loop.guard = DedicatedGuard(
                journal=parts.journal,
                ownership=self.ownership,
                carriers=carriers,
                spares=spares,
                streams=self.streams,
                desk=self.desk,
                figures=figures,
                clock=clock,
                bounds=bounds,
                arrive=self.intake.arrive,
                published=self.pump.ring,
                watch=self.reads.watch_one,
            )
