"""The definitions of a journal in dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from .paging import Cursor, page_of
from .protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    DefinitionSummary,
    Deletion,
)
from .summaries import LATEST, TOLD_MAX, calls_of, fits, summary_of


class MemoryDefinitions:
    """Versions by name, in the order in which they were first registered."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str], DefinitionRow] = {}

    def put(self, definition: DefinitionRow) -> DefinitionRow:
        """What is stored under its name: this one, or the one that came first."""
        name = _name(definition)
        stored = self._versions.setdefault(name, definition)
        if stored.deleted_at_ms is not None and stored.content_hash == definition.content_hash:
            stored = self._versions[name] = replace(
                stored, deleted_at_ms=None, registered_at_ms=definition.registered_at_ms
            )
        return stored

    def get(self, namespace: str, id: str, version: str | None) -> DefinitionRow | None:
        """Without a version the one registered last; with one, also where it is deleted."""
        if version is not None:
            return self._versions.get((namespace, id, version))
        return next(self.newest_first(namespace, id), None)

    def newest_first(self, namespace: str, id: str | None = None) -> Iterator[DefinitionRow]:
        """Those that are not deleted."""
        for definition in reversed(self._versions.values()):
            if (
                definition.namespace == namespace
                and definition.deleted_at_ms is None
                and (id is None or definition.id == id)
            ):
                yield definition

    def page(self, query: DefinitionQuery) -> DefinitionPage:
        """The one registered last first."""
        numbers = {name: number for number, name in enumerate(self._versions)}
        seen: set[str] = set()
        found: list[tuple[Cursor, DefinitionSummary]] = []
        for row in self.newest_first(query.namespace):
            summary = summary_of(row)
            if (query.versions or row.id not in seen) and fits(query, summary):
                found.append((Cursor(0, numbers[_name(row)]), summary))
            seen.add(row.id)
        rows, next_cursor, total = page_of(found, query)
        return DefinitionPage(rows=rows, next_cursor=next_cursor, total=total)

    def delete(
        self,
        namespace: str,
        id: str,
        version: str | None,
        unfinished: Iterable[str],
        *,
        at_ms: int,
    ) -> Deletion:
        """Mark versions as deleted, unless executions or other definitions need them.

        Args:
            unfinished: the executions of these versions that have not ended.
        """
        found = list(self.newest_first(namespace, id))[::-1]
        going = [row for row in found if version in (None, row.version)]
        if not going:
            return Deletion()
        names = {f"{id}@{row.version}" for row in going}
        if len(going) == len(found):
            names.add(f"{id}@{LATEST}")
        executions = tuple(unfinished)
        definitions = tuple(
            f"{row.id}@{row.version}"
            for row in list(self.newest_first(namespace))[::-1]
            if row not in going and not names.isdisjoint(calls_of(row))
        )
        if executions or definitions:
            return Deletion(executions=executions[:TOLD_MAX], definitions=definitions[:TOLD_MAX])
        for row in going:
            self._versions[_name(row)] = replace(row, deleted_at_ms=at_ms)
        return Deletion(versions=tuple(row.version for row in going))


def _name(row: DefinitionRow) -> tuple[str, str, str]:
    return (row.namespace, row.id, row.version)
