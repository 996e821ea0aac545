"""What must be undone where an execution fails: with the run that leaves it, against histories."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import pytest

from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.events import StepCompleted, StepFailed
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.simulator import Simulation
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import UNBOUNDED
from heliostat.verify.certificates.checker import check
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.recovery.analysis import Undoing, undone, verdicts
from heliostat.verify.reports.diagnostics import diagnostics
from tests.simulation.worlds import World

HEAD: Final = """\
id: order
version: "1"
properties: [{id: paid-back, undone: {charge: refund}}]
"""
SAGA: Final = """\
steps:
  - {id: charge, type: activity, activity: "m:f", next: ship}
  - {id: ship, type: activity, activity: "m:f", on_error: [{next: refund}], next: tell}
  - {id: tell, type: decision, next: end}
  - {id: refund, type: activity, activity: "m:f", retry: {max_attempts: 9}, next: no}
  - {id: no, type: decision, fail: {type: No, message: no}}
"""


def subject(steps: str, head: str = HEAD) -> Subject:
    definition = parse_definition(head + steps, "order.yaml")
    return Subject(definition=definition, plan=compile_plan(definition))


def told(asked: Subject) -> list[Diagnostic]:
    return [*diagnostics(asked.definition, verdicts(asked))]


class TestUndone:
    def test_a_saga_holds_and_says_what_for(self) -> None:
        (found,) = verdicts(subject(SAGA))
        assert (found.asked, found.outcome) == ("paid-back", "holds")
        assert {each.kind for each in found.rests_on} == {"tried", "values"}
        assert found.certificate is not None
        assert found.net is not None
        check(found.net, found.certificate)
        assert told(subject(SAGA)) == []

    def test_a_step_behind_that_nothing_catches(self) -> None:
        saga = SAGA.replace("on_error: [{next: refund}]", "on_error: [{error: Lost, next: refund}]")
        (found,) = told(subject(saga))
        assert (found.code, found.step, found.severity) == ("HS545", "ship", "error")
        assert "after `charge` completes, `ship` fails" in found.message
        assert "`refund` has not" in found.message

    @pytest.mark.parametrize(
        ("broken", "mended"),
        [
            # another step between the two
            (
                SAGA.replace("next: ship", "next: pack").replace(
                    "  - {id: tell",
                    '  - {id: pack, type: activity, activity: "m:f", next: ship}\n  - {id: tell',
                ),
                None,
            ),
            # an error that leads elsewhere
            (SAGA.replace("{next: refund}", "{error: Lost, next: no}, {next: refund}"), None),
            # undone once, and charged again after that
            (
                SAGA.replace("next: no}", "next: again}")
                .replace(
                    "  - {id: no,",
                    '  - {id: again, type: activity, activity: "m:f", next: second}\n'
                    "  - {id: second, type: decision, next: [{when: $.output, to: charge}, "
                    "{to: no}]}\n  - {id: no,",
                )
                .replace("next: tell}", "next: tell}"),
                "holds",
            ),
        ],
    )
    def test_ways_past_it(self, broken: str, mended: str | None) -> None:
        codes = [each.code for each in told(subject(broken))]
        assert codes == ([] if mended else ["HS545"])

    def test_the_definition_s_own_clause_catches_all(self) -> None:
        saga = """\
start: charge
on_error: [{next: refund}]
steps:
  - {id: charge, type: activity, activity: "m:f", next: ship}
  - {id: ship, type: activity, activity: "m:f", next: end}
  - {id: refund, type: activity, activity: "m:f", retry: {max_attempts: 9}, next: no}
  - {id: no, type: decision, fail: {type: No, message: no}}
"""
        assert told(subject(saga)) == []
        some = saga.replace("[{next: refund}]", "[{error: Lost, next: refund}]")
        assert [each.code for each in told(subject(some))] == ["HS545"]

    def test_what_fails_beside_it(self) -> None:
        beside = """\
steps:
  - id: both
    type: parallel
    branches:
      - name: a
        steps: [{id: charge, type: activity, activity: "m:f"}]
      - name: b
        steps: [{id: check, type: activity, activity: "m:f"}]
    ON_ERROR
    next: end
  - {id: refund, type: activity, activity: "m:f", retry: {max_attempts: 9}, next: no}
  - {id: no, type: decision, fail: {type: No, message: no}}
"""
        caught = beside.replace("ON_ERROR", "on_error: [{next: refund}]")
        assert told(subject(caught)) == []
        some = beside.replace("ON_ERROR", "on_error: [{error: Lost, next: refund}]")
        (found,) = told(subject(some))
        assert found.code == "HS545"

    def test_each_item_owes_for_itself(self) -> None:
        each = """\
