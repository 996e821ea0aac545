"""A server for service calls: it refuses, and it lets wait until a gate is open.

Every request is noted as an effect is, with the idempotency key it came with, in the ledger that a
header names.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from tests.cluster.conftest import BOUND_S


class Service:
    """Listens on the loopback interface, in a `with` block."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """By idempotency key: how many requests came with it."""
        self._noting = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                """Refuses the first request with each key."""
                self._read()
                self._answer(503 if service.asked[self._key] == 1 else 200, {})

            def do_POST(self) -> None:
                """Answers when the gate that the query names is open."""
                given = self._read()
                gate = Path(parse_qs(urlsplit(self.path).query)["gate"][0])
                end_at = time.monotonic() + BOUND_S
                while not gate.exists() and time.monotonic() < end_at:
                    time.sleep(0.01)
                self._answer(201, {"n": given["n"] + 1})

            @property
            def _key(self) -> str:
                return self.headers["Idempotency-Key"]

            def _read(self) -> dict[str, int]:
                service.note(self._key, self.headers["X-Ledger"])
                given: dict[str, int] = json.loads(
                    self.rfile.read(int(self.headers["Content-Length"]))
                )
                return given

            def _answer(self, status: int, body: dict[str, int]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def note(self, key: str, ledger: str) -> None:
        """As a step would: the n-th request with a key is taken for the n-th attempt."""
        with self._noting, Path(ledger).open("a") as file:
            self.asked[key] += 1
            file.write(f"{key} {self.asked[key]}\n")

    def __enter__(self) -> Service:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
