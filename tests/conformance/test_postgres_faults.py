"""What the PostgreSQL journal says and does when servers, connections and other hosts fail it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from heliostat.engine.errors import JournalError, JournalUnavailable, OutcomeUnknown
from heliostat.engine.journal.postgres import connections, open_postgres
from heliostat.engine.journal.postgres.journal import PostgresJournal
from heliostat.engine.journal.protocol import Journal
from tests.conformance.support import Owner, bodies, created, event, key, more
from tests.postgres_proxy import Loss, PostgresProxy
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    name = postgres.new_database()
    yield name
    await asyncio.to_thread(postgres.give_back, name)


@pytest.fixture
async def journal(postgres: PostgresServer, database: str) -> AsyncIterator[PostgresJournal]:
    journal = open_postgres(postgres.url_of(database))
    yield journal
    await journal.close()


@pytest.fixture
async def other(
    journal: PostgresJournal, postgres: PostgresServer, database: str
) -> AsyncIterator[PostgresJournal]:
    """The same one, as another host has it."""
    other = open_postgres(postgres.url_of(database))
    yield other
    await other.close()


async def stored(journal: Journal, owner: Owner, id: str, after_seq: int) -> bool:
    """As a host finds out: no append in flight can land behind a claim; then it reads."""
    claim = await journal.claim(owner.shard, owner="host-1", after_epoch=owner.epoch)
    assert claim is not None
    owner.epoch, owner.next_position = claim.epoch, claim.next_position
    return bool(await journal.read(key(id), after_seq=after_seq))


def backends(server: PostgresServer, database: str) -> list[int]:
    """The pids that serve a database's sessions."""
    with server.connection() as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s", (database,)
        ).fetchall()
    return [pid for (pid,) in found]


async def until_waiting(server: PostgresServer, database: str, event: str) -> int:
    """The pid of the session that waits for such an event, as soon as one does."""
    deadline = time.monotonic() + 60
    while True:
        with server.connection() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = %s",
                (database, event),
            ).fetchone()
        if found is not None:
            return int(found[0])
        assert time.monotonic() < deadline, f"nobody waits for {event}"
        await asyncio.sleep(0.02)


class TestUnknownOutcome:
    """A connection that breaks in a commit leaves open what became of it; reading tells."""

    @pytest.mark.parametrize(("loss", "is_stored"), [("answer", True), ("question", False)])
    async def test_connection_lost_around_the_commit(
        self, postgres: PostgresServer, database: str, loss: Loss, is_stored: bool
    ) -> None:
        with PostgresProxy(postgres) as proxy:
            journal = open_postgres(proxy.url_of(database))
            owner = await Owner.of(journal)
            await owner.append(created("a"))
            proxy.lose(loss, b"COMMIT")
            with pytest.raises(OutcomeUnknown, match="broke in a commit"):
                await owner.append(more("a", 1, b"2", published=(event("e"),)))
            assert proxy.losses == 1
            assert await stored(journal, owner, "a", 1) is is_stored
            assert await journal.bus_end() == int(is_stored)
            if not is_stored:
                await owner.append(more("a", 1, b"2", published=(event("e"),)))
            assert await bodies(journal, "a") == [b"started", b"2"]
            await owner.append(more("a", 2, b"on"), created("b"))
            await journal.close()

    async def test_session_ended_before_the_commit_is_durable(
        self, postgres: PostgresServer, database: str, journal: PostgresJournal
    ) -> None:
        owner = await Owner.of(journal)
        with postgres.connection(database) as admin:
            admin.execute(
                "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql"
                " AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
            )
            admin.execute(
                "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON heliostat.events"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
            )
        appending = asyncio.ensure_future(owner.append(created("a")))
        pid = await until_waiting(postgres, database, "PgSleep")
        with postgres.connection() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        with pytest.raises(OutcomeUnknown):
            await appending
        assert not await stored(journal, owner, "a", 0)

    async def test_session_ended_when_the_commit_is_durable(
        self, postgres: PostgresServer, database: str, journal: PostgresJournal
    ) -> None:
        """It waits for a standby that will never come, as with synchronous replication."""
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        with standby(postgres):
            appending = asyncio.ensure_future(owner.append(more("a", 1, b"2")))
            pid = await until_waiting(postgres, database, "SyncRep")
            with postgres.connection() as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            with pytest.raises(OutcomeUnknown):
                await appending
        assert await stored(journal, owner, "a", 1)

    async def test_a_refused_statement_is_no_unknown_outcome(
        self, postgres: PostgresServer, database: str, journal: PostgresJournal
    ) -> None:
        owner = await Owner.of(journal)
        with postgres.connection(database) as admin:
            admin.execute("ALTER TABLE heliostat.events ADD CHECK (length(body) < 100)")
        with pytest.raises(JournalError, match="23514") as refused:
            await owner.append(created("a", b"x" * 100))
        assert not isinstance(refused.value, OutcomeUnknown | JournalUnavailable)
        await owner.append(created("a"))


