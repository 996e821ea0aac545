"""Every construct on a real cluster, with its host killed (-9) in the middle of it.

All are in the middle of something when the host goes, once; each is then judged by a test of its
own, twice (see `interruption.py`). An outcome counts only together with its history: without a gap,
each transition once, and effects as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat.cluster.connect import attach
from tests.cluster.conftest import Place
from tests.cluster.interruption import DEFINITIONS, Case, Interruption, Run, When, each_run
from tests.cluster.service import Service

pytestmark = pytest.mark.long


def go(data: object = None, *more: str) -> Callable[[Run], None]:
    """Signals `go` with the data, then further signals."""

    def act(run: Run) -> None:
        run.signal("go", data)
        for name in more:
            run.signal(name, data)

    return act


def two_numbers(run: Run) -> None:
    run.signal("go", {"n": 1})
    run.signal("go", {"n": 2})


def go_twice(run: Run) -> None:
    run.signal("go", 2)
    run.signal("go", 3)


def each_item(run: Run) -> None:
    for index in (3, 0, 2):
        run.signal("item", index)


KNOWN = {"owner.changed": 0, "attempt.lost": 0}
"""The next host finds the attempts with their runners, and makes none a second time. It must be
known that runners have them: one that still waits for a runner is made under another number."""

CASES = [
    Case(
        "activity",
        stage="holds",
        whens=("during",),
        active=("held",),
        begun=("begin", "held"),
        output=3,
        completed={"begin": 1, "held": 1, "finish": 1},
        kinds=KNOWN,
    ),
    Case(
        "scripts",
        stage="holds",
        whens=("after",),
        active=("python", "shell"),
        begun=("python", "shell"),
        output=[2, "said"],
        kinds=KNOWN,
    ),
    Case(
        "service",
        stage="holds",
        whens=("during",),
        active=("slow",),
        begun=("slow",),
        output={"first": 201, "second": 200, "n": 21},
        kinds=KNOWN,
    ),
    Case(
        "at_most_once",
        stage="holds",
        whens=("after",),
        active=("held",),
        begun=("held",),
        output="once",
        kinds=KNOWN,
    ),
    Case("launched", active=("held",), begun=("held",), output=2, completed={"held": 1}),
    Case(
        "back_off",
        begun=("flaky",),
        act=lambda _: None,
        output="at last",
        ready=lambda run: run.history().kinds()["attempt.failed"] >= 1,
    ),
    Case(
        "decision",
        active=("ready",),
        act=go(2),
        output={"seen": [0, 2, 4, 6, 8], "both": ["l", "round 5"]},
        completed={"count": 5, "both": 1},
    ),
    Case(
        "parallel",
        active=("w",),
        begun=("e",),
        act=go(5),
        output={"out": {"ended": 1, "waits": 15, "sleeps": "slept"}, "log": ["e", "w"]},
    ),
    Case(
        "race",
        active=("s", "t", "h", "c"),
        begun=("first",),
        act=go("won"),
        output={"finished": ["signalled"], "data": "won"},
        children={"Canceled": 1},
        tasks=("Canceled",),
    ),
    Case(
        "all_done",
        active=("g",),
        begun=("b",),
        act=go(None, "again"),
        output={"tried": ["Failed", "Completed"], "two": ["x", "z"]},
    ),
    Case(
        "waits", active=("first",), act=two_numbers, output={"by": "right", "first": 2, "rest": 1}
    ),
    Case(
        "timers",
        stage="timed",
        active=("long",),
        act=lambda _: None,
        output=["long", "more", "short"],
        completed={"short": 1, "more": 1, "long": 1, "instant": 1},
    ),
    Case(
        "bodies",
        active=("told",),
        begun=("take",),
        act=go_twice,
        output={"mine": 5, "log": [1, 1]},
        completed={"take": 2, "told": 2, "inner": 2, "outer": 1},
    ),
    Case(
        "foreach",
        active=("told",),
        begun=("check",),
        act=each_item,
        output={
            "out": [0, None, 20, 30],
            "status": ["Completed", "Failed", "Completed", "Completed"],
            "log": [0, 2, 3],
        },
        completed={"store": 3},
    ),
    Case("most_items", active=("held",), begun=("held",), output=[[0, 1], [0, None, 2, None]]),
    Case("queued", definition="activity", stage="behind", active=("begin",), output=3),
    Case(
        "semaphores",
        stage="behind",
        whens=("after",),
        active=("items", "other"),
        output=[[0, 1, 2], "other"],
    ),
    Case(
        "region",
        active=("pick", "sleep", "withdrawn"),
        act=lambda run: run.signal("withdraw"),
        stage="behind",
        output=["Canceled", "Canceled", "Canceled", None],
        completed={"withdrawn": 1, "undo": 1},
    ),
    Case(
        "deadlines",
        stage="timed",
        active=("late",),
        act=lambda _: None,
        output=["excused", "too long"],
    ),
    Case(
        "dag",
        active=("told",),
        begun=("load", "fails"),
        act=go(7),
        output=["Skipped", "Declined", 7],
    ),
    Case("errors", active=("told",), act=go(), output=["Declined", "bad"]),
    Case(
        "terminate",
        active=("sleeps", "waits", "told"),
        act=lambda run: run.signal("stop", "enough"),
        output="enough",
    ),
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def interruption(
    deployment: Place, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interruption]:
    folder: Path = tmp_path_factory.mktemp("language")
    with attach(deployment.configuration) as client:
        client.register_many({*(case.file for case in CASES), DEFINITIONS / "waiting_child.yaml"})
        interruption = Interruption(client, folder, CASES, prefix="lang", url=service.url)
        interruption.go_through()
        yield interruption


@pytest.mark.parametrize(("name", "when"), each_run(CASES))
def test_it_goes_on_as_if_nothing_had_happened(
    interruption: Interruption, name: str, when: When
) -> None:
    run = interruption.runs[name, when]
    assert not run.faults, "\n".join(run.faults)
