"""The numbers that events speak in: fixed when a version is registered, stored with it for ever.

A later compiler may order steps or edges otherwise; it still compiles an old version with the
numbers of its stored table, so that old events keep their meaning. Edges are known by the clause
they come from: `check.next.0` is the first clause of `next` of step `check`, `check.on_error.1`
the second of its `on_error`, `.on_error.0` the first of the definition's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from ..authoring.fields import ErrorClause
from ..authoring.model import Definition
from ..authoring.scopes import scopes_of

NUMBERING_FORMAT: Final = 1
"""Raised when keys change their meaning; tables of older formats stay readable."""

ROOT: Final = ""
"""The key of the root scope; a body's is its step's id, a branch's `step.branch`."""


class Numbering(Struct, frozen=True, kw_only=True):
    """Numbers of scopes, steps and edges, each from 0 without a gap."""

    scopes: Mapping[str, int]
    steps: Mapping[str, int]
    edges: Mapping[str, int]
    format: int = NUMBERING_FORMAT

    def __post_init__(self) -> None:
        for kind, numbers in (("scope", self.scopes), ("step", self.steps), ("edge", self.edges)):
            if sorted(numbers.values()) != list(range(len(numbers))):
                raise ValueError(f"{kind} numbers must count from 0 without a gap: {numbers}")
        if self.format > NUMBERING_FORMAT:
            raise ValueError(
                f"the numbering has format {self.format}; this release reads up to "
                f"{NUMBERING_FORMAT}: it was stored by a later one"
            )


def make_numbering(definition: Definition) -> Numbering:
    """Number a new version, in the order written, outer scopes before those within them."""
    scopes = [*scopes_of(definition)]
    customs = [*custom_keys(definition)]
    steps = [*(step.id for scope in scopes for step in scope.steps), *customs]
    return Numbering(
        scopes={key: n for n, key in enumerate([*(scope.key for scope in scopes), *customs])},
        steps={id: number for number, id in enumerate(steps)},
        edges={key: number for number, key in enumerate(edge_keys(definition))},
    )


def custom_keys(definition: Definition) -> Iterator[str]:
    """The key of each custom action of a handler: it is a scope with one step, both of this name,
    which no step of the definition can have."""
    for number, handler in enumerate(definition.handlers):
        for index, action in enumerate(handler.actions):
            if action.custom is not None:
                yield custom_key(number, index)


def custom_key(handler: int, action: int) -> str:
    """How the table names a handler's custom action."""
    return f"handlers.{handler}.actions.{action}"


def edge_keys(definition: Definition) -> Iterator[str]:
    """The key of every edge, in the order written: of each step its `next`, then its `on_error`."""
    for scope in scopes_of(definition):
        for step in scope.steps:
            for index in range(len(step.next or ())):
                yield edge_key(step.id, "next", index)
            yield from _error_keys(step.id, step.on_error)
    yield from _error_keys(ROOT, definition.on_error)


def edge_key(step_id: str, field: str, index: int) -> str:
    """How the table names an edge."""
    return f"{step_id}.{field}.{index}"


def _error_keys(owner: str, clauses: list[ErrorClause]) -> Iterator[str]:
    for index, clause in enumerate(clauses):
        if clause.next is not None:
            yield edge_key(owner, "on_error", index)
