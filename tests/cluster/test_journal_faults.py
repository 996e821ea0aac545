"""The journal of a real deployment cannot be written: full, read-only, failing, taken, no journal.

Nothing is lost and nothing is answered that was not stored; who asks is told what to do, and when
the cause is gone everything goes on by itself.

A disk that is full needs a file system of its own, hence root, and root may write what is
read-only. So SQLite itself is told to answer as it would then; a limit of the kernel on the size of
files makes real writes fail.
"""

from __future__ import annotations

import fcntl
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from heliostat.actors import remote
from heliostat.actors.client.client import Client
from heliostat.cluster.config import load_configuration
from heliostat.cluster.connect import attach, connect
from heliostat.cluster.deployment import settings_of
from heliostat.engine.errors import Conflict, Unreachable
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Place, Shared

pytestmark = pytest.mark.long

SHOUT = WORKFLOWS / "shout.yaml"
COUNT = 20
WORD = "w" * 40_000
"""Long enough for a few executions to need new pages of the journal."""


@contextmanager
def pragma(deployment: Shared, during: str, afterwards: str) -> Iterator[None]:
    """The connection that writes the journal, told otherwise for a while."""
    import ray

    host = remote.find_host(settings_of(deployment.configuration, deployment.record), 0)

    def tell(text: str) -> None:
        asked = host.__ray_call__.remote(lambda self: _execute(self, text))
        ray.get(asked, timeout=BOUND_S)

    def _execute(process: Any, text: str) -> None:
        process._works.journal._writing.execute(f"PRAGMA {text}").fetchall()

    tell(during)
    try:
        yield
    finally:
        tell(afterwards)


@contextmanager
def file_size_limit(client: Client, bytes_max: int) -> Iterator[None]:
    """The host's writes behind this size fail."""
    pid = client.info()["hosts"][0]["pid"]
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


class Starting(threading.Thread):
    """Starts executions meanwhile."""

    def __init__(self, client: Client, prefix: str) -> None:
        super().__init__()
        self.client, self.ids = client, [f"{prefix}-{n}" for n in range(COUNT)]
        self.start()

    def run(self) -> None:
        self.client.start_many("shout", [{"word": WORD}] * COUNT, ids=self.ids)


def trouble_of(client: Client) -> str:
    return client.info()["hosts"][0]["trouble"] or ""


def eventually(condition: Callable[[], object], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"did not happen: {what}"
        time.sleep(0.02)


def check_whole(client: Client, ids: list[str]) -> None:
    """Every start was made once, and came to its end."""
    for id in ids:
        handle = client.get(id)
        assert handle.result(BOUND_S)["said"] == WORD.upper()
        types = [event["type"] for event in handle.history()]
        assert types == ["execution.started", "step.completed", "execution.completed"]
    assert trouble_of(client) == ""


class TestWhileItRuns:
    def test_full(self, deployment: Shared, client: Client) -> None:
        client.register(SHOUT)
        before = client.info()["hosts"][0]["incarnation"]
        with pragma(deployment, "max_page_count = 1", f"max_page_count = {2**32 - 2}"):
            starting = Starting(client, "full")
            eventually(lambda: "its disk is full; free some space" in trouble_of(client), "trouble")
            ran = deployment.here("status", "--format", "json")
            assert "its disk is full" in ran.json["problem"], ran.out
            assert "full" in deployment.here("status").out
            assert starting.is_alive()  # nothing was acknowledged
        starting.join(BOUND_S)
        check_whole(client, starting.ids)
        assert client.info()["hosts"][0]["incarnation"] == before

    def test_read_only(self, deployment: Shared, client: Client) -> None:
        client.register(SHOUT)
        with pragma(deployment, "query_only = 1", "query_only = 0"):
            starting = Starting(client, "read-only")
            eventually(lambda: "cannot be written; let this user" in trouble_of(client), "trouble")
            patience = {"data_dir": deployment.home / "data", "call_timeout_ms": 1_000}
            impatient = load_configuration(patience, environment={}, directory=deployment.home)
            with attach(impatient) as other, pytest.raises(Unreachable):
                other.start("shout", {"word": WORD}, id="read-only-x")
        starting.join(BOUND_S)
        again = client.start("shout", {"word": WORD}, id="read-only-x")  # the same start
        check_whole(client, [*starting.ids, again.id])

    def test_its_disk_fails(self, deployment: Shared, client: Client) -> None:
        client.register(SHOUT)
        with file_size_limit(client, 4_096):
            starting = Starting(client, "failing")
            eventually(lambda: trouble_of(client), "trouble")
            eventually(lambda: "disk" in trouble_of(client), "the disk is named")
            assert starting.is_alive()
        starting.join(BOUND_S)
        check_whole(client, starting.ids)


class TestUp:
    """As a guest of the session's Ray: what is tried here is the journal."""

    @pytest.fixture
    def up(self, deployment: Shared, place: Place) -> list[str]:
        config = place.home / "heliostat.toml"
        config.write_text("up_timeout_ms = 60_000\n")
        return ["up", "--ray-address", deployment.ray_address, "--config", str(config)]

    def test_another_process_writes_it(self, place: Place, up: list[str]) -> None:
        data = place.home / "data"
        data.mkdir()
        with (data / "journal.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ran = place.cli(*up)
        assert (ran.code, ran.out) == (4, "")
        assert f"journal {data / 'journal'} is written by another process" in ran.err
        assert "Stop that one first" in ran.err
        assert "Traceback" not in ran.err

    def test_it_is_no_journal(self, place: Place, up: list[str]) -> None:
        (place.home / "data").mkdir()
        text = "these are not the pages you look for\n" * 99
        (place.home / "data" / "journal").write_text(text)
        ran = place.cli(*up)
        assert (ran.code, ran.out) == (4, "")
        assert "is not an SQLite database; name another path" in ran.err
        assert "Traceback" not in ran.err
        assert (place.home / "data" / "journal").read_text() == text

    def test_its_directory_was_copied(
        self, deployment: Shared, place: Shared, up: list[str]
    ) -> None:
        source, copy = deployment.home / "data", place.home / "data"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("ray"))
        assert place.here("status").code == 4  # the copy does not pass for the one that runs
        assert place.here("down").code == 0
        before = deployment.here("status", "--format", "json").json["processes"]
        ran = place.cli(*up)
        assert (ran.code, ran.out) == (2, "")
        assert f"in this Ray for the data directory '{source}'" in ran.err
        assert f"'{copy}' has the same journal or a copy of it" in ran.err
        with pytest.raises(Conflict, match="bring this one up without --ray-address"):
            connect(copy, address=deployment.ray_address)
        assert place.here("down").code == 0  # nothing came up, and it ends nobody else's
        assert deployment.here("status", "--format", "json").json["processes"] == before
