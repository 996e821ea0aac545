"""Histories of every release fold for ever, and mean what they meant."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.codec import decode_event, decode_snapshot, fold
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import Numbering
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.invariants import check_equal, check_state
from heliostat.engine.values import to_json

FILES = sorted(Path(__file__).parent.glob("*/*.json"))


def load(file: Path) -> tuple[Plan, list[bytes], dict[str, Any]]:
    """The plan, as the stored numbering has it; the events; and the rest of the record."""
    record = json.loads(file.read_text())
    definition = parse_definition(record["definition"], file.name)
    numbering = msgspec.convert(record["numbering"], Numbering)
    events = [base64.b64decode(event) for event in record["events"]]
    return compile_plan(definition, numbering=numbering), events, record


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
class TestRecorded:
    """One file, one history of a release."""

    def test_folds_to_what_it_was(self, file: Path) -> None:
        plan, events, record = load(file)
        state = fold(plan, events)
        check_state(plan, state)
        failure = state.failure.type if state.failure is not None else None
        output = to_json(state.resolve(state.output))
        found = {"status": state.status, "output": output, "failure": failure}
        assert found == record["ends_as"]

    def test_folds_from_its_snapshot_or_ignores_it(self, file: Path) -> None:
        plan, events, record = load(file)
        snapshot = decode_snapshot(base64.b64decode(record["snapshot"]["body"]))
        if snapshot is not None:  # of a format that this release still reads
            rest = events[record["snapshot"]["seq"] :]
            check_equal(fold(plan, events), fold(plan, rest, snapshot), file.name)


def test_every_event_is_in_some_record() -> None:
    recorded = {type(decode_event(body)) for file in FILES for body in load(file)[1]}
    assert recorded == set(get_args(ExecutionEvent))
