"""Stand-ins for the parts of a tree that cannot be read, so that the rest can be checked.

A stand-in says as little as possible: it must not be told of in its turn. It takes the place of
what it stands for, as paths into the tree must keep their meaning.
"""

from __future__ import annotations

from typing import Any, Final

from .diagnostics import Findings
from .fields import is_name
from .source import Path

_ORDERING: Final = frozenset({"needs", "next", "on_error", "split", "join", "start", "end"})
"""Fields without which the order of the steps is another."""

_CLAUSES: Final[dict[str, dict[str, Any]]] = {
    "next": {"when": "false", "to": "end"},
    "on_error": {"error": "Unreadable", "output": None},
}
_VALUES: Final[dict[str, str]] = {"id": "unreadable", "version": "0", "activity": "a:b"}


def repair(tree: dict[str, Any], path: Path, findings: Findings) -> Path | None:
    """Replace or remove the smallest part around a fault without which the rest may be read.

    Answers the path of that part, or None if nothing would be left.
    """
    if len(path) >= 3 and path[0] == "steps" and path[2] in _ORDERING:
        findings.damaged = True
    if path[:1] in (("start",), ("on_error",)):
        findings.damaged = True
    for field, stand_in in _CLAUSES.items():
        for depth in range(len(path) - 1):
            if path[depth] == field and isinstance(path[depth + 1], int):
                return _put(tree, path[: depth + 2], dict(stand_in))
    match path:
        case () | ("steps",):
            return None
        case ("steps", int(index)) | ("steps", int(index), "id" | "type"):
            findings.damaged = True
            return _put(tree, ("steps", index), _step(tree["steps"][index], index))
        case ("id" | "version" as field,) | ("steps", int(), "activity" as field):
            return _put(tree, path, _VALUES[field])
    return _remove(tree, path)


def _step(step: Any, index: int) -> dict[str, Any]:
    id = step.get("id") if isinstance(step, dict) else None
    usable = isinstance(id, str) and is_name(id)
    return {"id": id if usable else f"unreadable_{index}", "type": "decision"}


def _put(tree: Any, path: Path, value: Any) -> Path:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value
    return path


def _remove(tree: Any, path: Path) -> Path | None:
    """Remove a key; of a list its whole field, as what is left of it would move."""
    parents = [tree]
    for key in path[:-1]:
        try:
            parents.append(parents[-1][key])
        except (KeyError, IndexError, TypeError):
            break
    for depth in range(len(parents) - 1, -1, -1):
        if isinstance(parents[depth], dict):
            parents[depth].pop(path[depth], None)
            return path[: depth + 1]
    return None
