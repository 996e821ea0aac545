"""The simulator itself: scripts, seeds, bounds, and that it notices a broken kernel."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.commands import RunStep
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.simulator import (
    STORMY,
    Attempts,
    Call,
    Hangs,
    Items,
    LosesRunner,
    Outcome,
    Raises,
    Returns,
    SimulationFailure,
    Visits,
    execution,
    simulate,
)
from heliostat.engine.simulator.outcomes import outcome_of

ORDER = parse_definition(
    """
id: order
version: "1"
vars: {n: 0}
steps:
  - id: charge
    type: activity
    activity: "shop:charge"
    input: {order: $.input.order}
    retry: {max_attempts: 3, jitter: false}
    assign: {n: "${ $.vars.n + 1 }"}
    next: [{when: $.vars.n < 2, to: charge}, {to: wait}]
  - {id: wait, type: timer, duration: 30d, next: ship}
  - {id: ship, type: activity, activity: "shop:ship", foreach: "[1, 2]", input: {x: $.item}}
"""
)

LOOKUP_ERRORS = ("LookupError", "Exception", "BaseException")
CALL = Call(step="a", visit=2, item_index=1, nth=2, input={"x": 5})


class TestScript:
    @pytest.mark.parametrize(
        ("told", "wanted"),
        [
            (7, Returns(7)),
            (None, Returns(None)),
            ([1, 2], Returns([1, 2])),
            (Raises("E"), Raises("E")),
            (Attempts(1, 2), Returns(2)),
            (Attempts(1), Returns(1)),
            (Visits(Raises("E"), Items(0, Attempts(Raises("E"), 9))), Returns(9)),
            (lambda call: call.input["x"] + 1, Returns(6)),
            (lambda call: Raises("E"), Raises("E")),
            (lambda call: {}[call.step], Raises("KeyError", "'a'", LOOKUP_ERRORS)),
        ],
    )  # fmt: skip
    def test_says_how_an_attempt_goes(self, told: Any, wanted: Outcome) -> None:
        assert outcome_of({"a": told}, CALL) == wanted

    def test_one_function_may_answer_for_all_steps(self) -> None:
        assert outcome_of(lambda call: call.step, CALL) == Returns("a")

    def test_one_that_leads_nowhere_is_refused(self) -> None:
        def again(call: Call) -> Any:
            return again

        with pytest.raises(ValueError, match="leads to no end"):
            outcome_of({"a": again}, CALL)


class TestRun:
    def test_skips_all_waiting(self) -> None:
        result = simulate(ORDER, {"order": 7}, {"ship": Items("a", "b")})
        assert (result.status, result.output) == ("Completed", ["a", "b"])
        assert 30 * 86_400_000 <= result.elapsed_ms < 30 * 86_400_000 + 1_000

    def test_an_attempt_made_again_after_a_fault_repeats_its_outcome(self) -> None:
        outcomes = {"charge": Attempts(Raises("Busy"), LosesRunner(), "paid"), "ship": 1}
        for seed in range(50):
            result = simulate(ORDER, {"order": 7}, outcomes, seed=seed, faults=STORMY)
            assert result.output == [1, 1]

    def test_one_seed_is_one_run(self) -> None:
        one, same, other = (
            simulate(ORDER, {"order": 7}, seed=seed, faults=STORMY).history for seed in (1, 1, 2)
        )
        assert one == same != other

    def test_may_be_canceled(self) -> None:
        result = simulate(ORDER, {"order": 7}, {"charge": Hangs()}, cancel_at_ms=5_000)
        assert result.status == "Canceled"
        assert result.elapsed_ms == 5_001

    def test_one_that_hangs_is_told_of(self) -> None:
        result = simulate(ORDER, {"order": 7}, {"ship": Items(1, Hangs())})
        assert not result.ended
        assert result.state.busy == 1

    def test_one_that_never_ends_is_told_of(self) -> None:
        text = 'id: a\nversion: "1"\nsteps:\n- {id: t, type: timer, duration: 1s, next: t}\n'
        result = simulate(parse_definition(text), turns_max=100)
        assert not result.ended
        assert result.turns == 100


class TestBrokenKernel:
    """A simulator that nothing could fail would be of no use."""

    def test_a_command_that_is_not_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def forgetful(*arguments: Any) -> Decision:
            decision = settle(*arguments)
            return Decision(decision.events, decision.commands[1:])

        monkeypatch.setattr(execution, "settle", forgetful)
        with pytest.raises(SimulationFailure, match=r"seed 11: outstanding"):
            simulate(ORDER, {"order": 7}, seed=11)

    def test_a_command_for_what_never_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def eager(*arguments: Any) -> Decision:
            decision = settle(*arguments)
            doubled = [
                RunStep(type(c.at)(c.at.scope, c.at.step, 9), None) for c in decision.commands
            ]
            return Decision(decision.events, [*decision.commands, *doubled])

        monkeypatch.setattr(execution, "settle", eager)
        with pytest.raises(SimulationFailure) as failure:
            simulate(ORDER, {"order": 7}, seed=12)
        assert failure.value.seed == 12
        assert "ExecutionStarted" in str(failure.value)

    def test_an_event_that_is_not_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def silent(*arguments: Any) -> Decision:
            decision = settle(*arguments)
            return Decision(decision.events[:-1], decision.commands)

        monkeypatch.setattr(execution, "settle", silent)
        with pytest.raises(SimulationFailure):
            simulate(ORDER, {"order": 7})
