"""A runner as a Ray actor: a shell around `RunnerProcess`. A plain class; `factory.py` applies Ray.

Ray starts and ends the process, nothing more: attempts come over the socket, and no call of the
actor is needed for one to be made.
"""

from __future__ import annotations

import os

from .process import RunnerProcess
from .settings import RunnerSettings


class RunnerActor:
    """Runs user code in a thread of this actor's process until told to leave."""

    def __init__(self, settings: RunnerSettings) -> None:
        # Opens nothing here: what fails in the thread ends the process, and the pool makes another.
        self._settings = settings
        RunnerProcess(settings).run_in_background()

    def describe(self) -> tuple[str, int, str]:
        """Name, pid and socket."""
        return self._settings.name, os.getpid(), self._settings.socket
