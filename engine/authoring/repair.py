"""Stand-ins for the parts of a tree that cannot be read, so that the rest can be checked.

A stand-in says as little as possible: it must not be told of in its turn. It takes the place of
what it stands for, as paths into the tree must keep their meaning.
"""

from __future__ import annotations

from typing import Any, Final

from .diagnostics import Findings
from .fields import is_name
from .source import Path

ORDERING: Final = frozenset(
    {"needs", "next", "on_error", "split", "join", "start", "end", "steps", "branches", "handlers"}
)
"""Fields without which the order of the steps is another."""

_UNREADABLE: Final = "unreadable"

_ELEMENTS: Final[dict[str, dict[str, Any]]] = {
    "next": {"when": "false", "to": "end"},
    "on_error": {"error": "Unreadable", "output": None},
}
"""By the list: what stands for an element of it."""

_REQUIRED: Final[dict[str, Any]] = {
    "id": _UNREADABLE,
    "version": "0",
    "activity": "a:b",
    "language": "shell",
    "source": "",
    "url": "http://localhost",
    "workflow": _UNREADABLE,
}
"""By the field, of a definition or a step: what stands for a value that must be there."""

_SAID: Final[dict[str, tuple[frozenset[str], str, str]]] = {
    "timer": (frozenset({"duration", "until"}), "duration", "1s"),
    "human": (
        frozenset({"assignees", "candidates", "intervention_point"}),
        "assignees",
        _UNREADABLE,
    ),
}
"""By the type of step: the fields of which it says one, and what stands for that."""

_WAITED: Final = frozenset({"event", "signal", "timer", "any"})
"""Without one of these a wait would be told that it waits for nothing."""


def repair(tree: dict[str, Any], path: Path, findings: Findings) -> Path | None:
    """Replace or remove the smallest part around a fault without which the rest may be read.

    Answers the path of that part, or None if nothing would be left.
    """
    inner = _inner(path)
    if any(key in ORDERING for key in path[inner:]):
        findings.damaged = True
    for depth in range(inner, len(path) - 1):
        if path[depth] in _ELEMENTS and isinstance(path[depth + 1], int):
            return _put(tree, path[: depth + 2], dict(_ELEMENTS[str(path[depth])]))
    match path[inner:]:
        case () if inner:
            return _step(tree, path, findings)
        case () | ("steps",) if not inner:
            return None
        case ("id" | "type" | "steps" | "branches",) if inner:
            return _step(tree, path[:inner], findings)
        case ("branches", int(), *_):
            return _branch(tree, path[: inner + 2], findings)
        case (str(field),) if field in _REQUIRED:
            return _put(tree, path, _REQUIRED[field])
        case (str(), *_) if inner and _at(tree, path[:inner]).get("type") == "wait":
            return _waiting(tree, path, inner)
        case (str(),) if inner and _at(tree, path[:inner]).get("type") in _SAID:
            return _saying(tree, path)
        case ("intervention_points", int(index), *_):
            point = {**_named(tree, path[:2], index), "assignees": _UNREADABLE}
            return _put(tree, path[:2], point)
        case ("semaphores", str(name), *_) if is_name(name):
            return _put(tree, path[:2], 1_000_000)
        case ("handlers" | "properties", *_):
            return _remove(tree, path[:1])
        case (str(), *rest) if len(rest) > 1:
            # inside of something that may need what would be removed
            return _remove(tree, path if _optional(path) else path[: inner + 1])
    return _remove(tree, path)


def _inner(path: Path) -> int:
    """How much of a path leads to the innermost step in it; 0 if it lies in none."""
    at, depth = 0, 0
    while path[depth : depth + 1] == ("steps",) and isinstance(_get(path, depth + 1), int):
        at = depth = depth + 2
        if _get(path, depth) == "branches" and _get(path, depth + 2) == "steps":
            depth += 2
    return at


def _get(path: Path, index: int) -> str | int | None:
    return path[index] if index < len(path) else None


def _optional(path: Path) -> bool:
    """Fields inside of a mapping that can be missing there."""
    return path[-2] in ("retry", "resources", "custom") or path[-1] in ("when", "where", "data")


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _step(tree: Any, path: Path, findings: Findings) -> Path:
    findings.damaged = True
    step = _at(tree, path)
    id = step.get("id") if isinstance(step, dict) else None
    usable = isinstance(id, str) and is_name(id)
    return _put(tree, path, _decision(id if usable else None, path))


def _decision(id: Any, path: Path) -> dict[str, Any]:
    numbers = "_".join(str(key) for key in path if isinstance(key, int))
    return {"id": id or f"{_UNREADABLE}_{numbers}", "type": "decision"}


def _branch(tree: Any, path: Path, findings: Findings) -> Path:
    findings.damaged = True
    name = _named(tree, path, int(path[-1]), "name")
    branch = _at(tree, path)
    steps = branch.get("steps") if isinstance(branch, dict) else None
    whole = isinstance(steps, list) and len(steps) > 0  # what is wrong in one is told of it
    return _put(tree, path, {**name, "steps": steps if whole else [_decision(None, (*path, 0))]})


def _named(tree: Any, path: Path, index: int, field: str = "id") -> dict[str, Any]:
    value = _at(tree, path)
    name = value.get(field) if isinstance(value, dict) else None
    usable = isinstance(name, str) and is_name(name)
    return {field: name if usable else f"{_UNREADABLE}_{index}"}


def _waiting(tree: Any, path: Path, inner: int) -> Path | None:
    """A wait waits for one thing, its alternatives as well."""
    field = path[inner]
    if field == "any" and isinstance(_get(path, inner + 1), int):
        index = int(path[inner + 1])
        return _put(tree, path[: inner + 2], {"event": f"{_UNREADABLE}_{index}"})
    if field in _WAITED:
        step = _at(tree, path[:inner])
        step.pop(field, None)
        if not _WAITED & set(step):
            step["event"] = _UNREADABLE
        return path[: inner + 1]
    return _remove(tree, path)


def _saying(tree: Any, path: Path) -> Path | None:
    """The step without a field, and with what it must say still said."""
    removed = _remove(tree, path)
    step = _at(tree, path[:-1])
    said, field, value = _SAID[step["type"]]
    if not said & set(step):
        step[field] = value
    return removed


def _put(tree: Any, path: Path, value: Any) -> Path:
    _at(tree, path[:-1])[path[-1]] = value
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
        if isinstance(parents[depth], dict) and path[depth] in parents[depth]:
            del parents[depth][path[depth]]
            return path[: depth + 1]
    return None
