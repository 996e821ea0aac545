"""Pause, resume, retry, migrate and cancel, asked of a host that is killed: each happens once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.cluster.connect import attach
from tests.cluster.conftest import Place
from tests.cluster.interruption import (
    DEFINITIONS,
    Case,
    Interruption,
    Run,
    When,
    each_run,
    eventually,
)

pytestmark = pytest.mark.long


def is_paused(run: Run) -> bool:
    """Has it paused once its attempt runs; its timer becomes due meanwhile."""
    if "held" not in run.noted():
        return False
    return run.handle.status().status == "Paused" or run.handle.pause("lunch") == "Paused"


def has_failed(run: Run) -> bool:
    return run.handle.status().status == "Failed"


def go_on(run: Run) -> None:
    """What runs ends and is recorded, nothing follows before it is resumed."""
    run.open()
    eventually(lambda: run.history().completed()["held"], "the attempt is recorded")
    assert run.handle.status().status == "Paused"
    assert run.noted() == {"held"}
    run.handle.resume()


def pause_and_resume(run: Run) -> None:
    assert run.handle.pause() == "Paused"
    run.signal("go", 5)
    eventually(lambda: run.history().completed()["told"], "the signal is taken")
    assert run.noted() == {"first"}
    assert run.handle.pause("again") == "Paused"  # harmless
    run.handle.resume()


def retry(run: Run) -> None:
    run.open()
    run.handle.retry()
    run.signal("go", "told")


def retry_from(run: Run) -> None:
    run.open()
    run.handle.retry("b")


def migrate(run: Run) -> None:
    """The attempt that runs goes on, and what it returns is the later version's to take."""
    run.client.register(DEFINITIONS / "migrated_later.yaml")
    run.handle.migrate("2", reason="mended")
    assert run.handle.status().version == "2"
    run.open()
    run.signal("go", 5)


def cancel(run: Run) -> None:
    run.handle.cancel("enough")


CASES = [
    Case(
        "pause",
        definition="waiting_child",
        active=("told",),
        act=pause_and_resume,
        output=5,
        completed={"first": 1, "told": 1, "last": 1},
    ),
    Case(
        "run_again",
        ready=has_failed,
        act=retry,
        output={"run": 2, "b": 2, "c": "told"},
        completed={"a": 1, "b": 1, "c": 1, "d": 1},
    ),
    Case(
        "run_from", ready=has_failed, act=retry_from, output=3, completed={"a": 1, "b": 2, "c": 1}
    ),
    Case(
        "paused",
        whens=("after",),
        ready=is_paused,
        act=go_on,
        stage="holds",
        output=[1, 2],
        completed={"held": 1, "sleeps": 1, "one": 1, "two": 1},
    ),
    Case(
        "migrated",
        active=("told",),
        begun=("held",),
        act=migrate,
        stage="holds",
        output=[41, 5],
        completed={"held": 1, "added": 1, "told": 1, "both": 1},
        kinds={"execution.migrated": 1},
    ),
    Case(
        "cancel",
        definition="everything",
        active=("held", "sleeps", "asked", "told", "below", "inside"),
        begun=("first",),
        act=cancel,
        stage="holds",
        status="Canceled",
        completed={"fork": 1, "held": 0},
        children={"Canceled": 3},
        tasks=("Canceled",),
    ),
]


@pytest.fixture(scope="module")
def interruption(
    deployment: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interruption]:
    folder: Path = tmp_path_factory.mktemp("steering")
    called = [DEFINITIONS / f"{name}.yaml" for name in ("waiting_child", "parent", "grandparent")]
    with attach(deployment.configuration) as client:
        client.register_many({*(case.file for case in CASES), *called})
        interruption = Interruption(client, folder, CASES, prefix="steer")
        interruption.go_through()
        yield interruption


@pytest.mark.parametrize(("name", "when"), each_run(CASES))
def test_it_is_followed_once(interruption: Interruption, name: str, when: When) -> None:
    run = interruption.runs[name, when]
    assert not run.faults, "\n".join(run.faults)
