"""Executions that have ended leave a real deployment, with their blobs and objects; what others
still name stays, also when its object is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import ray

import heliostat as hs
from heliostat.actors import names
from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.actors.dispatch.opening import objects_settings
from heliostat.actors.objects.keeper import find_keeper
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import settings_of, up
from heliostat.cluster.record import read_record
from tests.cluster.conftest import BOUND_S

pytestmark = pytest.mark.long

KEEP_MS = 3_000
ENDED = 6
MADE_S = 2 * 24 * 3_600
"""How old blobs are made to look: more than the day for which every blob stays."""

MAKES = """
id: makes
version: "1"
steps:
  - {id: made, type: activity, activity: "retained_steps:make", input: {seed: $.input.seed}}
"""
WAITS = """
id: waits
version: "1"
steps:
  - {id: made, type: activity, activity: "retained_steps:make", input: {seed: $.input.seed}, next: go}
  - {id: go, type: wait, signal: go, next: total}
  - {id: total, type: activity, activity: "retained_steps:total",
     input: {array: $.steps.made.output}}
output: $.steps.total.output
"""  # noqa: E501


@pytest.fixture
def retaining(guest: Configuration) -> Configuration:
    """With a retention of seconds; up."""
    home = guest.data_dir.parent
    shutil.copy(Path(__file__).with_name("retained_steps.py"), home)
    (home / "makes.yaml").write_text(MAKES)
    (home / "waits.yaml").write_text(WAITS)
    made: Configuration = msgspec.structs.replace(guest, retention=KEEP_MS)
    up(made)
    return made


def until(condition: Callable[[], Any], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"it did not come true that {what}"
        time.sleep(0.1)


class Stored:
    """The deployment's blobs, and the objects that its keeper holds."""

    def __init__(self, configuration: Configuration) -> None:
        self._folder = configuration.data_dir / "blobs"
        record = read_record(configuration.data_dir)
        assert record is not None
        self._settings = settings_of(configuration, record)

    def blobs(self) -> set[Path]:
        """Large ones: without the code of definitions."""
        found = self._folder.glob("*/*/*")
        return {path for path in found if path.stat().st_size > 1_000_000}

    def age(self) -> None:
        old = time.time() - MADE_S
        for path in self.blobs():
            os.utime(path, (old, old))

    def objects(self) -> int:
        kept = objects_settings(self._settings)
        assert kept is not None
        keeper = find_keeper(kept)
        if keeper is None:
            return 0
        return int(ray.get(keeper.figures.remote(), timeout=BOUND_S)["objects"])

    def kill_runners(self) -> None:
        for each in ray.util.list_named_actors(all_namespaces=True):
            if f"/{self._settings.deployment}/" in each["name"] and "/runner/" in each["name"]:
                ray.kill(ray.get_actor(each["name"], namespace=names.NAMESPACE))


def waiting(handle: Handle) -> bool:
    return any(each["step"] == "go" for each in handle.status().active)


def exists(client: Client, id: str) -> bool:
    try:
        client.get(id).status()
    except hs.errors.NotFound:
        return False
    return True


def test_what_has_ended_is_purged_with_its_blobs_and_objects_and_what_runs_is_kept(
    retaining: Configuration,
) -> None:
    stored = Stored(retaining)
    home = retaining.data_dir.parent
    with attach(retaining) as client:
        client.register_many([home / "makes.yaml", home / "waits.yaml"])
        alone = client.start("waits", {"seed": 1_000})
        shares = client.start("waits", {"seed": 0})  # the array of the first that ends
        ended = client.start_many("makes", [{"seed": n} for n in range(ENDED)])
        for handle in ended:
            handle.result(BOUND_S)
        for handle in (alone, shares):
            until(lambda handle=handle: waiting(handle), "it waits")
        assert len(stored.blobs()) == ENDED + 1
        until(lambda: stored.objects() >= 2, "objects are kept")
        until(lambda: not any(exists(client, each.id) for each in ended), "they are purged")
        assert exists(client, alone.id)
        before = stored.objects()

        stored.age()
        (host,) = client.info()["hosts"]
        os.kill(host["pid"], signal.SIGKILL)  # its next life looks at blobs as it begins
        until(lambda: len(stored.blobs()) == 2, "only what runs has blobs")
        until(lambda: stored.objects() < before, "objects are given up with their blobs")

        # Whoever wrote the arrays goes, and their objects with it.
        runners = {each["at"]["step"]: each for each in alone.history() if each.get("runner")}
        assert runners
        stored.kill_runners()
        for handle, seed in ((alone, 1_000), (shares, 0)):
            handle.signal("go")
            assert handle.result(BOUND_S)["total"] == seed * 1_000_000
        until(lambda: not exists(client, alone.id), "it is purged as well")
