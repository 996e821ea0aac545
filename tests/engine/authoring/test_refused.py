"""Combinations that are refused: each entry of the table, by a definition that it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from heliostat.engine.authoring.checks.refused import REFUSED
from heliostat.engine.authoring.diagnostics import CODES, Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError

ONE = "{id: a, type: activity, activity: m:a}"

CASES: Mapping[str, tuple[str, str, str]] = {
    "both notations": (
        (
            "steps: [{id: a, type: decision, next: b}, {id: b, type: decision, needs: [a]},"
            " {id: c, type: decision, needs: [b]}]"
        ),
        "next",
        "other steps of this scope say `needs`; one scope speaks one notation",
    ),
    "no notation": (
        "steps: [{id: a, steps: [{id: x, type: decision}, {id: y, type: decision}]}]",
        "steps",
        "2 steps, and none says `next` or `needs`",
    ),
    "start of a DAG": (
        "steps: [{id: a, start: x, steps: [{id: x, type: decision, needs: []}]}]",
        "start",
        "a DAG starts at all steps without `needs`",
    ),
    "split in a DAG": (
        "steps: [{id: a, type: decision, needs: [], split: all}]",
        "split",
        "`split` belongs to `next`",
    ),
    "error routed in a DAG": (
        (
            "steps: [{id: a, type: decision, needs: [], on_error: [{next: b}]},"
            " {id: b, type: decision, needs: [a]}]"
        ),
        "on_error[0].next",
        "in a DAG nothing is routed, also not by an error",
    ),
    "all_done in a state machine": (
        "steps: [{id: a, type: decision, next: b}, {id: b, type: decision, join: all_done}]",
        "join",
        "`all_done` belongs to `needs`",
    ),
    "join behind itself": (
        (
            "steps: [{id: a, type: decision, next: b},"
            " {id: b, type: decision, join: all, next: [{when: $.input.x, to: b}, {to: end}]}]"
        ),
        "join",
        '"b" leads here and lies behind this join',
    ),
    "join of a conditional split": (
        (
            "steps: [{id: a, type: decision, split: all,"
            " next: [{when: $.input.x, to: b}, {to: c}]},"
            " {id: b, type: decision, next: d}, {id: c, type: decision, next: d},"
            " {id: d, type: decision, join: all}]"
        ),
        "join",
        '"b" and "c" are split by conditions: one may never arrive',
    ),
    "join of alternatives": (
        (
            "steps: [{id: a, type: decision, next: [{when: $.input.x, to: b}, {to: c}]},"
            " {id: b, type: decision, next: d}, {id: c, type: decision, next: d},"
            " {id: d, type: decision, join: all}]"
        ),
        "join",
        '"b" and "c" exclude each other: only one of them arrives',
    ),
    "join entered alone": (
        (
            "handlers: [{event: e, actions: [{trigger: {step: d}}]}]\n"
            "steps: [{id: a, type: decision, split: all, next: [{to: b}, {to: c}]},"
            " {id: b, type: decision, next: d}, {id: c, type: decision, next: d},"
            " {id: d, type: decision, join: all}]"
        ),
        "join",
        "a handler's `trigger` leads here, with nothing else left to arrive",
    ),
    "meeting without join": (
        (
            "steps: [{id: a, type: decision, split: all, next: [{to: b}, {to: c}]},"
            " {id: b, type: decision, next: d}, {id: c, type: decision, next: d},"
            " {id: d, type: decision}]"
        ),
        "id",
        'two tokens of the split at "a" may arrive at "d"',
    ),
    "terminate and next": (
        "steps: [{id: a, type: decision, end: terminate, next: end}]",
        "next",
        "`end: terminate` ends the scope; nothing is next",
    ),
    "failing and going on": (
        "steps: [{id: a, type: decision, fail: {type: A, message: b}, publish: [{event: e}]}]",
        "publish",
        "a decision that fails never comes to `publish`",
    ),
    "failing with an output": (
        "steps: [{id: a, type: decision, fail: {type: A, message: b}, output: 1}]",
        "output",
        "a decision that fails has no output",
    ),
    "two answers to an error": (
        (
            "intervention_points: [{id: ops, assignees: ann}]\n"
            "steps: [{id: a, type: decision, on_error: [{output: 1, human: ops}]}]"
        ),
        "on_error[0].human",
        "the clause says `output` already",
    ),
    "person for the whole definition": (
        (
            "intervention_points: [{id: ops, assignees: ann}]\n"
            f"on_error: [{{human: ops}}]\nsteps: [{ONE}]"
        ),
        "on_error[0].human",
        "a person decides how one step goes on, not a whole execution",
    ),
    "foreach on a parallel": (
        (
            "steps: [{id: p, type: parallel, foreach: $.input.x,"
            " branches: [{name: l, steps: [{id: x, type: decision}]}]}]"
        ),
        "foreach",
        "a step with `branches` cannot run per item itself",
    ),
    "shared variable replaced": (
        (
            "vars: {n: 0}\nsteps: [{id: each, foreach: $.input.x, steps: [{id: inner, steps:"
            " [{id: x, type: decision, assign: {n: 1}}]}]}]"
        ),
        "assign.n",
        '`n` is declared outside of "each", whose items run side by side',
    ),
    "item assigned": (
        (
            "steps: [{id: each, foreach: $.input.x, as: one, steps:"
            " [{id: x, type: decision, assign: {one: 1}}]}]"
        ),
        "assign.one",
        "`one` is the item of `each`; it cannot be changed",
    ),
    "two things in one alternative": (
        "steps: [{id: a, type: wait, any: [{event: e, timer: 1s}]}]",
        "any[0].timer",
        "`event` is waited for already",
    ),
    "any and one of them": (
        "steps: [{id: a, type: wait, any: [{event: e}], timer: 1s}]",
        "timer",
        "the list `any` says what is waited for",
    ),
    "two alternatives with one name": (
        "steps: [{id: a, type: wait, any: [{event: e}, {name: e, signal: s}]}]",
        "any[1].name",
        'alternative 1 is called "e" already',
    ),
    "where of a timer": (
        "steps: [{id: a, type: wait, timer: 1s, where: $.event.data.x == 1}]",
        "where",
        "a timer carries nothing that `where` could look at",
    ),
    "cancelling itself": (
        "steps: [{id: a, type: decision, cancels: [a]}]",
        "cancels[0]",
        "the step has completed when it cancels",
    ),
    "cancelling elsewhere": (
        (
            "steps: [{id: a, type: decision, cancels: [x], next: b},"
            " {id: b, steps: [{id: x, type: decision}]}]"
        ),
        "cancels[0]",
        '"x" is a step of another scope: the body "b"',
    ),
    "more than there is": (
        "semaphores: {llm: 2}\nsteps: [{id: a, type: activity, activity: m:a, uses: {llm: 3}}]",
        "uses.llm",
        "`llm` has 2, 3 can never be held",
    ),
    "held around": (
        (
            "semaphores: {llm: 1}\nsteps: [{id: b, uses: {llm: 1}, steps:"
            " [{id: a, type: activity, activity: m:a, uses: {llm: 1}}]}]"
        ),
        "uses.llm",
        "`llm` has 1, and 1 of it is held around the step",
    ),
    "deployment's held around": (
        (
            "semaphores: {llm: {per: deployment}}\nsteps: [{id: b, uses: {llm: 1}, steps:"
            " [{id: a, type: activity, activity: m:a}]}]"
        ),
        "uses.llm",
        "`llm` is a semaphore of the deployment, which attempts hold while they run",
    ),
    "two kinds in one": (
        f"properties: [{{id: p, ltl: F ended, within: 5m}}]\nsteps: [{ONE}]",
        "properties[0].within",
        "the property says `ltl` already",
    ),
    "undoing itself": (
        f"properties: [{{id: p, undone: {{a: a}}}}]\nsteps: [{ONE}]",
        "properties[0].undone.a",
        "what `a` did is undone by another step",
    ),
    "detached and awaited": (
        "steps: [{id: a, type: sub_workflow, workflow: w, detached: true, grace: 1s}]",
        "grace",
        "nobody waits for a detached execution; `grace` says nothing",
    ),
    "two actions in one": (
        f"handlers: [{{event: e, actions: [{{pause: {{}}, resume: {{}}}}]}}]\nsteps: [{ONE}]",
        "handlers[0].actions[0].resume",
        "the action says `pause` already",
    ),
    "trigger in a DAG": (
        (
            "handlers: [{event: e, actions: [{trigger: {step: a}}]}]\n"
            "steps: [{id: a, type: decision, needs: []}]"
        ),
        "handlers[0].actions[0].trigger",
        "`trigger` puts a token on a step; in a DAG there are none",
    ),
    "trigger inside": (
        (
            "handlers: [{event: e, actions: [{trigger: {step: x}}]}]\n"
            "steps: [{id: p, type: parallel, branches:"
            " [{name: l, steps: [{id: x, type: decision}]}]}]"
        ),
        "handlers[0].actions[0].trigger.step",
        '"x" is a step of another scope: branch "l" of "p"',
    ),
    "retried and never": (
        "steps: [{id: a, type: activity, activity: m:a, retry: {on: [A], never_on: [A]}}]",
        "retry.never_on[0]",
        "`A` is in `on` too",
    ),
}


def told(text: str) -> list[Diagnostic]:
    """What is wrong with a definition."""
    try:
        parse_definition(f'id: d\nversion: "1"\n{text}\n', "d.yaml")
    except DefinitionError as error:
        return list(error.diagnostics)
    return []


@pytest.mark.parametrize("which", CASES)
def test_a_combination_is_refused_at_its_place(which: str) -> None:
    text, field, message = CASES[which]
    assert [(each.code, each.field, each.message) for each in told(text)] == [
        (REFUSED[which].code, field, message)
    ]


def test_every_entry_of_the_table_refuses_something() -> None:
    assert set(CASES) == set(REFUSED)


def test_every_entry_has_a_known_code_and_says_what_it_refuses() -> None:
    for entry in REFUSED.values():
        assert entry.code in CODES
        assert entry.what
        assert entry.message


@pytest.mark.parametrize("which", CASES)
def test_what_is_told_is_the_entry_filled_in(which: str) -> None:
    pattern = re.escape(REFUSED[which].message)
    pattern = re.sub(r"\\\{\w+\\\}", "(.+)", pattern)
    assert re.fullmatch(pattern, CASES[which][2])
