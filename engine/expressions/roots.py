"""What a path from `$` begins with: the names of the context, and how each may be entered."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .ast import Filter, Name, Path, Segment
from .errors import SyntaxProblem
from .suggest import did_you_mean

ROOTS: Final = (
    "input",
    "vars",
    "steps",
    "item",
    "index",
    "execution",
    "now",
    "output",
    "error",
    "event",
    "secrets",
)
STEP_FIELDS: Final = ("output", "status", "error", "items", "finished")

Origin = tuple[str, ...]
"""A value that may be elsewhere: `("input",)`, `("event",)`, `("output",)` or `("steps", id)`."""

_FETCHED: Final = frozenset({"input", "event", "output"})


class Entry(Struct, frozen=True):
    """A path's beginning: the context's name, of a step its id and field, and what is left."""

    root: str
    step: str | None
    field: str | None
    rest: tuple[Segment, ...]

    @property
    def origin(self) -> Origin | None:
        """The value the rest is relative to, if that is one which can be extracted from."""
        if self.root in _FETCHED:
            return (self.root,)
        if self.step is not None and self.field == "output":
            return ("steps", self.step)
        return None

    @property
    def extracted(self) -> tuple[Origin, tuple[Segment, ...]] | None:
        """What to ask for when the rest leads into a value that is elsewhere.

        Of `items`, an item's `output` is the same element of the step's output; a filter over the
        items cannot be put so.
        """
        if self.origin is not None:
            return self.origin, self.rest
        if self.step is None or self.field != "items" or len(self.rest) < 2:
            return None
        which, field, *rest = self.rest
        if which.descendant or len(which.selectors) != 1 or _name(field) != "output":
            return None
        if isinstance(which.selectors[0], Filter | Name):
            return None
        return ("steps", self.step), (which, *rest)


def entry(path: Path) -> Entry:
    """Take a path from `$` apart; it has passed `check_root`."""
    root = _name(path.segments[0])
    assert root is not None
    if root != "steps":
        return Entry(root, None, None, path.segments[1:])
    return Entry(root, _name(path.segments[1]), _name(path.segments[2]), path.segments[3:])


def check_root(path: Path) -> None:
    """Refuse a path from `$` that names no value of the context."""
    if not path.segments:
        raise SyntaxProblem("`$` alone is no value", path.span, "name one: `$.input`, `$.vars.x`")
    first = path.segments[0]
    root = _name(first)
    if root is None:
        raise SyntaxProblem(
            "a path begins with the name of a value", first.span, "write `$.input`, `$.vars.x`, …"
        )
    if root not in ROOTS:
        raise SyntaxProblem(
            f"there is no `$.{root}`", first.span, did_you_mean(root, ROOTS, "$."), "HS102"
        )
    if root == "secrets" and (len(path.segments) != 2 or _name(path.segments[1]) is None):
        raise SyntaxProblem("a secret is read whole, by its name", path.span, "`$.secrets.name`")
    if root != "steps":
        return
    if len(path.segments) < 2 or _name(path.segments[1]) is None:
        raise SyntaxProblem("a step is read by its id", path.span, "write `$.steps.<id>.output`")
    if len(path.segments) < 3:
        raise SyntaxProblem(
            "a step is no value", path.span, f"read one of its {', '.join(STEP_FIELDS)}"
        )
    field = _name(path.segments[2])
    if field is None or field not in STEP_FIELDS:
        raise SyntaxProblem(
            f"a step has {', '.join(STEP_FIELDS)}",
            path.segments[2].span,
            did_you_mean(field or "", STEP_FIELDS, "."),
            "HS102",
        )


def _name(segment: Segment) -> str | None:
    """The name a segment selects, if it selects one name and nothing else."""
    if segment.descendant or len(segment.selectors) != 1:
        return None
    selector = segment.selectors[0]
    return selector.name if isinstance(selector, Name) else None
