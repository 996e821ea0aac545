"""What readers are told, each thing written once whatever the number of readers.

A `Frame` is a text with what both doors need to know of it: the socket sends the text, Server-Sent
Events send the text with its `seq` and `type` beside it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from .progress import Told

Kind: TypeAlias = Literal["state", "event", "notice", "end", "pong", "error", "silence"]

_encode: Final = msgspec.json.Encoder().encode


class Frame(NamedTuple):
    """One message to a reader."""

    kind: Kind
    seq: int | None
    """Of an event, so that a reader can go on after it; of other frames None."""
    text: str

    @property
    def size(self) -> int:
        """About as many bytes."""
        return len(self.text)


def state_frame(seq: int, state: dict[str, Any]) -> Frame:
    """How the execution is."""
    return _frame("state", None, {"type": "state", "seq": seq, "state": state})


def event_frame(told: Told) -> Frame:
    """An event, and the steps that it changed."""
    said = {
        "type": "event",
        "seq": told.seq,
        "event": told.event,
        "status": told.status,
        "changes": told.changes,
    }
    return _frame("event", told.seq, said)


def end_frame(seq: int, status: str) -> Frame:
    """The run has ended; a retry may begin another."""
    return _frame("end", None, {"type": "end", "seq": seq, "status": status})


def notice_frame(notice: dict[str, Any]) -> Frame:
    """Something that is recorded nowhere."""
    return _frame("notice", None, {"type": "notice", "notice": notice})


def error_frame(error: str, details: str) -> Frame:
    """What a reader sent cannot be followed."""
    return _frame("error", None, {"type": "error", "error": error, "details": details})


PONG: Final = Frame("pong", None, '{"type":"pong"}')


def _frame(kind: Kind, seq: int | None, said: dict[str, Any]) -> Frame:
    return Frame(kind, seq, _encode(said).decode())


class Ring:
    """The frames of the latest events, in order and without a gap."""

    def __init__(self, *, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[Frame] = deque()
        self._frames_max, self._bytes_max = frames_max, bytes_max
        self._bytes = 0
        self._next_seq = 1  # of the frame to come

    def clear(self, next_seq: int) -> None:
        """Hold nothing; the next frame will have this `seq`."""
        self._frames.clear()
        self._bytes = 0
        self._next_seq = next_seq

    def add(self, frame: Frame) -> None:
        """Hold the next one, and let go of the oldest beyond the bounds."""
        assert frame.seq == self._next_seq, (frame.seq, self._next_seq)
        self._next_seq += 1
        self._frames.append(frame)
        self._bytes += frame.size
        while len(self._frames) > self._frames_max or self._bytes > self._bytes_max:
            self._bytes -= self._frames.popleft().size

    def after(self, seq: int) -> list[Frame] | None:
        """All frames after this `seq`; None where some of them are not held any more."""
        missing = self._next_seq - 1 - seq
        if missing > len(self._frames):
            return None
        if missing <= 0:
            return []
        return list(self._frames)[-missing:]
