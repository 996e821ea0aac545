"""The deployment of calls that name none: that of the default data directory.

One client for the process, connected with the first call; it ends with the process, and so does a
deployment that it started.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client


class _Local:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self) -> Client:
        with self._lock:
            if self._client is None or self._client.closed:
                from heliostat.api.client.connecting import connect

                self._client = connect()
            return self._client


_LOCAL: Final = _Local()


def local_client() -> Client:
    """The process's own client.

    Raises:
        ConfigurationError: what is configured cannot be used.
        Unreachable: Ray or the hosts did not come up in time.
    """
    return _LOCAL.client()
