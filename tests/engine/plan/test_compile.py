"""What a plan holds beyond a copy of the fields: invariants, ends, reads, validators."""

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.builtin import TARGETS
from heliostat.engine.calendars import DEFAULT_CALENDAR
from heliostat.engine.expressions import EvaluationContext
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import END, Child, Plan, StepPlan
from heliostat.engine.values import SECRETS, Sealed


def plan(steps: str, more: str = "") -> Plan:
    lines = "".join(f"  - {{{step.strip()}}}\n" for step in steps.strip().splitlines())
    return compile_plan(parse_definition(f'id: d\nversion: "1"\n{more}\nsteps:\n{lines}'))


def step(compiled: Plan, id: str) -> StepPlan:
    return compiled.steps[compiled.step_by_id[id]]


def read_of(compiled: Plan, id: str) -> dict[str, bool]:
    return {read.path: read.whole for read in step(compiled, id).reads}


def ends(compiled: Plan) -> list[str]:
    return [compiled.steps[number].id for number in compiled.root.ends]


class TestEnds:
    """Possible end steps fix the shape of a default output."""

    def test_a_machine_ends_where_nothing_is_next_or_end_is(self) -> None:
        assert ends(
            plan("""
            id: a, type: decision, next: [{when: $.input.x, to: end}, {to: b}]
            id: b, type: decision, next: [{when: $.input.x, to: c}]
            id: c, type: decision
        """)
        ) == ["a", "c"]

    def test_a_dag_ends_at_what_nobody_needs(self) -> None:
        assert ends(
            plan("""
            id: a, type: decision
            id: b, type: decision, needs: [a]
            id: c, type: decision, needs: [a]
        """)
        ) == ["b", "c"]

    def test_what_always_fails_never_completes(self) -> None:
        assert ends(
            plan("""
            id: a, type: decision, next: [{when: $.input.x, to: b}, {when: true, to: c}, {to: end}]
            id: b, type: decision, fail: {type: A, message: b}
            id: c, type: decision, fail: {type: A, message: b}, on_error: [{output: 1}]
        """)
        ) == ["a", "c"]

    def test_terminate_ends_and_an_error_does_not(self) -> None:
        assert ends(
            plan("""
            id: a, type: decision, needs: [], end: terminate
            id: b, type: decision, needs: [a]
        """)
        ) == ["a", "b"]
        assert ends(
            plan("""
            id: a, type: activity, activity: m:a, on_error: [{next: end}], next: b
            id: b, type: decision
        """)
        ) == ["b"]


class TestReads:
    """What expressions anywhere read of an output: to be returned beside a large value."""

    def test_own_and_later_reads_are_put_together(self) -> None:
        compiled = plan("""
            id: a, type: activity, activity: m:a, next: [{when: $.output.ok, to: b}, {to: end}]
            id: b, type: decision, output: {w: $.steps.a.output, ok: $.steps.a.output.ok}, next: c
            id: c, type: decision, output: '${ $.steps.a.output.n + 1 }'
        """)
        found = {read.path: read.whole for read in compiled.steps[0].reads}
        assert found == {"$": True, "$.n": False, "$.ok": False}
        assert {read.root for read in compiled.steps[0].reads} == {("steps", "a")}

    def test_lists_to_run_over_are_looked_at(self) -> None:
        compiled = plan("""
            id: a, type: activity, activity: m:a, next: b
            id: b, type: decision, foreach: $.steps.a.output.list, output: $.input.x
        """)
        assert [(read.path, read.whole) for read in compiled.steps[0].reads] == [("$.list", False)]
        assert [(read.path, read.whole) for read in compiled.input_reads] == [("$.x", True)]

    def test_what_is_read_of_a_body_is_read_of_the_step_that_ends_it(self) -> None:
        compiled = plan("""
            id: b, steps: [{id: x, type: activity, activity: m:x}], next: after
            id: after, type: decision, output: [$.steps.b.output.n, '${ $.steps.b.output.k + 1 }']
        """)
        assert read_of(compiled, "x") == {"$.n": True, "$.k": False}

    def test_of_several_ends_by_the_name_of_each(self) -> None:
        compiled = plan("""
            id: b, next: after, steps: [{id: x, type: decision, needs: []}, \
                {id: y, type: decision, needs: []}]
            id: after, type: decision, output: [$.steps.b.output.x.n, $.steps.b.output.y]
        """)
        assert read_of(compiled, "x") == {"$.n": True}
        assert read_of(compiled, "y") == {"$": True}

    def test_of_items_and_branches_of_each_and_through_several_scopes(self) -> None:
        compiled = plan("""
            id: each, foreach: $.input.l, next: after, steps: [{id: p, type: parallel, branches: \
                [{name: l, steps: [{id: x, type: decision}]}, \
                {name: r, steps: [{id: y, type: decision}]}]}]
            id: after, type: decision, \
                output: ['$.steps.each.output[*].l.n', '$.steps.each.output[0].r']
        """)
        assert read_of(compiled, "p") == {"$.l.n": True, "$.r": True}
        assert read_of(compiled, "x") == {"$.n": True}
        assert read_of(compiled, "y") == {"$": True}

    def test_an_output_that_is_written_reads_for_itself(self) -> None:
        compiled = plan("""
            id: b, steps: [{id: x, type: decision}], output: {o: $.steps.x.output.part}, next: after
            id: after, type: decision, output: $.steps.b.output.o.n
        """)
        assert read_of(compiled, "x") == {"$.part": True}


