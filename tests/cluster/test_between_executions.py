"""What executions tell each other while their host is killed: children, ends, signals, cancels.

One host has both sides of a message here, so its death hits the sender and the receiver at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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


def active_children(run: Run) -> list[Handle]:
    """Those that can be told something."""
    return [
        child
        for child in run.children()
        if any(each["step"] == "told" for each in child.status().active)
    ]


def are_told(count: int) -> Callable[[Run], bool]:
    return lambda run: len(active_children(run)) == count


def tell(data: object = 1, count: int = 1) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        for child in sorted(active_children(run), key=lambda child: child.id)[:count]:
            child.signal("go", data)

    return act


def fail_then_succeed(run: Run) -> None:
    tell()(run)
    eventually(lambda: len(run.children()) == 2, "there is a second child")
    run.open()
    eventually(lambda: active_children(run), "it waits")
    tell()(run)


def cancel_child(run: Run) -> None:
    for child in run.children():
        child.cancel("by somebody")


CASES = [
    Case(
        "parent",
        ready=are_told(1),
        act=tell(5),
        output=16,
        completed={"child": 1, "after": 1},
        children={"Completed": 1},
    ),
    Case("grandparent", ready=are_told(1), act=tell(5), output=16, children={"Completed": 2}),
    Case(
        "children",
        ready=are_told(3),
        act=tell(0, count=2),
        output=2,
        children={"Completed": 2, "Canceled": 1},
    ),
    Case(
        "child_fails",
        definition="parent_of_failure",
        ready=are_told(1),
        act=tell(),
        output="NotYet",
        children={"Failed": 1},
    ),
    Case(
        "child_canceled",
        definition="parent_of_failure",
        ready=are_told(1),
        act=cancel_child,
        output="canceled",
        children={"Canceled": 1},
    ),
    Case(
        "child_again",
        ready=are_told(1),
        act=fail_then_succeed,
        output="done",
        children={"Failed": 1, "Completed": 1},
    ),
    Case(
        "detached",
        active=("told",),
        ready=are_told(1),
        act=Run.signal,
        output=5,
        children={"Completed": 1},
    ),
    Case(
        "recursive",
        input={"n": 4},
        ready=are_told(1),
        act=tell(0),
        output=4,
        children={"Completed": 4},
    ),
]


@pytest.fixture(scope="module")
def interruption(
    deployment: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interruption]:
    folder: Path = tmp_path_factory.mktemp("between")
    called = [DEFINITIONS / f"{name}.yaml" for name in ("waiting_child", "failing_child")]
    with attach(deployment.configuration) as client:
        client.register_many({*(case.file for case in CASES), *called})
        interruption = Interruption(client, folder, CASES, prefix="between")
        interruption.go_through()
        yield interruption


@pytest.mark.parametrize(("name", "when"), each_run(CASES))
def test_nothing_is_lost_between_them(interruption: Interruption, name: str, when: When) -> None:
    run = interruption.runs[name, when]
    assert not run.faults, "\n".join(run.faults)