@contextmanager
def standby(server: PostgresServer) -> Iterator[None]:
    """Commits wait for a standby, which does not exist."""

    def set_to(name: str) -> None:
        with server.connection() as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        while True:
            with server.connection() as connection:
                now = connection.execute("SHOW synchronous_standby_names").fetchone()
            if now == (name,):
                return
            assert time.monotonic() < deadline

    set_to("nobody")
    try:
        yield
    finally:
        set_to("")


def impatient_once(session: connections.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it wait for no answer but briefly until it is cut: the next connection, which is
    healthy, may be slow on a busy machine."""
    drop = session.drop

    def patient_again() -> None:
        session.answer_s = connections.ANSWER_S
        drop()

    session.answer_s = 0.2
    monkeypatch.setattr(session, "drop", patient_again)


class TestServerGone:
    """Nothing is stored while the server is away; the same object goes on when it is back."""

    async def test_restarts_and_crashes(self) -> None:
        with postgres_server() as server:
            journal = open_postgres(server.url_of("postgres"))
            owner = await Owner.of(journal)
            await owner.append(created("a"))
            assert await bodies(journal, "a") == [b"started"]
            server.stop()
            for call in (
                owner.append(more("a", 1, b"lost")),
                journal.load(key("a")),
                journal.list_definitions("default"),
                journal.beat("i", at_ms=1),
            ):
                with pytest.raises(JournalUnavailable, match="is unavailable"):
                    await call
            server.start()
            await owner.append(more("a", 1, b"2"))
            assert await bodies(journal, "a") == [b"started", b"2"]
            server.kill()
            server.start()  # what was idle meanwhile does not hear of it
            assert await bodies(journal, "a") == [b"started", b"2"]
            assert not (await owner.append(more("a", 2, b"3"))).conflicts
            assert await journal.bus_end() == 0
            await journal.close()

    async def test_nobody_listens(self, postgres: PostgresServer) -> None:
        with pytest.raises(JournalUnavailable, match="the connection failed"):
            open_postgres("postgresql://postgres@127.0.0.1:9/nothing?password=secret")
        with pytest.raises(JournalUnavailable, match="does not exist") as told:
            open_postgres(postgres.url_of("nothing", password="secret"))
        assert "secret" not in str(told.value)

    async def test_a_frozen_session_is_cut(
        self,
        postgres: PostgresServer,
        database: str,
        journal: PostgresJournal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        assert await bodies(journal, "a") == [b"started"]
        frozen = backends(postgres, database)
        for session in journal._sessions:
            impatient_once(session, monkeypatch)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            # The postmaster lives, and gives another session: nothing was stored over this one.
            await owner.append(more("a", 1, b"2"))
            assert await bodies(journal, "a") == [b"started", b"2"]
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert not (await owner.append(more("a", 2, b"3"))).conflicts


class TestManyHosts:
    """Several hosts share the database; each has opened it for itself."""

    async def test_former_owner_is_fenced(self, journal: Journal, other: Journal) -> None:
        former = await Owner.of(journal)
        await former.append(created("a"))
        owner = await Owner.of(other)
        assert (await former.append(more("a", 1, b"late"))).fenced == {"0"}
        assert not (await owner.append(more("a", 1, b"2"))).fenced
        again = await Owner.of(journal)
        assert (await owner.append(more("a", 2, b"late"))).fenced == {"0"}
        # What the first host remembers of the execution is from before the second one's append.
        assert not (await again.append(more("a", 2, b"3"))).conflicts
        assert await bodies(other, "a") == [b"started", b"2", b"3"]

    async def test_only_one_claims(self, journal: Journal, other: Journal) -> None:
        for epoch in range(5):
            claims = await asyncio.gather(
                *(each.claim("0", owner="x", after_epoch=epoch) for each in (journal, other) * 3)
            )
            (claim,) = [each for each in claims if each is not None]
            assert claim.epoch == epoch + 1

    async def test_an_owner_that_stopped_in_a_commit_does_not_keep_its_shard(
        self,
        postgres: PostgresServer,
        database: str,
        journal: PostgresJournal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(connections._SESSION, "idle_in_transaction_session_timeout", "5s")
        former_journal = open_postgres(postgres.url_of(database))
        former = await Owner.of(former_journal)
        await former.append(created("a"))
        stopped, go_on = threading.Event(), threading.Event()
        collect = former_journal._appender._collect

        def stop(*arguments: Any) -> int:
            stopped.set()
            go_on.wait(60)
            return collect(*arguments)

        monkeypatch.setattr(former_journal._appender, "_collect", stop)
        appending = asyncio.ensure_future(former.append(more("a", 1, b"late")))
        await asyncio.to_thread(stopped.wait, 60)
        owner = await Owner.of(journal)  # waits for the lock, which the server takes from it
        await owner.append(more("a", 1, b"2"))
        go_on.set()
        try:
            assert (await appending).fenced == {"0"}  # over another connection
        except OutcomeUnknown:  # the COMMIT was on its way when the end was noticed
            assert (await former.append(more("a", 1, b"late"))).fenced == {"0"}
        assert await bodies(journal, "a") == [b"started", b"2"]
        await former_journal.close()

    async def test_no_reader_sees_a_later_event_of_the_bus_first(
        self, journal: Journal, other: Journal
    ) -> None:
        writers = [journal, other]
        count = 60

        async def publish(number: int, writer: Journal) -> None:
            shard = str(number)
            owner = await Owner.of(writer, shard)
            await owner.append(created(shard, shard=shard))
            for n in range(1, count + 1):
                mine = (event(f"{shard} {n}"), event(f"both {n}"))
                await owner.append(more(shard, n, b"x", published=mine))
                await writer.publish([event(f"client {shard} {n}")])

        ended = asyncio.ensure_future(
            asyncio.gather(*(publish(n, writer) for n, writer in enumerate(writers)))
        )
        seen: list[str] = []
        while len(seen) < 5 * count:
            for position, each in await journal.bus(after_position=len(seen)):
                assert position == len(seen) + 1, "it came after one behind it was seen"
                seen.append(each.id)
            assert not ended.done() or ended.exception() is None
        await ended
        assert await journal.bus_end() == 5 * count == len(set(seen))
        for shard in "01":
            mine = [id for id in seen if id.startswith(f"{shard} ")]
            assert mine == [f"{shard} {n}" for n in range(1, count + 1)]

    async def test_hosts_that_need_the_same_shards_do_not_stand_still(
        self, journal: Journal, other: Journal
    ) -> None:
        """Groups of calls lock in one order, whatever the order in which they were made."""
        names = [f"s{n}" for n in range(6)]
        for name in names:
            await journal.claim(name, owner="x", after_epoch=0)

        async def calls(of: Journal, order: list[str], turn: int) -> None:
            results = await asyncio.gather(
                *(of.advance_bus(name, epoch=1, position=0) for name in order),
                of.publish([event(f"{turn} {order[0]}")]),
                of.advance_bus(order[0], epoch=1, position=0),
            )
            assert all(each is not False for each in results)

        for turn in range(30):
            await asyncio.gather(calls(journal, names, turn), calls(other, names[::-1], turn))
        assert await journal.bus_end() == 60

    async def test_one_that_was_purged_elsewhere_is_not_remembered(
        self, journal: Journal, other: Journal
    ) -> None:
        owner = await Owner.of(journal)
        await owner.append(
            created("a", b"1", b"2", status="Failed", busy=0, ended_at_ms=5), created("b")
        )
        assert await other.purge_executions(ended_before_ms=10) == 1
        result = await owner.append(more("a", 2, b"retried"), more("b", 1, b"2"))
        assert result.conflicts == {key("a")}
        assert await bodies(journal, "b") == [b"started", b"2"]
        await owner.append(created("a"))
        assert await bodies(journal, "a") == [b"started"]

    async def test_the_tables_are_made_once(self, postgres: PostgresServer, database: str) -> None:
        url = postgres.url_of(database)
        opened = await asyncio.gather(
            *(asyncio.to_thread(open_postgres, url, shard_count=n) for n in range(1, 7))
        )
        infos = {(each.info.deployment_id, each.info.shard_count) for each in opened}
        assert len(infos) == 1
        shards = await opened[0].shards()
        assert len(shards) == opened[0].info.shard_count
        for each in opened:
            await each.close()

    async def test_numbers_of_a_killed_session_are_not_given_again(
        self, postgres: PostgresServer, database: str, journal: Journal, other: Journal
    ) -> None:
        first, second = await Owner.of(journal, "0"), await Owner.of(other, "1")
        for n in range(3):
            await first.append(created(f"a{n}"))
            await second.append(created(f"b{n}", shard="1"))
        with postgres.connection(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            for n in range(3, 6):
                await first.append(created(f"a{n}"))
                await second.append(created(f"b{n}", shard="1"))
            found = connection.execute("SELECT count(DISTINCT number) FROM heliostat.executions")
            assert found.fetchone() == (12,)


async def test_cancelled_statements_store_nothing(
    postgres: PostgresServer, database: str, journal: PostgresJournal
) -> None:
    owner = await Owner.of(journal)
    await owner.append(created("a"))
    with psycopg.connect(postgres.url_of(database)) as holder:
        holder.execute("SELECT * FROM heliostat.shards WHERE name = '0' FOR UPDATE")
        appending = asyncio.ensure_future(owner.append(more("a", 1, b"2")))
        pid = await until_waiting(postgres, database, "transactionid")
        with postgres.connection() as admin:
            admin.execute("SELECT pg_cancel_backend(%s)", (pid,))
        with pytest.raises(JournalUnavailable, match="took too long, or was canceled"):
            await appending
    assert not (await owner.append(more("a", 1, b"2"))).conflicts
    assert await bodies(journal, "a") == [b"started", b"2"]
