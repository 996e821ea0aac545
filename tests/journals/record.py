"""Records histories of this release: `python -m tests.journals.record RELEASE`.

A file is written once and never again: it stands for journals out there. What a later release
cannot read any more is a defect of that release. Record new ones when events gain a meaning.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.codec import encode_snapshot, fold
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import continue_numbering, make_numbering
from heliostat.engine.simulator import (
    STORMY,
    Attempts,
    Faults,
    Hangs,
    Items,
    LosesRunner,
    Raises,
    Returns,
    Simulation,
)
from heliostat.engine.simulator.script import read_outcomes
from heliostat.engine.simulator.timeline import read_timeline
from heliostat.engine.values import Reference, to_json
from tests.engine.kernel.versions import plans_of
from tests.simulation.driven import Driven

FOLDER = Path(__file__).parent

ORDER = "order.yaml"
GRAPH = "graph.yaml"
OFFICE = "office.yaml"
LOSSY = Faults(forget_known=0.5, crash_after_commit=0.3, runner_lost=0.3, latency_ms_max=5)
TEXT = {"order": 7, "text": "t" * 2_000, "ship": True}
DONE: dict[str, Any] = {
    "reserve": {"hold": 7, "big": "h" * 1_500},
    "pack": Items(1, Raises("Torn")),
}

SCENARIOS: dict[str, tuple[str, Any, dict[str, Any], dict[str, Any]]] = {
    "order_completed": (ORDER, TEXT, DONE, {}),
    "order_retried": (
        ORDER,
        {**TEXT, "ship": False},
        {**DONE, "charge": Attempts(Raises("Busy"), Hangs(on_stop="returns"), "paid")},
        {},
    ),
    "order_declined": (ORDER, TEXT, {**DONE, "charge": Raises("Declined")}, {}),
    "order_late": (ORDER, TEXT, {**DONE, "ship": Hangs(on_stop="returns", value="late")}, {}),
    "order_canceled": (ORDER, TEXT, {**DONE, "pack": Hangs()}, {"cancel_at_ms": 500}),
    "order_among_losses": (
        ORDER,
        TEXT,
        {**DONE, "charge": LosesRunner()},
        {"faults": LOSSY, "seed": 1},
    ),
    "order_in_a_storm": (ORDER, TEXT, DONE, {"faults": STORMY, "seed": 5}),
    "graph_completed": (
        GRAPH,
        {"b": False},
        {"a": Returns(Reference("default/ab12", "json", 90_000), 90_000, {"$.part": [1]})},
        {},
    ),
    "graph_recovered": (
        GRAPH,
        {"b": True},
        {"a": {"part": "p" * 1_200}, "c": Raises("Odd"), "d": Items(1, Raises("Odd"), 3)},
        {},
    ),
    "graph_failed": (GRAPH, {"b": True}, {"a": {"part": 1}, "b": Raises("Broken")}, {}),
}


AT_THE_OFFICE: dict[str, Any] = {
    "page": {"output": 7},
    "ask": [
        {"after": "30m", "user": "ann", "claim": True},
        {"after": "40m", "user": "ann", "release": True},
        {"after": "3h", "user": "bob", "complete": {"ok": True}},
    ],
    "l": {"raise": "Bad"},
    "r": {"output": "child"},
    "mend": {
        "raise": "Torn",
        "person": {"after": "1m", "user": "eve", "complete": {"resolution": "complete"}},
    },
    "last": [{"raise": "Bad"}, {"output": 1}],
    "stop": {"hang": True, "stop_after": "1s"},
}
"""Outcomes of `office.yaml`, as users write them."""

ITS_DAY: list[dict[str, Any]] = [
    {"at": "10m", "pause": "lunch"},
    {"at": "11m", "pause": "again"},
    {"at": "20m", "resume": True},
    {"at": "90m", "event": "bell"},
    {"at": "2h", "event": "alarm"},
    {"at": "150m", "event": "broken"},
    {"at": "200m", "event": "bell"},
    {"at": "10h", "retry": True},
]

SCENARIOS |= {
    "office_retried": (OFFICE, None, AT_THE_OFFICE, {"timeline": ITS_DAY}),
    "office_in_a_storm": (
        OFFICE,
        None,
        AT_THE_OFFICE,
        {"timeline": ITS_DAY, "faults": STORMY, "seed": 3},
    ),
}

SCENARIOS |= {
    "office_given_up": (
        OFFICE,
        None,
        AT_THE_OFFICE
        | {
            "ask": [
                {"after": "30m", "user": "ann", "claim": True},
                {"after": "40m", "user": "ann", "progress": 30, "details": {"page": 1}},
                {"after": "50m", "user": "ann", "fail": "nobody knows", "details": {"code": 7}},
            ],
        },
        {"timeline": [*ITS_DAY[:3], {"at": "25m", "metadata": {"ticket": "T-1"}}]},
    ),
}


def _done_by(person: str) -> list[dict[str, Any]]:
    return [{"after": "1m", "user": person, "complete": {}}]


SCENARIOS |= {
    "sale_unsettled": (
        "sale.yaml",
        None,
        {"draft": _done_by("ann"), "approve": _done_by("bob"), "ship": {"raise": "Lost"}},
        {"timeline": []},
    ),
    "sale_by_one_person": (
        "sale.yaml",
        None,
        {"draft": _done_by("ann"), "approve": _done_by("ann")},
        {"timeline": []},
    ),
}


def recorded(file: str, given: Any, outcomes: Any, how: dict[str, Any]) -> dict[str, Any]:
    """One history, with all that a later release needs to read it, and what it must find."""
    text = (FOLDER / file).read_text()
    definition = parse_definition(text, "recorded.yaml")
    numbering = make_numbering(definition)
    plan = compile_plan(definition, numbering=numbering)
    how = dict(how)
    if "timeline" in how:
        how["happenings"] = read_timeline(how.pop("timeline"), plan)
        outcomes = read_outcomes(outcomes, [plan])[plan.id]
    result = Simulation(plan, given, outcomes, **how).run()
    half = len(result.history) // 2
    return {
        "definition": text,
        "numbering": msgspec.to_builtins(numbering),
        "events": [base64.b64encode(body).decode() for body in result.history],
        "snapshot": {
            "seq": half,
            "body": base64.b64encode(encode_snapshot(fold(plan, result.history[:half]))).decode(),
        },
        "ends_as": {
            "status": result.status,
            "output": to_json(result.output),
            "failure": result.failure.type if result.failure is not None else None,
        },
    }


def recorded_move() -> dict[str, Any]:
    """The history of an execution that was moved to another version while steps ran."""
    texts = [(FOLDER / name).read_text() for name in ("parcel.yaml", "parcel_later.yaml")]
    first, later = (parse_definition(text, "recorded.yaml") for text in texts)
    numberings = [make_numbering(first)]
    numberings.append(continue_numbering(numberings[0], first, later))
    plans = plans_of((first, later))
    run = Driven(plans["1"], None, seed=2, failing=0)
    label = plans["1"].step_by_id["label"]
    while not any(label in scope.settled for scope in run.state.scopes.values()):
        run.turn()
    assert run.migrate(plans["2"]).refused is None
    half = len(run.events)
    snapshot = encode_snapshot(run.state)
    run.finish()
    return {
        "definition": texts[0],
        "numbering": msgspec.to_builtins(numberings[0]),
        "later": [{"definition": texts[1], "numbering": msgspec.to_builtins(numberings[1])}],
        "events": [base64.b64encode(body).decode() for body in run.events],
        "snapshot": {"seq": half, "body": base64.b64encode(snapshot).decode()},
        "ends_as": {
            "status": run.state.status,
            "output": to_json(run.state.resolve(run.state.output)),
            "failure": None,
        },
    }


def main(release: str) -> None:
    records: dict[str, Callable[[], dict[str, Any]]] = {
        name: partial(recorded, *scenario) for name, scenario in SCENARIOS.items()
    }
    records["parcel_moved"] = recorded_move
    for name, record in records.items():
        file = FOLDER / release / f"{name}.json"
        if file.exists():
            print(f"kept {file}")
            continue
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(record(), indent=1) + "\n")
        print(f"recorded {file}")


if __name__ == "__main__":
    main(sys.argv[1])
