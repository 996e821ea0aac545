"""Deciding is a function of plan, state and stimulus; executions share nothing that changes."""

from __future__ import annotations

from heliostat.engine.kernel.codec import decode_snapshot, encode_event, encode_snapshot, fold
from heliostat.engine.kernel.decide import DUE_MAX
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import Start, StepReturned, Woke
from heliostat.engine.simulator.invariants import check_equal, check_state
from tests.engine.kernel.driving import drive, plan_of

APPENDING = """
id: appending
version: "1"
vars: {seen: [], other: []}
steps:
  - {id: a, type: decision, assign: {other: $.vars.seen, seen: {append: 1}}, next: b}
  - {id: b, type: decision, assign: {seen: {append: 2}}, output: $.vars.seen}
output: {seen: $.vars.seen, other: $.vars.other, b: $.steps.b.output}
"""

NAMED = """
id: named
version: "1"
steps:
  - {id: a, type: activity, activity: "m:f", foreach: "range(0, 3)", input: {id: "${ uuid() }"}}
"""

SLEEPERS = """
id: sleepers
version: "1"
steps:
  - {id: a, type: timer, foreach: "range(0, $.input.n)", concurrency: 5000, duration: 1s}
"""


class TestConstants:
    """A field without expressions is shared by all executions, so nobody may change it."""

    def test_what_one_execution_appends_no_other_sees(self) -> None:
        plan = plan_of(APPENDING)
        for _ in range(2):
            state = ExecutionState()
            list(drive(plan, state))
            assert state.output == {"seen": [1, 2], "other": [], "b": [1]}

    def test_events_are_not_changed_by_what_follows_in_their_turn(self) -> None:
        plan, state = plan_of(APPENDING), ExecutionState()
        bodies = [encode_event(event) for events in drive(plan, state) for event in events]
        check_equal(fold(plan, bodies), state, "encoded at the end of the turn")


class TestDecision:
    def test_is_the_same_from_equal_states(self) -> None:
        plan, state = plan_of(NAMED), ExecutionState()
        start = Start(now_ms=1, execution_id="e")
        first, second = settle(plan, state, start), settle(plan, ExecutionState(), start)
        assert first == second
        copy = decode_snapshot(encode_snapshot(state))
        assert copy is not None
        report = StepReturned(now_ms=2, at=first.commands[0].at)
        assert settle(plan, state, report) == settle(plan, copy, report)

    def test_uuids_differ_by_item_and_by_execution(self) -> None:
        plan = plan_of(NAMED)
        ids = {
            command.input["id"]  # type: ignore[union-attr]  # all of them run a step
            for execution in ("e", "f")
            for command in settle(
                plan, ExecutionState(), Start(now_ms=1, execution_id=execution)
            ).commands
        }
        assert len(ids) == 6


class TestBounds:
    def test_a_turn_answers_so_many_timers_and_asks_to_be_woken_again(self) -> None:
        plan, state, width = plan_of(SLEEPERS), ExecutionState(), 2 * DUE_MAX + 10
        settle(plan, state, Start(now_ms=1_000, execution_id="e", input={"n": width}))
        settled = []
        while not state.ended:
            wake_at_ms = state.wake_at_ms
            assert wake_at_ms is not None
            events = settle(plan, state, Woke(now_ms=max(9_000, wake_at_ms))).events
            settled.append(len(events))
            check_state(plan, state)
        assert settled == [DUE_MAX, DUE_MAX, 10 + 2]  # with the step as a whole, and the end
