"""How bytes get to an actor and back: what a client needs of it, whatever carries them.

Two ways exist: Ray's calls (`ray_calls.py`), which reach every actor, and, a tenth as long, a
socket of a host that is on this machine (`local_calls.py`).
"""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """What an actor says piece by piece; read by one reader, in a thread or on an event loop."""

    def piece(self, timeout_s: float) -> bytes | None:
        """What it says next; None when it said all, or its actor ended.

        Raises:
            TimeoutError: nothing so far; it can be asked again.
            Unreachable: the actor died.
        """
        ...

    async def piece_async(self, timeout_s: float) -> bytes | None:
        """`piece`, without blocking the event loop, and without a thread."""
        ...

    def drop(self) -> None:
        """Nothing more of it is wanted: the actor need not go on. Twice is harmless."""
        ...


class Calls(Protocol):
    """A way to actors, by their names. Safe to use from any thread."""

    def call(self, name: str, method: str, body: bytes | None, timeout_s: float) -> bytes:
        """What a method answers; `body` is its argument, None where it takes none.

        Raises:
            Unreachable: no answer in time, or no such actor; whether it was called is unknown.
        """
        ...

    def open(self, name: str, method: str, body: bytes) -> Stream:
        """Open a stream; nothing is heard yet.

        Raises:
            Unreachable: there is no such actor just now.
        """
        ...

    def forget(self, name: str) -> None:
        """Look the actor up anew: it may have been created again under its name."""
        ...

    def close(self) -> None:
        """Let go of what is kept open; calls that are on their way end by their own bounds."""
        ...
