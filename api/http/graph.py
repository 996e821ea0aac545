"""A definition as a graph for drawing: its scopes, its steps, and the ways between them. Pure.

Scopes have the numbers that events speak in. A handler's own action is a scope beside the root,
with one step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from heliostat.engine.authoring.model import BodyStep, Definition, ParallelStep, Step
from heliostat.engine.authoring.places import places_of
from heliostat.engine.authoring.scopes import Scope, scopes_of
from heliostat.engine.plan.numbering import Numbering, custom_key


def graph_of(definition: Definition, numbering: Numbering) -> dict[str, Any]:
    """The graph of a version; `models.executions.Graph` is its shape."""
    scopes: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    places = places_of(definition)
    for scope in scopes_of(definition):
        number = numbering.scopes[scope.key]
        scopes.append(_scope(scope, numbering))
        entries = _entries(scope)
        nodes += [
            _node(step, number, entry=step.id in entries, place=places.get(step.id))
            for step in scope.steps
        ]
        edges += [edge | {"scope": number} for step in scope.steps for edge in _edges(step)]
    for key, name, activity in _actions(definition):
        number = numbering.scopes[key]
        scopes.append(
            {
                "id": number,
                "parent": numbering.scopes[""],
                "step": None,
                "name": name,
                "notation": "machine",
                "foreach": False,
            }
        )
        nodes.append(
            {
                "id": key,
                "name": activity,
                "type": "activity",
                "scope": number,
                "container": False,
                "foreach": False,
                "entry": True,
            }
        )
    return {
        "definition_id": definition.id,
        "version": definition.version,
        "name": definition.name,
        "scopes": scopes,
        "nodes": nodes,
        "edges": edges,
    }


def travelled(graph: Mapping[str, Any], taken: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """The graph with how often each of its edges was taken, by its two ends.

    Two edges with the same ends are told apart by nobody: both have the count.
    """
    edges = [
        edge | {"traversed": taken.get((edge["from"], edge["to"]), 0)} for edge in graph["edges"]
    ]
    return {**graph, "edges": edges}


def _scope(scope: Scope, numbering: Numbering) -> dict[str, Any]:
    owner = scope.owner
    return {
        "id": numbering.scopes[scope.key],
        "parent": None if scope.parent is None else numbering.scopes[scope.parent.key],
        "step": None if owner is None else owner.id,
        "name": scope.branch,
        "notation": "dag" if scope.notation == "dag" else "machine",
        "foreach": owner is not None and owner.foreach is not None,
    }


def _node(step: Step, scope: int, *, entry: bool, place: str | None) -> dict[str, Any]:
    told = {
        "id": step.id,
        "name": step.name,
        "type": step.type,
        "scope": scope,
        "container": isinstance(step, BodyStep | ParallelStep),
        "foreach": step.foreach is not None,
        "entry": entry,
    }
    if place is not None:
        told["place"] = place
    return told if step.description is None else told | {"description": step.description}


def _entries(scope: Scope) -> frozenset[str]:
    """Where a token may come into the scope from outside."""
    if scope.notation == "dag":
        first = {step.id for step in scope.steps if not step.needs}
    else:
        first = {scope.first}
    return frozenset(first | {*scope.entries})


def _edges(step: Step) -> Iterator[dict[str, Any]]:
    for need in step.needs or ():
        yield {"from": need, "to": step.id, "kind": "need"}
    clauses = step.next or []
    for index, clause in enumerate(clauses):
        if clause.when is not None:
            yield {"from": step.id, "to": clause.to, "kind": "next", "label": clause.when}
        else:
            otherwise = index and step.split == "first"
            yield {"from": step.id, "to": clause.to, "kind": "else" if otherwise else "next"}
    for handled in step.on_error:
        if handled.next is not None:
            label = " and ".join(part for part in (handled.error, handled.when) if part)
            edge = {"from": step.id, "to": handled.next, "kind": "error"}
            yield edge | {"label": label} if label else edge


def _actions(definition: Definition) -> Iterator[tuple[str, str, str]]:
    """Of each handler's own action its key, what it answers to, and the function it calls."""
    for number, handler in enumerate(definition.handlers):
        for index, action in enumerate(handler.actions):
            if action.custom is not None:
                yield custom_key(number, index), handler.id or handler.event, action.custom.activity
