"""A turn: what gathers for one commit, and what is to be done once it is durable.

It decides nothing itself and does no I/O: reasons come in, the kernel answers through
`LiveExecution.decide`, and what comes out are batches for the journal, later acknowledgements and
commands for the dispatcher. Why a stimulus came (its *reason*) is kept beside it, since a refused
commit sends the reason back to be asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias

from heliostat.actors.dispatch.protocol import (
    Assignment,
    Lost,
    Raised,
    Report,
    Returned,
    Stopped,
    TimedOut,
)
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.events import EventArrival, event_stimulus
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.post import Delivery, stimulus_of
from heliostat.actors.host.requests import RequestItem, migrate_stimulus, request_stimulus
from heliostat.actors.host.starts import StartItem
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import Append
from heliostat.engine.kernel.commands import RunStep
from heliostat.engine.kernel.messages import StartChild
from heliostat.engine.kernel.outstanding import outstanding
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Start,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
    Woke,
)

UNANSWERED_WAKE_MS: Final = 1_000
"""When a timer that led to nothing is tried again."""


class Wake:
    """The reason of a timer: the instant an execution wanted to wake has passed."""

    __slots__ = ("key",)

    def __init__(self, key: ExecutionKey) -> None:
        self.key = key


Reason: TypeAlias = Report | Wake | StartItem | RequestItem | Delivery | EventArrival
"""Where a stimulus came from. Each has the `key` of its execution."""


class Turn:
    """One commit's worth of decisions. `live.turn == number` while an execution is part of it."""

    __slots__ = (
        "arrivals",
        "deliveries",
        "now_ms",
        "number",
        "reports",
        "requests",
        "starts",
        "stimuli",
        "touched",
    )

    def __init__(self, number: int, now_ms: int) -> None:
        self.number, self.now_ms = number, now_ms
        self.stimuli = 0
        self.touched: list[LiveExecution] = []
        self.reports: list[tuple[ExecutionKey, Address]] = []
        """Reports that a runner holds until they are acknowledged."""
        self.starts: list[tuple[StartItem, LiveExecution]] = []
        self.requests: list[tuple[RequestItem, LiveExecution]] = []
        self.deliveries: list[tuple[Delivery, LiveExecution, Refusal | None]] = []
        self.arrivals: list[tuple[EventArrival, LiveExecution]] = []

    def join(self, live: LiveExecution) -> None:
        """Make an execution part of the turn."""
        if live.turn != self.number:
            live.begin(self.number)
            self.touched.append(live)

    def ask(self, live: LiveExecution, reason: Reason) -> None:
        """Give a reason's stimulus to its execution."""
        if live.turn != self.number:
            live.begin(self.number)
            self.touched.append(live)
        self.stimuli += 1
        live.reasons.append(reason)
        kind = type(reason)
        if kind is Delivery:
            self._take(live, reason)  # type: ignore[arg-type]  # by `kind`
            return
        if kind is RequestItem and reason.target is not None:  # type: ignore[union-attr]  # by `kind`
            self._move(live, reason)  # type: ignore[arg-type]  # by `kind`
            return
        refused = live.decide(STIMULI[kind](reason, self.now_ms))
        if kind is Returned or kind is Raised:
            self.reports.append((reason.key, reason.at))  # type: ignore[union-attr]  # by `kind`
        elif kind is StartItem:
            self.starts.append((reason, live))  # type: ignore[arg-type]  # by `kind`
        elif kind is RequestItem:
            reason.refused = refused  # type: ignore[union-attr]  # by `kind`
            self.requests.append((reason, live))  # type: ignore[arg-type]  # by `kind`
        elif kind is EventArrival:
            self.arrivals.append((reason, live))  # type: ignore[arg-type]  # by `kind`

    def _move(self, live: LiveExecution, item: RequestItem) -> None:
        """Ask an execution to go on with another version; what it decides then goes by that."""
        assert item.target is not None
        item.refused = live.decide(migrate_stimulus(item, live.hosted.plan, self.now_ms))
        live.follow(item.target)
        self.requests.append((item, live))

    def _take(self, live: LiveExecution, delivery: Delivery) -> None:
        """Give a message to its receiver. Its row goes with the commit, unless it is refused."""
        says, refusal = delivery.says, None
        if isinstance(says, StartChild) and live.state.seq:
            if live.state.parent != says.parent:
                refusal = _taken_id(live)
        elif says is not None:
            refused = live.decide(stimulus_of(delivery, self.now_ms))
            if refused is not None:
                refusal = Refusal(code=refused.code, message=refused.message)
        if refusal is None:
            live.receive(delivery.row)
        self.deliveries.append((delivery, live, refusal))

    def discard(self, live: LiveExecution) -> None:
        """Take an execution out, with all that it decided in this turn."""
        self.touched.remove(live)
        live.turn = 0
        self.reports = [report for report in self.reports if report[0] != live.key]
        self.starts = [item for item in self.starts if item[1] is not live]
        self.requests = [item for item in self.requests if item[1] is not live]
        self.deliveries = [item for item in self.deliveries if item[1] is not live]
        self.arrivals = [item for item in self.arrivals if item[1] is not live]

    def appends(
        self, snapshot_bytes_min: int
    ) -> tuple[dict[OwnedShard, list[Append]], list[tuple[LiveExecution, int | None]]]:
        """What to store, by shard, and when each execution wants to wake."""
        appends: dict[OwnedShard, list[Append]] = {}
        wakes: list[tuple[LiveExecution, int | None]] = []
        for live in self.touched:
            if not live.events:
                wakes.append((live, self._wake_again(live)))
                if live.beside is None:
                    continue
                append, _ = live.to_append(snapshot_bytes_min)
            else:
                append, wake_at_ms = live.to_append(snapshot_bytes_min)
                wakes.append((live, wake_at_ms))
            shard = live.shard
            if shard in appends:
                appends[shard].append(append)
            else:
                appends[shard] = [append]
        return appends, wakes

    def _wake_again(self, live: LiveExecution) -> int | None:
        """One that is due and was not answered is not asked again at once: it would spin."""
        wake_at_ms = live.state.wake_at_ms
        if wake_at_ms is not None and wake_at_ms <= self.now_ms:
            return self.now_ms + UNANSWERED_WAKE_MS
        return wake_at_ms


