"""What lists show of a definition, read from the row that registration stored.

The journal keeps it beside the row, so that a list does not read and parse every body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from .protocol import DefinitionQuery, DefinitionRow, DefinitionSummary

LATEST: Final = "latest"
"""What a call says that wants no version of its own."""

TOLD_MAX: Final = 20
"""Executions, and definitions, that a refused deletion names."""


class _Body(Struct):
    name: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}


class _Compiled(Struct):
    children: dict[str, str] = {}


_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_tree: Final = msgspec.json.Decoder().decode
_decode_compiled: Final = msgspec.msgpack.Decoder(_Compiled).decode


def summary_of(row: DefinitionRow) -> DefinitionSummary:
    """The summary of a version; of what is no definition, what its name says."""
    try:
        body = _decode_body(row.body)
        steps = sum(1 for _ in _steps(_decode_tree(row.body)))
    except msgspec.DecodeError:
        body, steps = _Body(), 0
    return DefinitionSummary(
        namespace=row.namespace,
        id=row.id,
        version=row.version,
        name=body.name,
        description=body.description,
        tags=body.tags,
        steps=steps,
        registered_at_ms=row.registered_at_ms,
    )


def calls_of(row: DefinitionRow) -> tuple[str, ...]:
    """The versions that it calls, as `id@version`, in order; `id@latest` where it says none."""
    try:
        pinned = _decode_compiled(row.compiled).children
    except msgspec.DecodeError:  # of another kind of client: it pinned nothing
        pinned = {}
    try:
        tree = _decode_tree(row.body)
    except msgspec.DecodeError:
        return ()
    called = {
        f"{each['workflow']}@{each.get('version') or pinned.get(str(each.get('id'))) or LATEST}"
        for each in _tables(tree)
        if isinstance(each.get("workflow"), str)
    }
    return tuple(sorted(called))


def searched(summary: DefinitionSummary) -> str:
    """The text in which `DefinitionQuery.filter` is looked for, folded as `folded` does."""
    return folded("\n".join((summary.id, summary.name or "", summary.description or "")))


def folded(text: str) -> str:
    """A text without its case."""
    return text.casefold()


def fits(query: DefinitionQuery, summary: DefinitionSummary) -> bool:
    """Whether the filters of a query, but for `versions`, let a version through."""
    return (
        summary.namespace == query.namespace
        and (query.id is None or summary.id == query.id)
        and (query.filter is None or folded(query.filter) in searched(summary))
        and (query.tag is None or summary.tags.get(query.tag[0]) == query.tag[1])
    )


def _tables(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a tree, the outermost first."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _steps(tree: Any) -> Iterator[Mapping[str, Any]]:
    for each in _tables(tree):
        steps = each.get("steps")
        if isinstance(steps, list):
            yield from (step for step in steps if isinstance(step, dict))
