"""What definitions do to one another: mutual waiting, messages not sent, endless starts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.activation import DEPTH_MAX
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import Simulation
from heliostat.verify.across.analysis import verdicts
from heliostat.verify.across.starting import LEVELS_MAX
from heliostat.verify.analyses import Subject
from heliostat.verify.certificates.checker import check
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reports.diagnostics import diagnostics


def subject(id: str, steps: str) -> Subject:
    definition = parse_definition(f'id: {id}\nversion: "1"\n{steps}', f"{id}.yaml")
    return Subject(definition=definition, plan=compile_plan(definition))


def asked(*subjects: Subject) -> Iterator[tuple[Subject, list[Verdict]]]:
    for at, each in enumerate(subjects):
        beside = (*subjects[:at], *subjects[at + 1 :])
        yield (
            each,
            [
                *verdicts(
                    Subject(definition=each.definition, plan=each.plan, beside=beside),
                )
            ],
        )


def told(*subjects: Subject) -> list[Diagnostic]:
    return [d for each, found in asked(*subjects) for d in diagnostics(each.definition, found)]


def codes(*subjects: Subject) -> list[tuple[str, str | None]]:
    return [(each.code, each.step) for each in told(*subjects)]


def verdict(name: str, *subjects: Subject) -> Verdict:
    """What is said of the first."""
    _, found = next(asked(*subjects))
    return next(each for each in found if each.asked == name)


SHOP: Final = subject(
    "shop",
    """\
steps:
  - {id: ask, type: activity, activity: "m:f", next: hear}
  - {id: hear, type: wait, event: shipped, next: bill}
  - {id: bill, type: activity, activity: "m:f", publish: [{event: paid}]}
""",
)
DEPOT: Final = subject(
    "depot",
    """\
steps:
  - {id: hear, type: wait, event: paid, next: ship}
  - {id: ship, type: activity, activity: "m:f", publish: [{event: shipped}]}
""",
)
PREPAID: Final = subject(
    "shop",
    """\
steps:
  - {id: bill, type: activity, activity: "m:f", publish: [{event: paid}], next: hear}
  - {id: hear, type: wait, event: shipped}
""",
)


class TestMutualWaiting:
    def test_each_is_told_where_it_waits_with_the_run_of_both(self) -> None:
        found = told(SHOP, DEPOT)
        assert [(each.file, each.code, each.step) for each in found] == [
            ("shop.yaml", "HS541", "hear"),
            ("depot.yaml", "HS541", "hear"),
        ]
        assert (
            "`shop.hear` waits for event `shipped`, which `depot.ship` would send, and "
            "`depot.hear` waits for event `paid`, which `shop.bill` would send, after `shop.ask` "
            "completes"
        ) in found[0].message
        assert found[0].severity == "warning"
        assert "nobody else sends" in found[0].message

    def test_one_that_sends_first_is_answered(self) -> None:
        assert told(PREPAID, DEPOT) == []
        assert verdict("waits", PREPAID, DEPOT).engine == "composed net"

    def test_either_answer_can_be_checked(self) -> None:
        for found in (verdict("waits", SHOP, DEPOT), verdict("waits", PREPAID, DEPOT)):
            assert found.certificate is not None
            assert found.net is not None
            check(found.net, found.certificate)

    def test_alone_neither_is_known_to_wait_in_vain(self) -> None:
        assert told(SHOP) == told(DEPOT) == []

    def test_who_has_nothing_to_do_with_it_is_not_told(self) -> None:
        other = subject("other", 'steps: [{id: a, type: activity, activity: "m:f"}]\n')
        assert [each.file for each in told(SHOP, DEPOT, other)] == ["shop.yaml", "depot.yaml"]

    def test_three_in_a_circle(self) -> None:
        ring = [
            subject(
                one,
                f"""\
steps:
  - {{id: hear, type: wait, signal: {one}, next: tell}}
  - {{id: tell, type: decision, signal: [{{execution: $.input, name: {other}}}]}}
""",
            )
            for one, other in pairwise(["a", "b", "c", "a"])
        ]
        found = told(*ring)
        assert [each.code for each in found] == ["HS541"] * 3
        assert found[0].message.count(" waits for signal ") == 3

    @pytest.mark.parametrize(
        "wait",
        [
            "{id: hear, type: wait, event: shipped, deadline: 2d, next: bill}",
            "{id: hear, type: wait, any: [{event: shipped}, {timer: 2d}], next: bill}",
            "{id: hear, type: wait, any: [{event: shipped}, {signal: hurry}], next: bill}",
        ],
    )
    def test_a_wait_that_goes_on_by_something_else_is_none(self, wait: str) -> None:
        mended = subject(
            "shop",
            f"""\