steps:
  - id: each
    foreach: $.input.orders
    COMPLETION
    start: charge
    steps:
      - {id: charge, type: activity, activity: "m:f", next: ship}
      - {id: ship, type: activity, activity: "m:f", on_error: [{next: refund}], next: end}
      - {id: refund, type: activity, activity: "m:f", retry: {max_attempts: 9}, next: no}
      - {id: no, type: decision, fail: {type: No, message: no}}
"""
        (found,) = told(subject(each.replace("COMPLETION", "completion: all")))
        assert (found.code, found.severity) == ("HS545", "warning")  # of any list, two items
        assert "`charge` completes, `charge` fails" in found.message
        assert told(subject(each.replace("COMPLETION", "completion: all_done"))) == []

    def test_what_is_undone_for_all_items_at_once(self) -> None:
        each = """\
steps:
  - id: each
    foreach: $.input.orders
    steps: [{id: charge, type: activity, activity: "m:f"}]
    on_error: [{next: refund}]
    next: end
  - {id: refund, type: activity, activity: "m:f", retry: {max_attempts: 9}, next: no}
  - {id: no, type: decision, fail: {type: No, message: no}}
"""
        assert told(subject(each)) == []

    def test_a_deadline_of_the_whole(self) -> None:
        head = HEAD + "deadline: 2d\n"
        (found,) = told(subject(SAGA, head))
        assert (found.code, found.step) == ("HS545", "charge")
        assert "its deadline passes" in found.message
        caught = head + "on_error: [{error: DeadlineExceeded, next: refund}, {next: refund}]\n"
        assert told(subject("start: charge\n" + SAGA, caught)) == []

    @pytest.mark.parametrize("last", ["{next: refund}", "{output: null}"])
    def test_a_last_clause_for_all_that_is_left(self, last: str) -> None:
        clauses = f"on_error: [{{error: Lost, next: refund}}, {last}]"
        assert told(subject(SAGA.replace("on_error: [{next: refund}]", clauses))) == []
        whole = HEAD + f"on_error: [{last}]\nstart: charge\n"
        some = SAGA.replace("on_error: [{next: refund}]", "on_error: [{error: Lost, next: refund}]")
        assert told(subject(some, whole)) == []
        own = HEAD + f"start: charge\n{clauses}\n"
        assert told(subject(SAGA.replace("on_error: [{next: refund}], ", ""), own)) == []

    def test_a_decision_that_fails_on_purpose(self) -> None:
        saga = SAGA.replace("next: end}", "next: [{when: $.input.odd, to: no}, {to: end}]}")
        (found,) = told(subject(saga))
        assert (found.code, found.step) == ("HS545", "no")

    def test_one_that_undoes_a_step_that_has_not_completed_does_no_harm(self) -> None:
        first = "start: ask\n" + SAGA.replace(
            "steps:\n",
            'steps:\n  - {id: ask, type: activity, activity: "m:f", on_error: [{next: refund}], '
            "next: charge}\n",
        )
        assert told(subject(first)) == []

    def test_one_attempt_is_a_warning(self) -> None:
        once = subject(SAGA.replace("max_attempts: 9", "max_attempts: 1"))
        (found,) = told(once)
        assert (found.code, found.step, found.severity) == ("HS547", "refund", "warning")
        (verdict,) = verdicts(once)
        assert verdict.outcome == "holds"
        unsaid = SAGA.replace("retry: {max_attempts: 9}, ", "")  # its decorator may say it
        assert told(subject(unsaid)) == []
        refund = "{id: refund, type: activity, activity: "
        call = unsaid.replace(f'{refund}"m:f"', '{id: refund, type: service_call, url: "http://b"')
        assert [each.code for each in told(subject(call))] == ["HS547"]

    def test_nothing_declared_is_nothing_asked(self) -> None:
        assert [*verdicts(subject(SAGA, 'id: order\nversion: "1"\n'))] == []


class TestItEnds:
    STUCK: Final = SAGA.replace("next: no}", "split: all, next: [{to: a}, {to: b}]}").replace(
        "  - {id: no,",
        """\
  - {id: a, type: decision, next: both}
  - {id: b, type: decision, next: [{when: $.input.b, to: both}, {to: end}]}
  - {id: both, type: decision, join: all, next: no}
  - {id: no,""",
    )

    def test_a_join_behind_it_that_waits_in_vain(self) -> None:
        (found,) = told(subject(self.STUCK))
        assert (found.code, found.step) == ("HS546", "refund")
        assert "`refund` completes" in found.message

    def test_mended(self) -> None:
        assert told(subject(self.STUCK.replace("join: all", "join: any"))) == []

    def test_what_gets_stuck_before_it_fails_as_such(self) -> None:
        elsewhere = SAGA.replace("next: tell}", "split: all, next: [{to: a}, {to: b}]}").replace(
            "  - {id: tell, type: decision, next: end}\n",
            """\
  - {id: a, type: decision, next: both}
  - {id: b, type: decision, next: [{when: $.input.b, to: both}, {to: end}]}
  - {id: both, type: decision, join: all, next: end}
""",
        )
        (found,) = told(subject(elsewhere))
        assert (found.code, found.step) == ("HS545", "charge")
        assert "it gets stuck, after" in found.message


def asked(plan: Plan, step: str, by: str) -> Verdict:
    return undone(plan, Undoing(id="p", step=step, by=by), UNBOUNDED)


def test_no_history_leaves_what_is_proved_to_be_undone() -> None:
    """Random executions that fail after one step, without another having run since."""
    seen: Counter[str] = Counter()
    for seed in range(32):
        world = World(seed)
        result = Simulation(world.plan, world.input, world.outcomes, seed=seed, **world.how).run()
        failure = result.failure
        if result.status != "Failed" or failure is None:
            continue
        if failure.type in ("ExpressionError", "SchemaError", "NoWayOn", "Stuck"):
            continue
        plan = world.plan
        ended = [
            (plan.steps[e.at.step].id, isinstance(e, StepCompleted))
            for e in result.events
            if isinstance(e, StepCompleted | StepFailed)
        ]
        completed = [
            id for id, fine in ended if fine and plan.steps[plan.step_by_id[id]].scope == 0
        ]
        for step in list(dict.fromkeys(completed))[:1]:
            since = {
                id for id, _ in ended[max(n for n, e in enumerate(ended) if e == (step, True)) :]
            }
            others = [each.id for each in plan.steps if each.id not in since and each.id != step]
            for by in others[:2]:
                outcome = asked(plan, step, by).outcome
                assert outcome != "holds", (seed, step, by, result.story)
                seen[outcome] += 1
    assert seen["fails"] > 3, seen


def test_the_same_as_on_the_net_as_it_is() -> None:
    """Reductions and stubborn sets overlook nothing, and add nothing."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        plan = World(seed).plan
        root = [plan.steps[n].id for n in plan.root.steps]
        if len(root) < 2 or plan.deadline is not None or plan.on_error or _few(plan):
            continue
        step, by = root[0], root[-1]
        wanted = _by_hand(plan, step, by)
        if wanted is None:
            continue
        found = asked(plan, step, by)
        if found.outcome == "inconclusive" or any(f.code == "HS546" for f in found.faults):
            continue
        assert (found.outcome == "fails") == wanted, (seed, step, by)
        seen[found.outcome] += 1
    assert seen["fails"] > 3, seen
    assert seen["holds"] > 1, seen


def _few(plan: Plan) -> bool:
    """Whether some step fails where too few items complete: this is not gone through by hand."""
    return any(s.foreach is not None and s.foreach.completion.kind != "all" for s in plan.steps)


def _by_hand(plan: Plan, step: str, by: str, states_max: int = 400) -> bool | None:
    """Whether some marking allows the execution to fail with the step owed; None: too many."""
    net = translate(plan, "proof").net
    kinds = {each.id: each for each in plan.steps}
    todo, seen = deque([(net.initial, False)]), {(net.initial, False)}
    while todo:
        marking, owed = todo.popleft()
        for number, each in enumerate(net.transitions):
            if not net.enabled(marking, number):
                continue
            verb = each.act.split(" ")[0]
            if verb == "fails" and each.step is not None:
                kind = kinds[each.step]
                if each.step == by:
                    continue
                if kind.kind in ("body", "parallel") and not each.outside:
                    failed = ("failed_", "lost_")
                    if not any(net.places[p].id.startswith(failed) for p, _ in each.inputs):
                        continue
                elif not each.outside and not _fails_for_a_reason(kind):
                    continue
            if each.ending == "failed":
                if owed:
                    return True
                continue
            now = owed
            if verb == "completes" and each.step == step:
                now = True
            elif verb == "completes" and each.step == by:
                now = False
            after = net.fire(marking, number), now
            if after not in seen:
                if len(seen) > states_max:
                    return None
                seen.add(after)
                todo.append(after)
    return False


def _fails_for_a_reason(step: StepPlan) -> bool:
    if step.kind == "decision":
        return step.fail is not None
    if step.kind in ("timer", "wait"):
        return step.deadline is not None
    return step.child is None or not step.child.detached
