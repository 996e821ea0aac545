"""Bytes of events and snapshots. MessagePack with field names: a reader of another release skips
the fields that it does not know and gives defaults to those that it misses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.events import ExecutionEvent
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


def fold(
    plan: Plan, events: Iterable[bytes], state: ExecutionState | None = None
) -> ExecutionState:
    """The state after stored events, from a snapshot's or from nothing."""
    folded = state if state is not None else ExecutionState()
    for body in events:
        apply(plan, folded, decode_event(body))
    # What these say has been done, or `outstanding` says it again.
    folded.begun.clear()
    folded.task_changes.clear()
    return folded


def event_to_builtins(event: ExecutionEvent) -> dict[str, Any]:
    """An event as plain JSON values, for people and the wire; leaves of values stay as they are."""
    fields: dict[str, Any] = msgspec.structs.asdict(event)
    fields["type"] = type(event).__struct_config__.tag
    return fields
