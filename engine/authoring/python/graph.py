"""The steps of a scope while it is being written: a chain that grows at its loose ends.

A `Way` is a clause of `next` or `on_error` whose target is not known yet. A scope has `pending`
ways: whatever is added next is where they lead. A loop keeps a `Step` to lead back to; a `break`
takes the pending ways and gives them back behind the loop. Nothing pending means that this place
is never reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Way:
    """A clause that leads to a step; without one, to the end of the scope."""

    when: str | None = None
    error: str | None = None
    target: Step | None = None


@dataclass(eq=False)
class Step:
    """A step of the definition, without its order."""

    id: str
    fields: dict[str, Any]
    ways: list[Way] = field(default_factory=list)
    catches: list[Way] = field(default_factory=list)
    raises: bool = False
    """Whether it may fail."""

    def tree(self) -> dict[str, Any]:
        """The step as the definition's model reads it."""
        written = {"id": self.id, **_inner(self.fields)}
        if self.catches:
            written["on_error"] = [
                {**({} if way.error is None else {"error": way.error}), "next": _target(way)}
                for way in self.catches
            ]
        if len(self.ways) == 1 and self.ways[0].when is None:
            if self.ways[0].target is not None:
                written["next"] = self.ways[0].target.id
        elif self.ways:
            written["next"] = [
                {**({} if way.when is None else {"when": way.when}), "to": _target(way)}
                for way in self.ways
            ]
        return written


def _inner(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in which the scopes are written out."""
    written = dict(fields)
    if isinstance(written.get("steps"), Scope):
        written["steps"] = written["steps"].tree()
    if "branches" in written:
        written["branches"] = [_inner(branch) for branch in written["branches"]]
    return written


class Scope:
    """The steps of a definition, a body or a branch."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.pending: list[Way] = [Way()]
        self.variables: dict[str, Any] = {}

    @property
    def reachable(self) -> bool:
        """Whether what is written next can be reached."""
        return bool(self.pending)

    def add(self, step: Step, ways: list[Way] | None = None) -> Step:
        """Put a step where the pending ways lead; it goes on by `ways`, or by one of its own."""
        self.lead(step)
        step.ways = [Way()] if ways is None else ways
        self.steps.append(step)
        self.pending = list(step.ways)
        return step

    def lead(self, step: Step) -> None:
        """Let the pending ways lead to a step."""
        for way in self.pending:
            way.target = step
        self.pending = []

    def take(self) -> list[Way]:
        """The pending ways, which are from now on somebody else's."""
        taken, self.pending = self.pending, []
        return taken

    def tree(self) -> list[dict[str, Any]]:
        """All steps, as the definition's model reads them."""
        return [step.tree() for step in self.steps]


def _target(way: Way) -> str:
    return "end" if way.target is None else way.target.id
