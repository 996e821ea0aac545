"""The definitions on docs/verification.md: each is one, and what is declared of it is proved."""

from __future__ import annotations

import re

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import ANALYSES, Subject, analysed
from tests.docs.running import DOCS

PAGE = (DOCS / "verification.md").read_text()
DEFINITIONS = [
    block for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE) if block.startswith("id: ")
]


def test_there_are_some() -> None:
    assert DEFINITIONS


@pytest.mark.parametrize("text", DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_what_is_declared_holds(text: str) -> None:
    definition = parse_definition(text)
    subject = Subject(definition=definition, plan=compile_plan(definition))
    found = analysed(subject, ANALYSES)
    assert {each.outcome for each in found} == {"holds"}, found
