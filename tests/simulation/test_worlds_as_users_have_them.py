"""Scripts, timelines, people, children and stories, as users write and read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import heliostat as hs
from heliostat.api.cli.app import app
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import InputError

EVERYTHING = parse_definition(
    """
id: all
version: "1"
vars: {seen: []}
intervention_points: [{id: desk, assignees: [ann]}]
steps:
  - id: each
    foreach: $.input
    concurrency: 2
    steps:
      - {id: fetch, type: activity, activity: "m:fetch", input: {x: $.item}, next: inner}
      - {id: inner, type: activity, activity: "m:inner", foreach: "[1, 2]", input: {y: $.item}}
    next: call
  - {id: call, type: service_call, url: "http://x", on_error: [{human: desk}], next: child}
  - {id: child, type: sub_workflow, workflow: other, on_error: [{output: caught}], next: ask}
  - {id: ask, type: human, assignees: [ann], next: pick}
  - {id: pick, type: wait, any: [{signal: go}, {event: paid}, {timer: 1h}]}
output: {each: $.steps.each.output, child: $.steps.child.output, pick: $.steps.pick.output.name}
"""
)
PERSON = {"complete": {"ok": True}, "user": "ann"}


def outcomes(**more: Any) -> dict[str, Any]:
    return {"ask": PERSON, "pick": {"signal": "go", "after": "2m"}, **more}


class TestOutcomes:
    def test_items_speak_of_the_nearest_foreach_and_then_of_the_next(self) -> None:
        inner = {"items": [{"items": [1, 2]}, {"items": [3, 4]}]}
        result = hs.simulate(EVERYTHING, ["a", "b"], outcomes(**{"each/inner": inner}))
        assert result.output["each"] == [[1, 3], [2, 4]]

    def test_a_function_stands_for_an_activity(self) -> None:
        functions = {"m:inner": lambda y: 10 * y}
        result = hs.simulate(EVERYTHING, ["a"], outcomes(), functions=functions)
        assert result.output["each"] == [[10, 20]]

    def test_an_async_function_too(self) -> None:
        async def inner(y: int) -> int:
            return y + 1

        result = hs.simulate(EVERYTHING, ["a"], outcomes(), functions={"m:inner": inner})
        assert result.output["each"] == [[2, 3]]

    def test_a_child_may_fail_or_be_canceled(self) -> None:
        for told in ({"raise": "Gone"}, {"canceled": True}):
            result = hs.simulate(EVERYTHING, [], outcomes(child=told))
            assert result.output["child"] == "caught"

    def test_a_person_decides_about_a_failure(self) -> None:
        person = {"complete": {"resolution": "retry"}, "after": "5m"}
        call = {"attempts": [{"raise": "Down"}, {"output": 1}], "person": person}
        result = hs.simulate(EVERYTHING, [], outcomes(call=call))
        assert result.status == "Completed"
        assert 420_000 <= result.elapsed_ms < 421_000
        assert "asks a person about Down" in result.story

    def test_without_anybody_the_execution_waits(self) -> None:
        result = hs.simulate(EVERYTHING, [], {})
        assert not result.ended
        assert result.story.splitlines()[-1] == "it has not ended: Waiting; ask (human)"
        assert [task.status for task in result.tasks] == ["Open"]

    def test_a_wait_is_given_its_event(self) -> None:
        result = hs.simulate(EVERYTHING, [], outcomes(pick={"event": "paid", "data": 1}))
        assert result.output["pick"] == "paid"
        assert [(name, data) for _, name, data in result.published] == [("paid", 1)]


class TestTimeline:
    def test_a_signal_that_comes_early_is_kept(self) -> None:
        timeline = [{"at": "0s", "signal": "go"}]
        result = hs.simulate(EVERYTHING, [], {"ask": PERSON}, timeline=timeline)
        assert result.output["pick"] == "go"
        assert result.elapsed_ms < 1_000

    def test_a_request_that_cannot_be_followed_is_told_of(self) -> None:
        timeline = [{"at": "2h", "pause": True}]
        result = hs.simulate(EVERYTHING, [], outcomes(), timeline=timeline)
        assert [refusal.code for refusal in result.refusals] == ["CONFLICT"]

    def test_faults_are_told_at_once(self) -> None:
        timeline = [
            {"signal": "go"},
            {"at": 5, "puase": 1},
            {"at": "1m", "retry": {"from": "ask_"}},
        ]
        with pytest.raises(InputError) as fault:
            hs.simulate(EVERYTHING, [], {}, timeline=timeline)
        text = str(fault.value)
        assert "3 faults" not in text  # the second has two
        for word in (
            "says no instant",
            "did you mean `pause`?",
            "names none",
            "did you mean `ask`?",
        ):
            assert word in text


class TestFaultyOutcomes:
    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ({"fetsch": 1}, "did you mean `fetch`?"),
            ({"nope:fetch": 1}, "no workflow 'nope' is given"),
            ({"call/fetch": 1}, 'say "each/fetch", or just "fetch"'),
            ({"each": 1}, "script the steps in it"),
            ({"fetch": {"raise": 3}}, "3 is no error"),
            ({"fetch": {"output": 1, "hang": True}}, "names 2 outcomes"),
            ({"fetch": {"output": 1, "after": 5}}, 'say which unit: "5s"'),
            ({"fetch": {"output": 1, "on_stop": "waits"}}, "ends, returns or ignores"),
            ({"fetch": {"items": []}}, "at least one outcome"),
            ({"fetch": []}, "an empty list"),
            ({"ask": 1}, "says nothing of a human"),
            ({"ask": {"user": "ann"}}, "names none of claim, release, assign, complete"),
            ({"pick": {"signal": "stop"}}, "did you mean"),
            ([], "is no mapping"),
        ],
    )
    def test_are_refused_with_a_cure(self, told: Any, words: str) -> None:
        with pytest.raises(InputError) as fault:
            hs.simulate(EVERYTHING, [], told)
        assert words in str(fault.value) or "there is `go`" in str(fault.value)

    def test_so_is_an_input_that_breaches_the_schema(self) -> None:
        text = (
            'id: a\nversion: "1"\ninput_schema: {type: object}\nsteps: [{id: b, type: decision}]\n'
        )
        with pytest.raises(InputError, match="input_schema"):
            hs.simulate(parse_definition(text), 1)


class TestCommand:
    FILE = 'id: a\nversion: "1"\nsteps: [{id: b, type: activity, activity: "m:f"}]\n'

    def run(self, tmp_path: Path, *arguments: str) -> Any:
        file = tmp_path / "a.yaml"
        file.write_text(self.FILE)
        return CliRunner().invoke(app, ["simulate", str(file), *arguments])

    def test_tells_the_story(self, tmp_path: Path) -> None:
        (tmp_path / "o.yaml").write_text("b: {output: {n: 7}, after: 2d}\n")
        done = self.run(tmp_path, "--outcomes", str(tmp_path / "o.yaml"))
        assert done.exit_code == 0
        assert done.stdout.splitlines()[-1] == '2d 00:00:00.000  Completed: {"n":7}'

    def test_gives_json(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "--outcomes", '{"b": {"raise": "E"}}', "--format", "json")
        assert done.exit_code == 1
        told = json.loads(done.stdout)
        assert (told["status"], told["failure"]["type"]) == ("Failed", "E")
        assert told["events"][0]["type"] == "execution.started"

    def test_exits_as_the_execution_ended(self, tmp_path: Path) -> None:
        canceled = '[{"at": "1s", "cancel": true}]'
        hangs = ("--outcomes", '{"b": {"hang": true}}')
        assert self.run(tmp_path, *hangs, "--timeline", canceled).exit_code == 3
        assert self.run(tmp_path, *hangs).exit_code == 1
        assert self.run(tmp_path, "--storm", "--seed", "5").exit_code == 0

    def test_tells_faults(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "--outcomes", '{"c": 1}')
        assert isinstance(done.exception, InputError)
