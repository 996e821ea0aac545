"""A trace that was recorded elsewhere, run on a real deployment."""

from __future__ import annotations

import json

from tests.cluster.conftest import Shared
from tests.importing.traces import BREAD


def test_an_imported_trace_runs_in_its_order(deployment: Shared) -> None:
    command = ("import", "wfformat", str(BREAD), "--scale", "0.001", "--format", "json")
    ran = deployment.here(*command, "--run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["status"] == "Completed"
    history = deployment.here("workflow", "history", ran.json["id"], "--format", "json").json
    ended = [
        (event["at"]["step"], event["output"])
        for event in history
        if event["type"] == "step.completed"
    ]
    order = [step for step, _ in ended]
    assert (order[0], sorted(order[1:3]), order[3:]) == (
        "knead",
        ["rise_1", "rise_2"],
        ["bake", "end_"],
    )
    assert dict(ended)["rise_1"] >= 0.0605


def test_an_imported_trace_is_registered_and_started(deployment: Shared) -> None:
    command = ("import", "wfformat", str(BREAD), "--scale", "0.001", "--work", "burn")
    ran = deployment.here(*command, "--register", "--id", "burnt", "--version", "1")
    assert (ran.code, ran.out.strip()) == (0, "burnt 1")
    started = deployment.here("workflow", "start", "burnt", "--format", "json")
    assert started.code == 0, started.err
    ended = deployment.here("workflow", "result", started.json["id"], "--format", "json")
    assert json.loads(ended.out)["status"] == "Completed"
