"""What can be wrong with a journal's file: each case is refused in words that help."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliostat.engine.errors import (
    FormatMismatch,
    JournalLocked,
    JournalUnavailable,
    OutcomeUnknown,
)
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    Append,
    AppendResult,
    ExecutionQuery,
    ExecutionRow,
    Journal,
    ShardBatch,
)
from heliostat.engine.journal.sqlite import SqliteJournal, open_sqlite, open_sqlite_readonly

NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """In a folder that any user can reach; pytest's own are for one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "journal.db"
    shutil.rmtree(folder)


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """As a user who may do with a folder and its files only what others may.

    Root becomes somebody else; who is not root takes from himself what others do not have.
    """
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & 0o077 | (mode & 0o007) << 6)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


async def append(journal: Journal, id: str, position: int, body: bytes = b"x") -> AppendResult:
    """Create an execution in shard 0, which was claimed once."""
    key = ExecutionKey("default", id)
    row = ExecutionRow(
        key=key, shard="0", definition="d", version="1", status="Running", created_at_ms=position
    )
    batch = ShardBatch(
        shard="0",
        epoch=1,
        first_position=position,
        appends=(Append(key=key, after_seq=0, events=(body,), row=row),),
    )
    return await journal.append([batch])


async def claimed(path: Path, **options: float) -> SqliteJournal:
    journal = open_sqlite(path, deployment_id="d-1", **options)  # type: ignore[arg-type]
    assert await journal.claim("0", owner="host", after_epoch=0)
    return journal


async def listed(journal: Journal) -> list[str]:
    page = await journal.list_executions(ExecutionQuery(namespace="default"))
    return [row.key.execution_id for row in page.rows]


