"""A definition's graph has what the definition has, in the numbers that events speak in."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.api.http.graph import graph_of
from heliostat.api.http.models.executions import Graph
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import make_numbering
from heliostat.engine.plan.plan import END
from tests.docs.running import DOCS, examples_of

EXAMPLES = [
    *examples_of(DOCS / "semantics.md", "run"),
    *examples_of(DOCS / "patterns.md", "traces"),
]
TEXTS = [part for each in EXAMPLES for part in each.text.split("\n---\n")]

NESTED = """\
id: nested
version: "1"
name: All kinds
steps:
  - id: begin
    type: decision
    next: [{when: $.input.fast, to: each}, {to: both}]
  - id: each
    name: For each
    foreach: $.input.items
    as: item
    steps:
      - {id: one, type: activity, activity: "m:f", on_error: [{error: ValueError, next: mend}]}
      - {id: mend, type: decision, description: puts it right, next: end}
    next: both
  - id: both
    type: parallel
    branches:
      - name: left
        steps:
          - {id: a, type: decision, needs: []}
          - {id: b, type: decision, needs: [a]}
      - {name: right, steps: [{id: c, type: decision}]}
  - {id: rescue, type: decision}
on_error: [{next: rescue}]
handlers:
  - {event: order.paid, actions: [{custom: {activity: "m:note"}}]}
"""


def graph(text: str) -> dict[str, Any]:
    definition = parse_definition(text)
    return graph_of(definition, make_numbering(definition))


@pytest.mark.parametrize("text", [NESTED, *TEXTS], ids=lambda text: text.split()[1])
def test_it_agrees_with_the_plan(text: str) -> None:
    definition = parse_definition(text)
    plan = compile_plan(definition)
    made = graph_of(definition, make_numbering(definition))
    Graph.model_validate(made)
    assert {(node["id"], node["scope"]) for node in made["nodes"]} == {
        (step.id, step.scope) for step in plan.steps
    }
    assert {scope["id"] for scope in made["scopes"]} == {scope.number for scope in plan.scopes}
    for scope in made["scopes"]:
        planned = plan.scopes[scope["id"]]
        assert scope["notation"] == ("dag" if planned.notation == "dag" else "machine")
        owner = None if planned.owner is None else plan.steps[planned.owner]
        assert scope["step"] == (None if owner is None else owner.id)
        entries = {
            node["id"] for node in made["nodes"] if node["scope"] == scope["id"] and node["entry"]
        }
        assert {plan.steps[step].id for step in planned.start} <= entries
    ways = {
        (plan.steps[edge.source].id, "end" if edge.target == END else plan.steps[edge.target].id)
        for edge in plan.edges
        if edge.source != END
    } | {(plan.steps[need].id, step.id) for step in plan.steps for need in step.needs}
    assert {(edge["from"], edge["to"]) for edge in made["edges"]} == ways
    assert len(list(scopes_of(definition))) <= len(made["scopes"])


def test_scopes_edges_and_entries_are_told_apart() -> None:
    made = graph(NESTED)
    scopes = {(scope["step"], scope["name"]): scope for scope in made["scopes"]}
    assert scopes["each", None]["foreach"]
    assert scopes["both", "left"]["notation"] == "dag"
    assert scopes[None, "order.paid"]["parent"] == 0
    kinds = {
        (edge["from"], edge["to"]): (edge["kind"], edge.get("label")) for edge in made["edges"]
    }
    assert kinds["begin", "each"] == ("next", "$.input.fast")
    assert kinds["begin", "both"] == ("else", None)
    assert kinds["one", "mend"] == ("error", "ValueError")
    assert kinds["a", "b"] == ("need", None)
    assert kinds["mend", "end"] == ("next", None)
    nodes = {node["id"]: node for node in made["nodes"]}
    assert {id for id, node in nodes.items() if node["entry"]} == {
        "begin", "one", "a", "c", "rescue", "handlers.0.actions.0",
    }  # fmt: skip
    assert {id for id, node in nodes.items() if node["container"]} == {"each", "both"}
    assert nodes["mend"]["description"] == "puts it right"
