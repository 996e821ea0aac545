"""Journals are killed, SQLite's at every point, both at any: no acknowledged append is ever lost.

The deterministic tests let one process die at its n-th statement or n-th written byte, for every n
that its work has. The file runs itself for that: as a script it is the process that dies.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.postgres import open_postgres
from heliostat.engine.journal.protocol import (
    Append,
    BusEvent,
    ExecutionQuery,
    ExecutionRow,
    Journal,
    Message,
    ShardBatch,
    SnapshotRow,
    TaskQuery,
    TaskRow,
)
from heliostat.engine.journal.sqlite import connections, open_sqlite, open_sqlite_readonly
from tests.postgres_server import postgres_server

SHARDS = ("0", "1")
TURNS = 7
TYPES = ("paid", "shipped")  # of events
ACKNOWLEDGED = "acknowledged"  # the file in which the process that dies keeps what it was told


# What is appended: known, so that any number of turns can be told from any other


def turn_batches(turn: int, epoch: int = 1) -> list[ShardBatch]:
    """Two shards; in each, one execution a turn is created and the earlier ones go on."""
    return [
        ShardBatch(
            shard=shard,
            epoch=epoch,
            first_position=1 + sum(range(1, turn)) * 2,
            appends=tuple(one_append(shard, turn, born) for born in range(1, turn + 1)),
        )
        for shard in SHARDS
    ]


def one_append(shard: str, turn: int, born: int) -> Append:
    key = ExecutionKey("default", f"e-{shard}-{born}")
    done = turn - born  # turns it has lived
    body = f"{shard} {born} {turn} ".encode() * (30 * born)  # some events need pages of their own
    sent: tuple[Message, ...] = ()
    received: tuple[str, ...] = ()
    if done == 0:
        receiver = ExecutionKey("default", f"e-{shard}-1")
        sent = (
            Message(
                id=f"m-{shard}-{born}",
                sender_shard=shard,
                receiver=receiver,
                sent_at_ms=born,
                body=body,
            ),
        )
    published: tuple[BusEvent, ...] = ()
    if done == 1:  # one of its own, and one that the other shard publishes too
        published = (
            published_event(f"p-{shard}-{born}", turn, body),
            published_event(f"both-{turn}", turn, b""),
        )
    tasks: tuple[TaskRow, ...] = ()
    if done < 3:
        tasks = (
            TaskRow(
                key=key,
                task_id="t",
                definition="d",
                step="s",
                status=("Open", "Claimed", "Completed")[done],
                assignees=(f"person {done}", "ann"),
                created_at_ms=born,
                body=body,
            ),
        )
    if born == 1 and turn > 2:  # received two turns later, from the other shard
        received = (f"m-{SHARDS[1 - SHARDS.index(shard)]}-{turn - 2}",)
    return Append(
        key=key,
        after_seq=done * 2,
        events=(body, b"small"),
        row=ExecutionRow(
            key=key,
            shard=shard,
            definition="d",
            version="1",
            status="Completed" if done > 2 else "Running",
            busy=int(done <= 2),
            wake_at_ms=turn if born % 2 else None,
            created_at_ms=born,
            tags={"turn": str(turn)} if born == 2 else {},
            awaits=TYPES[done % 2 :] if done <= 2 else (),
        ),
        snapshot=SnapshotRow(seq=done * 2, body=body) if done % 3 == 2 else None,
        sent=sent,
        received=received,
        tasks=tasks,
        published=published,
    )


def published_event(id: str, turn: int, body: bytes) -> BusEvent:
    return BusEvent(
        id=id, namespace="default", name=TYPES[turn % 2], published_at_ms=turn, body=body
    )


async def contents(journal: Journal) -> Any:
    """All that can be read of the pattern."""
    page = await journal.list_executions(ExecutionQuery(namespace="default"))
    tagged = ExecutionQuery(namespace="default", tags={"turn": str(TURNS)})
    return (
        [list(await journal.follow(shard, after_position=0)) for shard in SHARDS],
        {row.key: await journal.load(row.key) for row in page.rows},
        await journal.list_executions(tagged),
        [list(await journal.outgoing(shard)) for shard in SHARDS],
        [list(await journal.due(shard, until_ms=99, limit=99)) for shard in SHARDS],
        [list(await journal.load_busy(shard, after=None, limit=99)) for shard in SHARDS],
        dict(await journal.count_executions()),
        list(await journal.bus(after_position=0)),
        [
            list(await journal.awaiting(shard, namespace="default", name=name))
            for shard in SHARDS
            for name in TYPES
        ],
        await journal.list_tasks(TaskQuery(namespace="default")),
        [
            await journal.list_tasks(TaskQuery(namespace="default", person=person))
            for person in ("ann", "person 0", "person 1", "person 2")
        ],
    )


async def expected_contents() -> list[Any]:
    """What the memory backend holds after 0, 1, … turns."""
    journal = MemoryJournal()
    for shard in SHARDS:
        await journal.claim(shard, owner="host", after_epoch=0)
    expected = [await contents(journal)]
    for turn in range(1, TURNS + 1):
        await journal.append(turn_batches(turn))
        expected.append(await contents(journal))
    return expected


# The process that dies


def work(folder: Path) -> None:
    """Open, claim, append turn after turn; note each as soon as its append returned."""
    acknowledged = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def live() -> None:
        journal = open_sqlite(folder / "journal.db", deployment_id="d")
        for shard in SHARDS:
            await journal.claim(shard, owner="host", after_epoch=0)
        for turn in range(1, TURNS + 1):
            result = await journal.append(turn_batches(turn))
            assert not result.fenced
            assert not result.conflicts
            os.write(acknowledged, b".")
        await journal.close()

    asyncio.run(live())


def die_at_statement(n: int) -> None:
    """SIGKILL right before the n-th statement that any connection of this process begins."""
    begun = 0
    connect = sqlite3.connect

    def count(_: str) -> None:
        nonlocal begun
        begun += 1
        if begun == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


def die_at_byte(n: int) -> None:
    """The kernel ends this process when it writes beyond byte n of a file, after writing up to it.

    In the log that tears a frame, in the database (checkpoints come every few pages) a page.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))


