"""People and a host that is killed: tasks open, claimed, escalated, late, and about failures.

Two people want one task, the form refuses, the task goes to others: all of it again while the host
is frozen, killed, or just back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.tasks import Task
from heliostat.cluster.connect import attach
from heliostat.engine.errors import Conflict, InputError
from tests.cluster.conftest import Place
from tests.cluster.interruption import Case, Interruption, Run, When, each_run, eventually

pytestmark = pytest.mark.long

YES = {"approved": True}


def only_task(run: Run) -> Task:
    (task,) = run.handle.tasks()
    return task


def is_asked(run: Run) -> bool:
    return bool(run.client.tasks(execution_id=run.id, status="Open"))


def is_claimed(run: Run) -> bool:
    """Has ann claim it, once it is there."""
    for task in run.handle.tasks("Open"):
        task.claim("ann")
    return bool(run.handle.tasks("Claimed"))


def claim_and_complete(run: Run) -> None:
    only_task(run).claim("ann").complete(YES, "ann")


def complete(run: Run) -> None:
    with pytest.raises(Conflict, match="claimed by 'ann'"):
        only_task(run).complete(YES, "bob")
    only_task(run).complete(YES, "ann")


def pass_on(run: Run) -> None:
    task = only_task(run)
    task.assign("ann", assignees=["bob"])
    task.claim("bob").release("ann", force=True)
    task.claim("bob").complete(YES, "ann", force=True)


def be_refused(run: Run) -> None:
    with pytest.raises(InputError, match="the form"):
        only_task(run).complete({"approved": "perhaps"}, "ann")
    only_task(run).complete(YES, "ann")


def both_want_it(run: Run) -> None:
    """Two claim at once: one gets it, the other is told."""

    def try_it(user: str) -> bool:
        try:
            only_task(run).claim(user)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        won = dict(zip(("ann", "bob"), pool.map(try_it, ("ann", "bob")), strict=True))
    assert sorted(won.values()) == [False, True], won
    only_task(run).complete(YES, "ann", force=True)


def boss_signs(run: Run) -> None:
    eventually(lambda: "boss" in only_task(run).assignees, "it goes to the boss as well")
    assert (only_task(run).info.level, "ann" in only_task(run).assignees) == (1, True)
    only_task(run).complete("signed", "boss")


def resolve(open_first: bool, **resolution: Any) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        if open_first:
            run.open()
        assert only_task(run).info.failure is not None
        only_task(run).complete(resolution, "ann")

    return act


ANSWER = {"approved": True, "completed_by": "ann"}
CASES = [
    Case(
        "asked",
        active=("approve",),
        ready=is_asked,
        act=claim_and_complete,
        output=ANSWER,
        tasks=("Completed",),
    ),
    Case("claimed", definition="asked", ready=is_claimed, act=complete, output=ANSWER),
    Case("passed_on", definition="asked", ready=is_asked, act=pass_on, output=ANSWER),
    Case("refused", definition="asked", ready=is_asked, act=be_refused, output=ANSWER),
    Case("contended", definition="asked", ready=is_asked, act=both_want_it, output=ANSWER),
    Case(
        "escalated",
        stage="timed",
        ready=is_asked,
        act=boss_signs,
        output={"data": "signed", "completed_by": "boss"},
        tasks=("Completed",),
    ),
    Case(
        "expired",
        stage="timed",
        active=("sign",),
        act=lambda _: None,
        output="nobody",
        tasks=("Failed",),
    ),
    Case(
        "decides_retry",
        definition="decides",
        ready=is_asked,
        act=resolve(True, resolution="retry"),
        output="by itself",
        completed={"flaky": 1, "store": 1},
        tasks=("Completed",),
    ),
    Case(
        "decides_complete",
        definition="decides",
        ready=is_asked,
        act=resolve(False, resolution="complete", output="instead"),
        output="instead",
        completed={"flaky": 1, "store": 1},
        tasks=("Completed",),
    ),
    Case(
        "decides_fail",
        definition="decides",
        ready=is_asked,
        act=resolve(False, resolution="fail"),
        status="Failed",
        output={"type": "NotYet", "step": "flaky"},
        tasks=("Completed",),
    ),
]


@pytest.fixture(scope="module")
def interruption(
    deployment: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interruption]:
    folder: Path = tmp_path_factory.mktemp("people")
    with attach(deployment.configuration) as client:
        client.register_many({case.file for case in CASES})
        interruption = Interruption(client, folder, CASES, prefix="people")
        interruption.go_through()
        yield interruption


@pytest.mark.parametrize(("name", "when"), each_run(CASES))
def test_what_a_person_does_is_done_once(interruption: Interruption, name: str, when: When) -> None:
    run = interruption.runs[name, when]
    assert not run.faults, "\n".join(run.faults)


def test_nobody_is_asked_any_more(interruption: Interruption) -> None:
    for run in interruption.runs.values():
        assert run.client.tasks(execution_id=run.id, status=["Open", "Claimed"]) == []