WRITER = """
import asyncio, sys
from pathlib import Path
from heliostat.engine.journal.sqlite import open_sqlite
try:
    journal = open_sqlite(Path(sys.argv[1]), deployment_id="d-1")
except Exception as error:
    print(type(error).__name__, error, flush=True)
else:
    asyncio.run(journal.claim("0", owner="host", after_epoch=0))
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writing_process(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A second process that tries to write, and the first line it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


class TestOneWriter:
    """A second process, deployment or node is told who writes, and what to use instead."""

    async def test_second_process_is_refused(self, path: Path) -> None:
        journal = await claimed(path)
        with writing_process(path) as (_, said):
            assert said.startswith("JournalLocked")
            assert f"process {os.getpid()} on node" in said
            assert "deployment d-1" in said
            assert "PostgreSQL" in said
        assert not (await append(journal, "a", 1)).fenced
        await journal.close()

    async def test_the_lock_dies_with_its_holder(self, path: Path) -> None:
        with writing_process(path) as (process, said):
            assert said == "open\n"
            with pytest.raises(JournalLocked, match=f"process {process.pid} on"):
                open_sqlite(path)
        await open_sqlite(path).close()

    async def test_twice_in_one_process(self, path: Path) -> None:
        journal = open_sqlite(path)
        with pytest.raises(JournalLocked, match=str(os.getpid())):
            open_sqlite(path)
        await journal.close()
        await open_sqlite(path).close()

    async def test_lock_without_a_readable_note(self, path: Path) -> None:
        journal = open_sqlite(path)
        path.with_name("journal.db.lock").write_text("")
        with pytest.raises(JournalLocked, match="another process"):
            open_sqlite(path)
        await journal.close()

    async def test_the_file_itself_names_its_holder(self, path: Path) -> None:
        await (await claimed(path)).close()
        with sqlite3.connect(path) as connection:
            (text,) = connection.execute("SELECT value FROM facts WHERE name = 'holder'").fetchone()
        connection.close()
        holder = json.loads(text)
        assert (holder["deployment_id"], holder["pid"]) == ("d-1", os.getpid())

    async def test_another_deployment(self, path: Path) -> None:
        await (await claimed(path)).close()
        with pytest.raises(JournalLocked, match="belongs to deployment d-1, not to d-2"):
            open_sqlite(path, deployment_id="d-2")
        journal = open_sqlite(path)  # whoever does not care gets the one that is there
        assert journal.info.deployment_id == "d-1"
        await journal.close()

    async def test_deployment_is_drawn_once(self, path: Path) -> None:
        first = open_sqlite(path, shard_count=3)
        await first.close()
        second = open_sqlite(path, shard_count=5)
        assert first.info == second.info
        assert len(await second.shards()) == 3
        await second.close()


class TestForeignLocks:
    """Another program may hold the database for a while, not for ever."""

    async def test_bounded_wait(self, path: Path) -> None:
        journal = await claimed(path, busy_s=0.05)
        with sqlite3.connect(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalUnavailable, match="another program"):
                await append(journal, "a", 1)
            other.rollback()
        other.close()
        assert not (await append(journal, "a", 1)).conflicts
        await journal.close()


class TestFormats:
    async def test_another_version(self, path: Path) -> None:
        await (await claimed(path)).close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        for opened in (open_sqlite, open_sqlite_readonly):
            with pytest.raises(FormatMismatch, match=r"format 99, .* format 5"):
                opened(path)

    async def test_database_of_another_program(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        before = path.read_bytes()
        for opened in (open_sqlite, open_sqlite_readonly):
            with pytest.raises(JournalUnavailable, match="another program"):
                opened(path)
        assert path.read_bytes() == before, "left as it was"

    async def test_no_database(self, path: Path) -> None:
        path.write_text("dear diary, " * 1_000)
        for opened in (open_sqlite, open_sqlite_readonly):
            with pytest.raises(JournalUnavailable, match=r"journal\.db .*not an SQLite database"):
                opened(path)

    async def test_empty_file_is_a_new_journal(self, path: Path) -> None:
        path.touch()
        await (await claimed(path)).close()

    async def test_no_file_to_read(self, path: Path) -> None:
        with pytest.raises(JournalUnavailable, match="there is no journal at"):
            open_sqlite_readonly(path)
        assert not path.exists()


class TestNotWritable:
    def test_folder(self, open_path: Path) -> None:
        with (
            unprivileged(open_path.parent),
            pytest.raises(JournalUnavailable, match="let this user write"),
        ):
            open_sqlite(open_path)
        with (
            unprivileged(open_path.parent),
            pytest.raises(JournalUnavailable, match="let this user write"),
        ):
            open_sqlite(open_path.parent / "new folder" / "journal.db")

    async def test_file(self, open_path: Path) -> None:
        await (await claimed(open_path)).close()
        open_path.parent.chmod(0o777)
        open_path.with_name("journal.db.lock").chmod(0o666)
        with unprivileged(open_path.parent), pytest.raises(JournalUnavailable, match="READONLY"):
            open_sqlite(open_path)

    def test_folder_that_is_a_file(self, path: Path) -> None:
        path.touch()
        with pytest.raises(JournalUnavailable):
            open_sqlite(path / "journal.db")


class TestFullDisk:
    async def test_nothing_is_stored_until_there_is_space(self, path: Path) -> None:
        journal = await claimed(path)
        await append(journal, "a", 1)

        async def allow(pages: int) -> None:
            await journal._writer.call(
                lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
            )

        await allow(1)  # no fewer than there are: no page can be added
        with pytest.raises(JournalUnavailable, match="disk is full"):
            await append(journal, "b", 2, os.urandom(100_000))
        assert await listed(journal) == ["a"]
        assert await journal.follow("0", after_position=1) == []
        await allow(1_000_000)
        assert not (await append(journal, "c", 2)).conflicts
        assert not (await append(journal, "b", 3, os.urandom(100_000))).conflicts
        await journal.close()
        reader = open_sqlite_readonly(path)
        page = await reader.list_executions(ExecutionQuery(namespace="default"))
        assert [row.key.execution_id for row in page.rows] == ["b", "c", "a"]
        await reader.close()


class TestFailingDisk:
    async def test_error_within_a_commit_leaves_its_outcome_unknown(self, path: Path) -> None:
        journal = await claimed(path)
        await append(journal, "a", 1)
        log = path.with_name("journal.db-wal")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Writes beyond this fail; Python ignores the signal that comes with them.
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 5_000, limits[1]))
        try:
            with pytest.raises(OutcomeUnknown, match="read what is stored"):
                await append(journal, "b", 2, bytes(50_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert await listed(journal) == ["a"]
        await append(journal, "b", 2, bytes(50_000))
        assert await listed(journal) == ["b", "a"]
        await journal.close()

    async def test_damaged_file(self, path: Path) -> None:
        journal = await claimed(path)
        await append(journal, "a", 1)
        await journal.close()
        with path.open("r+b") as file:  # all pages but the first, which says what the file is
            file.seek(4096)
            file.write(b"\xaa" * (path.stat().st_size - 4096))
        with pytest.raises(JournalUnavailable, match=r"journal\.db .*damaged"):
            open_sqlite(path)


class TestReadOnly:
    """History can be read beside a writer, after its crash, and where nothing can be written."""

    async def read(self, path: Path) -> list[str]:
        reader = open_sqlite_readonly(path)
        page = await reader.list_executions(ExecutionQuery(namespace="default"))
        ids = [row.key.execution_id for row in page.rows]
        for id in ids:
            assert await reader.read(ExecutionKey("default", id), after_seq=0) == [(1, b"x")]
        await reader.close()
        return ids

    async def test_beside_a_writer(self, path: Path) -> None:
        journal = await claimed(path)
        reader = open_sqlite_readonly(path)
        for position, id in enumerate(("a", "b"), start=1):
            await append(journal, id, position)
            page = await reader.list_executions(ExecutionQuery(namespace="default"))
            assert page.rows[0].key.execution_id == id
        await journal.close()
        assert len(await reader.shards()) == 16
        await reader.close()

    async def test_it_keeps_no_writer_out(self, path: Path) -> None:
        await (await claimed(path)).close()
        reader = open_sqlite_readonly(path)
        journal = open_sqlite(path)
        await append(journal, "a", 1)
        assert await reader.get_row(ExecutionKey("default", "a"))
        await journal.close()
        await reader.close()

    async def test_where_nothing_can_be_written(self, open_path: Path) -> None:
        journal = await claimed(open_path)
        await append(journal, "a", 1)
        with unprivileged(open_path.parent):
            assert await self.read(open_path) == ["a"], "beside a writer"
        await journal.close()
        with unprivileged(open_path.parent):
            assert await self.read(open_path) == ["a"], "when it ended"

    @pytest.mark.parametrize("index", ["kept", "lost"])
    async def test_after_a_crash(self, open_path: Path, index: str) -> None:
        """What a crash leaves: a log that holds everything, and a stale index of it, or none."""
        journal = await claimed(open_path)
        await append(journal, "a", 1)
        crashed = open_path.parent / "crashed" / "journal.db"
        crashed.parent.mkdir()
        for suffix in ("", "-wal", "-shm")[: 3 if index == "kept" else 2]:
            shutil.copy(f"{open_path}{suffix}", f"{crashed}{suffix}")
        await journal.close()
        with unprivileged(open_path.parent):
            if index == "kept":
                assert await self.read(crashed) == ["a"]
            else:  # the log cannot be read without an index, nor may it be ignored
                with pytest.raises(JournalUnavailable, match="its folder"):
                    open_sqlite_readonly(crashed)
        assert await self.read(crashed) == ["a"]
        await open_sqlite(crashed).close()
