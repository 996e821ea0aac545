"""What an execution tells others: stored with the events it follows from, delivered until taken.

Ids are derived from the sender and the event, so that a decision made again after a crash sends the
same messages; a receiver that has journaled an id ignores its repetitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure, Parent
from heliostat.engine.status import TaskStatus
from heliostat.engine.values import Json, Value, decoder, encoder


class MessageBody(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What a message says."""


class StartChild(MessageBody, frozen=True, kw_only=True, tag="start"):
    """Start the execution that this message is for; of a `sub_workflow` step or a handler."""

    definition: str
    version: str | None = None
    input: Value = None
    parent: Parent | None = None  # None: nobody waits for it
    priority: int | None = None  # the sender's, where it is not the usual one


class TellChildEnded(MessageBody, frozen=True, kw_only=True, tag="child_ended"):
    """To the parent: the child's run has reached its end."""

    at: Address  # of the parent's step
    status: Literal["Completed", "Failed", "Canceled"]
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    failure: Failure | None = None


class TellSignal(MessageBody, frozen=True, kw_only=True, tag="signal"):
    """A signal from another execution."""

    name: str
    data: Value = None


class TellCancel(MessageBody, frozen=True, kw_only=True, tag="cancel"):
    """End: the parent withdrew its child, or a handler says so."""

    reason: str | None = None


class TellPause(MessageBody, frozen=True, kw_only=True, tag="pause"):
    """Pause, as a handler says."""


class TellResume(MessageBody, frozen=True, kw_only=True, tag="resume"):
    """Resume, as a handler says."""


AnyMessage: TypeAlias = (
    StartChild | TellChildEnded | TellSignal | TellCancel | TellPause | TellResume
)


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message and its receiver, an execution of the sender's namespace."""

    id: str
    receiver: str  # the execution's id
    body: AnyMessage


class Published(Struct, frozen=True, kw_only=True):
    """An event for whoever waits for its type in the namespace."""

    id: str
    name: str
    data: Value = None


class TaskView(Struct, frozen=True, kw_only=True):
    """A human task as it is now; a turn says so of each task that it changed."""

    at: Address
    step: str
    name: str | None = None
    point: str | None = None  # the intervention point's id
    status: TaskStatus
    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    claimed_by: str | None = None
    created_at_ms: int
    ended_at_ms: int | None = None
    deadline_at_ms: int | None = None
    level: int = 0  # escalations so far
    input: Value = None  # what the person is shown
    form: Mapping[str, Json] | None = None
    failure: Failure | None = None  # of a task that decides about a failed step
    progress: int | None = None  # of 100, as who works at it said
    details: Value = None
    output: Value = None  # what the step completed with
    error: Failure | None = None  # what the task failed with


_encode: Final = encoder().encode
_decoder: Final = decoder(AnyMessage)


def encode_message(body: AnyMessage) -> bytes:
    """A message as the journal keeps it."""
    return _encode(body)


def decode_message(body: bytes) -> AnyMessage:
    """Raises `msgspec.ValidationError` for bytes that are no message of a known release."""
    message: AnyMessage = _decoder.decode(body)
    return message
