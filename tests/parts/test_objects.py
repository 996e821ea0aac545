"""Objects between processes of a real Ray, and what happens when Ray loses them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from heliostat.actors.objects.shared import FIND_S
from tests.objects.support import MB, Deployment

pytestmark = pytest.mark.long


@pytest.fixture
def deployment(own_ray: None, folder: Path) -> Iterator[Deployment]:
    deployment = Deployment(folder)
    yield deployment
    deployment.end()


def test_large_objects_are_shared_and_cost_no_memory_of_their_own(deployment: Deployment) -> None:
    writer, *readers = (deployment.process() for _ in range(3))
    assert ray.get(writer.write.remote("json", 2 * MB))[1] == "json"
    ray.get(writer.write.remote("array", 100_000))  # too small
    assert deployment.keeper is None  # nothing to keep so far
    for seed, kind in enumerate(("array", "table", "frame"), start=1):
        reference = deployment.kept(writer, kind, 40 * MB if kind != "frame" else 16 * MB, seed)
        for reader in readers:
            ray.get(reader.read.remote(reference))  # imports what it needs
            found = ray.get(reader.read.remote(reference))
            assert (found["shared"], found["files"]) == (1, 0)
            assert found["private"] < 5 * MB, kind
            count = (40 * MB if kind != "frame" else 16 * MB) // 8
            assert ray.get(reader.total.remote()) == seed * count


def test_a_writer_that_ends_takes_its_objects_along_and_the_next_reader_offers_them(
    deployment: Deployment,
) -> None:
    writer, reader, other = (deployment.process() for _ in range(3))
    reference = deployment.kept(writer, "array", 8 * MB, 3)
    writer.end.remote()

    def from_its_file() -> bool:
        found = ray.get(reader.read.remote(reference))
        assert ray.get(reader.total.remote()) == 3 * MB
        return bool(found["files"])

    deployment.until(from_its_file)
    deployment.until(lambda: ray.get(other.read.remote(reference))["shared"])
    assert ray.get(other.total.remote()) == 3 * MB


def test_what_was_put_out_is_read_from_its_file(deployment: Deployment) -> None:
    writer, reader = deployment.process(), deployment.process()
    first = ray.get(writer.write.remote("array", 40 * MB, 1))
    for seed in (2, 3, 4):
        deployment.until(
            lambda seed=seed: deployment.figures().get("bytes", 0) >= (seed - 1) * 40 * MB
        )
        ray.get(writer.write.remote("array", 40 * MB, seed))
    deployment.until(lambda: deployment.figures()["evicted"])
    found = ray.get(reader.read.remote(first))
    assert (found["shared"], found["files"]) == (0, 1)
    assert ray.get(reader.total.remote()) == 5 * MB


def test_without_its_keeper_steps_go_on_and_with_the_next_one_objects_are_shared_again(
    deployment: Deployment,
) -> None:
    writer, reader, other = (deployment.process() for _ in range(3))
    reference = deployment.kept(writer, "array", 8 * MB, 2)
    pid = ray.get(deployment.keeper.__ray_call__.remote(lambda self: os.getpid()))
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    found = ray.get(reader.read.remote(reference))
    assert found["files"] == 1
    assert FIND_S <= found["s"] < FIND_S + 20
    assert ray.get(reader.read.remote(reference))["s"] < FIND_S  # it is not asked for a while
    assert time.monotonic() - began < 60
    os.kill(pid, signal.SIGKILL)
    assert ray.get(reader.total.remote()) == 2 * MB
    deployment.until(lambda: ray.get(other.read.remote(reference))["shared"])  # Ray restarted it
    assert ray.get(other.total.remote()) == 2 * MB
