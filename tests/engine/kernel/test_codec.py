"""Bytes of events and snapshots: small, exact, and readable by other releases."""

from __future__ import annotations

import msgspec
import pytest

from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import (
    SNAPSHOT_FORMAT,
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
    fold,
)
from heliostat.engine.kernel.events import (
    Activation,
    ExecutionEvent,
    ExecutionStarted,
    Failure,
    ScopeClosing,
    StepCompleted,
    StepFailed,
)
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.values import Held, Reference, decoder, encoder
from tests.engine.kernel.driving import THREE_STEPS, drive, plan_of

TABLE = Reference("default/ab", "arrow", 9)
EVENTS: list[ExecutionEvent] = [
    ExecutionStarted(
        at_ms=1,
        execution_id="e",
        definition="d",
        version="1",
        input={"table": TABLE, "list": [1, [TABLE]]},
        activated=(
            Activation(scope=1, step=0, visit=1, input={"x": Held(None, ("table",))}, holds=True),
            Activation(scope=1, step=1, visit=1, items=[1, 2], width=2, first_scope=2),
            Activation(scope=2, step=1, visit=1, parent=(1, 1, 1), due_at_ms=5),
        ),
    ),
    StepCompleted(
        at_ms=2,
        at=Address(1, 0, 1, 3),
        output={"deep": [{"held": Held((1, 0, 1), ("a", 0))}, None, 1.5, "ü"]},
        extracts={"$.a": [1]},
        assigned={"n": 1},
        appended={"seen": None},
        taken=(1, 2),
    ),
    StepFailed(at_ms=3, at=Address(1, 0, 1), failure=Failure(type="E", message="", mro=("B",))),
    ScopeClosing(at_ms=4, scope=1, withdrawn=(Address(2, 1, 1), Address(3, 1, 1, 2))),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
class TestEvent:
    def test_comes_back_as_it_was(self, event: ExecutionEvent) -> None:
        assert decode_event(encode_event(event)) == event

    def test_fields_of_a_later_release_are_skipped(self, event: ExecutionEvent) -> None:
        tree = decoder().decode(encode_event(event))
        body = encoder().encode({**tree, "a_field_of_tomorrow": {"x": [1]}})
        assert decode_event(body) == event


class TestBytes:
    def test_a_step_takes_little_more_than_its_output(self) -> None:
        event = StepCompleted(at_ms=1_767_225_600_000, at=Address(1, 2, 1), taken=(3,))
        assert len(encode_event(event)) <= 56

    def test_what_is_no_event_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError):
            decode_event(encoder().encode({"type": "step.dreamt", "at_ms": 1}))


class TestSnapshot:
    def test_comes_back_as_it_was(self) -> None:
        plan, state = plan_of(THREE_STEPS), ExecutionState()
        for _ in drive(plan, state, {"x": 1}):
            assert decode_snapshot(encode_snapshot(state)) == state

    def test_another_format_is_ignored(self) -> None:
        body = encode_snapshot(ExecutionState())
        assert decode_snapshot(bytes([SNAPSHOT_FORMAT + 1]) + body[1:]) is None
        assert decode_snapshot(b"") is None

    def test_an_event_that_does_not_fit_is_a_corrupt_journal(self) -> None:
        with pytest.raises(KeyError):
            fold(plan_of(THREE_STEPS), [encode_event(EVENTS[1])])
