"""The numbers that events speak in: fixed when a version is registered, stored with it for ever.

A version goes on from the numbers of the one registered before it, so that an execution can be
moved to it and keeps its addresses: docs/decisions/0016 says why.

A later compiler may order steps or edges otherwise; it still compiles an old version with the
numbers of its stored table, so that old events keep their meaning. Edges are known by the clause
they come from: `check.next.0` is the first clause of `next` of step `check`, `check.on_error.1`
the second of its `on_error`, `.on_error.0` the first of the definition's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from ..authoring.fields import END_TARGET, ErrorClause
from ..authoring.model import Definition
from ..authoring.scopes import Scope, scopes_of
from .plan import END

NUMBERING_FORMAT: Final = 1
"""Raised when keys change their meaning; tables of older formats stay readable."""

ROOT: Final = ""
"""The key of the root scope; a body's is its step's id, a branch's `step.branch`."""


RETIRED_MAX: Final = 10_000
"""Retired entries of a table, which every host reads with the plan; beyond that numbers begin anew,
and no execution is moved across."""


class Retired(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers that earlier versions of a definition used and this one does not."""

    scopes: Mapping[str, int] = {}
    """By path: the scopes around it and its name."""
    steps: Mapping[str, int] = {}
    """Likewise, and its id."""
    edges: Mapping[int, tuple[int, int]] = {}
    """The steps at its two ends, by the edge's number."""

    def __len__(self) -> int:
        return len(self.scopes) + len(self.steps) + len(self.edges)


class Numbering(Struct, frozen=True, kw_only=True):
    """Numbers of scopes, steps and edges, each from 0 without a gap but for retired ones."""

    scopes: Mapping[str, int]
    steps: Mapping[str, int]
    edges: Mapping[str, int]
    format: int = NUMBERING_FORMAT
    retired: Retired = Retired()

    def __post_init__(self) -> None:
        retired = self.retired
        for kind, numbers, gone in (
            ("scope", self.scopes, retired.scopes.values()),
            ("step", self.steps, retired.steps.values()),
            ("edge", self.edges, retired.edges),
        ):
            used = [*numbers.values(), *gone]
            if sorted(used) != list(range(len(used))):
                raise ValueError(f"{kind} numbers must count from 0 without a gap: {numbers}")
        if self.format > NUMBERING_FORMAT:
            raise ValueError(
                f"the numbering has format {self.format}; this release reads up to "
                f"{NUMBERING_FORMAT}: it was stored by a later one"
            )


def make_numbering(definition: Definition) -> Numbering:
    """Number a first version, in the order written, outer scopes before those within them."""
    scopes = [*scopes_of(definition)]
    customs = [*custom_keys(definition)]
    steps = [*(step.id for scope in scopes for step in scope.steps), *customs]
    return Numbering(
        scopes={key: n for n, key in enumerate([*(scope.key for scope in scopes), *customs])},
        steps={id: number for number, id in enumerate(steps)},
        edges={key: number for number, key in enumerate(edge_keys(definition))},
    )


def continue_numbering(
    before: Numbering, definition_before: Definition, definition: Definition
) -> Numbering:
    """Number the version after another one: what is the same keeps its number, no number gets
    another meaning.

    Scopes and steps are the same where their paths are, edges where their clauses and both ends
    are. Numbers begin anew where too much is retired.
    """
    old, new = _Paths(definition_before), _Paths(definition)
    retired = before.retired
    scopes, scopes_gone = _continued(
        {**{old.scopes[key]: number for key, number in before.scopes.items()}, **retired.scopes},
        new.scopes,
    )
    steps, steps_gone = _continued(
        {**{old.steps[id]: number for id, number in before.steps.items()}, **retired.steps},
        new.steps,
    )
    edges, edges_gone = _continued_edges(
        before, _ends(definition_before, before.steps), _ends(definition, steps)
    )
    gone = Retired(scopes=scopes_gone, steps=steps_gone, edges=edges_gone)
    if len(gone) > RETIRED_MAX:
        return make_numbering(definition)
    return Numbering(scopes=scopes, steps=steps, edges=edges, retired=gone)


class _Paths:
    """The paths of a definition's scopes and steps, by the keys that its numbering has."""

    def __init__(self, definition: Definition) -> None:
        customs = [*custom_keys(definition)]
        self.scopes = {key: key for key in customs}
        self.steps = {key: key for key in customs}
        for scope in scopes_of(definition):
            path = self.scopes[scope.key] = scope_path(scope)
            self.steps |= {step.id: within(path, step.id) for step in scope.steps}


def scope_path(scope: Scope) -> str:
    """The names of the scopes around and its own: `parcel`, `both.left/parcel`; empty: the root."""
    if scope.parent is None or scope.owner is None:
        return ""
    owner = scope.owner.id
    return within(
        scope_path(scope.parent), owner if scope.branch is None else f"{owner}.{scope.branch}"
    )


def within(path: str, name: str) -> str:
    """The path of something in a scope."""
    return f"{path}/{name}" if path else name


def _continued(
    before: Mapping[str, int], paths: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers by key, those known by path and then fresh ones in the order written; and of the
    known ones those that no key has any more."""
    fresh = count(len(before))
    numbers = {key: before[path] if path in before else next(fresh) for key, path in paths.items()}
    there = set(paths.values())
    return numbers, {path: number for path, number in before.items() if path not in there}


_Ends: TypeAlias = tuple[int, int]


def _continued_edges(
    before: Numbering, ends_before: Mapping[str, _Ends], ends: Mapping[str, _Ends]
) -> tuple[dict[str, int], dict[int, _Ends]]:
    known = {(key, ends_before[key]): number for key, number in before.edges.items()}
    fresh = count(len(before.edges) + len(before.retired.edges))
    numbers = {
        key: known[key, each] if (key, each) in known else next(fresh) for key, each in ends.items()
    }
    kept = set(numbers.values())
    gone = {number: ends_before[key] for key, number in before.edges.items() if number not in kept}
    return numbers, {**before.retired.edges, **gone}


def _ends(definition: Definition, steps: Mapping[str, int]) -> dict[str, _Ends]:
    """The numbers of the steps at the two ends of each edge, `END` where there is none."""
    numbers = {**steps, ROOT: END, END_TARGET: END}
    return {
        edge_key(edge.owner, edge.field, edge.clause): (
            numbers[edge.owner],
            numbers[edge.target],
        )
        for edge in _edges(definition)
    }


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
    for edge in _edges(definition):
        yield edge_key(edge.owner, edge.field, edge.clause)


def edge_key(step_id: str, field: str, index: int) -> str:
    """How the table names an edge."""
    return f"{step_id}.{field}.{index}"


class _Edge(NamedTuple):
    owner: str
    field: str
    clause: int
    target: str


def _edges(definition: Definition) -> Iterator[_Edge]:
    for scope in scopes_of(definition):
        for step in scope.steps:
            for index, route in enumerate(step.next or ()):
                yield _Edge(step.id, "next", index, route.to)
            yield from _error_edges(step.id, step.on_error)
    yield from _error_edges(ROOT, definition.on_error)


def _error_edges(owner: str, clauses: list[ErrorClause]) -> Iterator[_Edge]:
    for index, clause in enumerate(clauses):
        if clause.next is not None:
            yield _Edge(owner, "on_error", index, clause.next)
