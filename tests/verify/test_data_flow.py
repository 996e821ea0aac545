"""Reads of what was not written, assignments that nothing reads, races; and their mended twins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reports.diagnostics import diagnostics


def asked(*steps: dict[str, Any], **fields: Any) -> tuple[dict[str, Verdict], list[str]]:
    """The verdicts by what was asked, and what is told."""
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    definition = parse_definition(json.dumps(tree), "case.json")
    subject = Subject(definition=definition, plan=compile_plan(definition))
    verdicts = analysed(subject, ["data"])
    told = diagnostics(definition, verdicts)
    return (
        {each.asked: each for each in verdicts},
        [f"{each.code} {each.step} {each.field} {each.message}" for each in told],
    )


def act(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", "input": {}, **fields}


def decision(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "decision", **fields}


BIG = {"when": "$.input.total > 1000", "to": "approve"}


class TestUnwritten:
    def shop(self, read: str, after: list[dict[str, Any]] | str) -> list[dict[str, Any]]:
        return [
            decision("check", next=[BIG, {"to": "ship"}]),
            act("approve", next="ship"),
            act("ship", next=after),
            act("thank", input={"who": read}),
        ]

    def test_an_output_that_one_way_passes_by(self) -> None:
        verdicts, told = asked(*self.shop("$.steps.approve.output.name", "thank"))
        assert verdicts["unwritten reads"].outcome == "fails"
        (message,) = told
        assert message.startswith(
            "HS512 thank input.who `$.steps.approve.output` is read, and `approve` has not "
            "completed, after `check` completes, `ship` completes, where `$.input.total` = "
        )

    @pytest.mark.parametrize("read", ['${ $.steps.approve.output.name default "you" }'])
    def test_a_default_is_care_enough(self, read: str) -> None:
        verdicts, told = asked(*self.shop(read, "thank"))
        assert (verdicts["unwritten reads"].outcome, told) == ("holds", [])

    def test_a_condition_that_agrees_rules_it_out(self) -> None:
        again = [{"when": "$.input.total > 2000", "to": "thank"}, {"to": "end"}]
        verdicts, told = asked(*self.shop("$.steps.approve.output.name", again))
        assert (verdicts["unwritten reads"].outcome, told) == ("holds", [])
        again[0]["when"] = "$.input.total > 500"
        verdicts, told = asked(*self.shop("$.steps.approve.output.name", again))
        assert verdicts["unwritten reads"].outcome == "fails"
        assert told[0].startswith("HS512 thank input.who")

    def test_a_variable_that_begins_as_nothing(self) -> None:
        steps = [
            decision("check", next=[BIG, {"to": "ship"}]),
            act("approve", assign={"who": "$.output.name"}, next="ship"),
            act("ship", input={"who": "$.vars.who"}),
        ]
        verdicts, told = asked(*steps, vars={"who": None})
        assert verdicts["unwritten reads"].outcome == "fails"
        assert "nothing is assigned to it, after `check` completes" in told[0]
        verdicts, told = asked(*steps, vars={"who": "nobody"})
        assert (verdicts["unwritten reads"].outcome, told) == ("holds", [])

    def test_a_need_that_may_be_skipped(self) -> None:
        steps = [
            act("a", needs=[], when="$.input.full"),
            act("b", needs=[]),
            act("c", needs=["a", "b"], input={"a": "$.steps.a.output", "b": "$.steps.b.output"}),
        ]
        verdicts, told = asked(*steps)
        assert verdicts["unwritten reads"].outcome == "fails"
        assert [each.split(" is read")[0] for each in told] == [
            "HS512 c input.a `$.steps.a.output`"
        ]
        del steps[0]["when"]
        verdicts, told = asked(*steps)
        assert (verdicts["unwritten reads"].outcome, told) == ("holds", [])


class TestDeadAssignments:
    def test_nothing_ever_reads_it(self) -> None:
        steps = [act("a", assign={"x": "$.output"}, next="b"), act("b")]
        verdicts, told = asked(*steps, vars={"x": 0})
        assert verdicts["dead assignments"].outcome == "fails"
        assert told == ["HS513 a assign.x what is assigned to `x` here is never read"]
        verdicts, told = asked(*steps, vars={"x": 0}, output={"x": "$.vars.x"})
        assert (verdicts["dead assignments"].outcome, told) == ("holds", [])

    def test_a_name_may_say_that_it_is_not_to_be_read(self) -> None:
        verdicts, told = asked(act("a", assign={"_seen": "$.output"}), vars={"_seen": 0})
        assert (verdicts["dead assignments"].outcome, told) == ("holds", [])

    def test_it_is_overwritten_first(self) -> None:
        def steps(read: str) -> list[dict[str, Any]]:
            return [
                act("a", assign={"x": "$.output"}, next="b"),
                act("b", input={"x": read}, assign={"x": "$.output"}, next="c"),
                act("c", input={"x": "$.vars.x"}),
            ]

        verdicts, told = asked(*steps("new"), vars={"x": 0})
        assert told == ["HS513 a assign.x what is assigned to `x` here is never read"]
        verdicts, told = asked(*steps("$.vars.x"), vars={"x": 0})
        assert (verdicts["dead assignments"].outcome, told) == ("holds", [])

    def test_a_counter_that_only_counts(self) -> None:
        again = [{"when": "$.output.more", "to": "a"}, {"to": "end"}]
        count = act("a", assign={"n": "${ $.vars.n + 1 }"}, next=again)
        _, told = asked(count, vars={"n": 0})
        assert told == ["HS513 a assign.n what is assigned to `n` here is never read"]
        again.insert(0, {"when": "$.vars.n > 10", "to": "end"})
        _, told = asked(count, vars={"n": 0})
        assert told == []


class TestRaces:
    def forked(self, a: dict[str, Any], b: dict[str, Any], **fork: Any) -> list[dict[str, Any]]:
        ways = fork.get("next", [{"to": "a"}, {"to": "b"}])
        return [
            decision("fork", split="all", next=ways),
            act("a", next="j", **a),
            act("b", next="j", **b),
            act("j", join=fork.get("join", "all"), input={"x": "$.vars.x"}),
        ]

    def test_two_that_assign(self) -> None:
        one = {"assign": {"x": "$.output"}}
        verdicts, told = asked(*self.forked(one, one), vars={"x": 0})
        assert verdicts["races"].outcome == "fails"
        assert [str(each) for each in verdicts["races"].run] == ["fork completes"]
        (message,) = told
        assert message == (
            "HS514 a assign.x this step assigns `$.vars.x` and `b` assigns it, while both may be "
            "under way, after `fork` completes: what it holds hangs on which is first"
        )

    @pytest.mark.parametrize(
        "pair",
        [
            ({"assign": {"x": "$.output"}}, {"assign": {"y": "$.output"}}),
            ({"assign": {"x": 1}}, {"assign": {"x": 1}}),
            ({"assign": {"x": "${ $.vars.x + 1 }"}}, {"assign": {"x": "${ $.vars.x + 2 }"}}),
        ],
    )
    def test_what_is_no_race(self, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        verdicts, told = asked(
            *self.forked(*pair), vars={"x": 0, "y": 0}, output={"x": "$.vars.x", "y": "$.vars.y"}
        )
        assert (verdicts["races"].outcome, told) == ("holds", [])

    def test_conditions_that_exclude_each_other(self) -> None:
        one = {"assign": {"x": "$.output"}}
        fork = {"join": {"at_least": 1}}
        ways = [{"when": "$.input.n > 3", "to": "a"}, {"when": "$.input.n <= 3", "to": "b"}]
        steps = self.forked(one, one, next=[*ways, {"to": "j"}], **fork)
        verdicts, _ = asked(*steps, vars={"x": 0})
        assert verdicts["races"].outcome == "holds"
        ways[1]["when"] = "$.input.n <= 4"
        verdicts, told = asked(*steps, vars={"x": 0})
        assert verdicts["races"].outcome == "fails"
        assert "where `$.input.n` = 4" in " ".join(told)

    def test_one_that_reads_as_it_ends(self) -> None:
        writes = {"assign": {"x": "$.output"}}
        reads = {"assign": {"y": "$.vars.x"}}
        steps = self.forked(writes, reads)
        verdicts, told = asked(*steps, vars={"x": 0, "y": 0}, output="$.vars.y")
        assert verdicts["races"].outcome == "fails"
        assert told[0].startswith("HS515 a assign.x this step assigns `$.vars.x` and `b` reads it")

    def test_one_that_reads_as_it_begins(self) -> None:
        """As both begin at once the read is before the assignment; a step later it is not."""
        writes, reads = {"assign": {"x": "$.output"}}, {"input": {"x": "$.vars.x"}}
        verdicts, _ = asked(*self.forked(writes, reads), vars={"x": 0})
        assert verdicts["races"].outcome == "holds"
        steps = self.forked(writes, {})
        steps[2]["next"] = "later"
        steps.insert(3, act("later", next="j", **reads))
        verdicts, told = asked(*steps, vars={"x": 0})
        assert verdicts["races"].outcome == "fails"
        assert "`later` reads it" in told[0]

    def test_steps_of_a_dag(self) -> None:
        def steps(*needs: str) -> list[dict[str, Any]]:
            return [
                act("a", needs=[], assign={"x": "$.output"}),
                act("b", needs=list(needs), input={"x": "$.vars.x"}, assign={"x": "$.output"}),
                act("c", needs=["a", "b"], input={"x": "$.vars.x"}),
            ]

        verdicts, _ = asked(*steps(), vars={"x": 0})
        assert verdicts["races"].outcome == "fails"
        verdicts, told = asked(*steps("a"), vars={"x": 0})
        assert (verdicts["races"].outcome, told) == ("holds", [])

    def test_branches_that_append_and_one_that_reads(self) -> None:
        def steps(read: Any) -> dict[str, Any]:
            adds = {"assign": {"seen": {"append": "$.output"}}}
            return {
                "id": "p",
                "type": "parallel",
                "branches": [
                    {"name": "a", "steps": [act("a1", **adds)]},
                    {"name": "b", "steps": [act("b1", next="b2", **adds), act("b2", input=read)]},
                ],
            }

        verdicts, _ = asked(steps({}), vars={"seen": []}, output="$.vars.seen")
        assert verdicts["races"].outcome == "holds"
        verdicts, told = asked(steps({"seen": "$.vars.seen"}), vars={"seen": []})
        assert verdicts["races"].outcome == "fails"
        assert told[0].startswith("HS515 a1 assign.seen")
