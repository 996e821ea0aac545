"""The definitions on the pages about proofs: each is one, and what is declared of it is proved."""

from __future__ import annotations

import re

import pytest

from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import ANALYSES, Subject, analysed
from tests.docs.running import DOCS

PAGES = [DOCS / "verification.md", *sorted((DOCS / "verification").glob("*.md"))]
PAGE = "\n".join(page.read_text() for page in PAGES)
BLOCKS = [
    block for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE) if block.startswith("id: ")
]
FAULTY = [block for block in BLOCKS if block.startswith("id: sorted\n")]
DEFINITIONS = [block for block in BLOCKS if block not in FAULTY]


def test_there_are_some() -> None:
    assert DEFINITIONS


@pytest.mark.parametrize("text", DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_what_is_declared_holds(text: str) -> None:
    definition = parse_definition(text)
    subject = Subject(definition=definition, plan=compile_plan(definition))
    found = analysed(subject, ANALYSES)
    assert {each.outcome for each in found} == {"holds"}, found


@pytest.mark.parametrize("text", FAULTY)
def test_what_is_wrong_is_told_as_the_page_has_it(text: str) -> None:
    definition = parse_definition(text)
    subject = Subject(definition=definition, plan=compile_plan(definition))
    (wrong,) = [each for each in analysed(subject, ANALYSES) if each.outcome == "fails"]
    reason = wrong.reason.split(", after ")[0]
    assert f"{wrong.asked}  fails  {reason}\n" in PAGE


def test_what_the_order_among_the_examples_declares_is_proved() -> None:
    definition = load_definition(DOCS.parent / "examples" / "order" / "order.yaml")
    subject = Subject(definition=definition, plan=compile_plan(definition))
    found = {each.asked: each.outcome for each in analysed(subject, ["recovery"])}
    assert found == {"paid-back": "holds", "goods-free": "holds"}