def commands_of(
    executions: Sequence[LiveExecution],
) -> tuple[list[Assignment], list[tuple[ExecutionKey, Address, int]]]:
    """What the dispatcher is to send, and to stop, once the turn is durable."""
    assignments: list[Assignment] = []
    stops: list[tuple[ExecutionKey, Address, int]] = []
    for live in executions:
        if not live.commands:
            continue
        key = live.key
        for command in live.commands:
            if type(command) is RunStep:
                assignments.append(_assignment(live, command))
            else:
                stops.append((key, command.at, command.grace_ms))  # type: ignore[union-attr]
    return assignments, stops


def held_of(live: LiveExecution, known: AbstractSet[Address]) -> list[Assignment]:
    """What runners have of an execution that was taken over, as far as capacity is held for it."""
    if not known:
        return []
    wanted = outstanding(live.hosted.plan, live.state)
    found = (
        _assignment(live, command)
        for command in wanted
        if type(command) is RunStep and command.at in known
    )
    return [each for each in found if not each.is_tiny]


def _assignment(live: LiveExecution, command: RunStep) -> Assignment:
    plan, at = live.hosted.plan, command.at
    code, step = live.hosted.codes[at.step], plan.steps[at.step]
    assert code is not None, f"{live.key} runs step {step.id!r}, which runs no code"
    return Assignment(
        key=live.key,
        at=at,
        code=code,
        input=command.input,
        alone=command.alone,
        priority=live.state.priority,
        shard=live.shard.name,
        workflow=plan.id,
        path_ms=step.path_ms,
        semaphores=step.semaphores,
    )


def _returned(reason: Returned, now_ms: int) -> StepReturned:
    return StepReturned(
        now_ms=now_ms,
        at=reason.at,
        output=reason.output,
        output_bytes=reason.output_bytes,
        extracts=reason.extracts,
        started_at_ms=reason.started_at_ms,
        elapsed_ms=reason.elapsed_ms,
        runner=reason.runner,
        stdout=reason.stdout,
        stderr=reason.stderr,
    )


def _raised(reason: Raised, now_ms: int) -> StepRaised:
    return StepRaised(
        now_ms=now_ms,
        at=reason.at,
        failure=reason.failure,
        started_at_ms=reason.started_at_ms,
        elapsed_ms=reason.elapsed_ms,
        runner=reason.runner,
    )


def _lost(reason: Lost, now_ms: int) -> StepLost:
    return StepLost(now_ms=now_ms, at=reason.at, cause=reason.cause, counted=reason.counted)


def _timed_out(reason: TimedOut, now_ms: int) -> StepTimedOut:
    return StepTimedOut(now_ms=now_ms, at=reason.at)


def _stopped(reason: Stopped, now_ms: int) -> StepStopped:
    return StepStopped(now_ms=now_ms, at=reason.at)


def _woke(reason: Wake, now_ms: int) -> Woke:
    return Woke(now_ms=now_ms)


def _start(reason: StartItem, now_ms: int) -> Start:
    request = reason.request
    return Start(
        now_ms=now_ms,
        execution_id=request.key.execution_id,
        input=request.input,
        input_bytes=request.input_bytes,
        extracts=request.extracts,
        tags=request.tags,
        priority=request.priority,
        correlation_id=request.correlation_id,
    )


def _taken_id(live: LiveExecution) -> Refusal:
    return Refusal(
        code="DUPLICATE_ERROR",
        message=(
            f"execution {live.key.execution_id!r} exists in namespace {live.key.namespace!r}, and "
            f"was not started by this step; choose another id"
        ),
    )


STIMULI: Final[dict[type, Callable[[Any, int], AnyStimulus]]] = {
    Returned: _returned,
    Raised: _raised,
    Lost: _lost,
    TimedOut: _timed_out,
    Stopped: _stopped,
    Wake: _woke,
    StartItem: _start,
    RequestItem: request_stimulus,
    EventArrival: event_stimulus,
}
"""How each reason reaches the kernel; reports that are not here (`Noticed`) never do."""
