"""A journal read beside its writer, or when nothing is up."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.reading import beating_owners, journal_info, read_task, read_tasks
from heliostat.engine.errors import FormatMismatch, NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Append, ExecutionRow, ShardBatch, TaskQuery, TaskRow
from heliostat.engine.journal.sqlite import open_sqlite

KEY = ExecutionKey("default", "a")


@pytest.fixture
def configured(tmp_path: Path) -> Configuration:
    return load_configuration({"data_dir": tmp_path}, directory=tmp_path, environment={})


async def write_tasks(configured: Configuration, *tasks: TaskRow) -> None:
    """As a host does: in the commit of the execution's events."""
    journal = open_sqlite(configured.journal_path)
    claim = await journal.claim("0", owner="host", after_epoch=0)
    assert claim is not None
    row = ExecutionRow(
        key=KEY, shard="0", definition="order", version="1", status="Waiting", created_at_ms=1
    )
    append = Append(key=KEY, after_seq=0, events=(b"{}",), row=row, tasks=tasks)
    batch = ShardBatch(shard="0", epoch=claim.epoch, first_position=1, appends=(append,))
    await journal.append([batch])
    await journal.close()


def task(task_id: str, **facts: object) -> TaskRow:
    return TaskRow(
        key=KEY,
        task_id=task_id,
        definition="order",
        step="ask",
        status="Open",
        created_at_ms=5,
        **facts,  # type: ignore[arg-type]  # as given by the tests below
    )


class TestAnEarlierFormat:
    def test_whose_it_is_can_be_read_before_it_is_upgraded(self, configured: Configuration) -> None:
        asyncio.run(write_tasks(configured))
        with sqlite3.connect(configured.journal_path) as file:
            file.execute("DROP TABLE definition_heads")
            file.execute("PRAGMA user_version = 3")
        file.close()
        info = journal_info(configured)
        assert info is not None
        assert info.format_version == 3
        assert beating_owners(configured) == []
        with pytest.raises(FormatMismatch, match="`heliostat up` brings it there"):
            read_tasks(configured, TaskQuery(namespace="default"))


class TestTasks:
    def test_a_page_of_those_asked_for(self, configured: Configuration) -> None:
        rows = (task("1:0:1:1", candidates=("ann",)), task("1:1:1:1", assignees=("bob",)))
        asyncio.run(write_tasks(configured, *rows))
        page = read_tasks(configured, TaskQuery(namespace="default", person="ann"))
        assert [each.task_id for each in page.tasks] == ["1:0:1:1"]
        assert read_task(configured, KEY, "1:1:1:1").assignees == ("bob",)
        with pytest.raises(NotFound, match=r"no task '1:9:1:1'"):
            read_task(configured, KEY, "1:9:1:1")

    def test_where_nothing_ever_was(self, configured: Configuration) -> None:
        with pytest.raises(Unreachable, match="heliostat up"):
            read_tasks(configured, TaskQuery(namespace="default"))
