"""What `heliostat verify` says of time: totals, the critical path, slack, deadlines."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final

import pytest

from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import Arrives, Attempts, Raises, Returns, Simulation
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.prover import Prover
from heliostat.verify.reports.diagnostics import diagnostics
from heliostat.verify.reports.values import verdict_value
from heliostat.verify.reports.words import markdown, text
from heliostat.verify.timing.durations import Duration
from heliostat.verify.timing.history import History, Unmeasured, read_measured
from heliostat.verify.timing.timing import Timing, timing

HEAD: Final = 'id: case\nversion: "1"\n'
WORK: Final = 'type: activity, activity: "m:f"'
EXAMPLES: Final = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))


def subject(written: str, **how: Any) -> Subject:
    definition = parse_definition(HEAD + written, "case.yaml")
    return Subject(definition=definition, plan=compile_plan(definition), **how)


def of(written: str, **how: Any) -> Timing:
    return timing(subject(written, **how))


def verdict(written: str, **how: Any) -> Verdict:
    (found,) = analysed(subject(written, **how), ["time"])
    return found


def told(written: str, **how: Any) -> tuple[Diagnostic, ...]:
    asked = subject(written, **how)
    return diagnostics(asked.definition, analysed(asked, ["time"]))


def totals(found: Timing) -> tuple[float, float, float]:
    assert found.expected is not None
    return found.bounds.total.least, round(found.expected.mean_ms), found.bounds.total.most


def took(id: str, tags: str, more: str = "") -> str:
    return f"  - {{id: {id}, {WORK}, tags: {{{tags}}}{more and ', '}{more}}}\n"


def ms(id: str, length: int, more: str = "") -> str:
    return took(id, f'duration_ms: "{length}"', more)


class TestDurations:
    def test_a_tag_is_all_three_figures(self) -> None:
        assert totals(of("steps:\n" + ms("a", 700))) == (700, 700, 700)

    def test_least_and_most_are_tags_of_their_own(self) -> None:
        tags = 'duration_ms: "700", duration_min_ms: "500", duration_max_ms: "900"'
        assert totals(of("steps:\n" + took("a", tags))) == (500, 700, 900)

    def test_without_an_expectation_it_is_the_middle(self) -> None:
        tags = 'duration_min_ms: "500", duration_max_ms: "900"'
        assert totals(of("steps:\n" + took("a", tags))) == (500, 700, 900)

    def test_a_default_is_a_guess_and_no_bound(self) -> None:
        found = of(f"steps: [{{id: a, {WORK}}}]")
        assert totals(found) == (0, 1_000, inf)
        assert found.durations["a"].source == "default"

    def test_a_guess_is_no_longer_than_its_timeout(self) -> None:
        found = of(f"steps: [{{id: a, {WORK}, timeout: 300ms, grace: 0s}}]")
        assert totals(found) == (0, 300, 300)

    @pytest.mark.parametrize(
        ("step", "figures"),
        [
            ("type: timer, duration: 3s", (3_000, 3_000, 3_000)),
            ("type: wait, any: [{name: long, timer: 9s}, {timer: 4s}]", (4_000, 4_000, 4_000)),
            ("type: wait, any: [{timer: 4s}, {signal: go}]", (0, 4_000, 4_000)),
            ("type: wait, signal: go", (0, 10_000, inf)),
            ("type: decision", (0, 0, 0)),
            ("type: human, assignees: [ann], deadline: 2h", (0, 3_600_000, 7_200_000)),
            ("type: sub_workflow, workflow: other", (0, 10_000, inf)),
            ("type: sub_workflow, workflow: other, detached: true", (0, 0, 0)),
        ],
    )
    def test_what_a_step_is_says_how_long_it_takes(
        self, step: str, figures: tuple[float, ...]
    ) -> None:
        assert totals(of(f"steps: [{{id: a, {step}}}]")) == figures


class TestTotals:
    def test_a_choice_is_its_shortest_its_mean_and_its_longest_way(self) -> None:
        found = of(
            "steps:\n  - {id: c, type: decision, next: [{when: $.input.x, to: a}, {to: b}]}\n"
            + ms("a", 1_000)
            + ms("b", 3_000)
        )
        assert found.bounds.total.least == 1_000
        assert found.bounds.total.most == 3_000
        assert found.expected is not None
        assert abs(found.expected.mean_ms - 2_000) < 5 * found.expected.error_ms

    def test_tags_say_how_likely_ways_are(self) -> None:
        ways = "next: [{when: $.input.x, to: a}, {to: b}]"
        found = of(
            f'steps:\n  - {{id: c, type: decision, {ways}, tags: {{probability.a: "1"}}}}\n'
            + ms("a", 1_000)
            + ms("b", 3_000)
        )
        assert found.expected is not None
        assert found.expected.mean_ms == 1_000

    def test_a_loop_has_no_bound_but_one_that_a_tag_gives(self) -> None:
        again = "next: [{when: $.output, to: a}, {to: end}]"
        free = of("steps:\n" + ms("a", 100, again))
        assert free.bounds.total == type(free.bounds.total)(100, inf)
        assert "loop" in free.bounds.unbounded["a"]
        bounded = of("steps:\n" + took("a", 'duration_ms: "100", visits_max: "4"', again))
        assert bounded.bounds.total.most == 400

    @pytest.mark.parametrize(
        ("adds", "ways", "most"),
        [
            ("1", "{when: $.vars.n >= 20, to: end}, {to: rest}", 20 * 10 + 19 * 1_000),
            ("2", "{when: $.vars.n >= 20, to: end}, {to: rest}", 10 * 10 + 9 * 1_000),
            ("1", "{when: $.vars.n > 20, to: end}, {to: rest}", 21 * 10 + 20 * 1_000),
            ("1", "{when: $.vars.n < 20, to: rest}, {to: end}", 20 * 10 + 19 * 1_000),
            ("1", "{when: $.vars.n <= 20 and $.output, to: rest}, {to: end}", 21 * 10 + 20 * 1_000),
            ("1", "{when: $.output, to: rest}, {when: $.vars.n >= 20, to: end}, {to: rest}", inf),
            ("1", "{when: $.vars.n >= 20 and $.output, to: end}, {to: rest}", inf),
            ("0", "{when: $.vars.n >= 20, to: end}, {to: rest}", inf),
            ("$.input.by", "{when: $.vars.n >= 20, to: end}, {to: rest}", inf),
        ],
    )
    def test_a_loop_that_counts_has_a_bound(self, adds: str, ways: str, most: float) -> None:
        counts = f"assign: {{n: '${{ $.vars.n + {adds} }}'}}, next: [{ways}]"
        loop = ms("a", 10, counts) + "  - {id: rest, type: timer, duration: 1s, next: a}\n"
        assert of("vars: {n: 0}\nsteps:\n" + loop).bounds.total.most == most

    def test_one_visit_of_a_loop_goes_round_nothing(self) -> None:
        counts = (
            "assign: {n: '${ $.vars.n + 1 }'}, next: [{when: $.vars.n < 1, to: rest}, {to: end}]"
        )
        loop = ms("a", 10, counts) + "  - {id: rest, type: wait, signal: go, next: a}\n"
        assert of("vars: {n: 0}\nsteps:\n" + loop).bounds.total.most == 10

    def test_nothing_else_may_set_what_a_loop_counts_by(self) -> None:
        counts = (
            "assign: {n: '${ $.vars.n + 1 }'}, next: [{when: $.vars.n < 9, to: rest}, {to: end}]"
        )
        again = "  - {id: rest, type: timer, duration: 1s, assign: {n: 0}, next: a}\n"
        assert of("vars: {n: 0}\nsteps:\n" + ms("a", 10, counts) + again).bounds.total.most == inf

    def test_retries_and_their_pauses_are_in_the_most(self) -> None:
        retry = "retry: {max_attempts: 3, initial: 1s, factor: 2, jitter: false}"
        assert totals(of("steps:\n" + ms("a", 100, retry))) == (100, 100, 3_300)

    def test_items_go_so_many_at_a_time(self) -> None:
        found = of("steps:\n" + ms("a", 100, 'foreach: "range(0, 7)", concurrency: 3'))
        assert totals(found) == (300, 300, 300)

    def test_how_many_items_there_are_may_be_a_tag(self) -> None:
        each = "foreach: $.input.list"
        assert of("steps:\n" + ms("a", 100, each)).bounds.total.most == inf
        tagged = took("a", 'duration_ms: "100", items_count: "2000"', each)
        assert totals(of("steps:\n" + tagged)) == (200, 200, 200)

    @pytest.mark.parametrize(
        ("completion", "least", "expected"),
        [("all", 500, 500), ("any", 100, 100), ("{at_least: 2}", 300, 300)],
    )
    def test_branches_end_with_the_last_that_is_needed(
        self, completion: str, least: int, expected: int
    ) -> None:
        branches = "".join(
            f"      - {{name: {name}, steps: [{ms(name, length).strip()[2:]}]}}\n"
            for name, length in (("a", 100), ("b", 300), ("c", 500))
        )
        found = of(
            f"steps:\n  - id: p\n    type: parallel\n    completion: {completion}\n"
            f"    branches:\n{branches}"
        )
        assert totals(found)[:2] == (least, expected)
        assert found.bounds.total.most == 500

    def test_what_follows_a_join_of_some_comes_after_the_last_of_these(self) -> None:
        found = of(
            "steps:\n"
            "  - {id: fork, type: decision, split: all, next: [{to: a}, {to: b}, {to: c}]}\n"
            + ms("a", 100, "next: j")
            + ms("b", 300, "next: j")
            + ms("c", 500, "next: j")
            + ms("j", 1_000, "join: {at_least: 2}")
        )
        assert totals(found)[:2] == (1_300, 1_300)
        assert found.bounds.total.most == 1_500

    def test_a_step_that_may_be_skipped_takes_no_time_at_least(self) -> None:
        found = of("steps:\n" + ms("a", 100, "when: $.input.x"))
        assert (found.bounds.total.least, found.bounds.total.most) == (0, 100)


NETWORK: Final = (
    "steps:\n"
    + ms("a", 300, "needs: []")
    + ms("b", 500, "needs: []")
    + ms("c", 200, "needs: [a]")
    + ms("d", 400, "needs: [a, b]")
    + ms("e", 100, "needs: [c]")
)
RACE: Final = (
    "steps:\n"
    + ms("a", 300, "needs: []")
    + ms("b", 500, "needs: []")
    + ms("c", 900, "needs: []")
    + ms("d", 700, "needs: [a, b], join: any")
)
WITHDRAWN: Final = (
    "steps:\n  - {id: fork, type: decision, split: all, next: [{to: a}, {to: w}]}\n"
    + ms("a", 300, "next: b")
    + ms("b", 400, "cancels: [w]")
    + "  - {id: w, type: timer, duration: 5s}\n"
)
NESTED: Final = (
    "steps:\n  - id: p\n    type: parallel\n    next: z\n    branches:\n"
    "      - name: left\n        steps:\n"
    "          - id: body\n            foreach: '[1, 2, 3, 4]'\n            concurrency: 2\n"
    f'            steps: [{{id: x, {WORK}, tags: {{duration_ms: "100"}}}}]\n'
    f'      - {{name: right, steps: [{{id: y, {WORK}, tags: {{duration_ms: "450"}}}}]}}\n'
    + ms("z", 50)
)


class TestChildren:
    def test_a_child_takes_what_its_definition_does(self) -> None:
        child = replace_id(subject("steps:\n" + ms("x", 700, "retry: {max_attempts: 2}")), "other")
        asked = replace(
            subject("steps: [{id: a, type: sub_workflow, workflow: other}]"), beside=(child,)
        )
        assert totals(timing(asked)) == (700, 700, 2_400)
        assert timing(asked).durations["a"].source == "child"

    def test_one_that_starts_itself_has_no_time_of_its_own(self) -> None:
        itself = subject("steps: [{id: a, type: sub_workflow, workflow: case}]")
        assert totals(timing(replace(itself, beside=(itself,)))) == (0, 10_000, inf)


def replace_id(asked: Subject, id: str) -> Subject:
    definition = asked.definition.model_copy(update={"id": id})
    return replace(asked, definition=definition, plan=compile_plan(definition))


class TestTheCriticalPath:
    def test_is_the_longest_way(self) -> None:
        critical = of(NETWORK).critical
        assert critical.path == ("b", "d")
        assert critical.total_ms == 900
        slack = {id: place.slack_ms for id, place in critical.places.items()}
        assert slack == {"a": 200, "b": 0, "c": 300, "d": 0, "e": 300}
        assert critical.exact

    def test_goes_into_branches_and_bodies(self) -> None:
        critical = of(NESTED).critical
        assert critical.path == ("y", "z")
        slack = {id: place.slack_ms for id, place in critical.places.items()}
        assert slack == {"p": 0, "body": 250, "x": 125, "y": 0, "z": 0}

    @pytest.mark.parametrize("written", [NETWORK, RACE, WITHDRAWN, NESTED])
    def test_slack_is_what_a_delay_may_be_in_the_simulator(self, written: str) -> None:
        asked = subject(written)
        found = timing(asked)
        assert found.critical.exact

        def total(late: str, by_ms: float) -> int:
            def outcome(call: Any) -> Returns:
                takes = found.durations[call.step].expected_ms
                return Returns(after_ms=round(takes + by_ms * (call.step == late)), stop_ms=0)

            return Simulation(asked.plan, None, outcome).run().elapsed_ms

        whole = total("", 0)
        assert whole == found.critical.total_ms
        for step in asked.plan.steps:
            if step.kind != "activity":
                continue
            slack = found.critical.places[step.id].slack_ms
            if slack == inf:
                assert total(step.id, 10 * whole) == whole
            else:
                assert total(step.id, slack) == whole, step.id
                assert total(step.id, slack + 1) > whole, step.id


class TestDeadlines:
    @pytest.mark.parametrize(
        ("bad", "good", "code", "step", "field"),
        [
            (
                "steps:\n" + ms("a", 3_000, "deadline: 2s"),
                "steps:\n" + ms("a", 3_000, "deadline: 3s"),
                "HS520",
                "a",
                "deadline",
            ),
            (
                "deadline: 2s\nsteps:\n" + ms("a", 1_500, "next: b") + ms("b", 1_500),
                "deadline: 4s\nsteps:\n" + ms("a", 1_500, "next: b") + ms("b", 1_500),
                "HS520",
                None,
                "deadline",
            ),
            (
                "steps:\n  - {id: a, type: timer, duration: 8d, deadline: {business_days: 2}}",
                "steps:\n  - {id: a, type: timer, duration: 3d, deadline: {business_days: 2}}",
                "HS520",
                "a",
                "deadline",
            ),
            (
                "steps:\n" + ms("a", 3_000, "timeout: 2s"),
                "steps:\n" + ms("a", 2_000, "timeout: 2s"),
                "HS521",
                "a",
                "timeout",
            ),
        ],
    )
    def test_one_that_can_never_be_met_is_a_fault(
        self, bad: str, good: str, code: str, step: str | None, field: str
    ) -> None:
        (fault,) = told(bad)
        assert (fault.code, fault.step, fault.field) == (code, step, field)
        assert fault.severity == "error"
        assert fault.line > 0
        assert verdict(bad).outcome == "fails"
        assert told(good) == ()
        assert verdict(good).outcome == "holds"

    def test_business_days_bound_what_they_stand_on(self) -> None:
        step = "type: wait, signal: go, deadline: {business_days: 2}"
        found = of(f"steps: [{{id: a, {step}}}]")
        assert found.bounds.total.most == 4 * 86_400_000  # over a weekend
        assert [each.limit.least for each in found.deadlines] == [2 * 86_400_000]

    def test_that_one_may_be_missed_is_no_fault(self) -> None:
        tags = 'duration_min_ms: "1000", duration_max_ms: "3000"'
        written = "steps:\n" + took("a", tags, "deadline: 2s")
        assert told(written) == ()
        assert [each.met for each in of(written).deadlines] == ["may be missed"]

    def test_that_what_is_expected_misses_one_is_a_warning(self) -> None:
        tags = 'duration_ms: "2500", duration_min_ms: "1000"'
        (fault,) = told("steps:\n" + took("a", tags, "deadline: 2s"))
        assert (fault.code, fault.severity, fault.step) == ("HS522", "warning", "a")

    def test_guesses_miss_no_deadline(self) -> None:
        steps = "".join(f"  - {{id: s{n}, {WORK}, needs: []}}\n" for n in range(3))
        steps += f"  - {{id: last, {WORK}, needs: [s0, s1, s2]}}\n"
        assert told("deadline: 1s\nsteps:\n" + steps) == ()

    def test_an_instant_is_as_far_away_as_it_is(self) -> None:
        written = "deadline: '2026-01-01T00:00:02Z'\nsteps:\n" + ms("a", 3_000)
        assert told(written) == ()  # whoever asks says no time
        at = 1_767_225_600_000
        (fault,) = told(written, starts_at_ms=at)
        assert fault.code == "HS520"
        assert told(written, starts_at_ms=at - 1_000) == ()


class TestReports:
    def test_text_has_totals_and_the_path(self) -> None:
        shown = text("case:1", [verdict(NETWORK)], ())
        assert "at least 900ms, expected 900ms, at most 900ms (bounds of scopes)" in shown
        assert "  critical path, 900ms: `b` → `d`; `b` takes most of it" in shown

    def test_a_page_has_a_table(self) -> None:
        shown = markdown("case:1", [verdict(NETWORK)], ())
        assert "## Time" in shown
        assert "| `a` | 300ms | 300ms | 300ms | 200ms | tag |" in shown
        assert "| `b` | 500ms | 500ms | 500ms | **0** | tag |" in shown

    def test_programs_get_the_same(self) -> None:
        value = json.loads(json.dumps(verdict_value(verdict(NETWORK))))["section"]
        assert (value["min_ms"], value["max_ms"]) == (900, 900)
        assert value["critical_path"] == {
            "total_ms": 900,
            "steps": ["b", "d"],
            "bottleneck": "b",
            "exact": True,
        }
        assert {each["step"]: each["slack_ms"] for each in value["steps"]}["c"] == 300

    @pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
    def test_no_example_has_a_fault(self, file: Path) -> None:
        definition = load_definition(file)
        asked = Subject(definition=definition, plan=compile_plan(definition))
        found = analysed(asked, ["time"])
        assert [each.outcome for each in found] == ["holds"]
        assert diagnostics(definition, found) == ()


class TestDeclared:
    """The property `within: DURATION`."""

    @staticmethod
    def chain(limit: str, more: str = "") -> str:
        tags = 'duration_min_ms: "1000", duration_max_ms: "3000"'
        return (
            f"properties: [{{id: quick, within: {limit}}}]\nsteps:\n"
            + took("a", tags, f"next: b{more}")
            + "  - {id: b, type: timer, duration: 1s}\n"
        )

    def asked(self, written: str) -> Verdict:
        time, found = analysed(subject(written), ["time"])
        assert (time.asked, time.outcome, found.asked) == ("time", "holds", "quick")
        return found

    def test_holds_where_the_bound_does(self) -> None:
        assert self.asked(self.chain("4s")).outcome == "holds"
        assert told(self.chain("4s")) == ()

    def test_fails_with_the_longest_run(self) -> None:
        found = self.asked(self.chain("3999ms"))
        assert (found.outcome, found.exact) == ("fails", True)
        assert [str(act) for act in found.run] == ["a completes", "b completes"]
        (fault,) = told(self.chain("3999ms"))
        assert (fault.code, fault.field, fault.line) == ("HS523", "properties[0].within", 3)
        assert fault.severity == "error"
        assert "may take 4s" in fault.message

    def test_new_attempts_take_time_too(self) -> None:
        retried = self.chain("5s", ", retry: {max_attempts: 2, initial: 100ms}")
        found = self.asked(retried)
        assert (found.outcome, found.exact) == ("fails", True)
        (fault,) = told(retried)
        assert "may take 7.1s, where attempts fail and are tried again" in fault.message

    def test_what_is_withdrawn_is_not_waited_for(self) -> None:
        after = WITHDRAWN.replace(
            "id: fork, type: decision,", "id: fork, type: timer, duration: 2s,"
        )
        found = self.asked("properties: [{id: quick, within: 1s}]\n" + after)
        assert found.reason == "an execution takes 2.7s at least, and not 1s"
        assert self.asked("properties: [{id: quick, within: 600ms}]\n" + WITHDRAWN).exact
        found = self.asked("properties: [{id: quick, within: 1s}]\n" + WITHDRAWN)
        assert found.outcome == "inconclusive"
        assert "timeout" in str(found.faults[0].cure)
        assert found.reason.startswith("the bound is 5s, and no execution is known")

    def test_is_not_known_where_nothing_bounds_a_step(self) -> None:
        written = f"properties: [{{id: quick, within: 5s}}]\nsteps: [{{id: a, {WORK}}}]"
        found = self.asked(written)
        assert found.outcome == "inconclusive"
        assert found.reason == "nothing bounds `a`"
        (fault,) = told(written)
        assert (fault.code, fault.severity) == ("HS509", "warning")

    def test_what_goes_on_after_a_deadline_is_not_known(self) -> None:
        steps = "steps:\n" + ms("a", 30_000)
        found = self.asked("deadline: 5m\nproperties: [{id: quick, within: 29s}]\n" + steps)
        assert (found.outcome, [str(act) for act in found.run]) == ("fails", ["a completes"])
        late = subject("deadline: 20s\nproperties: [{id: quick, within: 25s}]\n" + steps)
        _, found = analysed(late, ["time"])
        assert found.outcome == "inconclusive"  # the grace may be used, or not

    def test_a_deadline_of_the_definition_bounds_it(self) -> None:
        steps = f"steps: [{{id: a, {WORK}, grace: 0s}}]"
        written = f"deadline: 5s\nproperties: [{{id: quick, within: 5s}}]\n{steps}"
        assert self.asked(written).outcome == "holds"


class TestRegistration:
    def test_warns_of_what_can_never_be_met_without_figures(self) -> None:
        bad = parse_definition(HEAD + "steps:\n" + ms("a", 3_000, "deadline: 2s"), "case.yaml")
        prover = Prover(time_max_ms=60_000)
        assert [each.code for each in prover(bad)] == ["HS520"]
        (found,) = [each for each in prover.verdicts(bad) if each.asked == "time"]
        assert found.section is None


class TestMeasured:
    @pytest.mark.parametrize(
        ("said", "figures"),
        [
            (1200, (1200, 1200, 1200)),
            ([100, 300, 200], (100, 200, 300)),
            ({"expected_ms": 5, "max_ms": 9}, (5, 5, 9)),
        ],
    )
    def test_a_file_says_it_in_three_ways(self, said: Any, figures: tuple[int, ...]) -> None:
        found = read_measured({"a": said})["a"]
        assert (found.min_ms, found.expected_ms, found.max_ms) == figures

    @pytest.mark.parametrize("said", ["1s", -1, [], {"max_ms": 5}, {"expected_ms": 5, "max_ms": 1}])
    def test_what_is_no_duration_is_refused(self, said: Any) -> None:
        with pytest.raises(Unmeasured, match="'a'"):
            read_measured({"a": said})

    def test_histories_say_it_too(self) -> None:
        asked = subject(
            f"steps:\n  - {{id: a, {WORK}, retry: {{max_attempts: 2}}, next: w}}\n"
            "  - {id: w, type: wait, signal: go}\n"
        )
        tries = Attempts(Raises("Busy", after_ms=40), Returns(1, after_ms=60))
        script = {"a": tries, "w": Arrives("signal", "go", after_ms=500)}
        history = History()
        for seed in range(2):
            history.add(asked.plan, Simulation(asked.plan, None, script, seed=seed).run().events)
        found = history.measured()
        assert (found["a"].min_ms, found["a"].max_ms, found["a"].count) == (40, 60, 4)
        assert (found["w"].expected_ms, found["w"].count) == (500, 2)

    def test_verdicts_say_that_they_rest_on_it(self) -> None:
        written = "steps:\n" + f"  - {{id: a, {WORK}, deadline: 1s}}\n"
        took_2s = {"a": Duration.exactly(2_000, "measured")}
        found = verdict(written, measured=took_2s)
        assert (found.outcome, found.exact) == ("fails", False)
        (fault,) = told(written, measured=took_2s)
        assert (fault.code, fault.severity) == ("HS520", "warning")