steps:
  - {wait}
  - {{id: bill, type: activity, activity: "m:f", publish: [{{event: paid}}]}}
""",
        )
        assert told(mended, DEPOT) == []

    def test_a_condition_may_lead_past_the_wait_and_need_not(self) -> None:
        perhaps = """\
steps:
  - {id: hear, type: wait, event: shipped, when: $.input.later, next: bill}
  - {id: bill, type: activity, activity: "m:f", publish: [{event: paid}]}
"""
        assert codes(subject("shop", perhaps), DEPOT) == [("HS541", "hear"), ("HS541", "hear")]

    def test_a_handler_may_send_it_at_any_time(self) -> None:
        helped = subject(
            "depot",
            """\
handlers: [{event: rush, actions: [{signal: {execution: $.event.data, name: shipped}}]}]
steps:
  - {id: hear, type: wait, event: paid, next: ship}
  - {id: ship, type: decision, signal: [{execution: $.input, name: shipped}]}
""",
        )
        shop = subject(
            "shop",
            """\
steps:
  - {id: hear, type: wait, signal: shipped, next: bill}
  - {id: bill, type: activity, activity: "m:f", publish: [{event: paid}]}
""",
        )
        assert told(shop, helped) == []


class TestItself:
    def test_what_only_it_sends_and_later_never_comes(self) -> None:
        baton = subject(
            "baton",
            """\
steps:
  - {id: turn, type: wait, event: turn, next: work}
  - {id: work, type: activity, activity: "m:f", publish: [{event: turn}]}
""",
        )
        (found,) = told(baton)
        assert (found.code, found.step) == ("HS541", "turn")

    def test_another_execution_of_it_may_send_it(self) -> None:
        baton = subject(
            "baton",
            """\
steps:
  - {id: begin, type: decision, next: [{when: $.input.first, to: work}, {to: turn}]}
  - {id: turn, type: wait, event: turn, next: work}
  - {id: work, type: activity, activity: "m:f", publish: [{event: turn}]}
""",
        )
        assert told(baton) == []

    def test_a_signal_to_itself(self) -> None:
        steps = """\
steps:
  - {id: hear, type: wait, signal: go, next: tell}
  - {id: tell, type: decision, signal: [{execution: $.execution.id, name: go}]}
"""
        assert codes(subject("own", steps)) == [("HS541", "hear")]
        sent_by = "signal: [{execution: $.execution.id, name: go}]"
        mended = f"""\
steps:
  - {{id: tell, type: decision, {sent_by}, next: hear}}
  - {{id: hear, type: wait, signal: go}}
"""
        assert codes(subject("own", mended)) == []


class TestInVain:
    DECIDES: Final = """\
steps:
  - {id: check, type: decision, next: [{when: $.input.fine, to: accept}, {to: refuse}]}
  - {id: accept, type: decision, publish: [{event: accepted}]}
  - {id: refuse, type: decision, publish: [{event: refused}]}
"""

    def test_a_way_on_which_it_is_not_sent(self) -> None:
        waiting = subject("waiting", "steps: [{id: hear, type: wait, event: accepted}]\n")
        (found,) = told(waiting, subject("decides", self.DECIDES))
        assert (found.code, found.step) == ("HS542", "hear")
        assert "which `decides.accept` sends, and does not in this run" in found.message
        assert "`decides.refuse` completes" in found.message

    def test_who_waits_for_either_is_answered(self) -> None:
        either = "[{event: accepted}, {event: refused}]"
        waiting = subject("waiting", f"steps: [{{id: hear, type: wait, any: {either}}}]\n")
        assert told(waiting, subject("decides", self.DECIDES)) == []

    def test_a_second_answer_that_is_sent_once(self) -> None:
        once = subject(
            "once",
            """\
steps:
  - {id: hear, type: wait, event: question, next: answer}
  - {id: answer, type: decision, publish: [{event: answer}]}
""",
        )
        asks = """\
vars: {n: 0}
steps:
  - {id: put, type: decision, publish: [{event: question}], next: hear}
  - {id: hear, type: wait, event: answer, next: [{when: $.vars.n < 2, to: put}, {to: end}]}
"""
        assert codes(subject("asks", asks), once) == [("HS542", "hear")]

    def test_an_event_is_for_all_that_wait_for_it(self) -> None:
        both = """\
