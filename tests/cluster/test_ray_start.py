"""A Ray of our own that gives up while it starts, as where no CPU is to spare."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from heliostat.cluster import ray_node
from heliostat.cluster.processes import Process, is_alive, name_of
from heliostat.cluster.ray_connection import start_ray_here
from heliostat.cluster.ray_node import start_ray, stop_ray
from heliostat.cluster.record import RayRecord
from heliostat.engine.errors import Unreachable
from tests.cluster.conftest import BOUND_S

pytestmark = pytest.mark.long


class Harm:
    """Kills the raylet of the first starts, as soon as the starter has seen it."""

    def __init__(self, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = times
        self.holders: list[Process] = []
        monkeypatch.setattr(ray_node, "name_of", self._seen)

    def starting(self, ray: RayRecord) -> None:
        assert ray.holder is not None
        self.holders.append(ray.holder)

    def _seen(self, process: Process) -> str:
        name = name_of(process)
        if name == "raylet" and len(self.holders) <= self.times:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return name


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def started(home: Path, harm: Harm) -> RayRecord:
    return start_ray(
        home,
        resources={},
        dashboard=False,
        environment={},
        timeout_ms=int(BOUND_S * 1_000),
        starting=harm.starting,
    )


def test_it_is_started_once_more(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harm = Harm(1, monkeypatch)
    ray = started(home, harm)
    try:
        first, second = harm.holders
        assert not is_alive(first)
        assert ray.holder == second
        assert is_alive(second)
    finally:
        stop_ray(ray)


def test_twice_is_told_with_the_place_of_its_logs_and_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm = Harm(2, monkeypatch)
    begun = time.monotonic()
    with pytest.raises(
        Unreachable,
        match=r"its raylet ended while it started.*session_latest/logs\. .*call again when",
    ):
        started(home, harm)
    assert time.monotonic() - begun < BOUND_S
    assert [is_alive(each) for each in harm.holders] == [False, False]


def test_within_a_client_s_process_too_it_is_one_error_with_the_place_of_its_logs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(**_: object) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr("ray.init", gives_up)
    with pytest.raises(Unreachable, match=r"timed out during startup.*its logs are in"):
        start_ray_here(home, resources={}, dashboard=False)
