"""The two ends of a way to a runner: what a lane needs of it, and what it tells the lane.

A transport carries bytes in order, both ways, and knows whether the runner's process lives. It
knows nothing of frames. Two exist: `unix.py` for runners of this node, `ray_calls.py` for others.
"""

from __future__ import annotations

from typing import Protocol


class Heard(Protocol):
    """What a transport tells; called on the event loop, and never waits."""

    def heard(self, piece: bytes) -> bool:
        """Bytes from the runner, cut anywhere; False when they make no sense, and nothing more of
        this connection is wanted."""
        ...

    def broken(self) -> None:
        """The connection is gone, the runner perhaps not. Told once for each `open`."""
        ...

    def exited(self) -> None:
        """The runner's process is gone. What it still sent was told before; nothing follows."""
        ...


class Transport(Protocol):
    """A way to one runner. Every method is called on the event loop and returns at once."""

    pid: int | None
    node_died: bool
    """Whether the process went with its whole node: no attempt is to blame."""

    @property
    def is_open(self) -> bool: ...

    @property
    def is_remote(self) -> bool:
        """Whether bytes take a Ray call's time, milliseconds, and not a socket's."""
        ...

    async def open(self, heard: Heard) -> None:
        """Connect, or connect again.

        Raises:
            OSError: nobody is there.
            FrameError: somebody else is.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send after what was written before; lost where the connection is, which is told."""
        ...

    def disconnect(self) -> None:
        """Let go of the connection; whether the process lives is still known."""
        ...

    def close(self) -> None:
        """Let go of everything; nothing is told from now on."""
        ...

    def learn(self, pid: int, node: str) -> None:
        """Where the runner's process is, as its greeting said."""
        ...

    def kill(self) -> None:
        """End the runner's process; `exited` follows when it is gone."""
        ...

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to be gone."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether the process is stopped by a signal or a debugger, as its kernel says."""
        ...
