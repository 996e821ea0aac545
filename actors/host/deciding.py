"""Bringing reasons to executions: what a turn does with each stimulus, wherever its execution is.

An execution in memory decides at once; one that is not is loaded, or begins; one of another owner's
is passed on. A fault of ours in one execution takes that one out of the turn, and no other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from heliostat.actors.dedicated.guard import DedicatedGuard
from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.events import EventPump
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.intake import Intake
from heliostat.actors.host.outbox import Outbox
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.plans import HostedPlan, PlanStore
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.residency import Residents
from heliostat.actors.host.starts import StartItem
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.timers import Timers
from heliostat.actors.host.turn import Reason, Turn, Wake
from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.kernel.state import ExecutionState

_log = logging.getLogger(__name__)


class Deciding:
    """The part of a `TurnLoop` that has executions decide."""

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
        self.guard: DedicatedGuard | None = None
        self.residents = Residents(
            journal=journal, plans=plans, clock=clock, bounds=bounds, bell=self._bell
        )
        self.timers = Timers(bounds)

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
        name = self._ownership.start_shard(key)
        shard = self._ownership.find(name)
        if shard is None:
            self.intake.elsewhere(item, name)
        elif not shard.serving:
            self.intake.hold(item)
        elif key in self.residents.all:
            self.intake.desk.compare(item)
        elif self.guard is not None and item.hosted.plan.dedicated:
            self.guard.start(item)
        else:
            self._create(turn, shard, item.hosted, item)

    def _start_child(self, turn: Turn, delivery: Delivery) -> None:
        """Start what another execution asks for, or find that it was started before.

        Whether it exists is not asked first: the journal's refusal to create it again tells.
        """
        shard = self._ownership.find(self._ownership.start_shard(delivery.key))
        if (
            shard is None
            or not shard.serving
            or delivery.hosted is None
            or delivery.key in self.residents.all
        ):
            self._ask(turn, delivery)
        elif self.guard is not None and delivery.hosted.plan.dedicated:
            self.guard.start(delivery)
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
            if self._figures.misfits:
                self._figures.misfits.pop(live.key, None)  # it goes on
        except Exception as error:  # noqa: BLE001 – one execution's fault must not stop the others
            self._broken(turn, live, reason, error)

    def _broken(
        self, turn: Turn, live: LiveExecution, reason: Reason | None, error: Exception
    ) -> None:
        """The kernel failed on an execution, or decided what its plan does not allow: nothing of it
        is committed, its state is dropped.

        What else reached it in this turn is asked again. The reason at fault is not: a client is
        told, a report stays with its runner for the next owner.
        """
        if isinstance(error, HistoryMisfit):
            told = "history.misfit: execution %s does not go on, nothing of %s is recorded: %s"
            _log.error(told, live.key, type(reason).__name__, error)
            self._figures.misfit(live.key, error)
        else:
            _log.exception("execution %s: the kernel failed on %s", live.key, type(reason).__name__)
            self._figures.fault(f"execution {live.key}: the kernel failed", error)
        reasons = [each for each in live.reasons if each is not reason]
        turn.discard(live)
        self.residents.drop(live)
        if reason is not None:
            self.intake.answer(reason, internal(live.key, error))
        self._again(reasons)

    def _again(self, reasons: Sequence[Reason]) -> None:
        """Bring reasons back: into their queues, and timers into the heap."""
        for reason in reasons:
            if isinstance(reason, Wake):
                shard = self._ownership.find(self._ownership.shard_name(reason.key))
                if shard is not None and shard.serving:
                    self.timers.arm(reason.key, shard, 0)
        self.intake.again(reasons)


def internal(key: ExecutionKey, error: BaseException) -> Refusal:
    """A fault of ours, as an answer."""
    return Refusal(
        code="INTERNAL",
        message=(
            f"execution {key} could not go on: {type(error).__name__}: {error}; "
            f"nothing was recorded, the host's log has the traceback"
        ),
    )
