"""The ways from step to step within one scope, and what can be reached over them.

Both the checks and the compiler ask this. A way is a clause of `next` or `on_error` in a state
machine, a need in a DAG. Targets that no step has are left out here; the checks name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..plan.plan import Notation
from .fields import END_TARGET
from .model import Step
from .reach import Reach


@dataclass(frozen=True, slots=True)
class Way:
    """From a step to another, or to the end (`target` None); `index` counts within its list."""

    source: str
    target: str | None
    kind: Literal["next", "on_error", "needs"]
    index: int
    conditional: bool = False


class Graph:
    """The steps of a scope and the ways between them; everything is derived when first asked."""

    def __init__(self, steps: Sequence[Step], notation: Notation) -> None:
        self.steps: Mapping[str, Step] = {step.id: step for step in reversed(steps)}
        self.order = tuple(dict.fromkeys(step.id for step in steps))
        self.notation = notation
        ways = _needs(steps) if notation == "dag" else _transitions(steps)
        self.ways = tuple(
            way
            for way in ways
            if way.source in self.steps and (way.target is None or way.target in self.steps)
        )

    @cached_property
    def leaving(self) -> Mapping[str, tuple[Way, ...]]:
        """The ways out of each step, in the order of evaluation."""
        return {id: tuple(way for way in ways) for id, ways in self._by("source").items()}

    @cached_property
    def entering(self) -> Mapping[str, tuple[Way, ...]]:
        """The ways into each step."""
        return {id: tuple(ways) for id, ways in self._by("target").items()}

    @cached_property
    def successors(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that follow each step directly."""
        return {
            id: tuple(dict.fromkeys(way.target for way in ways if way.target is not None))
            for id, ways in self.leaving.items()
        }

    @cached_property
    def predecessors(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that each step follows directly."""
        return {
            id: tuple(dict.fromkeys(way.source for way in ways))
            for id, ways in self.entering.items()
        }

    @cached_property
    def after(self) -> Reach[str]:
        """From each step, all that a token there may come to; itself only when on a loop."""
        return Reach(self.successors)

    def leads(self, start: str, end: str) -> bool:
        """Whether a token may come from one step to another, or back to the same one."""
        return self.after.leads(start, end)

    @cached_property
    def splits(self) -> tuple[tuple[Way, ...], ...]:
        """Of each step with `split: all` the ways of its `next`."""
        return tuple(
            tuple(way for way in self.leaving[id] if way.kind == "next")
            for id in self.order
            if self.steps[id].split == "all"
        )

    def from_any(self, starts: Iterable[str], *, stop: frozenset[str] = frozenset()) -> set[str]:
        """The starts and all that follows them, not going on beyond the steps in `stop`."""
        seen = set[str]()
        waiting = [start for start in starts if start in self.steps]
        while waiting:
            id = waiting.pop()
            if id not in seen:
                seen.add(id)
                if id not in stop:
                    waiting.extend(self.successors[id])
        return seen

    def circle(self) -> tuple[str, ...]:
        """The steps of one circle, first written first; empty if there is none."""
        for id in self.order:
            if self.leads(id, id):
                return self._path_back(id)  # it is the first written of its circle
        return ()

    def _path_back(self, start: str) -> tuple[str, ...]:
        """A shortest way from a step back to itself."""
        came: dict[str, str] = {}
        waiting = [start]
        for id in waiting:
            for following in self.successors[id]:
                if following == start:
                    path = [id]
                    while path[-1] != start:
                        path.append(came[path[-1]])
                    return tuple(reversed(path))
                if following not in came:
                    came[following] = id
                    waiting.append(following)
        return ()

    def _by(self, end: Literal["source", "target"]) -> dict[str, list[Way]]:
        sorted_ways: dict[str, list[Way]] = {id: [] for id in self.order}
        for way in self.ways:
            step = way.source if end == "source" else way.target
            if step is not None:
                sorted_ways[step].append(way)
        return sorted_ways


def _transitions(steps: Sequence[Step]) -> Iterator[Way]:
    for step in steps:
        for index, route in enumerate(step.next or ()):
            yield Way(step.id, _target(route.to), "next", index, route.when is not None)
        for index, clause in enumerate(step.on_error):
            if clause.next is not None:
                yield Way(step.id, _target(clause.next), "on_error", index, True)


def _needs(steps: Sequence[Step]) -> Iterator[Way]:
    for step in steps:
        for index, need in enumerate(step.needs or ()):
            yield Way(need, step.id, "needs", index)


def _target(name: str) -> str | None:
    return None if name == END_TARGET else name
