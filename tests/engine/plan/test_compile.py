"""What a plan holds beyond a copy of the fields: invariants, ends, reads, validators."""

import pytest

from heliostat.engine.authoring import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import END, Plan


def plan(steps: str, more: str = "") -> Plan:
    lines = "".join(f"  - {{{step.strip()}}}\n" for step in steps.strip().splitlines())
    return compile_plan(parse_definition(f'id: d\nversion: "1"\n{more}\nsteps:\n{lines}'))


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