def die_at_each_point(root: Path, how: str, points: Iterator[int]) -> None:
    """A process for each point, until one gets through its work alive."""
    arm = {"statement": die_at_statement, "byte": die_at_byte, "checkpoint": die_at_byte}[how]
    if how == "checkpoint":
        connections._CHECKPOINT_PAGES = 4  # type: ignore[misc]
    for point in points:
        folder = root / f"{point:08}"
        folder.mkdir()
        process = os.fork()
        if process == 0:
            arm(point)
            work(folder)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return
        assert os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXFSZ)


def opened(where: str) -> Journal:
    """The journal in a file, or behind a URL."""
    return open_postgres(where) if where.startswith("postgresql:") else open_sqlite(Path(where))


def append_until_killed(where: str, seed: int) -> None:
    """Forty owners, each with a shard and an execution; what returned is printed."""
    random.seed(seed)

    async def live() -> None:
        journal = opened(where)
        epochs = {each.shard: each.epoch for each in await journal.shards()}

        async def own(name: str) -> None:
            claim = await journal.claim(name, owner="host", after_epoch=epochs.get(name, 0))
            assert claim is not None
            key = ExecutionKey("default", name)
            stored = await journal.load(key)
            seq, position = (stored.last_seq if stored else 0), claim.next_position
            while True:
                count = random.randint(1, 4)
                events = tuple(str(seq + n).encode() for n in range(1, count + 1))
                row = ExecutionRow(
                    key=key,
                    shard=name,
                    definition="d",
                    version=str(seq + count),
                    status="Running",
                    created_at_ms=1,
                    awaits=(f"after {seq + count}",),
                )
                event = BusEvent(
                    id=f"{name}-{seq + count}",
                    namespace="default",
                    name="appended",
                    published_at_ms=1,
                    body=b"",
                )
                task = TaskRow(
                    key=key,
                    task_id="t",
                    definition="d",
                    step="s",
                    status="Open",
                    assignees=(f"after {seq + count}",),
                    created_at_ms=1,
                )
                # One message is under way at any time, named after the last seq.
                message = Message(
                    id=f"{name}-{seq + count}",
                    sender_shard=name,
                    receiver=key,
                    sent_at_ms=seq + count,
                    body=b"",
                )
                append = Append(
                    key=key,
                    after_seq=seq,
                    events=events,
                    row=row,
                    sent=(message,),
                    received=(f"{name}-{seq}",),
                    tasks=(task,),
                    published=(event,),
                )
                batch = ShardBatch(
                    shard=name, epoch=claim.epoch, first_position=position, appends=(append,)
                )
                result = await journal.append([batch])
                assert result.next_positions == {name: position + count}
                seq, position = seq + count, position + count
                os.write(1, f"{name} {seq}\n".encode())

        await asyncio.gather(*(own(f"own-{n}") for n in range(40)))

    asyncio.run(live())


