"""Correct definitions with a fault of the data put in: each is found, and nothing before that."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import pytest

from heliostat.engine.authoring.activities import inspected
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.soundness import verify
from heliostat.verify.reports.diagnostics import diagnostics
from tests.docs.running import DOCS, examples_of

EXAMPLES: Final = DOCS.parent / "examples"
FILES: Final = ("order", "parcel", "documents", "hello", "job", "survey", "ride")
PATTERNS: Final = (
    "3-synchronization",
    "4-exclusive-choice",
    "5-simple-merge",
    "6-multi-choice",
    "7-structured-synchronizing-merge",
    "9-structured-discriminator",
    "10-arbitrary-cycles",
    "15-instances-not-known",
    "16-deferred-choice",
    "21-structured-loop",
    "22-recursion",
    "34-static-partial-join-for-instances",
    "37-local-synchronizing-merge",
    "38-general-synchronizing-merge",
    "36-dynamic-partial-join-for-instances",
)


@cache
def texts() -> dict[str, str]:
    """The correct definitions, by name."""
    found = {path.stem: path.read_text() for path in EXAMPLES.glob("*/*.yaml")}
    pages = {
        each.id.removeprefix("wcp-"): each.text
        for each in examples_of(DOCS / "patterns.md", "traces")
    }
    return {name: (found | pages)[name] for name in (*FILES, *PATTERNS)}


def told(name: str, text: str) -> list[str]:
    """What is told of a definition's data and its deadlocks, with what its modules annotate."""
    definition = parse_definition(text, f"{name}.yaml")
    folder = next((path.parent for path in EXAMPLES.glob(f"*/{name}.yaml")), Path("nowhere"))
    functions = inspected(definition, [folder], annotated=True)
    plan = compile_plan(definition)
    subject = Subject(definition=definition, plan=plan, functions=functions)
    report = verify(plan, definition=definition, functions=functions)
    verdicts = [report.about("deadlock"), *analysed(subject, ["data"])]
    return [
        f"{each.code} {each.step} {each.message}"
        for each in diagnostics(definition, verdicts)
        if each.code != "HS509"
    ]


@pytest.mark.parametrize("name", [*FILES, *PATTERNS])
def test_nothing_is_told_of_what_is_correct(name: str) -> None:
    assert told(name, texts()[name]) == []


ROUTES: Final = "{when: $.input.order.total > 1000, to: approve}, {to: cooling_off}"
ANSWERS: Final = "{when: $.output.approved, to: cooling_off}, {to: release}"
SHIP: Final = "{order: $.input.order, receipt: $.steps.charge.output}"
ORDER: Final = "order: {type: object,"
CHECK_C: Final = '"m:c", next: [{when: $.input.ok, to: d}, {to: end}]'

