"""What may be read, assigned and named from where, in scopes within scopes."""

from __future__ import annotations

import pytest

from .test_refused import told

BODY = """
vars: {v: 0, list: []}
steps:
  - {{id: before, type: activity, activity: m:a, next: body}}
  - id: body
    {head}
    vars: {{own: 1}}
    steps:
      - {{id: first, type: activity, activity: m:a, next: second}}
      - {{id: second, type: decision, {field}, next: third}}
      - {{id: third, type: decision}}
    next: after
  - {{id: after, type: decision, {after}}}
"""


def messages(
    field: str = "tags: {}", *, head: str = "tags: {}", after: str = "tags: {}"
) -> list[str]:
    """What is told of a body with one field more: on its second step, itself, or the step after."""
    text = BODY.replace("vars: {v: 0, list: []}", "vars: {{v: 0, list: []}}")
    return [
        f"{each.message}; {each.cure}" if each.cure else each.message
        for each in told(text.format(field=field, head=head, after=after))
    ]


@pytest.mark.parametrize(
    "readable",
    [
        "$.input.x",
        "$.vars.v",
        "$.vars.own",
        "$.steps.first.output.x",
        "$.steps.before.output.x",
        "$.steps.before.status",
    ],
)
def test_a_step_reads_its_scope_and_what_is_around_it(readable: str) -> None:
    assert messages(f"output: {readable}") == []


def test_what_comes_later_cannot_be_read_neither_inside_nor_around() -> None:
    assert messages("output: $.steps.third.output") == [
        "step 'third' cannot be read here; no way leads from it to this step"
    ]
    assert messages("output: $.steps.after.output") == [
        "step 'after' cannot be read here; no way leads from it to \"body\", which this stands in"
    ]


def test_a_step_cannot_read_the_body_that_it_is_in() -> None:
    assert messages("output: $.steps.body.output") == [
        "step 'body' cannot be read here; this stands within the step, which has not ended by then"
    ]


def test_inner_steps_are_read_through_the_output_of_their_body() -> None:
    assert messages(after="output: $.steps.first.output") == [
        "step 'first' cannot be read here; it is inside: read `$.steps.body.output`"
    ]
    assert messages(after="output: $.steps.body.output.x") == []


def test_inner_variables_end_with_their_scope() -> None:
    assert messages(after="output: $.vars.own") == ["there is no 'own' here; there is `list`, `v`"]
    assert messages(after="assign: {own: 1}") == [
        "no variable `own` is declared; declare it: `vars: {own: …}`"
    ]


def test_an_inner_step_assigns_to_the_nearest_variable() -> None:
    assert messages("assign: {own: 2, v: 3}") == []
    assert messages("assign: {own: 2, list: {append: 3}}", head="foreach: $.input.x") == []
    assert messages("assign: {v: 3}", head="foreach: $.input.x") == [
        (
            '`v` is declared outside of "body", whose items run side by side; '
            "say {append: …}, or declare it inside"
        )
    ]


def test_the_item_is_known_in_all_that_runs_for_it() -> None:
    head = "foreach: $.input.x\n    as: one"
    assert messages("output: {a: $.item.x, i: $.index, o: $.vars.one}", head=head) == []
    assert messages("output: $.item") != []
    assert messages(after="output: $.vars.one", head=head) == [
        "there is no 'one' here; there is `list`, `v`"
    ]


def test_first_values_see_what_is_around_and_not_one_another() -> None:
    text = """
vars: {v: 0}
steps:
  - {id: before, type: activity, activity: m:a, next: body}
  - id: body
    foreach: $.input.x
    as: one
    vars:
      a: "${ $.vars.v + 1 }"
      b: $.steps.before.output
      c: $.vars.one
      d: $.index
      e: $.vars.a
      f: $.steps.x.output
    steps: [{id: x, type: decision}]
"""
    assert [(each.field, each.message) for each in told(text)] == [
        ("vars.e", "there is no 'a' here"),
        ("vars.f", "step 'x' cannot be read here"),
    ]


def test_branches_do_not_read_one_another() -> None:
    text = """
steps:
  - id: p
    type: parallel
    branches:
      - {name: l, vars: {n: 1}, steps: [{id: x, type: decision, assign: {n: 2}}]}
      - {name: r, steps: [{id: y, type: decision, output: $.steps.x.output}]}
    next: after
  - id: after
    type: decision
    output: {l: $.steps.p.output.l, x: $.steps.x.output, no: $.steps.p.output.c}
"""
    assert [(each.step, each.message, each.cure) for each in told(text)] == [
        (
            "y",
            "step 'x' cannot be read here",
            "it is in another branch, which runs at the same time",
        ),
        ("after", "step 'x' cannot be read here", "it is inside: read `$.steps.p.output.l`"),
        ("after", "there is no 'c' here", "there is `l`, `r`"),
    ]


def test_branches_do_not_read_one_another_from_deeper_inside_either() -> None:
    text = """
steps:
  - id: p
    type: parallel
    branches:
      - {name: l, steps: [{id: a, steps: [{id: x, type: decision}]}]}
      - {name: r, steps: [{id: b, steps: [{id: y, type: decision, output: $.steps.x.output}]}]}
"""
    assert [(each.step, each.cure) for each in told(text)] == [
        ("y", "it is in another branch, which runs at the same time")
    ]


def test_ids_are_unique_in_all_scopes() -> None:
    text = """
steps:
  - {id: a, steps: [{id: x, type: decision}], next: b}
  - id: b
    type: parallel
    branches:
      - {name: l, steps: [{id: x, type: decision}]}
      - {name: l, steps: [{id: a, type: decision}]}
"""
    assert [(each.code, each.message) for each in told(text)] == [
        ("HS208", 'the id "x" is taken by step 1 of the body "a"'),
        ("HS208", 'branch 1 is called "l" already'),
        ("HS208", 'the id "a" is taken by step 1 of the definition'),
    ]


