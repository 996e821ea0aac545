"""The events of one execution, as the live socket tells them."""

from __future__ import annotations

import threading
from typing import Any, Final

from heliostat.actors.client.handle import Handle
from heliostat.engine.errors import HeliostatError

_END_S: Final = 30.0
"""How long after the end of an execution its last event may take to arrive."""


class EventStream:
    """Reads the socket in a thread of its own, until the execution has ended."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.events: list[dict[str, Any]] = []
        self.fault: HeliostatError | None = None
        self._thread = threading.Thread(target=self._read, name="demo-events", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for told in self._handle.follow():
                if isinstance(told, dict):  # the first is how the execution is
                    self.events.append(told)
        except HeliostatError as fault:
            self.fault = fault

    def all(self) -> list[dict[str, Any]]:
        """Every event, once the execution has ended."""
        self._thread.join(_END_S)
        return list(self.events)