steps:
  - {id: tell, type: decision, split: all, next: [{to: one}, {to: two}]}
  - {id: one, type: wait, event: news}
  - {id: two, type: wait, event: news}
"""
        sender = subject("sender", "steps: [{id: s, type: decision, publish: [{event: news}]}]\n")
        found = verdict("waits", subject("both", both), sender)
        assert found.outcome == "holds"
        assert any("sent once" in each.text for each in found.rests_on)

    def test_events_that_none_of_them_sends_come_from_elsewhere(self) -> None:
        waiting = subject("waiting", "steps: [{id: hear, type: wait, event: weather}]\n")
        beside = subject("beside", "steps: [{id: s, type: decision, publish: [{event: news}]}]\n")
        heard = subject("heard", "steps: [{id: h, type: wait, event: news}]\n")
        assert told(waiting, beside, heard) == []
        both = subject(
            "heard",
            "steps: [{id: h, type: wait, event: news, next: w}, {id: w, type: wait, event: odd}]\n",
        )
        assert "none of these publishes `odd`" in verdict("waits", both, beside).reason


class TestChildren:
    CHILD: Final = subject(
        "child",
        """\
steps:
  - {id: work, type: activity, activity: "m:f", publish: [{event: worked}]}
""",
    )

    def test_a_parent_that_waits_for_a_child_before_it_starts_it(self) -> None:
        parent = subject(
            "parent",
            """\
steps:
  - {id: hear, type: wait, event: worked, next: start}
  - {id: start, type: sub_workflow, workflow: child}
""",
        )
        assert codes(parent, self.CHILD) == [("HS542", "hear")]

    @pytest.mark.parametrize("detached", ["", ", detached: true"])
    def test_one_that_has_started_it_is_answered(self, detached: str) -> None:
        parent = subject(
            "parent",
            f"""\
steps:
  - {{id: start, type: sub_workflow, workflow: child{detached}, next: hear}}
  - {{id: hear, type: wait, event: worked}}
""",
        )
        assert told(parent, self.CHILD) == []

    def test_a_child_that_waits_for_what_follows_its_end(self) -> None:
        child = subject("child", "steps: [{id: hear, type: wait, event: go}]\n")
        parent = subject(
            "parent",
            """\
steps:
  - {id: start, type: sub_workflow, workflow: child, next: tell}
  - {id: tell, type: decision, publish: [{event: go}]}
""",
        )
        assert codes(parent, child) == [("HS542", "hear")]


class TestRecursion:
    def test_the_bound_is_the_engine_s(self) -> None:
        assert LEVELS_MAX == DEPTH_MAX

    def test_one_that_starts_itself_on_every_way(self) -> None:
        endless = subject(
            "endless",
            """\
steps:
  - {id: a, type: activity, activity: "m:f", next: again}
  - {id: again, type: sub_workflow, workflow: endless}
""",
        )
        (found,) = told(endless)
        assert (found.code, found.step, found.field) == ("HS543", "again", "workflow")
        assert "32 levels deep they fail as `RecursionTooDeep`" in found.message
        assert found.severity == "error"
        assert verdict("starts", endless).exact

    @pytest.mark.parametrize(
        "steps",
        [
            "[{id: a, type: decision, next: [{when: $.input.n > 0, to: again}, {to: end}]}, AGAIN]",
            "[{id: again, type: sub_workflow, workflow: round, when: $.input.n > 0}]",
            "[{id: again, type: sub_workflow, workflow: round, foreach: $.input.children}]",
        ],
    )
    def test_one_that_can_end_without(self, steps: str) -> None:
        again = "{id: again, type: sub_workflow, workflow: round}"
        assert told(subject("round", f"steps: {steps.replace('AGAIN', again)}\n")) == []

    def test_it_is_said_how_deep_it_goes(self) -> None:
        steps = "steps: [{id: a, type: sub_workflow, workflow: round, when: $.input.n > 0}]\n"
        assert "32 levels deep" in verdict("starts", subject("round", steps)).reason

    def test_a_failure_that_is_caught_leads_past_a_step_but_not_past_a_start(self) -> None:
        caught = """\
steps:
  - {id: a, type: activity, activity: "m:f", CLAUSE next: again}
  - {id: again, type: sub_workflow, workflow: round, on_error: [{next: mend}], next: end}
  - {id: mend, type: decision}