def test_ways_lead_to_steps_of_the_same_scope() -> None:
    text = """
steps:
  - {id: a, type: decision, next: x}
  - {id: b, steps: [{id: x, type: decision, next: a}]}
"""
    assert [(each.message, each.cure) for each in told(text)] == [
        ('"x" is a step of another scope: the body "b"', "name the step that it is in: `b`"),
        (
            '"a" is a step of another scope: the definition',
            "a scope's ways lead to its own steps, or to `end`",
        ),
    ]


def test_an_event_is_known_where_one_is_looked_at() -> None:
    known = "any: [{event: e, where: $.event.data.x == $.event.name}]"
    assert told(f"steps: [{{id: a, type: wait, {known}}}]") == []
    for field in ("assign: {v: $.event.data}", "input: $.event"):
        found = told(f"vars: {{v: 0}}\nsteps: [{{id: a, type: wait, event: e, {field}}}]")
        assert [each.message for each in found] == ["`$.event` cannot be read here"]


def test_a_secret_stands_where_a_runner_puts_it() -> None:
    call = "{id: a, type: service_call, url: https://x/, %s}"
    for field in ("headers: {A: $.secrets.k}", "body: {a: 'x ${ $.secrets.k }'}"):
        assert told(f"steps: [{call % field}]") == []
    for field in ("query: {a: $.secrets.k}", "input: $.secrets.k", "when: $.secrets.k == 1"):
        found = told(f"steps: [{call % field}]")
        assert [each.message for each in found] == ["`$.secrets` cannot be read here"]
    script = "{id: a, type: script, language: shell, source: cat, %s}"
    assert told(f"steps: [{script % 'env: {A: $.secrets.k}'}]") == []
    found = told(f"steps: [{script % 'input: $.secrets.k'}]")
    assert [each.message for each in found] == ["`$.secrets` cannot be read here"]


def test_what_people_are_asked_for_is_declared() -> None:
    text = """
intervention_points: [{id: ops}, {id: ops, assignees: ann, escalate: [{after: 1h}]}]
steps:
  - {id: a, type: human, next: b}
  - {id: b, type: human, intervention_point: opps, next: c}
  - {id: c, type: decision, on_error: [{human: nobody}]}
"""
    assert [(each.code, each.field, each.message) for each in told(text)] == [
        ("HS010", "intervention_points[0]", "nobody is asked"),
        ("HS208", "intervention_points[1].id", 'the id "ops" is taken by point 1 of the list'),
        ("HS010", "intervention_points[1].escalate[0]", "nobody else is asked"),
        ("HS010", None, "nobody is asked"),
        ("HS220", "intervention_point", "there is no intervention point `opps`"),
        ("HS220", "on_error[0].human", "there is no intervention point `nobody`"),
    ]


def test_what_is_written_out_has_the_type_of_its_field() -> None:
    text = """
handlers: [{event: e, actions: [{cancel: {execution: 1}}, {start: {workflow: w, id: [a]}}]}]
steps:
  - {id: a, type: human, assignees: 7, candidates: [a, b], signal: [{execution: true, name: n}]}
"""
    assert [(each.field, each.message) for each in told(text)] == [
        ("handlers[0].actions[0].cancel.execution", "string is wanted here, not number"),
        ("handlers[0].actions[1].start.id", "string is wanted here, not array"),
        ("assignees", "array or string is wanted here, not number"),
        ("signal[0].execution", "string is wanted here, not boolean"),
    ]


def test_semaphores_are_declared() -> None:
    found = told(
        "semaphores: {llm: 1}\nsteps: [{id: a, uses: {lm: 1}, steps: [{id: x, type: decision}]}]"
    )
    assert [(each.code, each.field, each.cure) for each in found] == [
        ("HS219", "uses.lm", "did you mean `llm`?")
    ]


@pytest.mark.parametrize(
    ("deadline", "message"),
    [
        ("{business_days: 3}", None),
        ("{business_days: $.input.n, calendar: nyse}", None),
        ("{business_days: 3, calender: nyse}", "there is no field `calender`"),
        ("{calendar: nyse}", "`business_days` is required here"),
        ("{business_days: -1}", "the number must be 0 to 10,000"),
        ("{business_days: many}", "a whole number of days is wanted"),
        ("{business_days: 1, calendar: 2}", "a calendar's name is wanted"),
        ("3", "`3` has no unit"),
        ("90", "`90` has no unit"),
        ("2030-01-31T08:00:00Z", None),
    ],
)
def test_deadlines_count_time_or_working_days(deadline: str, message: str | None) -> None:
    found = told(f"steps: [{{id: a, type: decision, deadline: {deadline}}}]")
    assert [each.message for each in found] == ([] if message is None else [message])


def test_working_days_are_told_of_deadlines_only() -> None:
    found = told("steps: [{id: a, type: timer, duration: {business_days: 1}}]")
    assert [each.message for each in found] == ["working days can be told of a `deadline` only"]


def test_a_step_that_only_a_handler_leads_to_is_reached() -> None:
    late = "{id: b, type: decision, input: $.steps.a.output}"
    text = f"steps: [{{id: a, type: decision, next: end}}, {late}]"
    assert [each.code for each in told(text)][:1] == ["HS202"]
    assert told(f"handlers: [{{event: e, actions: [{{trigger: {{step: b}}}}]}}]\n{text}") == []
