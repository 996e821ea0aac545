"""Where a deployment's journal is, and the one place that opens one.

A journal is named by a text: `sqlite`, which is a file in the data directory; `memory`, which lives
and ends with its host; or the URL of a PostgreSQL database. A URL may hold a password: whatever is
shown, logged or raised has `shown` of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from heliostat.engine.errors import ConfigurationError, NoJournal
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    Journal,
    JournalInfo,
    OwnerRow,
    ShardRow,
    StoredExecution,
    TaskPage,
    TaskQuery,
    TaskRow,
)

SQLITE: Final = "sqlite"
MEMORY: Final = "memory"
SCHEMES: Final = ("postgresql", "postgres")

_USER_PASSWORD: Final = re.compile(r"^([^:/]*://[^:@/]*):.*@")  # greedy: it may hold any sign
_PASSWORD: Final = re.compile(r"(?i)((?:^|[?&\s])(?:ssl)?password=)[^&\s]*")


class JournalReader(Protocol):
    """What is read of a journal beside its writers; every backend's own reader has it."""

    @property
    def info(self) -> JournalInfo: ...

    async def owners(self) -> Sequence[OwnerRow]: ...

    async def shards(self) -> Sequence[ShardRow]: ...

    async def load(self, key: ExecutionKey) -> StoredExecution | None: ...

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]: ...

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None: ...

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage: ...

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]: ...

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None: ...

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage: ...

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None: ...

    async def list_tasks(self, query: TaskQuery) -> TaskPage: ...

    async def close(self) -> None: ...


def is_shared(journal: str) -> bool:
    """Whether several hosts, on several nodes, may write it."""
    return journal not in (SQLITE, MEMORY)


def checked(journal: str) -> str:
    """The name of a journal as it is; raises `ConfigurationError` that does not tell a password."""
    if not is_shared(journal):
        return journal
    scheme, colon, _ = journal.partition("://")
    if not colon or scheme not in SCHEMES:
        raise ConfigurationError(
            f"journal is {shown(journal)!r}; leave it out for SQLite in the data directory, or "
            f"give the URL of a PostgreSQL database, as postgresql://user@host:5432/orders"
        )
    try:
        urlsplit(journal).port  # noqa: B018 – reading it is the check
    except ValueError as error:
        raise ConfigurationError(f"journal is {shown(journal)!r}: {error}") from None
    return journal


def shown(journal: str) -> str:
    """The name of a journal for people: without a password."""
    return _PASSWORD.sub(r"\1…", _USER_PASSWORD.sub(r"\1:…@", journal))


def shown_in(whole: Struct, journal: str | None) -> str:
    """The `repr` of what names a journal, for logs and error reports: without a password."""
    if journal is not None and shown(journal) != journal:
        whole = replace(whole, journal=shown(journal))
    return Struct.__repr__(whole)


async def open_journal(
    journal: str, path: Path, *, deployment_id: str, shard_count: int
) -> Journal:
    """A host's journal, opened for writing; a new one is created.

    Args:
        path: of the file, where it is SQLite.

    Raises:
        JournalError: it cannot be opened now, or is not this deployment's.
        ConfigurationError: what it needs is not installed.
    """
    if journal == MEMORY:
        return MemoryJournal(deployment_id=deployment_id, shard_count=shard_count)
    if journal == SQLITE:
        from heliostat.engine.journal.sqlite import open_sqlite

        return await asyncio.to_thread(
            open_sqlite, path, deployment_id=deployment_id, shard_count=shard_count
        )
    from heliostat.engine.journal.postgres import open_postgres

    return await asyncio.to_thread(
        open_postgres, journal, deployment_id=deployment_id, shard_count=shard_count
    )


async def open_reader(journal: str, path: Path, *, older: bool = False) -> JournalReader | None:
    """The reading half, beside its writers or with none; None where there is no journal yet.

    Args:
        older: also one that a writer would upgrade; only its `info` and owners are read then.

    Raises:
        JournalError: there is one, and it cannot be read now.
    """
    if journal == MEMORY:
        return None  # it lives in the host
    if journal == SQLITE:
        from heliostat.engine.journal.sqlite import open_sqlite_readonly

        if not await asyncio.to_thread(path.exists):
            return None
        return await asyncio.to_thread(open_sqlite_readonly, path, older=older)
    from heliostat.engine.journal.postgres import open_postgres_readonly

    try:
        return await asyncio.to_thread(open_postgres_readonly, journal, older=older)
    except NoJournal:
        return None
