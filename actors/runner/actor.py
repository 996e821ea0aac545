"""A runner as a Ray actor: a shell around `RunnerProcess`. A plain class; `factory.py` applies Ray.

Ray starts and ends the process. For a host of the same node it does nothing more: attempts come
over the socket, and no call of the actor is needed for one to be made. Hosts of other nodes send
the same bytes by `push` and read the answers from the stream of `frames`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from .called import CalledHosts
from .process import RunnerProcess
from .settings import RunnerSettings


class RunnerActor:
    """Runs user code in a thread of this actor's process until told to leave."""

    def __init__(self, settings: RunnerSettings) -> None:
        # Opens nothing here: what fails in the thread ends the process, and the pool makes another.
        self._settings = settings
        process = RunnerProcess(settings)
        self._hosts = CalledHosts(process.runner, settings, process.present)
        process.run_in_background()

    def describe(self) -> tuple[str, int, str]:
        """Name, pid and socket."""
        return self._settings.name, os.getpid(), self._settings.socket

    def push(self, id: str, number: int, piece: bytes) -> bool:
        """Bytes of a host's connection, in the order of their numbers; False when that is over."""
        return self._hosts.push(id, number, piece)

    def frames(self, id: str) -> Iterator[bytes]:
        """The bytes for a host's connection, until it ends."""
        yield from self._hosts.frames(id)

    def part(self, id: str) -> None:
        """The host lets go of its connection."""
        self._hosts.close(id)
