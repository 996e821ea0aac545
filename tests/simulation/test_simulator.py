"""The simulator itself: scripts, seeds, bounds, and that it notices a broken kernel."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.identity import Address
from heliostat.engine.kernel.commands import RunStep
from heliostat.engine.kernel.events import HandlerFired
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.stimuli import Pause, Resume
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import (
    QUIET,
    STORMY,
    Attempts,
    Call,
    Faults,
    Hangs,
    Happening,
    Items,
    LosesRunner,
    Outcome,
    Raises,
    Returns,
    Simulation,
    SimulationFailure,
    Visits,
    execution,
    simulate,
)
from heliostat.engine.simulator.outcomes import outcome_of
from heliostat.engine.simulator.runners import Runners

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

    def test_a_new_owner_hears_of_attempts_in_the_order_in_which_they_began(self) -> None:
        """Faults are drawn for each: in another order, a seed is another run in each process."""
        runners = Runners(
            random=Random(1), faults=QUIET, now_ms=lambda: 0,
            later=lambda at_ms, action: None, report=lambda at, report: None,
        )  # fmt: skip
        begun = [Address(1, step, 1) for step in range(20)]
        for at in begun:
            runners.run(at, Returns(None), None)
        assert list(runners.known) == begun

    def test_a_refused_request_may_be_followed_when_it_comes_again(self) -> None:
        asked = [
            Happening(at_ms=5, stimulus=Resume(now_ms=0, message_id="r")),
            Happening(at_ms=5, stimulus=Pause(now_ms=0, message_id="p")),
        ]
        resumed = 0
        for seed in range(30):
            result = Simulation(
                compile_plan(ORDER), {"order": 7}, {"charge": Returns(1, after_ms=9)},
                seed=seed, faults=Faults(duplicate=1.0), happenings=asked,
            ).run()  # fmt: skip
            ids = [getattr(event, "message_id", None) for event in result.events]
            resumed += bool(result.refusals) and "r" in ids
        assert resumed

    def test_a_handler_opens_scopes_in_the_order_of_its_actions(self) -> None:
        text = """
id: both
version: "1"
start: stay
steps:
  - {id: stay, type: timer, duration: 1h, next: end}
  - {id: more, steps: [{id: work, type: activity, activity: "m:work"}]}
handlers:
  - {event: one, actions: [{trigger: {step: more}}, {custom: {activity: "m:note"}}]}
  - {event: two, actions: [{custom: {activity: "m:note"}}, {trigger: {step: more}}]}
"""
        events = [Happening(at_ms=n, event=(name, None)) for n, name in ((5, "one"), (9, "two"))]
        result = Simulation(compile_plan(parse_definition(text)), happenings=events).run()
        fired = [event for event in result.events if isinstance(event, HandlerFired)]
        sides = [number for event in fired for number, _ in event.scopes]
        assert (result.status, sides) == ("Completed", [3, 4])

    def test_time_ends_with_the_year_9999(self) -> None:
        eons_ms = 9_000 * 366 * 86_400_000
        result = simulate(ORDER, {"order": 7}, {"charge": Returns(1, after_ms=eons_ms)})
        assert not result.ended
        assert result.state.busy == 1

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
