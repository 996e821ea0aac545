"""Bytes of events and snapshots. MessagePack with field names: a reader of another release skips
the fields that it does not know and gives defaults to those that it misses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.events import (
    ExecutionEvent,
    ExecutionMigrated,
    ExecutionStarted,
)
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import decoder, encoder

SNAPSHOT_FORMAT: Final = 1
"""Raised with every change that an older reader would misread; such a snapshot is ignored, since
the events can always be folded again."""

_encode: Final = encoder().encode
_event_decoder: Final = decoder(ExecutionEvent, sealed=True)
_snapshot_decoder: Final = decoder(ExecutionState, sealed=True)


def encode_event(event: ExecutionEvent) -> bytes:
    """An event as the journal keeps it."""
    return _encode(event)


class EventWriter:
    """Encodes events and notes which blobs they name; for one thread."""

    def __init__(self) -> None:
        self._named: dict[str, None] = {}
        self._encode = encoder(named=lambda blob: self._named.setdefault(blob)).encode

    def encode(self, event: ExecutionEvent) -> bytes:
        """As `encode_event`."""
        return self._encode(event)

    def take_named(self) -> tuple[str, ...]:
        """The blobs that were named since this was last asked."""
        if not self._named:
            return ()
        named = tuple(self._named)
        self._named.clear()
        return named


def decode_event(body: bytes) -> ExecutionEvent:
    """Raises `msgspec.ValidationError` for bytes that are no event of a known release."""
    event: ExecutionEvent = _event_decoder.decode(body)
    return event


def encode_snapshot(state: ExecutionState) -> bytes:
    """A whole state, with the format's number in front."""
    return bytes((SNAPSHOT_FORMAT,)) + _encode(state)


def decode_snapshot(body: bytes) -> ExecutionState | None:
    """A state, or None where another release wrote it in a format not known here."""
    if not body or body[0] != SNAPSHOT_FORMAT:
        return None
    state: ExecutionState = _snapshot_decoder.decode(memoryview(body)[1:])
    return state


class OtherVersion(Exception):
    """The next event moves the execution to a version whose plan is needed to go on from there;
    all before it is folded."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


def check_version(plan: Plan, event: ExecutionEvent) -> None:
    """Raises `OtherVersion` where an event cannot be booked with this plan."""
    if type(event) is ExecutionMigrated and event.version != plan.version:
        raise OtherVersion(event.version)


def first_version(events: Sequence[bytes], state: ExecutionState | None = None) -> str:
    """The version that stored events begin with, after a state or from nothing."""
    if state is not None and state.seq:
        return state.version
    started = decode_event(events[0])
    assert isinstance(started, ExecutionStarted), "a history begins with its start"
    return started.version


def fold(
    plan: Plan, events: Iterable[bytes], state: ExecutionState | None = None
) -> ExecutionState:
    """The state after stored events, from a snapshot's or from nothing.

    Args:
        plan: of the version that the events begin with.

    Raises:
        OtherVersion: the execution was moved; `state` is as it was before that.
    """
    folded = state if state is not None else ExecutionState()
    for body in events:
        event = decode_event(body)
        check_version(plan, event)
        apply(plan, folded, event)
    # What these say has been done, or `outstanding` says it again.
    folded.begun.clear()
    folded.task_changes.clear()
    return folded


def event_to_builtins(event: ExecutionEvent) -> dict[str, Any]:
    """An event as plain JSON values, for people and the wire; leaves of values stay as they are."""
    fields: dict[str, Any] = msgspec.structs.asdict(event)
    fields["type"] = type(event).__struct_config__.tag
    return fields
