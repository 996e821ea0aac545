"""The proxy that Ray Serve starts, as our stand-in lets it be: a real haproxy, without Ray."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from heliostat.api.serve.haproxy import narrowed_text
from heliostat.api.serve.ports import free_port
from heliostat.cluster.processes import identify, is_alive
from heliostat.engine.errors import ConfigurationError, Conflict
from tests.serve.conftest import listening

BOUND_S = 60.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"{what} did not come within {BOUND_S:g} s"
        time.sleep(0.02)


ASKED: Counter[str] = Counter()
"""How often each path came to a replica."""
COUNTING = threading.Lock()


class Replica(BaseHTTPRequestHandler):
    """What is behind the proxy."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def _answer(self) -> None:
        with COUNTING:
            ASKED[self.path] += 1
        if self.path.startswith("/cut"):  # lost while it answers
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body = b"from the replica"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Proxied:
    """A proxy, before a replica that may be taken away."""

    port: int
    pid: int
    folder: Path
    manager: subprocess.Popen[str]
    replica: ThreadingHTTPServer

    def get(self, path: str, body: str | None = None) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, body)
            response = connection.getresponse()
            return (
                response.status,
                response.read().decode(),
                {name.lower(): value for name, value in response.getheaders()},
            )
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.get("/")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def proxied(data_dir: Path) -> Iterator[Proxied]:
    replica = ThreadingHTTPServer(("127.0.0.1", 0), Replica)
    threading.Thread(target=replica.serve_forever, args=(0.01,), daemon=True).start()
    port = free_port("127.0.0.1", 0)
    data_dir.mkdir(exist_ok=True)
    order = {"data_dir": str(data_dir), "port": port, "replica": replica.server_port}
    manager = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("proxied.py"), json.dumps(order)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert manager.stdout is not None
        started = json.loads(manager.stdout.readline())
        found = Proxied(port, started["pid"], Path(started["folder"]), manager, replica)
        wait_until(found.answers, "an answer through the proxy")
        yield found
    finally:
        manager.kill()
        manager.wait()
        assert manager.stdout is not None
        manager.stdout.close()
        replica.shutdown()
        replica.server_close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxied(tmp_path_factory.mktemp("proxy")) as found:
        yield found


def test_nothing_of_it_listens_beyond_the_loopback_interface(proxy: Proxied) -> None:
    assert listening(proxy.pid) == {"0100007F"}


def test_only_its_own_user_may_speak_to_its_sockets(proxy: Proxied) -> None:
    sockets = [each for each in proxy.folder.iterdir() if each.is_socket()]
    assert {each.name for each in sockets} >= {"admin.sock", "m.sock", "s.sock"}
    assert {each.stat().st_mode & 0o777 for each in sockets} == {0o600}
    assert proxy.folder.stat().st_mode & 0o777 == 0o700


def test_an_answer_that_was_cut_off_is_told_in_the_shape_of_every_error(proxy: Proxied) -> None:
    status, body, headers = proxy.get("/cut")
    assert (status, headers["retry-after"]) == (503, "1")
    told = json.loads(body)
    assert (told["code"], told["details"]) == ("UNREACHABLE", {})
    assert "workflow_id" in told["message"]


def test_a_read_that_was_cut_off_is_made_again_and_nothing_else_is(proxy: Proxied) -> None:
    assert proxy.get("/cut/read")[0] == 503
    assert ASKED["/cut/read"] > 1
    with suppress(http.client.RemoteDisconnected):  # what haproxy does on a connection used before
        assert proxy.get("/cut/start", body="{}")[0] == 503
    assert ASKED["/cut/start"] == 1


def test_two_on_one_machine_do_not_collide(proxy: Proxied, tmp_path: Path) -> None:
    with proxied(tmp_path / "data") as other:
        assert other.folder != proxy.folder
        assert other.get("/")[1] == proxy.get("/")[1] == "from the replica"


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    with proxied(tmp_path / "data") as found:
        process = identify(found.pid)
        assert process is not None
        os.kill(found.manager.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(process), "its end")
        assert free_port("127.0.0.1", found.port) == found.port


def test_it_asks_for_no_more_connections_than_there_may_be_files() -> None:
    text = "global\n    maxconn 4096\n"
    folder = Path("/nowhere")

    def connections(files: int) -> int:
        narrowed = narrowed_text(text, folder=folder, error_file=folder / "e", files=files)
        return int(narrowed.split()[-1])

    assert connections(20_000) == 7_920
    assert connections(1_000_000) == connections(-1) == 20_000
    assert connections(256) == 50


class TestFreePort:
    """Whether the door can be where it is to be is known before anything starts."""

    def test_a_port_that_is_taken_is_a_conflict_with_its_cure(self, proxy: Proxied) -> None:
        with pytest.raises(Conflict, match=rf"127\.0\.0\.1:{proxy.port}; name another.*--no-http"):
            free_port("127.0.0.1", proxy.port)

    def test_zero_is_a_free_one(self) -> None:
        assert free_port("127.0.0.1", 0) > 1_023

    def test_an_address_of_another_machine_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"http_host = '192\.0\.2\.1'"):
            free_port("192.0.2.1", 0)
