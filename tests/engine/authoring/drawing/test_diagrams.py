"""Diagrams are as reviewed, in texts that Mermaid and Graphviz can read.

Rewrite the reviewed ones with `UPDATE_GOLDEN=1 pytest tests/engine/authoring/drawing`, and read the
difference. The grammars below are narrower than those of the tools, and have no rule that these
lack.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import heliostat as hs
from heliostat.engine.authoring.drawing import LANGUAGES, Language, diagram
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import InputError
from tests.engine.authoring.python import functions

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
FILES = [
    *sorted((HERE.parent / "good").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/*.yaml")),
]
COMPILED = {each.id: each for each in vars(functions).values() if isinstance(each, hs.Workflow)}
DRAWN: dict[str, Definition] = {
    **{path.stem: load_definition(path) for path in FILES},
    **{id: workflow.compiled.definition for id, workflow in COMPILED.items()},
}
REVIEWED = ("poll", "all-lines", "side-by-side", "region", "saga", "order", "parcel", "survey",
            "recovery")  # fmt: skip

TEXT = r'"(?:[^"#<>&`\\]|#\d+;|<br/>)*"'
SHAPES = (
    ("((", "))"), ("(((", ")))"), (">", "]"), ("[", "]"), ("{", "}"), ("(", ")"), ("([", "])"),
    ("{{", "}}"), ("[\\", "\\]"), ("[[", "]]"), ("[/", "/]"),
)  # fmt: skip
SHAPED = "|".join(f"{re.escape(opened)}{TEXT}{re.escape(closed)}" for opened, closed in SHAPES)
NODE = re.compile(rf"(\w+)(?:{SHAPED})")
SUBGRAPH = re.compile(rf"subgraph (\w+)\[{TEXT}\]")
ARROW = re.compile(rf"(\w+) (?:-->|-\.->|-\.-x)(?:\|{TEXT}\|)? (\w+)")

QUOTED = r'"(?:[^"\\]|\\.)*"'
ATTRIBUTE = rf"\w+=(?:{QUOTED}|\w+)"
ATTRIBUTES = rf"\[{ATTRIBUTE}(?:, {ATTRIBUTE})*\]"
DOT_NODE = re.compile(rf"({QUOTED}|node|edge) {ATTRIBUTES}")
DOT_ARROW = re.compile(rf"({QUOTED}) -> ({QUOTED})(?: {ATTRIBUTES})?")
DOT_OPENS = re.compile(rf"(?:digraph|subgraph) ({QUOTED}) {{")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REVIEWED)
def test_it_is_drawn_as_reviewed(name: str, language: Language) -> None:
    found = diagram(DRAWN[name], language)
    golden = HERE / "golden" / f"{name}.{language}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DRAWN)
class TestEveryDefinition:
    def test_mermaid_reads_it(self, name: str) -> None:
        known, ends, open_ = set[str](), list[tuple[str, str]](), 0
        first, *lines = diagram(DRAWN[name]).splitlines()
        assert first == "flowchart TD"
        for line in map(str.strip, lines):
            if found := ARROW.fullmatch(line):
                ends.append((found[1], found[2]))
            elif line == "end":
                open_ -= 1
            else:
                inner = SUBGRAPH.fullmatch(line)
                node = inner or NODE.fullmatch(line)
                assert node, line
                assert node[1] not in known, line
                known.add(node[1])
                open_ += inner is not None
        assert open_ == 0
        assert {end for both in ends for end in both} <= known
        assert "end" not in known

    def test_graphviz_reads_it(self, name: str) -> None:
        known, ends, open_ = set[str](), list[tuple[str, str]](), 0
        for line in map(str.strip, diagram(DRAWN[name], "dot").splitlines()):
            if found := DOT_ARROW.fullmatch(line):
                ends.append((found[1], found[2]))
            elif line == "}":
                open_ -= 1
            elif DOT_OPENS.fullmatch(line):
                open_ += 1
            elif found := DOT_NODE.fullmatch(line):
                known.add(found[1])
            else:
                assert re.fullmatch(ATTRIBUTE, line), line
        assert open_ == 0
        assert {end for both in ends for end in both} <= known

    def test_each_step_is_in_it(self, name: str) -> None:
        text = diagram(DRAWN[name])
        for id in re.findall(r"'id': '(\w+)'", str([s.model_dump() for s in DRAWN[name].steps])):
            assert re.search(rf"\bstep_{id}\b", text), id


def test_words_that_mean_something_elsewhere_are_escaped() -> None:
    made = parse_definition("""
id: odd
version: "1"
steps:
  - id: subgraph
    name: 'say "<b>" & `x` #1; \\ end'
    type: decision
    next: [{when: '$.input == "a|b"', to: graph}, {to: end}]
  - {id: graph, type: decision}
""")
    text = diagram(made)
    assert 'step_subgraph{"say #34;#60;b#62;#34; #38; #96;x#96; #35;1; #92; end"}' in text
    assert 'step_subgraph -->|"input == #34;a|b#34;"| step_graph' in text
    assert '[label="say \\"<b>\\" & `x` #1; \\\\ end", shape=diamond]' in diagram(made, "dot")


def test_a_workflow_draws_itself_even_what_cannot_be_registered() -> None:
    assert functions.saga.diagram() == diagram(functions.saga.compiled.definition, "mermaid")
    assert "hs.undo(refund, receipt)" in functions.saga.diagram("dot")


def test_another_language_is_refused() -> None:
    with pytest.raises(InputError, match="say one of mermaid, dot"):
        diagram(DRAWN["poll"], "plantuml")  # type: ignore[arg-type]
