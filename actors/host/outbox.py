"""What executions of this host's shards tell others: kept until each receiver has journaled it.

A message is in the journal before it is here, and leaves when its row is deleted by its receiver's
commit; whatever happens between is repeated by the next owner of the sender's shard. In order: what
a shard's executions say to one receiver arrives as it was said. Where one message cannot go on (its
definition is being loaded, its receiver's shard has no owner, its receiver's host does not answer)
those behind it for the same receiver wait in a *lane*. Only a signal that a full buffer refused
waits by itself, with the signals behind it: a cancel overtakes them.

What cannot ever be delivered is answered or dropped, never kept silently: a child that cannot start
is an end with a failure for its parent; a message to an execution that does not exist, or that
refuses it, and a signal whose receiver's buffer stayed full for `signal_keep_ms`, is dropped with a
line in the log and counted in `info`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.peers import Peers
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.post import Delivery, Posted, read_posted
from heliostat.actors.host.starts import bad_name, fault_of_input, refusal_of
from heliostat.engine.errors import HeliostatError, JournalError, JournalUnavailable
from heliostat.engine.identity import NAME, ExecutionKey
from heliostat.engine.journal.protocol import Journal, Message
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.messages import StartChild, TellChildEnded, TellSignal

_log = logging.getLogger(__name__)

_LATER: Final = frozenset(
    {"OVERLOADED", "INTERNAL", "NOT_OWNER", "UNREACHABLE", JournalUnavailable.code}
)
"""Refusals of what may be accepted later."""

_FAILURES: Final = {
    "NOT_FOUND": "DefinitionNotFound",
    "INVALID_INPUT": "SchemaError",
    "DUPLICATE_ERROR": "Duplicate",
}
"""What a child that could not start has failed with, by the refusal's code."""


class _Box:
    """The messages of one shard that are on their way."""

    __slots__ = ("behind", "last", "missed", "pending", "shard")

    def __init__(self, shard: OwnedShard) -> None:
        self.shard = shard
        self.pending: dict[str, Delivery] = {}  # by the id of the row
        self.last: Message | None = None  # of those that are, or were, in `pending`
        self.behind = False  # there are more in the journal
        self.missed = False  # of these, some were committed since the latest read began


class _Lane:
    """Messages for one receiver; the first of them could not go on."""

    __slots__ = ("due_ms", "pause_ms", "queue", "trying")

    def __init__(self, first: Delivery, due_ms: int, pause_ms: int) -> None:
        self.queue = deque([first])
        self.due_ms, self.pause_ms = due_ms, pause_ms
        self.trying = False  # the first is on its way again