class TestScopes:
    """Bodies and branches within one another."""

    NESTED = """
        id: a, vars: {n: 1}, start: y, output: $.vars.n, next: p, \
            steps: [{id: x, type: decision}, {id: y, type: decision, next: x}]
        id: p, type: parallel, completion: any, branches: \
            [{name: l, steps: [{id: b, steps: [{id: z, type: decision, needs: []}]}]}, \
            {name: r, steps: [{id: w, type: decision}]}]
    """

    def test_each_knows_its_owner_its_steps_and_its_notation(self) -> None:
        compiled = plan(self.NESTED)
        assert [(scope.number, scope.owner, scope.name) for scope in compiled.scopes] == [
            (0, None, None),
            (1, 0, None),
            (2, 1, "l"),
            (3, step(compiled, "b").number, None),
            (4, 1, "r"),
        ]
        named = [[compiled.steps[n].id for n in scope.steps] for scope in compiled.scopes]
        assert named == [["a", "p"], ["x", "y"], ["b"], ["z"], ["w"]]
        assert all(
            compiled.steps[n].scope == scope.number
            for scope in compiled.scopes
            for n in scope.steps
        )
        assert compiled.scopes[3].notation == "dag"
        assert compiled.scopes[1].start == (step(compiled, "y").number,)
        assert list(compiled.scopes[1].variables) == ["n"]
        assert compiled.scopes[1].output is not None

    def test_steps_know_the_scopes_that_they_open(self) -> None:
        compiled = plan(self.NESTED)
        assert {each.id: each.scopes for each in compiled.steps if each.scopes} == {
            "a": (1,),
            "p": (2, 4),
            "b": (3,),
        }
        assert step(compiled, "p").completion.kind == "any"

    def test_edges_stay_in_their_scope(self) -> None:
        compiled = plan(self.NESTED)
        for edge in compiled.edges:
            assert compiled.steps[edge.source].scope == compiled.steps[edge.target].scope


class TestRunnersOfOurs:
    """Scripts and service calls are activities of our own functions."""

    def test_a_script_is_passed_as_it_is_written(self) -> None:
        source = 'echo "${HOME} $.input.x ${"'
        compiled = plan(
            f"id: a, type: script, language: shell, source: '{source}', "
            "env: {K: $.secrets.k}, input: $.input"
        )
        a = step(compiled, "a")
        assert (a.kind, a.type) == ("activity", "script")
        assert a.activity is not None
        assert a.activity.target == TARGETS["script"]
        assert a.input is not None
        assert a.input.evaluate(EvaluationContext(input=7, secrets=SECRETS)) == {
            "language": "shell",
            "source": source,
            "env": {"K": Sealed(("", ""), ("k",))},
            "input": 7,
        }

    def test_a_service_call_is_its_fields(self) -> None:
        a = step(plan("id: a, type: service_call, url: 'https://x/${ $.input }', expect: 2xx"), "a")
        assert a.input is not None
        assert a.input.evaluate(EvaluationContext(input=7)) == {
            "url": "https://x/7",
            "method": "GET",
            "expect": ["2xx"],
        }


class TestAround:
    """What comes from the deployment, or goes to it."""

    def test_children_have_the_version_that_is_written_or_was_pinned(self) -> None:
        text = """
id: d
version: "1"
steps:
  - {id: a, type: sub_workflow, workflow: w, needs: []}
  - {id: b, type: sub_workflow, workflow: w, version: latest, needs: []}
  - {id: c, type: sub_workflow, workflow: w, version: "7", needs: []}
"""
        definition = parse_definition(text)
        compiled = compile_plan(definition, children={"a": "3"})
        assert [each.child for each in compiled.steps] == [
            Child(workflow="w", version="3"),
            Child(workflow="w", version=None),
            Child(workflow="w", version="7"),
        ]
        assert compile_plan(definition).steps[0].child == Child(workflow="w", version=None)

    def test_calendars_are_those_given(self) -> None:
        definition = parse_definition('id: d\nversion: "1"\nsteps: [{id: a, type: decision}]')
        calendars = {"default": DEFAULT_CALENDAR}
        assert compile_plan(definition, calendars=calendars).calendars == calendars

    def test_awaited_are_the_events_of_all_waits_and_handled_those_of_handlers(self) -> None:
        compiled = plan(
            """
            id: a, type: wait, any: [{event: e.1}, {signal: s}], next: b
            id: b, steps: [{id: x, type: wait, event: e.2}]
        """,
            "handlers: [{event: e.3, actions: [{custom: {activity: 'm:f'}}]}]",
        )
        assert compiled.awaited == {"e.1", "e.2"}
        assert compiled.handled == {"e.3"}

    def test_a_custom_action_is_a_scope_with_one_activity(self) -> None:
        compiled = plan(
            "id: a, type: decision",
            "handlers: [{event: e, actions: [{pause: {}}, "
            "{custom: {activity: 'm:f', input: {x: $.event.data}}}]}]",
        )
        action = compiled.handlers[0].actions[1]
        assert action.scope == 1
        scope = compiled.scopes[1]
        assert (scope.owner, scope.start, scope.steps) == (None, (1,), (1,))
        custom = compiled.steps[1]
        assert (custom.kind, custom.scope) == ("activity", 1)
        assert custom.activity is not None
        assert custom.activity.target == "m:f"
        assert custom.input is not None


