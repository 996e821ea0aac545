"""Different people: by whom tasks are given to, on all ways; against all walks of small ones."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random
from typing import Final

import pytest

from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import Simulation
from heliostat.engine.simulator.outcomes import Acts, Person
from heliostat.verify.analyses import Subject
from heliostat.verify.people.analysis import verdicts
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reports.diagnostics import diagnostics

HEAD: Final = """\
id: loan
version: "1"
properties: [{id: four-eyes, different_people: [ask, approve]}]
"""
TEAM: Final = "$.input.team"
OTHERS: Final = '"$.input.team[?@ != $.steps.{}.output.completed_by]"'


def subject(steps: str) -> Subject:
    definition = parse_definition(HEAD + steps, "loan.yaml")
    return Subject(definition=definition, plan=compile_plan(definition))


def row(ask: str, approve: str, between: str = "next: approve") -> Subject:
    return subject(
        f"""\
steps:
  - {{id: ask, type: human, {ask}, {between}}}
  - {{id: approve, type: human, {approve}}}
"""
    )


def told(asked: Subject) -> list[Diagnostic]:
    return [*diagnostics(asked.definition, verdicts(asked))]


def verdict(asked: Subject) -> Verdict:
    (found,) = verdicts(asked)
    return found


class TestGivenTo:
    def test_one_person_who_is_given_both(self) -> None:
        both = row("assignees: [ann, bob]", "candidates: [eve, bob]")
        (found,) = told(both)
        assert (found.code, found.step, found.severity) == ("HS540", "approve", "error")
        assert (
            "property `four-eyes`: `bob` can do both `ask`, `approve`, after `ask` completes, "
            "`approve` completes"
        ) in found.message

    def test_two_lists_without_a_common_name(self) -> None:
        apart = row("assignees: [ann, bob]", "candidates: [eve]")
        assert told(apart) == []
        found = verdict(apart)
        assert found.outcome == "holds"
        assert found.reason == "`ask` goes to `ann` and `bob`, `approve` to `eve`"
        assert [each.kind for each in found.rests_on] == ["people"]
        assert "refuses nobody" in found.rests_on[0].text

    @pytest.mark.parametrize(
        ("ask", "approve", "outcome", "says"),
        [
            ('assignees: ["group:desk"]', 'candidates: ["group:desk"]', "fails", "of `group:desk`"),
            (
                'assignees: ["group:desk"]',
                'candidates: ["group:boss"]',
                "holds",
                "nobody is both of `group:desk` and of `group:boss`",
            ),
            ("assignees: [ann]", 'candidates: ["group:boss"]', "holds", "`ann` is not of"),
            (f"assignees: {TEAM}", f"candidates: {TEAM}", "fails", "`$.input.team` names"),
            ("assignees: [ann]", f"candidates: {TEAM}", "inconclusive", "may be one of those"),
            (
                "assignees: [ann]",
                "assignees: $.steps.ask.output.completed_by",
                "fails",
                "whoever did `ask`",
            ),
            (
                "assignees: [ann]",
                "assignees: [bob], escalate: [{after: 1h, assignees: [ann]}]",
                "fails",
                "`ann`",
            ),
            (f"assignees: {TEAM}", "candidates: " + OTHERS.format("ask"), "holds", "refuses"),
            ("assignees: [ann]", "candidates: " + OTHERS.format("ask"), "holds", "refuses"),
        ],
    )
    def test_whom(self, ask: str, approve: str, outcome: str, says: str) -> None:
        found = verdict(row(ask, approve))
        assert found.outcome == outcome
        assert says in " ".join([found.reason, *(each.text for each in found.rests_on)])

    def test_what_is_not_known_is_a_warning_with_a_cure(self) -> None:
        (found,) = told(row("assignees: [ann]", f"candidates: {TEAM}"))
        assert (found.code, found.step, found.severity) == ("HS540", "approve", "warning")
        assert "it is not known whether one person can do both" in found.message
        assert found.cure is not None
        assert "$.steps.ask.output.completed_by" in found.cure

    def test_whoever_did_a_third_step(self) -> None:
        third = """\
steps:
  - {id: first, type: human, assignees: [NAME], next: ask}
  - {id: ask, type: human, assignees: [ann], next: approve}
  - {id: approve, type: human, assignees: "$.steps.first.output.completed_by"}
"""
        assert verdict(subject(third.replace("NAME", "bob"))).outcome == "holds"
        assert verdict(subject(third.replace("NAME", "ann"))).outcome == "fails"

    def test_a_point_that_both_name(self) -> None:
        steps = """\
intervention_points: [{id: desk, assignees: [ann]}]
steps:
  - {id: ask, type: human, intervention_point: desk, next: approve}
  - {id: approve, type: human, intervention_point: desk}
"""
        assert verdict(subject(steps)).outcome == "fails"

    def test_a_step_that_no_person_does(self) -> None:
        steps = """\
steps:
  - {id: ask, type: human, assignees: [ann], next: approve}
  - {id: approve, type: activity, activity: "m:f"}
"""
        (found,) = told(subject(steps))
        assert (found.code, found.step, found.severity) == ("HS540", "approve", "warning")

    def test_of_three_each_two_are_asked(self) -> None:
        text = (
            HEAD.replace("[ask, approve]", "[ask, approve, pay]")
            + """\
steps:
  - {id: ask, type: human, assignees: [ann], next: approve}
  - {id: approve, type: human, assignees: [bob], next: pay}
  - {id: pay, type: human, assignees: [bob]}
