"""Messages between executions, as they lie in the journal and as they reach a turn.

An execution's messages are stored in the commit of the events that they follow from, and stay in
the sender's shard until the receiver's commit deletes them. So a message is delivered at least
once, whatever is killed; the receiver remembers ids and takes it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import Struct

from heliostat.actors.host.api import Refusal
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.plans import HostedPlan
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Message
from heliostat.engine.kernel.messages import (
    AnyMessage,
    Outgoing,
    StartChild,
    TellCancel,
    TellChildEnded,
    TellPause,
    TellResume,
    TellSignal,
)
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    ChildEnded,
    Pause,
    Resume,
    Signal,
    Start,
)
from heliostat.engine.values import Value, decoder, encoder


class Posted(Struct, frozen=True, array_like=True):
    """The body of a message's row."""

    sender: str  # the execution's id; its namespace is the receiver's
    says: AnyMessage


_encode: Final = encoder().encode
_decode_posted: Final = decoder(Posted).decode
_decode_data: Final = decoder().decode

_CORRELATED: Final = b"\xc1"
"""Before the data of an event that says what it belongs to: no MessagePack begins so."""


def encode_data(data: Value, correlation_id: str | None = None) -> bytes:
    """What an event carries, as the bus keeps it; with what it belongs to, where that is said."""
    if correlation_id is None:
        return _encode(data)
    return _CORRELATED + _encode([correlation_id, data])


def decode_data(body: bytes) -> tuple[Value, str | None]:
    """What `encode_data` was given."""
    if not body.startswith(_CORRELATED):
        return _decode_data(body), None
    correlation_id, data = _decode_data(memoryview(body)[1:])
    return data, correlation_id


def to_message(
    outgoing: Outgoing, sender: ExecutionKey, shard: OwnedShard, now_ms: int
) -> tuple[Message, Posted]:
    """A message's row, and what its body says.

    The journal hands messages back in order of their instants, so each of a shard has one of its
    own: what an execution says to another arrives in the order in which it was said.
    """
    shard.sent_at_ms = sent_at_ms = max(now_ms, shard.sent_at_ms + 1)
    posted = Posted(sender.execution_id, outgoing.body)
    message = Message(
        id=outgoing.id,
        sender_shard=shard.name,
        receiver=ExecutionKey(sender.namespace, outgoing.receiver),
        sent_at_ms=sent_at_ms,
        body=_encode(posted),
    )
    return message, posted


def read_posted(message: Message) -> Posted:
    """Raises `msgspec.ValidationError` for a body that no known release wrote."""
    posted: Posted = _decode_posted(message.body)
    return posted


class Delivery:
    """A message on its way to its receiver; a reason of a turn, of which it is told the outcome."""

    __slots__ = ("exists", "hosted", "id", "key", "row", "says", "sender", "sent_at_ms", "told")

    def __init__(
        self,
        *,
        id: str,
        row: str,
        key: ExecutionKey,
        sender: ExecutionKey,
        says: AnyMessage | None,
        sent_at_ms: int,
        told: Told,
    ) -> None:
        self.id = id
        """What the receiver remembers it by."""
        self.row = row
        """The id of the row that is deleted when it is taken. An answer that stands for a refused
        message settles that one's row."""
        self.key = key
        self.sender = sender
        self.says = says
        """None: nothing; the row alone is to be deleted, by a commit of the execution `key`."""
        self.sent_at_ms = sent_at_ms
        self.told = told
        self.hosted: HostedPlan | None = None  # of a start: what is to run
        self.exists = False  # of a start: there is an execution with this id

    @property
    def creates(self) -> bool:
        """Whether it makes its receiver."""
        return type(self.says) is StartChild and not self.exists


Told: TypeAlias = Callable[[Delivery, Refusal | None], None]
"""What became of a delivery: taken and durable (None), or refused and still in its row."""


def stimulus_of(delivery: Delivery, now_ms: int) -> AnyStimulus:
    """How a message reaches the kernel."""
    says = delivery.says
    return _STIMULI[type(says)](delivery.id, delivery.key, says, now_ms)


def _start(id: str, key: ExecutionKey, says: StartChild, now_ms: int) -> Start:
    return Start(
        now_ms=now_ms,
        execution_id=key.execution_id,
        input=says.input,
        parent=says.parent,
        inherited=says.priority,
    )


def _child_ended(id: str, key: ExecutionKey, says: TellChildEnded, now_ms: int) -> ChildEnded:
    return ChildEnded(
        now_ms=now_ms,
        message_id=id,
        at=says.at,
        status=says.status,
        output=says.output,
        output_bytes=says.output_bytes,
        extracts=says.extracts,
        failure=says.failure,
    )


def _signal(id: str, key: ExecutionKey, says: TellSignal, now_ms: int) -> Signal:
    return Signal(now_ms=now_ms, message_id=id, name=says.name, data=says.data)


def _cancel(id: str, key: ExecutionKey, says: TellCancel, now_ms: int) -> Cancel:
    return Cancel(now_ms=now_ms, message_id=id, reason=says.reason)


def _pause(id: str, key: ExecutionKey, says: TellPause, now_ms: int) -> Pause:
    return Pause(now_ms=now_ms, message_id=id)


def _resume(id: str, key: ExecutionKey, says: TellResume, now_ms: int) -> Resume:
    return Resume(now_ms=now_ms, message_id=id)


_STIMULI: Final[dict[type, Callable[[str, ExecutionKey, Any, int], AnyStimulus]]] = {
    StartChild: _start,
    TellChildEnded: _child_ended,
    TellSignal: _signal,
    TellCancel: _cancel,
    TellPause: _pause,
    TellResume: _resume,
}