# The tests


def run_script(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def check_each_point(root: Path, how: str, start: int, step: int) -> set[int]:
    """Run the points, then open what they left; return how many turns were found, in all."""
    script = run_script(how, root, start, step)
    assert script.wait() == 0
    assert script.stdout is not None
    script.stdout.close()
    expected = await expected_contents()
    found = set()
    folders = sorted(each for each in root.iterdir() if each.is_dir())
    for number, folder in enumerate(folders):
        acknowledged = (folder / ACKNOWLEDGED).stat().st_size
        path = folder / "journal.db"
        if number % 3 == 0 and acknowledged:  # readers come first where no host comes back
            reader = open_sqlite_readonly(path)
            by_reader = await contents(reader)  # type: ignore[arg-type]
            await reader.close()
            assert by_reader in expected[acknowledged : acknowledged + 2]
        journal = open_sqlite(path, deployment_id="d")
        stored = await contents(journal)
        matching = [turns for turns, each in enumerate(expected) if each == stored]
        assert matching, f"{folder.name}: no whole number of turns"
        turns = matching[0]
        # One more than was acknowledged may be stored: it died before it could say so.
        assert turns in (acknowledged, acknowledged + 1), folder.name
        found.add(turns)
        await go_on(journal, turns)
        assert await contents(journal) == expected[min(turns + 1, TURNS)]
        await journal.close()
    assert len(folders) > 20
    return found


async def go_on(journal: Journal, turns: int) -> None:
    """A new owner claims and appends the turn that is missing."""
    epochs = {each.shard: each.epoch for each in await journal.shards()}
    claimed = []
    for shard in SHARDS:
        claim = await journal.claim(shard, owner="next", after_epoch=epochs[shard])
        assert claim is not None
        assert claim.next_position == 1 + sum(range(1, turns + 1)) * 2
        claimed.append(claim.epoch)
    if turns < TURNS:
        batches = [
            ShardBatch(
                shard=batch.shard,
                epoch=epoch,
                first_position=batch.first_position,
                appends=batch.appends,
            )
            for batch, epoch in zip(turn_batches(turns + 1), claimed, strict=True)
        ]
        result = await journal.append(batches)
        assert not result.fenced
        assert not result.conflicts


class TestKilledAtEveryStatement:
    """From opening an empty folder to the last turn, between any two statements."""

    @pytest.mark.timeout(900)  # three hundred process lives, each of which waits for the disk
    async def test_whole_turns_and_no_acknowledged_one_missing(self, tmp_path: Path) -> None:
        found = await check_each_point(tmp_path, "statement", start=1, step=1)
        assert found == set(range(TURNS + 1))


class TestKilledInsideWrites:
    """In the middle of a write: torn frames in the log, torn pages in the database."""

    async def test_torn_log(self, tmp_path: Path) -> None:
        # From 33 KiB: SQLite's index of the log takes 32 at once.
        found = await check_each_point(tmp_path, "byte", start=33 * 1024, step=7_919)
        assert len(found) > 4

    async def test_torn_checkpoint(self, tmp_path: Path) -> None:
        found = await check_each_point(tmp_path, "checkpoint", start=70 * 1024, step=2_999)
        assert len(found) > 2


class TestKilledAtAnyMoment:
    """Many owners share commits; the process is killed in the midst, again and again."""

    async def test_acknowledged_appends_are_there(self, tmp_path: Path) -> None:
        await self.check_rounds(str(tmp_path / "journal.db"), 8)

    async def test_acknowledged_appends_are_in_postgres(self, postgres_url: str) -> None:
        await self.check_rounds(postgres_url, 3)

    async def test_and_where_the_server_crashes_too(self) -> None:
        with postgres_server() as server:

            def crash() -> None:
                server.kill()
                server.start()

            await self.check_rounds(server.url_of("postgres"), 2, crash)

    async def check_rounds(
        self, where: str, rounds: int, crash: Callable[[], None] | None = None
    ) -> None:
        chance = random.Random(20_24)
        reached: dict[str, int] = {}
        for round_ in range(rounds):
            lines = chance.randint(40, 800)
            reached |= self.kill_after(run_script("many", where, round_), lines, crash)
            journal = opened(where)
            for name, seq in reached.items():
                await self.check(journal, name, seq)
            await self.check_bus(journal)
            await journal.close()
        assert len(reached) == 40

    def kill_after(
        self, script: subprocess.Popen[bytes], lines: int, crash: Callable[[], None] | None
    ) -> dict[str, int]:
        """Kill when so many appends were told; what it told until it died counts too."""
        assert script.stdout is not None
        told = [script.stdout.readline() for _ in range(lines)]
        if crash is not None:
            crash()
        script.kill()
        told += script.stdout.readlines()
        script.stdout.close()
        script.wait()
        assert all(told), "the script ended by itself"
        return {name: int(seq) for name, seq in (line.decode().split() for line in told)}

    async def check(self, journal: Journal, name: str, reached: int) -> None:
        stored = await journal.load(ExecutionKey("default", name))
        assert stored is not None
        assert stored.last_seq >= reached
        assert stored.events == tuple(str(n).encode() for n in range(1, stored.last_seq + 1))
        assert stored.row.version == str(stored.last_seq), "a batch is whole"
        followed = await journal.follow(name, after_position=0, limit=100_000)
        assert [event.position for event in followed] == list(range(1, stored.last_seq + 1))
        (message,) = await journal.outgoing(name)
        assert message.id == f"{name}-{stored.last_seq}"
        latest = f"after {stored.last_seq}"
        awaiting = await journal.awaiting(name, namespace="default", name=latest)
        assert list(awaiting) == [stored.row.key]
        task = await journal.get_task(stored.row.key, "t")
        assert task is not None
        assert task.assignees == (latest,)

    async def check_bus(self, journal: Journal) -> None:
        """Every append has published one event: those of the appends that are stored are there."""
        bus = await journal.bus(after_position=0, limit=100_000)
        assert [position for position, _ in bus] == list(range(1, len(bus) + 1))
        seqs: dict[str, list[int]] = {}
        for _, event in bus:
            name, _, seq = event.id.rpartition("-")
            seqs.setdefault(name, []).append(int(seq))
        for name, of_one in seqs.items():
            stored = await journal.load(ExecutionKey("default", name))
            assert stored is not None
            assert of_one == sorted(of_one)
            assert of_one[-1] == stored.last_seq


def main(how: str, path: str, *numbers: str) -> None:
    if how == "many":
        append_until_killed(path, int(numbers[0]))
        return
    start, step = map(int, numbers)
    die_at_each_point(Path(path), how, iter(range(start, sys.maxsize, step)))


if __name__ == "__main__":
    main(*sys.argv[1:])
