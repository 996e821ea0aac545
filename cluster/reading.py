"""Reading a deployment's journal beside its writer, or when nothing is up: no Ray, no host.

What a client saw can always be read here, since hosts answer after their commit.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

from msgspec import Struct

from heliostat.actors.host.api import Ended, TaskInfo, TaskInfos, TaskRequest
from heliostat.actors.host.execution import fold_stored
from heliostat.actors.host.plans import JournalPlans
from heliostat.actors.host.processes import is_running
from heliostat.actors.host.rendering import render
from heliostat.actors.host.streams import end_of
from heliostat.actors.host.tasks import Tasks
from heliostat.actors.journals import JournalReader, open_reader
from heliostat.cluster.config import Configuration
from heliostat.cluster.record import read_record
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.errors import HistoryMisfit, NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey
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
    TaskQuery,
)
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.monitor.folding import Checked, check_history
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.plan import Plan

_T = TypeVar("_T")
_Other = TypeVar("_Other")

_PLANS = 10
"""A command reads of a few definitions at most."""

_PAGE = 1_000

_BEATS_S: Final = 1.5
"""Hosts that live beat twice a second, or more slowly when they are busy."""


class View:
    """One execution as its journal tells it."""

    def __init__(
        self,
        row: ExecutionRow,
        plan: Plan,
        state: ExecutionState,
        misfit: HistoryMisfit | None = None,
    ) -> None:
        self.row, self.plan, self.state, self.misfit = row, plan, state, misfit

    @property
    def ended(self) -> Ended | None:
        """Its end; None while it goes on."""
        return end_of(self.row.key, self.state, self.plan) if self.state.ended else None

    @property
    def may_wait(self) -> bool:
        """Whether an attempt of it may be waiting for capacity: the journal cannot tell."""
        steps = self.plan.steps
        return any(
            visit.phase == "running"
            and (activity := steps[visit.step].activity) is not None
            and (activity.resources.any or bool(steps[visit.step].semaphores))
            for scope in self.state.scopes.values()
            for visit in scope.active.values()
        )

    def active(self, limit: int = 100) -> list[dict[str, Any]]:
        """The visits that are open, by step."""
        return [
            {
                "step": self.plan.steps[visit.step].id,
                "scope": scope.number,
                "visit": visit.visit,
                "attempt": visit.attempt,
                "phase": visit.phase,
            }
            for scope in self.state.scopes.values()
            for visit in scope.active.values()
        ][:limit]


def journal_info(configuration: Configuration) -> JournalInfo | None:
    """What a journal says about itself; None where there is none yet."""

    async def read(reader: JournalReader) -> JournalInfo:
        return reader.info

    # It is asked before hosts bring an earlier format up to date.
    return _reading(configuration, read, absent=None, older=True)


def read_counts(configuration: Configuration) -> Mapping[str, int]:
    """Executions by status, of all namespaces; empty where there is no journal."""
    return _reading(configuration, lambda reader: reader.count_executions(), absent={})


def beating_owners(configuration: Configuration) -> list[OwnerRow]:
    """Who writes the journal at this moment: owners whose rows move. Takes a beat or two where
    there may be some, and no time where there are none."""

    async def read(reader: JournalReader) -> list[OwnerRow]:
        before = {
            owner.incarnation: owner.beat_at_ms
            for owner in await reader.owners()
            if owner.node != platform.node() or is_running(owner)
        }
        if not before:
            return []
        await asyncio.sleep(_BEATS_S)
        return [
            owner
            for owner in await reader.owners()
            if before.get(owner.incarnation, owner.beat_at_ms) != owner.beat_at_ms
        ]

    return _reading(configuration, read, absent=[], older=True)


def read_list(configuration: Configuration, query: ExecutionQuery) -> ExecutionPage:
    """A page of executions, newest first."""
    return _read(configuration, lambda reader: reader.list_executions(query))


def read_view(configuration: Configuration, key: ExecutionKey, *, followed: bool = False) -> View:
    """An execution's state, folded from its history; raises `NotFound`.

    Args:
        followed: hold its events against its plan, and say where they misfit.
    """

    async def read(reader: JournalReader) -> View:
        stored = await reader.load(key)
        if stored is None:
            raise _not_found(key, configuration)
        # It only reads, and the reading half of a journal is all there is here.
        folded = await fold_stored(
            cast("Journal", reader), stored, _plans(reader), followed=followed
        )
        return View(stored.row, folded.hosted.plan, folded.state, folded.misfit)

    return _read(configuration, read)


def read_history(
    configuration: Configuration, key: ExecutionKey, *, after_seq: int
) -> list[dict[str, Any]]:
    """Every event after `after_seq`, rendered for people; raises `NotFound`."""

    async def read(reader: JournalReader) -> list[dict[str, Any]]:
        found: list[tuple[int, bytes]] = []
        position = after_seq
        while page := await reader.read(key, after_seq=position, limit=_PAGE):
            found += page
            position = page[-1][0]
        # After the events: a version that one of them moved to tells those before it, too.
        row = await reader.get_row(key)
        if row is None:
            raise _not_found(key, configuration)
        plan = await _plan(reader, row)
        return [render(plan, seq, decode_event(body)) for seq, body in found]

    return _read(configuration, read)


class Stored(Struct, frozen=True):
    """Events of an execution as they are stored, and the version that they speak of."""

    row: ExecutionRow
    definition: DefinitionRow
    plan: Plan
    bodies: tuple[bytes, ...]


def read_stored(
    configuration: Configuration, key: ExecutionKey, *, after_seq: int, limit: int | None = None
) -> Stored:
    """Every event after `after_seq`, as it is stored; raises `NotFound`."""

    async def read(reader: JournalReader) -> Stored:
        row = await reader.get_row(key)
        if row is None:
            raise _not_found(key, configuration)
        definition = await reader.get_definition(key.namespace, row.definition, row.version)
        assert definition is not None, "an execution has no definition"
        bodies = await _bodies(reader, key, after_seq, limit)
        return Stored(row, definition, await _plan(reader, row), bodies)

    return _read(configuration, read)


def read_bodies(
    configuration: Configuration, key: ExecutionKey, *, after_seq: int
) -> tuple[bytes, ...]:
    """Every event after `after_seq`, as it is stored; none where there is no such execution."""
    return _read(configuration, lambda reader: _bodies(reader, key, after_seq, None))


def read_checked(configuration: Configuration, key: ExecutionKey) -> Checked:
    """Whether a history is a run of its definition; raises `NotFound`."""
    row = read_stored(configuration, key, after_seq=0, limit=1).row

    def tables_of(version: str) -> Tables:
        return Tables(read_plan(configuration, key.namespace, row.definition, version))

    return check_history(read_bodies(configuration, key, after_seq=0), tables_of)


def read_plan(configuration: Configuration, namespace: str, id: str, version: str) -> Plan:
    """The plan of a version, be it deleted; raises `NotFound`."""

    async def read(reader: JournalReader) -> Plan:
        return (await _plans(reader).get(namespace, id, version)).plan

    return _read(configuration, read)


async def _bodies(
    reader: JournalReader, key: ExecutionKey, after_seq: int, limit: int | None
) -> tuple[bytes, ...]:
    bodies: list[bytes] = []
    while page := await reader.read(key, after_seq=after_seq, limit=limit or _PAGE):
        bodies += [bytes(body) for _, body in page]
        after_seq = page[-1][0]
        if limit is not None:
            break
    return tuple(bodies)


def read_definitions(configuration: Configuration, query: DefinitionQuery) -> DefinitionPage:
    """A page of definitions, the one registered last first."""
    return _read(configuration, lambda reader: reader.definitions_page(query))


def read_tasks(configuration: Configuration, query: TaskQuery) -> TaskInfos:
    """A page of human tasks, newest first."""
    return _read(configuration, lambda reader: Tasks(cast("Journal", reader)).list(query))


def read_task(configuration: Configuration, key: ExecutionKey, task_id: str) -> TaskInfo:
    """One human task; raises `NotFound`."""
    request = TaskRequest(key=key, task_id=task_id)
    return _read(configuration, lambda reader: Tasks(cast("Journal", reader)).get(request))


async def _plan(reader: JournalReader, row: ExecutionRow) -> Plan:
    return (await _plans(reader).get(row.key.namespace, row.definition, row.version)).plan


def _plans(reader: JournalReader) -> JournalPlans:
    return JournalPlans(cast("Journal", reader), plan_of, capacity=_PLANS)


def _read(configuration: Configuration, question: Callable[[JournalReader], Awaitable[_T]]) -> _T:
    found = _reading(configuration, question, absent=_ABSENT)
    if isinstance(found, _Absent):
        raise Unreachable(
            f"there is no deployment in {configuration.data_dir}, and there never was one; name "
            f"its data directory with --data, or start one with `heliostat up`"
        )
    return found


class _Absent:
    """There is no journal."""


_ABSENT: Final = _Absent()


def _reading(
    configuration: Configuration,
    question: Callable[[JournalReader], Awaitable[_T]],
    *,
    absent: _Other,
    older: bool = False,
) -> _T | _Other:
    async def ask() -> _T | _Other:
        reader = await open_reader(
            _journal_name(configuration), configuration.journal_path, older=older
        )
        if reader is None:
            return absent
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(ask())


def _journal_name(configuration: Configuration) -> str:
    """As configured; else that of the deployment which is up, whose terminal may be another one."""
    if configuration.journal is None:
        record = read_record(configuration.data_dir)
        if record is not None and record.journal is not None:
            return record.journal
    return configuration.journal_name


def _not_found(key: ExecutionKey, configuration: Configuration) -> NotFound:
    return NotFound(
        "execution",
        key.execution_id,
        f"namespace {key.namespace!r} of {configuration.data_dir} does not have it, "
        f"`heliostat workflow list` shows what it has",
    )
