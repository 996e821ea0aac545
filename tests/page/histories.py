"""Histories without a deployment: what the simulator does with the examples of the documentation,
as the interface tells it. They hold every construct of the language, and each of its faults."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from heliostat.api.http.graph import graph_of
from heliostat.api.live.progress import Progress
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.numbering import make_numbering
from tests.docs.running import DOCS, Example, examples_of, simulated

SEEDS = 2


class Told(NamedTuple):
    """A history, the graph of its definition, and what the server says of each step at its end."""

    name: str
    graph: dict[str, Any]
    events: list[dict[str, Any]]
    steps: dict[str, dict[str, Any]]


@cache
def graphs() -> list[dict[str, Any]]:
    """Of every definition that the documentation shows."""
    found = []
    for example in _examples():
        for part in example.text.split("\n---\n"):
            definition = parse_definition(part, example.id)
            found.append(graph_of(definition, make_numbering(definition)))
    return found


@cache
def histories() -> list[Told]:
    """Of each example, under some schedules."""
    found = []
    for example in _examples():
        definition = parse_definition(example.text.split("\n---\n")[0], example.id)
        graph = graph_of(definition, make_numbering(definition))
        for seed, run in enumerate([*example.told.get("runs", [example.told])] * SEEDS):
            result = simulated(example.plans, run, seed=seed, drawn=True)
            progress = Progress(result.plan)
            events = [progress.tell(body).event for body in result.history]
            found.append(Told(f"{example.id}, seed {seed}", graph, events, progress.steps()))
    return found


def _examples() -> list[Example]:
    return [
        *examples_of(DOCS / "semantics.md", "run"),
        *examples_of(DOCS / "patterns.md", "traces"),
    ]
