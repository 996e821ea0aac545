"""The page as people get it: the whole application, served on a port, over a real deployment.

The server can be stopped and started again on its port, and so can the deployment below it: the
page that is open meanwhile has to find its way back.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import uvicorn

import heliostat as hs
from heliostat.api.http.app import create_app
from heliostat.api.http.door import Way, way_of
from heliostat.engine.errors import Unreachable

_T = TypeVar("_T")

BOUND_S: Final = 60.0
"""No wait of a test takes longer, on a busy machine either."""

STAGE: Final = Path(__file__).parent / "stage"
EXAMPLES: Final = Path(__file__).parents[2] / "examples"


class Server:
    """An application on a port of its own, which it keeps when it is started again."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Start the application, a new one with nothing in its memory."""
        config = uvicorn.Config(
            self._make(),
            host="127.0.0.1",
            port=self.port,
            log_level="critical",
            ws="websockets-sansio",
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, name="server", daemon=True)
        self._thread.start()
        until(lambda: server.started, "the server is up")

    def vanish(self) -> None:
        """End the application at once, connections and all."""
        server, thread = self._server, self._thread
        if server is not None and thread is not None:
            server.force_exit = server.should_exit = True
            thread.join(BOUND_S)
        self._server = self._thread = None


class Site(Server):
    """A deployment, and the application in front of it."""

    def __init__(self, deployment: Deployment, namespace: str) -> None:
        super().__init__(lambda: create_app(lambda: self.port_of_client, code_path=[STAGE]))
        self._deployment, self.namespace = deployment, namespace
        self._client: hs.Client | None = None
        self._port: Way | None = None

    @property
    def client(self) -> hs.Client:
        if self._client is None:
            raise Unreachable("the deployment is down")
        return self._client

    @property
    def port_of_client(self) -> Way:
        """One object for as long as the deployment is up: feeds hang on it."""
        if self._port is None:
            raise Unreachable("the deployment is down")
        return self._port

    def up(self) -> None:
        """Start the deployment, or start it again with what it had."""
        self._client = self._deployment.up(self.namespace)
        self._port = way_of(self._client)

    def down(self) -> None:
        self._client = self._port = None
        self._deployment.down()


class Deployment(Protocol):
    """What can be started, ended, and started again."""

    def up(self, namespace: str) -> hs.Client: ...

    def down(self) -> None: ...


def until(holds: Callable[[], _T], what: str, bound_s: float = BOUND_S) -> _T:
    """Wait until something holds, and return it."""
    end = time.monotonic() + bound_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {bound_s} s: {what}")
        time.sleep(0.05)


def claim(amount: float = 820, documents: Any = ("letter-1", "photo-1"), **more: Any) -> Any:
    """An input of `stage/claims.yaml`; `pace` makes its steps take time."""
    return {"claim": "C-7", "amount": amount, "documents": list(documents), **more}
