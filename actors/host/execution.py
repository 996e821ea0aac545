"""One execution in a host's memory: its state, its plan, and what the current turn adds to it.

The state runs ahead of the journal between a decision and its commit. What was not committed is
never patched back: such an execution leaves memory and is folded again from the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.plans import HostedPlan, PlanStore
from heliostat.actors.host.post import Posted, encode_data, to_message
from heliostat.actors.host.tasks import task_id, to_task_row
from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    Append,
    BusEvent,
    ExecutionRow,
    Journal,
    Message,
    SnapshotRow,
    StoredExecution,
    TaskRow,
)
from heliostat.engine.kernel.codec import (
    EventWriter,
    OtherVersion,
    decode_snapshot,
    encode_snapshot,
    first_version,
    fold,
)
from heliostat.engine.kernel.commands import Command
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import AnyStimulus
from heliostat.engine.kernel.turn import Decision, Refused
from heliostat.engine.monitor.conformance import Conformance
from heliostat.engine.monitor.folding import conformance_after, fold_followed
from heliostat.engine.monitor.restored import marking_of

_log = logging.getLogger(__name__)

FAILURE_MESSAGE_CHARS: Final = 2_000
"""Of a failure's message in the searchable row; the history has it whole."""

_COALESCED: Final = frozenset({"Running", "Waiting"})
"""Between these a change of status alone does not write the row."""


_events: Final = EventWriter()
"""One for all executions: turns never overlap, and only they write events."""


class Beside:
    """What a turn adds beside events; most turns of most executions have none of it."""

    __slots__ = ("blobs", "published", "received", "sent", "tasks")

    def __init__(self) -> None:
        self.sent: list[tuple[Message, Posted]] = []
        self.received: list[str] = []
        self.published: list[BusEvent] = []
        self.tasks: dict[str, TaskRow] = {}  # each as it is at the turn's end
        self.blobs: dict[str, None] = {}  # that the events name