"""
        assert codes(subject("round", caught.replace("CLAUSE", ""))) == [("HS543", "again")]
        out = caught.replace("CLAUSE", "on_error: [{next: mend}],")
        assert codes(subject("round", out)) == []

    def test_what_is_detached_has_no_depth(self) -> None:
        steps = "steps: [{id: a, type: sub_workflow, workflow: round, detached: true}]\n"
        (found,) = told(subject("round", steps))
        assert found.code == "HS543"
        assert "nothing bounds how many" in found.message
        plan = subject("round", steps).plan
        many = 3 * DEPTH_MAX
        started = Simulation(plan, turns_max=many).run().others.values()
        assert len(started) == many - 1
        assert {each.status for each in started} <= {"Completed", "Running", "Pending"}

    def test_by_another(self) -> None:
        there = "steps: [{id: there, type: sub_workflow, workflow: two}]\n"
        back = "steps: [{id: back, type: sub_workflow, workflow: one}]\n"
        assert codes(subject("one", there), subject("two", back)) == [
            ("HS543", "there"),
            ("HS543", "back"),
        ]
        out = back.replace("workflow: one", "workflow: one, when: $.input.more")
        assert codes(subject("one", there), subject("two", out)) == []

    def test_another_version_of_itself_is_another(self) -> None:
        steps = 'steps: [{id: a, type: sub_workflow, workflow: old, version: "0"}]\n'
        assert told(subject("old", steps)) == []

    def test_a_loop_that_never_ends_is_no_recursion(self) -> None:
        steps = """\
steps:
  - {id: a, type: wait, signal: go, next: [{when: $.input.n, to: again}, {to: a}]}
  - {id: again, type: sub_workflow, workflow: served, next: a}
"""
        assert told(subject("served", steps)) == []


class TestHandlers:
    HEARS: Final = """\
handlers: [{event: tick, actions: [{start: {workflow: works}}]}]
steps: [{id: open, type: wait, signal: close}]
"""
    WORKS: Final = "steps: [{id: work, type: decision, publish: [{event: tick}]}]\n"

    def test_what_a_handler_starts_sets_off_the_handler(self) -> None:
        found = told(subject("works", self.WORKS), subject("hears", self.HEARS))
        assert [(each.code, each.step) for each in found] == [("HS544", "work")]
        assert (
            "`work` of `works` publishes `tick`, by which a handler of `hears` starts `works`"
        ) in found[0].message

    @pytest.mark.parametrize(
        ("works", "hears"),
        [
            (WORKS.replace("publish", "when: $.input.more, publish"), HEARS),
            (WORKS, HEARS.replace("tick,", "tick, where: $.event.data.n > 0,")),
            (WORKS.replace("tick", "tock"), HEARS),
        ],
    )
    def test_a_way_out(self, works: str, hears: str) -> None:
        assert told(subject("works", works), subject("hears", hears)) == []

    def test_a_step_that_a_handler_triggers(self) -> None:
        steps = """\
handlers: [{event: tick, actions: [{trigger: {step: work}}]}]
steps:
  - {id: open, type: wait, signal: close, next: end}
  - {id: work, type: activity, activity: "m:f", next: tell}
  - {id: tell, type: decision, publish: [{event: tick}]}