class TestPeople:
    """What a human step says goes before what its intervention point says."""

    POINT = (
        "intervention_points: [{id: ops, assignees: ann, candidates: all, deadline: 1h, "
        "form: {type: object}, escalate: [{after: 2h, assignees: b}, {after: 1h, assignees: c}]}]"
    )

    def test_the_point_fills_in(self) -> None:
        a = step(
            plan("id: a, type: human, intervention_point: ops, assignees: bob", self.POINT), "a"
        )
        assert a.human is not None
        assert a.human.point == "ops"
        assert a.human.assignees is not None
        assert a.human.assignees.value == "bob"
        assert a.human.candidates is not None
        assert a.human.candidates.value == "all"
        assert a.deadline is not None
        assert a.deadline.value == "1h"
        assert [each.after_ms for each in a.human.escalations] == [3_600_000, 7_200_000]
        assert a.human.validate is not None

    def test_an_empty_list_of_escalations_is_said(self) -> None:
        a = step(plan("id: a, type: human, intervention_point: ops, escalate: []", self.POINT), "a")
        assert a.human is not None
        assert a.human.escalations == ()

    def test_a_clause_asks_as_the_point_says_and_with_its_deadline(self) -> None:
        a = step(
            plan("id: a, type: activity, activity: m:a, on_error: [{human: ops}]", self.POINT), "a"
        )
        human = a.on_error[0].human
        assert human is not None
        assert human.deadline is not None
        assert (human.point, human.deadline.value) == ("ops", "1h")


class TestInvariants:
    """Those that plan.py states."""

    def test_a_dag_has_needs_and_no_routes(self) -> None:
        compiled = plan("""
            id: a, type: decision
            id: b, type: decision, needs: [a]
        """)
        a, b = compiled.steps
        assert (compiled.root.notation, a.dependents, b.needs) == ("dag", (1,), (0,))
        assert compiled.edges == ()
        assert (a.join.kind, b.join.kind) == ("all", "all")

    def test_a_machine_has_routes_and_no_needs(self) -> None:
        compiled = plan("""
            id: a, type: decision, next: [{when: $.input.x, to: b}, {to: end}]
            id: b, type: decision, next: a
        """)
        assert [edge.target for edge in compiled.edges] == [1, END, 0]
        assert [(step.needs, step.dependents) for step in compiled.steps] == [((), ()), ((), ())]
        assert compiled.root.reachable[0] == {0, 1}

    def test_one_step_is_a_machine(self) -> None:
        compiled = plan("id: a, type: decision")
        assert compiled.root.notation == "state_machine"
        assert compiled.root.start == (0,)
        assert compiled.root.reachable[0] == frozenset()


class TestValidators:
    """They answer in a sentence that names the place, and fetch nothing."""

    SCHEMA = (
        "input_schema: {type: object, required: [order], properties: {order: {type: object, "
        "properties: {total: {type: number, minimum: 0}, "
        "lines: {type: array, items: {$ref: '#/$defs/line'}}}}}, $defs: {line: {type: string}}}"
    )

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({"order": {"total": 1, "lines": ["a"]}}, None),
            (None, "the value itself: null is not of type 'object'"),
            ({"order": [True]}, "at `order`: [true] is not of type 'object'"),
            ({}, "the value itself: 'order' is a required property"),
            ({"order": {"total": -3}}, "at `order.total`: -3 is less than the minimum of 0"),
            ({"order": {"lines": ["a", 2]}}, "at `order.lines[1]`: 2 is not of type 'string'"),
        ],
    )
    def test_sentences(self, value: object, told: str | None) -> None:
        validate = plan("id: a, type: decision", self.SCHEMA).validate_input
        assert validate is not None
        assert validate(value) == told

    def test_long_values_are_shortened(self) -> None:
        validate = plan("id: a, type: decision", "output_schema: {type: number}").validate_output
        assert validate is not None
        assert len(str(validate("x" * 100_000))) < 250
