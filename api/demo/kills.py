"""The kills of the demonstration: a runner with a step in it, and the host that carries all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from heliostat.actors.client.client import Client

from .ledger import Entry, read_ledger

_RUNNER_AT: Final = 3
_HOST_AT: Final = 8
"""How many steps must have settled before each is killed: both come amid the months."""


class Kills:
    """Kills each of the two once, when it hurts."""

    def __init__(self, client: Client, ledger: Path, tell: Callable[[str], None]) -> None:
        self._client = client
        self._ledger = ledger
        self._tell = tell
        self.done: set[str] = set()

    def consider(self, events: Sequence[dict[str, Any]]) -> None:
        """Kill what is due after these events."""
        settled = sum(map(settles_a_step, events))
        if "runner" not in self.done:
            running = _running(read_ledger(self._ledger), events)
            if settled >= _RUNNER_AT and running is not None and _kill(running.pid):
                self.done.add("runner")
                self._tell(f"  [red]kill -9[/red] runner {running.pid}, in step {running.step}")
        elif "host" not in self.done and settled >= _HOST_AT:
            for host in self._client.info()["hosts"]:
                if _kill(host["pid"]):
                    self.done.add("host")
                    self._tell(f"  [red]kill -9[/red] host {host['pid']}")


def settles_a_step(event: dict[str, Any]) -> bool:
    """Whether a step, or an item of one, is over with it."""
    return event["type"] in ("step.completed", "step.skipped") and not event.get("collected")


def _running(entries: Sequence[Entry], events: Sequence[dict[str, Any]]) -> Entry | None:
    """The latest attempt that began and has not settled."""
    settled = {
        (event["at"]["step"], event["at"]["scope"])
        for event in events
        if event["type"] == "step.completed"
    }
    for entry in reversed(entries):
        _, scope, step, _ = entry.key.rsplit(":", 3)
        if (step, int(scope)) not in settled:
            return entry
    return None


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
