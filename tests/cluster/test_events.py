"""Events and handlers while their host is killed: each is heard by all that wait, and once.

All seven actions: start, signal, trigger, custom; pause, resume and cancel of oneself and of
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.handle import Handle
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


def publish(run: Run, event: str, **data: Any) -> None:
    run.client.publish(event, {"id": run.id} | data)


def pay(run: Run) -> None:
    publish(run, "lang.paid", n=0)
    publish(run, "lang.paid", n=5)


def is_kept(run: Run) -> bool:
    """Publishes it, again and again under one id."""
    run.client.publish("lang.early", {"id": run.id, "n": 7}, id=f"early-{run.id}")
    return run.history().kinds()["event.kept"] >= 1


def publish_again(run: Run) -> None:
    run.client.publish("lang.early", {"id": run.id, "n": 7}, id=f"early-{run.id}")
    run.signal()


def started(run: Run) -> Handle:
    eventually(lambda: len(run.children()) == 1, "another execution has started")
    (other,) = run.children()
    return other


def act_on_all(run: Run) -> None:
    publish(run, "lang.acts", n=3)
    started(run).signal("go", 4)


def pause_resume(run: Run) -> None:
    run.client.publish("lang.pause", run.id)
    eventually(lambda: run.handle.status().status == "Paused", "it pauses")
    run.signal("go", 5)
    run.client.publish("lang.resume", run.id)


def steer(run: Run) -> None:
    other = started(run)
    for what, status in (("pause", "Paused"), ("resume", "Waiting"), ("cancel", "Canceled")):
        publish(run, "lang.steer", other=other.id, what=what)
        eventually(lambda status=status: other.status().status == status, f"{what} is followed")  # type: ignore[misc]  # bound now
    run.signal("go", "done")


CASES = [
    Case("hears", active=("one", "two"), act=pay, output=5, completed={"one": 1, "two": 1}),
    Case(
        "kept_event",
        active=("told",),
        ready=is_kept,
        act=publish_again,
        output=7,
        completed={"told": 1, "paid": 1},
        kinds={"event.kept": 2},  # the other run's event is kept too, and never fits
    ),
    Case(
        "publishes",
        active=("hear", "own", "told"),
        begun=("first",),
        act=Run.signal,
        output=[3, 3],
        children={"Completed": 1},
        completed={"own": 1, "hear": 1, "sell": 1},
    ),
    Case(
        "handlers",
        active=("read",),
        act=act_on_all,
        output={"store": 3, "extra": "extra"},
        completed={"read": 1, "store": 1, "extra": 1},
        children={"Completed": 1},
        kinds={"handler.fired": 1},
    ),
    Case("rests", definition="handled", active=("told",), act=pause_resume, output=5),
    Case(
        "stops",
        definition="handled",
        active=("told",),
        act=lambda run: run.client.publish("lang.cancel", run.id),
        status="Canceled",
        kinds={"handler.fired": 1},
    ),
    Case(
        "steers",
        active=("told",),
        begun=("first",),
        act=steer,
        output="done",
        children={"Canceled": 1},
        kinds={"handler.fired": 3},
    ),
]


@pytest.fixture(scope="module")
def interruption(
    deployment: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interruption]:
    folder: Path = tmp_path_factory.mktemp("events")
    called = [DEFINITIONS / f"{name}.yaml" for name in ("waiting_child", "hearing_child")]
    with attach(deployment.configuration) as client:
        client.register_many({*(case.file for case in CASES), *called})
        interruption = Interruption(client, folder, CASES, prefix="events")
        interruption.go_through()
        yield interruption


@pytest.mark.parametrize(("name", "when"), each_run(CASES))
def test_an_event_is_heard_once(interruption: Interruption, name: str, when: When) -> None:
    run = interruption.runs[name, when]
    assert not run.faults, "\n".join(run.faults)
