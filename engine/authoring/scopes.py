"""The lexical scopes of a definition: the root, bodies and branches.

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
from .model import BodyStep, Branch, Definition, ParallelStep, Step
from .source import Path


@dataclass(frozen=True)
class Scope:
    """One scope: its steps in the order written, and the path of what owns it (`()`: the root)."""

    key: str  # unique and stable: `""` the root, a body's step id, `step.branch`
    path: Path
    steps: tuple[Step, ...]
    start: str | None
    variables: Mapping[str, Json]
    output: Json
    has_output: bool = False  # `output` was written, be it null
    parent: Scope | None = None
    owner: Step | None = None  # the body or parallel step that opens it; None: the root
    branch: str | None = None
    on_error: tuple[ErrorClause, ...] = ()
    """The definition's own clauses, whose `next` names a step of the root scope."""
    triggers: tuple[str, ...] = ()
    """Steps of the root scope that handlers put a token on."""

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
    def entries(self) -> tuple[str, ...]:
        """Steps that something else than a step leads to: an error of the whole, or an event."""
        return (*self.recoveries, *(id for id in self.triggers if id in self.by_id))

    @cached_property
    def graph(self) -> Graph:
        """The ways between the steps."""
        return Graph(self.steps, self.notation)

    @property
    def enclosing(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside out."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def step_path(self, index: int) -> Path:
        """The path of a step's mapping in the definition."""
        return (*self.path, "steps", index)

    @cached_property
    def inner(self) -> tuple[Scope, ...]:
        """The scopes that this one's steps open, in the order written."""
        return tuple(
            scope for index, step in enumerate(self.steps) for scope in self._opened(step, index)
        )

    def opened_by(self, step: Step) -> tuple[Scope, ...]:
        """The scopes that one of the steps opens: a body's one, a parallel's branches."""
        return tuple(scope for scope in self.inner if scope.owner is step)

    def _opened(self, step: Step, index: int) -> Iterator[Scope]:
        path = self.step_path(index)
        if isinstance(step, BodyStep):
            yield _inner(self, step, step, step.id, path)
        elif isinstance(step, ParallelStep):
            for number, branch in enumerate(step.branches):
                place = (*path, "branches", number)
                yield _inner(self, step, branch, f"{step.id}.{branch.name}", place, branch.name)


def _inner(
    parent: Scope,
    owner: Step,
    source: BodyStep | Branch,
    key: str,
    path: Path,
    branch: str | None = None,
) -> Scope:
    return Scope(
        key=key,
        path=path,
        steps=tuple(source.steps),
        start=source.start,
        variables=source.vars,
        output=source.output,
        has_output=source.given("output"),
        parent=parent,
        owner=owner,
        branch=branch,
    )


def root(definition: Definition) -> Scope:
    """The scope that the definition itself is."""
    return Scope(
        key="",
        path=(),
        steps=tuple(definition.steps),
        start=definition.start,
        variables=definition.vars,
        output=definition.output,
        has_output=definition.given("output"),
        on_error=tuple(definition.on_error),
        triggers=tuple(
            action.trigger.step
            for handler in definition.handlers
            for action in handler.actions
            if action.trigger is not None
        ),
    )


def scopes_of(definition: Definition) -> Iterator[Scope]:
    """Every scope, outer before inner, in the order written."""
    waiting = [root(definition)]
    while waiting:
        scope = waiting.pop()
        yield scope
        waiting.extend(reversed(scope.inner))