class Outbox:
    """Delivers; told of every commit and every outcome by the turn loop, works in its own task."""

    def __init__(
        self,
        *,
        journal: Journal,
        plans: PlanStore,
        ownership: Ownership,
        peers: Peers,
        clock: Clock,
        bounds: HostBounds,
        arrive: Callable[[Delivery], None],
        room: Callable[[], bool],
    ) -> None:
        self._journal, self._plans, self._ownership = journal, plans, ownership
        self._peers, self._clock, self._bounds = peers, clock, bounds
        self._arrive = arrive  # into the next turn
        self._room = room  # for one more execution in memory
        self._boxes: dict[OwnedShard, _Box] = {}
        self._lanes: dict[ExecutionKey, _Lane] = {}
        self._signals: dict[ExecutionKey, _Lane] = {}
        self._bell = Doorbell(clock)
        self.dropped = 0
        """Messages that could not be delivered."""

    def __len__(self) -> int:
        return sum(len(box.pending) for box in self._boxes.values())

    # what the turn loop says

    def serve(self, shard: OwnedShard, pending: Sequence[Message], *, more: bool) -> None:
        """Carry a shard's messages from here on, those of its earlier owners first."""
        box = self._boxes[shard] = _Box(shard)
        box.behind = more
        self._take_page(box, pending)
        self._bell.ring()

    def drop(self, shard: OwnedShard) -> None:
        """Carry them no more: another owner will."""
        box = self._boxes.pop(shard, None)
        if box is None or not box.pending:
            return
        gone = set(map(id, box.pending.values()))
        for lanes in (self._lanes, self._signals):
            for key, lane in list(lanes.items()):
                first = lane.queue[0]
                lane.queue = deque(each for each in lane.queue if id(each) not in gone)
                if not lane.queue:
                    del lanes[key]
                elif lane.queue[0] is not first:
                    lane.trying, lane.due_ms = False, 0

    def sent(self, shard: OwnedShard, messages: Iterable[tuple[Message, Posted]]) -> None:
        """A commit made these durable; they are on their way at once."""
        box = self._boxes.get(shard)
        if box is None:
            return  # lost since: the next owner reads them
        for message, posted in messages:
            if box.behind or len(box.pending) >= self._bounds.outbox_messages:
                box.behind = box.missed = True
            else:
                self._add(box, message, posted)

    def _add(self, box: _Box, message: Message, posted: Posted) -> None:
        box.last = message
        if message.id in box.pending:
            return
        delivery = box.pending[message.id] = Delivery(
            id=message.id,
            row=message.id,
            key=message.receiver,
            sender=ExecutionKey(message.receiver.namespace, posted.sender),
            says=posted.says,
            sent_at_ms=message.sent_at_ms,
            told=self._told,
        )
        self._offer(delivery)

    def _take_page(self, box: _Box, page: Sequence[Message]) -> None:
        for message in page:
            self._add(box, message, read_posted(message))

    # on their way

    def _offer(self, delivery: Delivery) -> None:
        """Send it on, or let it wait behind those for the same receiver that could not go on."""
        key = delivery.key
        lane = self._lanes.get(key)
        if lane is None and type(delivery.says) is TellSignal:
            lane = self._signals.get(key)
        if lane is not None:
            lane.queue.append(delivery)
        elif not self._forward(delivery):
            self._lanes[key] = _Lane(delivery, 0, self._bounds.backoff_ms)
            self._bell.ring()

    def _forward(self, delivery: Delivery) -> bool:
        """Bring it to its receiver's turn or host; False where that is not possible now."""
        name = self._ownership.shard_name(delivery.key)
        if self._ownership.find(name) is None:
            owner = self._ownership.owner_elsewhere(name)
            return owner is not None and self._peers.send(owner, delivery)
        says = delivery.says
        if isinstance(says, StartChild) and delivery.creates:
            if NAME.fullmatch(delivery.key.execution_id) is None:
                self._told(delivery, bad_name("the id of a started execution", delivery.key))
                return True
            if delivery.hosted is None:
                delivery.hosted = self._plans.find(
                    delivery.key.namespace, says.definition, says.version
                )
            if delivery.hosted is None or not self._room():
                return False
            fault = fault_of_input(says.input, delivery.hosted)
            if fault is not None:
                self._told(delivery, fault)
                return True
        self._arrive(delivery)
        return True

    def _told(self, delivery: Delivery, refusal: Refusal | None) -> None:
        """What became of a delivery; a refused one is answered, dropped or tried again."""
        box = self._box_of(delivery)
        if box is None:
            return
        if refusal is not None and self._is_tried_again(delivery, refusal):
            self._wait(delivery, refusal)
            return
        self._leave_lane(delivery)
        says = delivery.says
        if refusal is None or says is None:
            del box.pending[delivery.row]
            if box.behind:
                self._bell.ring()
            return
        if isinstance(says, StartChild) and says.parent is not None:
            instead = self._answer_to_parent(delivery, says, refusal)
        else:
            self.dropped += 1
            _log.warning(
                "message %s from execution %s to %s (%s) is dropped: %s",
                delivery.id,
                delivery.sender,
                delivery.key,
                type(says).__name__,
                refusal.message,
            )
            instead = _void(delivery)
        box.pending[delivery.row] = instead
        self._offer(instead)

    def _box_of(self, delivery: Delivery) -> _Box | None:
        shard = self._ownership.find(self._ownership.shard_name(delivery.sender))
        box = None if shard is None else self._boxes.get(shard)
        if box is None or box.pending.get(delivery.row) is not delivery:
            return None  # of an earlier claim on the shard
        return box

    def _is_tried_again(self, delivery: Delivery, refusal: Refusal) -> bool:
        if refusal.code not in _LATER:
            return False
        if refusal.code != "OVERLOADED" or type(delivery.says) is not TellSignal:
            return True
        return self._clock.now_ms() - delivery.sent_at_ms < self._bounds.signal_keep_ms

    def _answer_to_parent(self, delivery: Delivery, says: StartChild, refusal: Refusal) -> Delivery:
        """The end of a child that never began. It settles the row of the start that was refused,
        which is what makes it survive a crash: until it is taken, the start is tried again."""
        parent = says.parent
        assert parent is not None, "somebody waits for it"
        kind = _FAILURES.get(refusal.code, "StartRefused")
        ended = TellChildEnded(
            at=parent.at,
            status="Failed",
            failure=Failure(type=kind, message=refusal.message, mro=(kind,)),
        )
        return Delivery(
            id=f"{delivery.id}.refused",
            row=delivery.row,
            key=ExecutionKey(delivery.key.namespace, parent.execution_id),
            sender=delivery.sender,
            says=ended,
            sent_at_ms=delivery.sent_at_ms,
            told=self._told,
        )

    # lanes

    def _wait(self, delivery: Delivery, refusal: Refusal) -> None:
        """Refused for now: the first of a lane waits longer, another one opens or joins a lane."""
        is_signal = type(delivery.says) is TellSignal and refusal.code == "OVERLOADED"
        lanes = self._signals if is_signal else self._lanes
        lane = lanes.get(delivery.key)
        now_ms, bounds = self._clock.steady_ms(), self._bounds
        if lane is None:
            lane = lanes[delivery.key] = _Lane(
                delivery, now_ms + bounds.backoff_ms, bounds.backoff_ms
            )
        elif lane.queue[0] is delivery:
            lane.trying = False
            lane.pause_ms = min(2 * lane.pause_ms, bounds.message_pause_ms)
            lane.due_ms = now_ms + lane.pause_ms
        else:
            lane.queue.append(delivery)
        self._bell.ring()

    def _leave_lane(self, delivery: Delivery) -> None:
        """The first of a lane went through: those behind it follow."""
        key = delivery.key
        for lanes in (self._lanes, self._signals):
            lane = lanes.get(key)
            if lane is not None and lane.queue[0] is delivery:
                del lanes[key]
                lane.queue.popleft()
                for each in lane.queue:
                    self._offer(each)

    # the task

    async def run(self) -> None:
        """Load what cannot go on without it, try again what was refused, read what did not fit."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while True:
            await self._bell.wait(self._pause_ms())
            try:
                for box in list(self._boxes.values()):
                    await self._catch_up(box)
                for lanes in (self._lanes, self._signals):
                    for key, lane in list(lanes.items()):
                        if lanes.get(key) is lane:
                            await self._try(lanes, key, lane)
            except JournalError as error:
                _log.warning("messages wait for the journal: %s", error)
                self._bell.ring()
                await backoff.wait()
            else:
                backoff.reset()

    def _pause_ms(self) -> float | None:
        now_ms = self._clock.steady_ms()
        due = [
            lane.due_ms - now_ms
            for lanes in (self._lanes, self._signals)
            for lane in lanes.values()
            if not lane.trying
        ]
        if not due:
            behind = any(box.behind for box in self._boxes.values())
            return self._bounds.backoff_max_ms if behind else None
        return max(1, min(due))

    async def _try(self, lanes: dict[ExecutionKey, _Lane], key: ExecutionKey, lane: _Lane) -> None:
        now_ms = self._clock.steady_ms()
        if lane.trying or lane.due_ms > now_ms:
            return
        lane.trying = True
        first = lane.queue[0]
        try:
            if not await self._load_plan(first) or lanes.get(key) is not lane:
                return
            if self._forward(first):
                return  # its outcome decides whether the others follow
            lane.pause_ms = min(2 * lane.pause_ms, self._bounds.backoff_max_ms)
            lane.due_ms = now_ms + lane.pause_ms
            lane.trying = False
        except BaseException:
            lane.trying = False
            raise

    async def _load_plan(self, delivery: Delivery) -> bool:
        """Have the definition of a start in memory; False when there is none: it is answered."""
        says = delivery.says
        if not isinstance(says, StartChild) or not delivery.creates or delivery.hosted is not None:
            return True
        if self._ownership.find(self._ownership.shard_name(delivery.key)) is None:
            return True  # its host has it loaded
        try:
            delivery.hosted = await self._plans.get(
                delivery.key.namespace, says.definition, says.version
            )
        except JournalError:
            raise
        except HeliostatError as error:
            self._told(delivery, refusal_of(error))
            return False
        return True

    async def _catch_up(self, box: _Box) -> None:
        """Read on where more messages were sent than are kept in memory."""
        bound = self._bounds.outbox_messages
        while box.behind and len(box.pending) <= bound // 2:
            box.missed = False
            limit = min(bound - len(box.pending), 1_000)
            page = await self._journal.outgoing(box.shard.name, after=box.last, limit=limit)
            if self._boxes.get(box.shard) is not box:
                return
            if len(page) < limit:
                box.behind = box.missed
            self._take_page(box, page)


def _void(delivery: Delivery) -> Delivery:
    """Deletes a message's row with a commit of its sender, whose shard this host has."""
    return Delivery(
        id=delivery.id,
        row=delivery.row,
        key=delivery.sender,
        sender=delivery.sender,
        says=None,
        sent_at_ms=delivery.sent_at_ms,
        told=delivery.told,
    )