"""
        )
        definition = parse_definition(text)
        asked = Subject(definition=definition, plan=compile_plan(definition))
        (found,) = told(asked)
        assert "`bob` can do both `approve`, `pay`" in found.message


class TestWays:
    def test_of_two_ways_one_person_goes_one(self) -> None:
        either = """\
steps:
  - {id: fork, type: decision, next: [{when: $.input.x, to: ask}, {to: approve}]}
  - {id: ask, type: human, assignees: [ann], next: end}
  - {id: approve, type: human, assignees: [ann]}
"""
        found = verdict(subject(either))
        assert (found.outcome, found.exact) == ("holds", True)
        assert found.reason == "no execution completes both `ask` and `approve`"

    def test_round_again_a_first_doer_is_forgotten(self) -> None:
        back = "next: [{when: $.output.fine, to: end}, {to: ask}]"
        around = row(f"assignees: {TEAM}", f"candidates: {OTHERS.format('ask')}, {back}")
        (found,) = told(around)
        assert found.code == "HS540"
        assert "somebody who was not left out in time" in found.message
        assert verdict(around).run[-1].step == "ask"

    def test_side_by_side_neither_is_known_to_the_other(self) -> None:
        beside = f"""\
steps:
  - {{id: fork, type: decision, split: all, next: [{{to: ask}}, {{to: WHERE}}]}}
  - {{id: ask, type: human, assignees: {TEAM}, next: approve}}
  - {{id: look, type: activity, activity: "m:f", next: end}}
  - {{id: approve, type: human, join: any, assignees: {OTHERS.format("ask")}}}
"""
        assert verdict(subject(beside.replace("WHERE", "look"))).outcome == "holds"
        both = beside.replace("WHERE", "approve").replace(
            '  - {id: look, type: activity, activity: "m:f", next: end}\n', ""
        )
        assert verdict(subject(both)).outcome == "fails"

    def test_in_a_loop_a_point_apart_from_all_of_the_others(self) -> None:
        back = "next: [{when: $.output.fine, to: end}, {to: ask}]"
        around = row("assignees: [ann, bob]", f"candidates: [eve], {back}")
        assert verdict(around).outcome == "holds"


class TestTheEngine:
    """What answers rest on is what executions do."""

    def test_who_did_the_other_step_is_left_out_and_nobody_is_refused(self) -> None:
        plan = row(f"assignees: {TEAM}", "candidates: " + OTHERS.format("ask")).plan
        script = {
            "ask": Person(Acts("complete", "ann", {})),
            "approve": Person(Acts("complete", "ann", {})),
        }
        result = Simulation(plan, {"team": ["ann", "bob"]}, script).run()
        assert [(each.step, each.assignees, each.candidates) for each in result.tasks] == [
            ("ask", ("ann", "bob"), ()),
            ("approve", (), ("bob",)),
        ]
        assert result.output == {"completed_by": "ann"}  # it was not hers to do
        assert result.refusals == []


Ways = dict[str, list[str]]


def machine(ways: Ways, informed: set[str]) -> Subject:
    """A machine of single steps, with a free choice where there are several ways."""
    steps = []
    for step, following in ways.items():
        clauses = [f"{{when: $.input.x, to: {each}}}" for each in following[:-1]]
        clauses.append(f"{{to: {following[-1]}}}")
        what = "type: decision"
        if step != "other":
            known = {"ask": "approve", "approve": "ask"}[step]
            people = OTHERS.format(known) if step in informed else TEAM
            what = f"type: human, assignees: {people}"
        steps.append(f"  - {{id: {step}, {what}, next: [{', '.join(clauses)}]}}\n")
    return subject("steps:\n" + "".join(steps))


def met(ways: Ways, informed: set[str], length_max: int = 5) -> bool:
    """Whether in some walk one of three people does both, each leaving out the latest doer of the
    other step where it is informed."""
    todo: list[tuple[str, tuple[tuple[str, str], ...]]] = [(next(iter(ways)), ())]
    while todo:
        at, done = todo.pop()
        if at == "end" or len(done) == length_max:
            continue
        whos = [""]
        if at != "other":
            latest = next((who for step, who in reversed(done) if step != at), None)
            whos = [who for who in "pqr" if at not in informed or who != latest]
        for who, to in product(whos, ways[at]):
            now = (*done, (at, who)) if who else done
            doers = {name: {w for step, w in now if step == name} for name in ("ask", "approve")}
            if doers["ask"] & doers["approve"]:
                return True
            todo.append((to, now))
    return False


def test_the_same_as_by_walking() -> None:
    seen: Counter[str] = Counter()
    for seed in range(90):
        random = Random(seed)
        order = random.sample(["ask", "approve", "other"], 3)
        ways: Ways = {}
        for at, step in enumerate(order):
            following = [order[at + 1] if at < 2 else "end"]
            if random.random() < 0.5:
                following.append(random.choice(["ask", "approve", "end"]))
            ways[step] = list(dict.fromkeys(random.sample(following, len(following))))
        informed = {step for step in ("ask", "approve") if random.random() < 0.6}
        try:
            asked = machine(ways, informed)
        except DefinitionError:  # it cannot come to a step, or to one after the one that it reads
            seen["refused"] += 1
            continue
        outcome = verdict(asked).outcome
        if outcome == "inconclusive":
            seen[outcome] += 1
            continue
        assert (outcome == "fails") == met(ways, informed), (seed, ways, informed)
        seen[outcome] += 1
    assert seen["fails"] > 15, seen
    assert seen["holds"] > 8, seen
    assert seen["inconclusive"] < 10, seen