class LiveExecution:
    """An execution that is in memory, and owned by this host as far as it knows."""

    __slots__ = (
        "_conformance",
        "_row_busy",
        "_row_run",
        "_row_status",
        "_row_version",
        "_row_wake",
        "_snapshot_bytes",
        "_unsnapped_bytes",
        "after_seq",
        "beside",
        "commands",
        "events",
        "hosted",
        "idle_since_ms",
        "key",
        "reasons",
        "run_ended",
        "shard",
        "state",
        "turn",
    )

    def __init__(
        self,
        key: ExecutionKey,
        shard: OwnedShard,
        hosted: HostedPlan,
        state: ExecutionState,
        conformance: Conformance | None = None,
    ) -> None:
        self.key, self.shard, self.hosted, self.state = key, shard, hosted, state
        if conformance is None and hosted.tables is not None:
            conformance = conformance_after(hosted.tables, state)
        self._conformance = conformance
        self.idle_since_ms = 0
        self._row_status: str | None = None
        self._row_busy = False
        self._row_wake: int | None = None
        self._row_run = 0
        self._row_version: str | None = None
        self._snapshot_bytes = 0
        self._unsnapped_bytes = 0
        # what the current turn adds
        self.turn = 0
        self.after_seq = 0
        self.run_ended = 0
        """The run that had ended before the turn; 0: the one under way had not."""
        self.events: list[bytes] = []
        self.commands: list[Command] = []
        self.beside: Beside | None = None
        self.reasons: list[Any] = []
        """Where the turn's stimuli came from: asked again when the commit refuses them."""

    def begin(self, turn: int) -> None:
        """Join a turn: what it adds comes after the last event so far."""
        self.turn = turn
        state = self.state
        self.after_seq = state.seq
        self.run_ended = state.run if state.ended else 0
        self.events = []
        self.commands = []
        self.beside = None
        self.reasons = []

    @property
    def ended_now(self) -> bool:
        """Whether the turn brought a run to its end."""
        state = self.state
        return state.ended and state.run != self.run_ended

    @property
    def rests_ended(self) -> bool:
        """Whether its run had ended before the turn: it was only loaded to be asked something."""
        state = self.state
        return state.ended and state.run == self.run_ended

    def decide(self, stimulus: AnyStimulus) -> Refused | None:
        """Let the kernel decide, and keep what the commit needs; what it refused, and why.

        Raises:
            HistoryMisfit: what it decided is none of the plan's.
        """
        conformance = self._conformance
        if conformance is not None and conformance.lost and self.hosted.tables is not None:
            marking = marking_of(self.hosted.plan, self.state)
            conformance.go_on(self.hosted.tables, marking, self.state.seq)
        decision = settle(self.hosted.plan, self.state, stimulus)
        if conformance is not None:
            conformance.follow(decision.events)
            if conformance.fault is not None:
                _log.error("execution %s is not checked at %s", self.key, conformance.fault)
                conformance.fault = None
        if decision.commands:
            self.commands += decision.commands
        for event in decision.events:
            body = _events.encode(event)
            self._unsnapped_bytes += len(body)
            self.events.append(body)
        named = _events.take_named()
        if named:
            beside = self.beside = self.beside or Beside()
            beside.blobs.update(dict.fromkeys(named))
        if decision.messages or decision.published or decision.tasks:
            self._add_beside(decision, stimulus.now_ms)
        return decision.refused

    def follow(self, target: HostedPlan) -> None:
        """Go on with another version's plan, where the last decision moved the execution there."""
        if self.state.version == target.plan.version:
            self.hosted = target

    def receive(self, message_id: str) -> None:
        """Have the commit delete a message's row: what it says is journaled, or void."""
        if self.beside is None:
            self.beside = Beside()
        self.beside.received.append(message_id)

    def _add_beside(self, decision: Decision, now_ms: int) -> None:
        beside = self.beside = self.beside or Beside()
        key = self.key
        for outgoing in decision.messages:
            beside.sent.append(to_message(outgoing, key, self.shard, now_ms))
        for published in decision.published:
            beside.published.append(
                BusEvent(
                    id=published.id,
                    namespace=key.namespace,
                    name=published.name,
                    published_at_ms=now_ms,
                    body=encode_data(published.data),
                )
            )
        for task in decision.tasks:
            beside.tasks[task_id(task.at)] = to_task_row(task, key, self.state.definition)

    def to_append(self, snapshot_bytes_min: int) -> tuple[Append, int | None]:
        """What the turn adds, with the row and a snapshot where they are due; and when to wake."""
        state = self.state
        wake_at_ms = state.wake_at_ms
        snapshot = None
        if (
            self._unsnapped_bytes > snapshot_bytes_min
            and self._unsnapped_bytes > self._snapshot_bytes
            and not state.ended  # hardly ever loaded again
        ):
            body = encode_snapshot(state)
            snapshot = SnapshotRow(seq=state.seq, body=body)
            self._unsnapped_bytes, self._snapshot_bytes = 0, len(body)
        row = self._changed_row(wake_at_ms)
        beside = self.beside
        if beside is None:
            append = Append(
                key=self.key,
                after_seq=self.after_seq,
                events=tuple(self.events),
                row=row,
                snapshot=snapshot,
            )
        else:
            append = Append(
                key=self.key,
                after_seq=self.after_seq,
                events=tuple(self.events),
                row=row,
                snapshot=snapshot,
                sent=tuple(message for message, _ in beside.sent),
                received=tuple(beside.received),
                tasks=tuple(beside.tasks.values()),
                published=tuple(beside.published),
                blobs=tuple(beside.blobs),
            )
        return append, wake_at_ms

    def _changed_row(self, wake_at_ms: int | None) -> ExecutionRow | None:
        state = self.state
        status, busy = state.status, state.busy > 0
        if (
            busy == self._row_busy
            and wake_at_ms == self._row_wake
            and state.run == self._row_run
            and state.version == self._row_version
            and (
                status == self._row_status
                or (status in _COALESCED and self._row_status in _COALESCED)
            )
        ):
            return None
        self._row_status, self._row_busy = status, busy
        self._row_wake, self._row_run = wake_at_ms, state.run
        self._row_version = state.version
        failure = state.failure
        return ExecutionRow(
            key=self.key,
            shard=self.shard.name,
            definition=state.definition,
            version=state.version,
            status=status,
            run=state.run,
            busy=state.busy,
            wake_at_ms=wake_at_ms,
            created_at_ms=state.created_at_ms,
            ended_at_ms=state.ended_at_ms,
            failure_type=None if failure is None else failure.type,
            failure_message=None if failure is None else failure.message[:FAILURE_MESSAGE_CHARS],
            tags=state.tags,
            awaits=() if state.ended else self.hosted.awaits,
            parent=None if state.parent is None else state.parent.execution_id,
            priority=state.priority,
            correlation_id=state.correlation_id,
        )