"""
        assert codes(subject("own", steps)) == [("HS544", "tell")]
        out = steps.replace("next: tell", "next: [{when: $.output, to: tell}, {to: end}]")
        assert codes(subject("own", out)) == []


Do = tuple[str, str]  # "send" or "wait", and what


@st.composite
def protocols(draw: st.DrawFn) -> list[list[list[Do]]]:
    """For each of some definitions the ways that it may take, each a row of acts."""
    acts = st.tuples(st.sampled_from(["send", "wait"]), st.sampled_from(["x", "y"]))
    ways = st.lists(st.lists(acts, max_size=3), min_size=1, max_size=2)
    return draw(st.lists(ways, min_size=2, max_size=3))


def written(number: int, ways: list[list[Do]]) -> Subject:
    """The definition of these ways; messages go round: to the next definition."""
    steps: list[dict[str, Any]] = [
        {
            "id": "choose",
            "type": "decision",
            "next": [
                *({"when": "$.input.way == 0", "to": f"s{n}_0"} for n in range(len(ways) - 1)),
                {"to": f"s{len(ways) - 1}_0"},
            ],
        }
    ]
    for n, way in enumerate(ways):
        for at, (verb, what) in enumerate(way):
            step: dict[str, Any] = {"id": f"s{n}_{at}", "next": f"s{n}_{at + 1}"}
            if verb == "send":
                step |= {"type": "decision", "publish": [{"event": f"{what}{number}"}]}
            else:
                step |= {"type": "wait", "event": f"{what}FROM"}
            steps.append(step)
        steps.append({"id": f"s{n}_{len(way)}", "type": "decision"})
    return subject(f"d{number}", f"steps: {steps!r}\n")


_State = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, str], ...]]


def ever_stuck(protocol: list[list[list[Do]]]) -> set[int]:
    """By brute force, the definitions that can wait for ever for what the one before them sends."""
    size = len(protocol)
    found = set[int]()
    sends = [{what for way in ways for verb, what in way if verb == "send"} for ways in protocol]
    todo: list[_State] = [((-1,) * size, (0,) * size, ())]
    seen = set(todo)
    while todo:
        ways, ats, sent = state = todo.pop()
        moved, waiting = False, set[int]()
        for n in range(size):
            if ways[n] < 0:
                for choice in range(len(protocol[n])):
                    moved = True
                    after = ((*ways[:n], choice, *ways[n + 1 :]), ats, sent)
                    if after not in seen:
                        seen.add(after)
                        todo.append(after)
                continue
            way = protocol[n][ways[n]]
            if ats[n] == len(way):
                continue
            verb, what = way[ats[n]]
            before = (n - 1) % size
            left = sent
            if verb == "send":
                left = tuple(sorted([*sent, (n, what)]))
            elif what in sends[before]:
                if (before, what) not in sent:
                    waiting.add(n)
                    continue
                rest = [*sent]
                rest.remove((before, what))
                left = tuple(rest)
            moved = True
            after = (ways, (*ats[:n], ats[n] + 1, *ats[n + 1 :]), left)
            if after not in seen:
                seen.add(after)
                todo.append(after)
        if not moved:
            found |= waiting
        assert state in seen
    return found


@settings(max_examples=30, deadline=None)
@given(protocols())
def test_the_same_as_by_brute_force(protocol: list[list[list[Do]]]) -> None:
    found = {
        number
        for number, (_, answers) in enumerate(asked(*received(protocol)))
        if any(each.asked == "waits" and each.outcome == "fails" for each in answers)
    }
    assert found == ever_stuck(protocol)


def received(protocol: list[list[list[Do]]], *, timed: Random | None = None) -> list[Subject]:
    """The definitions of a protocol, each of which hears the one before it."""
    subjects = []
    for number, ways in enumerate(protocol):
        source = written(number, ways).definition.source
        assert source is not None
        text = source.text.replace("FROM", f"{(number - 1) % len(protocol)}")
        if timed is not None:  # begin when all are there, and choose sooner or later
            text = text.replace(
                "steps: [", "steps: [{'id': 'begin', 'type': 'timer', "
                f"'duration': '{timed.randint(1, 9)}s', 'next': 'choose'}}, "
            )  # fmt: skip
        definition = parse_definition(text)
        subjects.append(Subject(definition=definition, plan=compile_plan(definition)))
    return subjects


def test_executions_that_wait_for_ever_are_told_before() -> None:
    """The kernel's own executions, in all their ways: who has not ended may wait for ever."""
    waiting = 0
    for seed in range(50):
        random = Random(seed)
        protocol = [
            [
                [(random.choice(["send", "wait"]), random.choice("xy")) for _ in range(3)]
                for _ in range(random.randint(1, 2))
            ]
            for _ in range(2)
        ]
        if any(
            {what for way in ways for verb, what in way if verb == "wait"}
            - {what for way in protocol[n - 1] for verb, what in way if verb == "send"}
            for n, ways in enumerate(protocol)
        ):
            continue  # something would come from elsewhere
        subjects = received(protocol, timed=random)
        told_of = {
            number
            for number, (_, answers) in enumerate(asked(*subjects))
            if any(each.asked == "waits" and each.outcome == "fails" for each in answers)
        }
        starting = ", ".join(
            f"{{id: c{n}, type: sub_workflow, workflow: d{n}, detached: true, needs: [], "
            f"input: {{way: $.input.w{n}}}}}"
            for n in range(len(protocol))
        )
        main = subject("main", f"steps: [{starting}]\n").plan
        for chosen in product(*(range(len(ways)) for ways in protocol)):
            ways = {f"w{n}": way for n, way in enumerate(chosen)}
            result = Simulation(
                main, ways, seed=seed, others=[each.plan for each in subjects]
            ).run()
            for other in result.others.values():
                number = int(other.plan.id.removeprefix("d"))
                if not other.ended:
                    assert number in told_of, (seed, chosen, other.story)
                    waiting += 1
    assert waiting > 10
