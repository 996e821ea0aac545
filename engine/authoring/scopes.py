"""The lexical scopes of a definition: the root, and later bodies and branches.

A scope speaks one notation. This module only says which; that one scope uses both, or neither, is
found by `checks/control_flow.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ..plan.plan import Notation
from ..values import Json
from .fields import ErrorClause
from .graph import Graph
from .model import Definition, Step
from .source import Path


@dataclass(frozen=True)
class Scope:
    """One scope: its steps in the order written, and the path of what owns it (`()`: the root)."""

    path: Path
    steps: tuple[Step, ...]
    start: str | None
    variables: Mapping[str, Json]
    output: Json
    on_error: tuple[ErrorClause, ...] = ()
    """The definition's own clauses, whose `next` names a step of the root scope."""

    @cached_property
    def notation(self) -> Notation:
        """A DAG if a step says `needs`; one step alone is a state machine."""
        if any(step.needs is not None for step in self.steps):
            return "dag"
        return "state_machine"

    @cached_property
    def by_id(self) -> Mapping[str, Step]:
        """Steps by id; of two with one id the first."""
        return {step.id: step for step in reversed(self.steps)}

    @cached_property
    def first(self) -> str:
        """Where a state machine starts."""
        start = self.start
        return start if start is not None and start in self.by_id else self.steps[0].id

    @cached_property
    def recoveries(self) -> tuple[str, ...]:
        """Steps that the definition's `on_error` leads to."""
        targets = (clause.next for clause in self.on_error)
        return tuple(t for t in targets if t is not None and t in self.by_id)

    @cached_property
    def graph(self) -> Graph:
        """The ways between the steps."""
        return Graph(self.steps, self.notation)

    def step_path(self, index: int) -> Path:
        """The path of a step's mapping in the definition."""
        return (*self.path, "steps", index)


def root(definition: Definition) -> Scope:
    """The scope that the definition itself is."""
    return Scope(
        path=(),
        steps=tuple(definition.steps),
        start=definition.start,
        variables=definition.vars,
        output=definition.output,
        on_error=tuple(definition.on_error),
    )


def scopes_of(definition: Definition) -> Iterator[Scope]:
    """Every scope, outer before inner, in the order written."""
    yield root(definition)