async def revive(
    journal: Journal, stored: StoredExecution, shard: OwnedShard, plans: PlanStore
) -> LiveExecution:
    """An execution in memory again, as its history and its row left it."""
    row = stored.row
    folded = await fold_stored(journal, stored, plans, followed=True)
    if folded.misfit is not None:
        raise folded.misfit
    live = LiveExecution(row.key, shard, folded.hosted, folded.state, folded.conformance)
    live._row_status, live._row_busy = row.status, row.busy > 0
    live._row_wake, live._row_run = row.wake_at_ms, row.run
    live._row_version = row.version
    live._unsnapped_bytes = sum(map(len, stored.events))
    live._snapshot_bytes = 0 if stored.snapshot is None else len(stored.snapshot.body)
    return live


class Folded(NamedTuple):
    """What a history leads to, and the plan of the version that it has come to."""

    hosted: HostedPlan
    state: ExecutionState
    conformance: Conformance | None = None
    misfit: HistoryMisfit | None = None
    """The first event that does not fit; the state is as before it."""


async def fold_stored(
    journal: Journal, stored: StoredExecution, plans: PlanStore, *, followed: bool = False
) -> Folded:
    """The state that a history leads to, from its beginning where the snapshot cannot be read.

    Args:
        followed: hold its events against the plan, those behind the snapshot.
    """
    snapshot = stored.snapshot
    state = None if snapshot is None else decode_snapshot(snapshot.body)
    folding = _Folding(plans, stored.row, state or ExecutionState(), followed=followed)
    try:
        await _fold_whole(folding, journal, stored, known=state is not None)
    except HistoryMisfit as misfit:
        return Folded(await folding.hosted(), folding.state, None, misfit)
    return Folded(await folding.hosted(), folding.state, folding.conformance)


async def _fold_whole(
    folding: _Folding, journal: Journal, stored: StoredExecution, *, known: bool
) -> None:
    snapshot = stored.snapshot
    if snapshot is not None and not known:
        while folding.state.seq < snapshot.seq:
            page = await journal.read(stored.row.key, after_seq=folding.state.seq)
            assert page, f"the history of {stored.row.key} ends before its snapshot"
            await folding.add([body for seq, body in page if seq <= snapshot.seq])
    await folding.add(stored.events)
    assert folding.state.seq == stored.last_seq, (
        f"execution {stored.row.key} folds to seq {folding.state.seq}, its last event is "
        f"{stored.last_seq}"
    )


class _Folding:
    """A state that grows by stored events, with the plan of the version that it has come to."""

    def __init__(
        self, plans: PlanStore, row: ExecutionRow, state: ExecutionState, *, followed: bool
    ) -> None:
        self._plans, self._row, self.state = plans, row, state
        self._followed = followed
        self.conformance: Conformance | None = None
        self._hosted: HostedPlan | None = None

    async def add(self, bodies: Sequence[bytes]) -> None:
        """Fold the events that follow."""
        if not bodies:
            return
        if self._hosted is None:
            await self._go_to(first_version(bodies, self.state))
        before = self.state.seq
        while True:
            hosted = await self.hosted()
            rest = islice(bodies, self.state.seq - before, None)
            tables = hosted.tables if self._followed else None
            try:
                if tables is None:
                    fold(hosted.plan, rest, self.state)
                else:
                    conformance = self.conformance or conformance_after(tables, self.state)
                    self.conformance = conformance
                    fold_followed(tables, rest, self.state, conformance)
            except OtherVersion as other:
                await self._go_to(other.version)
            else:
                return

    async def hosted(self) -> HostedPlan:
        """The plan that goes on from here."""
        if self._hosted is None:
            await self._go_to(self.state.version)
        assert self._hosted is not None
        return self._hosted

    async def _go_to(self, version: str) -> None:
        self._hosted = await self._plans.get(self._row.key.namespace, self._row.definition, version)
