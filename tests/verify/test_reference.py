"""The reference interpreter by itself: what it says where several things are at one instant."""

from __future__ import annotations

import json
from typing import Any

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.simulator import Call, Hangs, Returns, simulate
from heliostat.verify.reference import Told, interpret


def test_what_opens_together_begins_before_any_of_it_ends() -> None:
    """A decision that cancels a body and a list that is too short come to that when the body's
    steps have begun: these are to be stopped, which takes their grace."""
    inner = [{"id": "work", "type": "activity", "activity": "m:work", "grace": "7s", "needs": []}]
    body = {"id": "body", "steps": inner, "needs": []}
    settled: list[dict[str, Any]] = [
        {"id": "over", "type": "decision", "needs": [], "cancels": ["body"]},
        {"id": "over", "type": "decision", "needs": [], "foreach": "[]", "completion": "any"},
    ]
    for first in settled:
        tree = {"id": "together", "version": "1", "steps": [first, body]}
        ended = interpret(tree, None, lambda call: Hangs(on_stop="ignores"))
        assert (ended.calls, ended.elapsed_ms) == ({"work": 1}, 7_000)


def test_what_fails_at_once_may_do_so_after_a_long_chain_beside_it() -> None:
    """The page promises no order at one instant: all is found in a few draws, not only where
    things take turns."""
    chain: list[dict[str, Any]] = [
        {"id": f"c{n}", "type": "decision", "next": f"c{n + 1}"} for n in range(12)
    ]
    steps: list[dict[str, Any]] = [
        {"id": "fork", "type": "decision", "split": "all", "next": [{"to": "c0"}, {"to": "over"}]},
        *chain,
        {"id": "c12", "type": "activity", "activity": "m:work", "grace": "7s"},
        {"id": "over", "type": "decision", "foreach": "[]", "completion": "any"},
    ]
    tree = {"id": "chain", "version": "1", "steps": steps}
    ends = [interpret(tree, None, lambda call: Hangs(on_stop="ignores"), seed=n) for n in range(30)]
    assert {each.elapsed_ms for each in ends} == {0, 7_000}


def test_a_step_that_is_cancelled_before_it_began_is_skipped_at_once() -> None:
    """Not when all that is withdrawn has ended: until then its needs may be met."""
    run = {"type": "activity", "activity": "m:f"}
    steps: list[dict[str, Any]] = [
        {"id": "late", "type": "timer", "duration": "2s", "needs": []},
        {"id": "stop", "type": "timer", "duration": "1s", "needs": [], "cancels": ["slow", "off"]},
        {"id": "slow", **run, "needs": []},
        {"id": "off", **run, "needs": ["late"]},
        {"id": "after", **run, "needs": ["late", "off"]},
        {"id": "last", **run, "needs": ["off", "slow", "stop"]},
    ]

    def outcome(call: Call) -> Any:
        return Hangs(on_stop="ignores") if call.step == "slow" else Returns(call.step)

    tree = {"id": "skipped", "version": "1", "steps": steps}
    ended = interpret(tree, None, outcome)
    result = simulate(parse_definition(json.dumps(tree)), None, outcome)
    assert list(ended.trace) == result.trace == ["late", "after", "stop", "last"]
    assert ended.output == result.output == {"after": "after", "last": "last"}


def test_a_wait_whose_timer_is_held_by_a_pause_takes_what_comes() -> None:
    step = {"id": "w", "type": "wait", "any": [{"timer": "2s"}, {"signal": "go"}]}
    tree = {"id": "held", "version": "1", "steps": [step]}
    told = [Told(1_000, "pause"), Told(3_000, "signal", "go"), Told(9_000, "resume")]
    ended = interpret(tree, None, lambda call: None, told)
    assert (ended.output["name"], ended.elapsed_ms) == ("go", 3_000)
    timeline: list[dict[str, Any]] = [
        {"at": "1s", "pause": True}, {"at": "3s", "signal": "go"}, {"at": "9s", "resume": True}
    ]  # fmt: skip
    result = simulate(parse_definition(json.dumps(tree)), timeline=timeline)
    assert (result.output["name"], result.elapsed_ms) == ("go", 3_000)


def test_a_wait_that_opens_in_a_pause_takes_what_comes() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "a", "type": "activity", "activity": "m:a", "next": "w"},
        {"id": "w", "type": "wait", "signal": "go"},
    ]
    tree = {"id": "opens", "version": "1", "steps": steps}
    told = [Told(1_000, "pause"), Told(3_000, "signal", "go"), Told(9_000, "resume")]
    ended = interpret(tree, None, lambda call: Returns(None, after_ms=2_000), told)
    assert (ended.output["name"], ended.elapsed_ms) == ("go", 3_000)
