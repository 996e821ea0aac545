"""What a host and this runner say to each other, over whatever carries their bytes.

Hosts come and go; the attempts are `runner.py`'s. A socket (`service.py`) and Ray calls
(`called.py`) are the two ways.
"""

from __future__ import annotations

import os
import threading
import time

from heliostat.actors.dispatch.frames import (
    PROTOCOL,
    Acknowledge,
    Codes,
    Disowned,
    FrameError,
    FrameReader,
    Hello,
    Leave,
    Refused,
    Stop,
    Welcome,
    Withdraw,
    Withdrawn,
    Work,
    decode_to_runner,
    frame,
)

from .runner import BATCH_RESULTS_MAX, Runner, results_frame
from .settings import RunnerSettings


class Presence:
    """How many hosts have greeted and are here, and since when none is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._greeted = 0
        self._alone_since = time.monotonic()

    def count(self, by: int) -> None:
        """A host greeted, or one that had greeted is gone."""
        with self._lock:
            self._greeted += by
            self._alone_since = time.monotonic()

    @property
    def alone_s(self) -> float:
        """For how long nobody has been here."""
        with self._lock:
            return 0.0 if self._greeted else time.monotonic() - self._alone_since


class Connection:
    """One host's connection. One thread at a time feeds it, any thread may send."""

    def __init__(self, runner: Runner, settings: RunnerSettings, present: Presence) -> None:
        self._runner, self._settings, self._present = runner, settings, present
        self._reader = FrameReader()
        self._writing = threading.Lock()
        self._incarnation = ""
        self._broken = self._greeted = False

    def receive(self, piece: bytes) -> None:
        """Take what the host sent.

        Raises:
            FrameError: it is nonsense, or a stranger: the connection is to be closed.
        """
        for body in self._reader.feed(piece):
            self._handle(body)

    def gone(self) -> None:
        """The host is not there any more."""
        if self._runner.forget(self):
            self._present.count(-1)

    def _handle(self, body: memoryview) -> None:
        runner = self._runner
        match decode_to_runner(body):
            case Work(items=items):
                disowned = runner.add(items, self._incarnation)
                if disowned:
                    self.send(frame(Disowned(disowned)))
            case Acknowledge(attempts=attempts):
                runner.acknowledge(attempts)
            case Codes(codes=codes):
                runner.learn(codes)
            case Withdraw():
                given_back = runner.withdraw()
                runner.flush()
                self.send(frame(Withdrawn(given_back)))
            case Stop(attempts=attempts):
                given_back = runner.stop(attempts)
                runner.flush()
                if given_back:
                    self.send(frame(Withdrawn(given_back)))
            case Hello() as hello:
                self._greet(hello)
            case Leave():
                runner.leave()

    def _greet(self, hello: Hello) -> None:
        settings = self._settings
        if (hello.protocol, hello.deployment) != (PROTOCOL, settings.deployment):
            self.send(
                frame(
                    Refused(
                        f"runner {settings.name} belongs to deployment {settings.deployment!r} and "
                        f"speaks protocol {PROTOCOL}, not {hello.deployment!r} and {hello.protocol}"
                    )
                )
            )
            raise FrameError(f"refused a host of deployment {hello.deployment!r}")
        with self._writing:  # what the executor has to say waits until the welcome is out
            self._incarnation = hello.incarnation
            greeted = self._runner.greet(self, hello)
            if not self._greeted:
                self._greeted = True
                self._present.count(+1)
            welcome = Welcome(
                settings.name,
                os.getpid(),
                settings.node,
                settings.cpus,
                tuple(key for key, _ in greeted.held),
                greeted.running,
                greeted.fed,
                greeted.leaving,
            )
            self._write(frame(welcome))
            reports = [ended for _, ended in greeted.held]
            for first in range(0, len(reports), BATCH_RESULTS_MAX):
                self._write(results_frame(reports[first : first + BATCH_RESULTS_MAX]))

    def send(self, data: bytes) -> None:
        """Write, in bounded time; a connection that fails is closed and its reports are kept."""
        with self._writing:
            self._write(data)

    def send_lossy(self, data: bytes) -> None:
        """Write, unless that would mean to wait."""
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError
