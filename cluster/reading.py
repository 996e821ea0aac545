"""Reading a deployment's journal beside its writer, or when nothing is up: no Ray, no host.

What a client saw can always be read here, since hosts answer after their commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from heliostat.actors.host.api import Ended, TaskInfo, TaskInfos, TaskRequest
from heliostat.actors.host.execution import fold_stored
from heliostat.actors.host.plans import JournalPlans
from heliostat.actors.host.rendering import render
from heliostat.actors.host.streams import end_of
from heliostat.actors.host.tasks import Tasks
from heliostat.cluster.config import Configuration
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.errors import NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    Journal,
    JournalInfo,
    TaskQuery,
)
from heliostat.engine.journal.sqlite import SqliteReader, open_sqlite_readonly
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.plan import Plan

_T = TypeVar("_T")

_PLANS = 10
"""A command reads of a few definitions at most."""

_PAGE = 1_000


class View:
    """One execution as its journal tells it."""

    def __init__(self, row: ExecutionRow, plan: Plan, state: ExecutionState) -> None:
        self.row, self._plan, self.state = row, plan, state

    @property
    def ended(self) -> Ended | None:
        """Its end; None while it goes on."""
        return end_of(self.row.key, self.state) if self.state.ended else None

    def active(self, limit: int = 100) -> list[dict[str, Any]]:
        """The visits that are open, by step."""
        return [
            {
                "step": self._plan.steps[visit.step].id,
                "scope": scope.number,
                "visit": visit.visit,
                "attempt": visit.attempt,
                "phase": visit.phase,
            }
            for scope in self.state.scopes.values()
            for visit in scope.active.values()
        ][:limit]


def journal_info(path: Path) -> JournalInfo | None:
    """What a journal says about itself; None where there is none yet."""
    if not path.exists():
        return None

    async def read(reader: SqliteReader) -> JournalInfo:
        return reader.info

    return _reading(path, read)


def read_counts(configuration: Configuration) -> Mapping[str, int]:
    """Executions by status, of all namespaces; empty where there is no journal."""
    if not configuration.journal_path.exists():
        return {}
    return _reading(configuration.journal_path, lambda reader: reader.count_executions())


def read_list(configuration: Configuration, query: ExecutionQuery) -> ExecutionPage:
    """A page of executions, newest first."""
    return _read(configuration, lambda reader: reader.list_executions(query))


def read_view(configuration: Configuration, key: ExecutionKey) -> View:
    """An execution's state, folded from its history; raises `NotFound`."""

    async def read(reader: SqliteReader) -> View:
        stored = await reader.load(key)
        if stored is None:
            raise _not_found(key, configuration)
        plan = await _plan(reader, stored.row)
        # It only reads, and the reading half of a journal is all there is here.
        state = await fold_stored(cast("Journal", reader), stored, plan)
        return View(stored.row, plan, state)

    return _read(configuration, read)


def read_history(
    configuration: Configuration, key: ExecutionKey, *, after_seq: int
) -> list[dict[str, Any]]:
    """Every event after `after_seq`, rendered for people; raises `NotFound`."""

    async def read(reader: SqliteReader) -> list[dict[str, Any]]:
        row = await reader.get_row(key)
        if row is None:
            raise _not_found(key, configuration)
        plan = await _plan(reader, row)
        events: list[dict[str, Any]] = []
        position = after_seq
        while page := await reader.read(key, after_seq=position, limit=_PAGE):
            events += [render(plan, seq, decode_event(body)) for seq, body in page]
            position = page[-1][0]
        return events

    return _read(configuration, read)


def read_tasks(configuration: Configuration, query: TaskQuery) -> TaskInfos:
    """A page of human tasks, newest first."""
    return _read(configuration, lambda reader: Tasks(cast("Journal", reader)).list(query))


def read_task(configuration: Configuration, key: ExecutionKey, task_id: str) -> TaskInfo:
    """One human task; raises `NotFound`."""
    request = TaskRequest(key=key, task_id=task_id)
    return _read(configuration, lambda reader: Tasks(cast("Journal", reader)).get(request))


async def _plan(reader: SqliteReader, row: ExecutionRow) -> Plan:
    plans = JournalPlans(cast("Journal", reader), plan_of, capacity=_PLANS)
    return (await plans.get(row.key.namespace, row.definition, row.version)).plan


def _read(configuration: Configuration, question: Callable[[SqliteReader], Awaitable[_T]]) -> _T:
    if not configuration.journal_path.exists():
        raise Unreachable(
            f"there is no deployment in {configuration.data_dir}, and there never was one; name "
            f"its data directory with --data, or start one with `heliostat up`"
        )
    return _reading(configuration.journal_path, question)


def _reading(path: Path, question: Callable[[SqliteReader], Awaitable[_T]]) -> _T:
    async def ask() -> _T:
        reader = open_sqlite_readonly(path)
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(ask())


def _not_found(key: ExecutionKey, configuration: Configuration) -> NotFound:
    return NotFound(
        "execution",
        key.execution_id,
        f"namespace {key.namespace!r} of {configuration.data_dir} does not have it, "
        f"`heliostat workflow list` shows what it has",
    )
