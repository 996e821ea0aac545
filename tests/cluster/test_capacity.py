"""Capacity on a real deployment: who goes first, how many at a time, and why one waits.

The session's deployment has two CPUs, and `semaphores = {llm = 2, seat = 1}`.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.engine.errors import DefinitionError
from tests.cluster.conftest import BOUND_S

pytestmark = pytest.mark.long

STEPS = Path(__file__).with_name("capacity_steps.py")
SEMAPHORES = "semaphores: {llm: {per: deployment}, seat: {per: deployment}}"


class Yard:
    """A folder with the steps, their ledger, and a client."""

    def __init__(self, client: Client, folder: Path) -> None:
        shutil.copy(STEPS, folder)
        self.client, self.folder = client, folder
        self.ledger, self.gate = folder / "ledger", folder / "gate"

    def define(self, id: str, function: str, fields: str, input: str, more: str = "") -> str:
        file = self.folder / f"{id}.yaml"
        step = f'id: a, type: activity, activity: "capacity_steps:{function}"'
        file.write_text(
            f'id: {id}\nversion: "1"\n{SEMAPHORES}\n{more}\n'
            f"steps:\n  - {{{step}, {fields}, input: {{{input}}}}}\n"
        )
        self.client.register(file)
        return id

    def lines(self) -> list[str]:
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def input(self, name: str, **more: Any) -> dict[str, Any]:
        return {"gate": str(self.gate), "ledger": str(self.ledger), "name": name, **more}


@pytest.fixture
def yard(client: Client, tmp_path: Path) -> Yard:
    return Yard(client, tmp_path)


def eventually(condition: Callable[[], object], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"did not happen: {what}"
        time.sleep(0.05)


def waiting(handle: hs.Handle) -> str:
    """Why the execution's one attempt waits; "" where it does not."""
    return "".join(active.get("waiting", "") for active in handle.status().active)


def test_those_that_wait_go_by_priority_and_say_why_they_wait(yard: Yard) -> None:
    gated = "gate: $.input.gate, ledger: $.input.ledger, name: $.input.name"
    one_seat = "uses: {seat: 1}, resources: {num_cpus: 0.5}"
    usual = yard.define("usual", "until", one_seat, gated)
    urgent = yard.define("urgent", "until", one_seat, gated, more="priority: 9")
    client = yard.client
    first = client.start(usual, yard.input("first"))
    eventually(lambda: yard.lines() == ["first"], "the first has the seat")
    handles = [
        client.start(usual, yard.input("patient"), priority=2),
        client.start(usual, yard.input("usual")),
        client.start(urgent, yard.input("urgent")),
        client.start(urgent, yard.input("least"), priority=1),
    ]
    eventually(lambda: all("seat" in waiting(each) for each in handles), "all say what for")
    assert handles[2].status().priority == 9
    assert not waiting(first)
    withdrawn = client.start(usual, yard.input("withdrawn"), priority=10)
    withdrawn.cancel("never mind")
    with pytest.raises(hs.errors.ExecutionCanceled):
        withdrawn.result(BOUND_S)
    yard.gate.touch()
    for handle in (first, *handles):
        handle.result(BOUND_S)
    assert yard.lines() == ["first", "urgent", "usual", "patient", "least"]


def test_a_semaphore_is_never_exceeded_though_its_host_is_killed(yard: Yard) -> None:
    spent = "ledger: $.input.ledger, name: $.input.name, seconds: 0.4"
    fields = "uses: {llm: 1}, resources: {num_cpus: 0.1}, retry: {max_attempts: 1}"
    id = yard.define("shares", "spend", fields, spent)
    handles = yard.client.start_many(id, [yard.input(f"e{n}") for n in range(10)])
    eventually(lambda: len(yard.lines()) >= 3, "some have run")
    (host,) = yard.client.info()["hosts"]
    os.kill(host["pid"], signal.SIGKILL)
    for handle in handles:
        handle.result(BOUND_S)
    ran = [tuple(map(float, line.split()[1:])) for line in yard.lines()]
    assert len(ran) >= len(handles)
    most = max(sum(began <= at < ended for began, ended in ran) for at, _ in ran)
    assert most == 2, "as many as there are, and no more"


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        ("llm: 3", "takes 3 of semaphore `llm`, of which the deployment has 2"),
        ("license: 1", "has no semaphore `license`"),
    ],
)
def test_a_semaphore_that_has_not_so_much_is_refused_at_registration(
    yard: Yard, uses: str, told: str
) -> None:
    file = yard.folder / "over.yaml"
    name = uses.partition(":")[0]
    file.write_text(
        f'id: over-{name}\nversion: "1"\nsemaphores: {{{name}: {{per: deployment}}}}\nsteps:\n'
        f'  - {{id: a, type: activity, activity: "capacity_steps:spend", uses: {{{uses}}}, '
        "input: {ledger: /dev/null, name: x, seconds: 0}}\n"
    )
    with pytest.raises(DefinitionError, match=told):
        yard.client.register(file)


def test_a_step_that_wants_the_whole_machine_gets_it_and_tiny_ones_go_on(yard: Yard) -> None:
    spent = "ledger: $.input.ledger, name: $.input.name, seconds: 0.01"
    gated = "gate: $.input.gate, ledger: $.input.ledger, name: $.input.name"
    tiny = yard.define("tiny", "spend", "effects: at_least_once", spent)
    whole = yard.define("whole", "until", "resources: {num_cpus: 2}", gated)
    yard.client.start(tiny, yard.input("warm")).result(BOUND_S)  # a runner has its share of a CPU
    handle = yard.client.start(whole, yard.input("whole"))
    eventually(lambda: "whole" in yard.lines(), "runners gave way")
    yard.client.start(tiny, yard.input("beside")).result(BOUND_S)
    yard.gate.touch()
    assert handle.result(BOUND_S) == "whole"
