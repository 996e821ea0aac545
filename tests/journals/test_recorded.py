"""Histories of every release fold for ever, and mean what they meant."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.codec import decode_event, decode_snapshot, first_version
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import Numbering
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.invariants import check_equal, check_state
from heliostat.engine.values import to_json
from tests.engine.kernel.versions import fold_on

FILES = sorted(Path(__file__).parent.glob("*/*.json"))


def load(file: Path) -> tuple[dict[str, Plan], list[bytes], dict[str, Any]]:
    """The plans by version, as the stored numberings have them; the events; and the rest of the
    record."""
    record = json.loads(file.read_text())
    plans: dict[str, Plan] = {}
    for each in (record, *record.get("later", ())):
        definition = parse_definition(each["definition"], file.name)
        numbering = msgspec.convert(each["numbering"], Numbering)
        plans[definition.version] = compile_plan(definition, numbering=numbering)
    return plans, [base64.b64decode(event) for event in record["events"]], record


def folded(
    plans: dict[str, Plan], events: list[bytes], state: ExecutionState | None = None
) -> tuple[Plan, ExecutionState]:
    """The state that events lead to, and the plan that it has come to."""
    state = state or ExecutionState()
    plan = plans[first_version(events, state)]
    return fold_on(plans, plan, events, state), state


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
class TestRecorded:
    """One file, one history of a release."""

    def test_folds_to_what_it_was(self, file: Path) -> None:
        plans, events, record = load(file)
        plan, state = folded(plans, events)
        check_state(plan, state)
        failure = state.failure.type if state.failure is not None else None
        output = to_json(state.resolve(state.output))
        found = {"status": state.status, "output": output, "failure": failure}
        assert found == record["ends_as"]

    def test_folds_from_its_snapshot_or_ignores_it(self, file: Path) -> None:
        plans, events, record = load(file)
        snapshot = decode_snapshot(base64.b64decode(record["snapshot"]["body"]))
        if snapshot is not None:  # of a format that this release still reads
            rest = events[record["snapshot"]["seq"] :]
            whole, from_there = folded(plans, events)[1], folded(plans, rest, snapshot)[1]
            check_equal(whole, from_there, file.name)


def test_every_event_is_in_some_record() -> None:
    recorded = {type(decode_event(body)) for file in FILES for body in load(file)[1]}
    assert recorded == set(get_args(ExecutionEvent))