FAULTS: Final = (
    # no way on, and ways that are never taken
    (
        "order",
        ROUTES,
        ROUTES.replace("{to", "{when: $.input.order.total < 1000, to"),
        "HS510 check ",
        "total` = 1000 ",
    ),
    (
        "order",
        ANSWERS,
        ANSWERS.replace("{to", "{when: $.output.approved != false, to"),
        "HS510 approve ",
        "approved` = false",
    ),
    (
        "order",
        ROUTES,
        ROUTES.replace(", {to", ", {when: $.input.order.total > 5000, to: release}, {to"),
        "HS511 check ",
        "> 5000",
    ),
    (
        "order",
        "total: {type: number}",
        "total: {type: number, maximum: 1000}",
        "HS511 check ",
        "> 1000",
    ),
    (
        "survey",
        "when: $.steps.joined.output.bad > 1",
        "when: len($.steps.stations.output) < 0",
        "HS511 quarantine ",
        "always skipped",
    ),
    (
        "4-exclusive-choice",
        "{to: c}]",
        "{when: $.output < 10, to: c}]",
        "HS510 a ",
        "`$.steps.a.output` = 10 ",
    ),
    (
        "5-simple-merge",
        "{to: c}]",
        '{when: $.input == "right", to: c}]',
        "HS510 a ",
        '`$.input` = ""',
    ),
    (
        "10-arbitrary-cycles",
        "{to: end}]",
        "{when: $.vars.n > 3, to: end}]",
        "HS510 c ",
        "`$.vars.n` = 3 ",
    ),
    (
        "37-local-synchronizing-merge",
        "when: $.input.b",
        "when: $.input.b and not $.input.b",
        "HS511 b ",
        "always skipped",
    ),
    ("order", "id: {type: string}", 'id: {type: string, pattern: "^[A-Z]+$"}', "", ""),
    # values of another type, and inputs that do not fit
    (
        "order",
        "{order: $.input.order}\n    retry",
        "{order: $.input.order.id}\n    retry",
        "HS516 charge ",
        "string stands where object is needed",
    ),
    ("order", SHIP, "{order: $.input.order}", "HS304 ship ", "needs `receipt`"),
    ("order", SHIP, SHIP.replace("}", ", reciept: 1}"), "HS305 ship ", "no parameter `reciept`"),
    (
        "order",
        ORDER,
        ORDER.replace("object", "[object, 'null']"),
        "HS518 reserve ",
        "for `$.input.order` = null ",
    ),
    (
        "hello",
        "{name: $.item}",
        "{name: $.index}",
        "HS516 greet ",
        "number stands where string is needed",
    ),
    (
        "documents",
        "{text: $.steps.fetch.output}",
        "{text: $.steps.fetch.output.body}",
        "HS102 enrich ",
        "'body'",
    ),
    (
        "job",
        "tries: $.vars.tries}",
        "tries: [$.vars.tries]}",
        "HS516 poll ",
        "array stands where number is needed",
    ),
    (
        "parcel",
        "{box: $.steps.pick.output}",
        "{box: '${ len($.steps.pick.output) }'}",
        "HS516 pack ",
        "number stands where string is needed",
    ),
    (
        "ride",
        "order: $.input.order}",
        "order: [$.input.order]}",
        "HS516 hand_over ",
        "array stands where string is needed",
    ),
    (
        "order",
        "$.input.order.total > 1000,",
        "1000 / $.input.order.total < 1,",
        "HS517 check ",
        "total` = 0 ",
    ),
    # what was not written, and races
    (
        "order",
        "{hold: $.steps.reserve.output}",
        "{hold: $.steps.approve.output.completed_by}",
        "HS512 release ",
        "has not completed, after",
    ),
    (
        "parcel",
        "${ $.steps.pick.output default null }",
        "${ $.steps.pick.output }",
        "HS512 undo ",
        "`withdrawn` completes",
    ),
    # deadlocks that hang on data
    ("3-synchronization", '"m:c", next: d', CHECK_C, "HS501 c ", "`$.input.ok` = false"),
    (
        "3-synchronization",
        '"m:c", next: d',
        CHECK_C.replace("ok,", "n < 3,"),
        "HS501 c ",
        "`$.input.n` = 3",
    ),
)


@pytest.mark.parametrize(("name", "correct", "faulty", "about", "words"), FAULTS)
def test_what_was_put_in_is_found(
    name: str, correct: str, faulty: str, about: str, words: str
) -> None:
    text = texts()[name]
    assert correct in text
    found = told(name, text.replace(correct, faulty, 1))
    if not about:  # more is declared, and nothing is wrong with it
        assert found == []
        return
    assert [each for each in found if each.startswith(about) and words in each], found
    assert {each.split()[1] for each in found} == {about.split()[1]}  # and nothing elsewhere


def test_conditions_that_agree_get_nobody_stuck() -> None:
    text = texts()["3-synchronization"].replace('"m:c", next: d', CHECK_C)
    assert told("twin", text.replace('"m:b", next: d', CHECK_C.replace("m:c", "m:b"))) == []
