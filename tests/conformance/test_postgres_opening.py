"""Which databases are opened as a journal, and what is said of the others."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from heliostat.engine.errors import (
    ConfigurationError,
    FormatMismatch,
    JournalLocked,
    JournalUnavailable,
)
from heliostat.engine.journal.postgres import open_postgres, open_postgres_readonly
from heliostat.engine.journal.protocol import (
    DefinitionQuery,
    DefinitionRow,
    ExecutionQuery,
    TaskQuery,
)
from tests.conformance.support import Owner, created, event
from tests.postgres_server import PostgresServer


async def test_what_is_fixed_at_creation_stays(postgres_url: str) -> None:
    first = open_postgres(postgres_url, deployment_id="d-1", shard_count=3)
    second = open_postgres(postgres_url, shard_count=9)
    assert first.info == second.info
    assert (first.info.deployment_id, first.info.shard_count) == ("d-1", 3)
    assert not first.info.single_node
    with pytest.raises(JournalLocked, match="belongs to deployment d-1, not to d-2"):
        open_postgres(postgres_url, deployment_id="d-2")
    await first.close()
    await second.close()


async def test_another_version_is_refused(postgres_url: str) -> None:
    await open_postgres(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE heliostat.facts SET value = '99' WHERE name = 'format_version'")
    for opening in (open_postgres, open_postgres_readonly):
        with pytest.raises(FormatMismatch, match="has format 99"):
            opening(postgres_url)  # type: ignore[operator]


async def test_one_of_the_first_format_becomes_one_of_the_present(postgres_url: str) -> None:
    journal = open_postgres(postgres_url)
    await journal.put_definition(
        DefinitionRow(
            namespace="default",
            id="order",
            version="1",
            content_hash="h",
            body=b'{"name": "The order", "steps": [{"id": "a"}]}',
            compiled=b"\0",
            registered_at_ms=3,
        )
    )
    owner = await Owner.of(journal)
    await owner.append(created("old"))
    await journal.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SET search_path = heliostat; DROP TABLE definition_heads;"
            "ALTER TABLE executions DROP COLUMN parent, DROP COLUMN priority,"
            " DROP COLUMN correlation_id; ALTER TABLE tasks DROP COLUMN task_type;"
            "UPDATE facts SET value = '1' WHERE name = 'format_version'"
        )
    with pytest.raises(FormatMismatch, match="has format 1"):
        open_postgres_readonly(postgres_url)
    earlier = open_postgres_readonly(postgres_url, older=True)
    assert earlier.info.format_version == 1
    await earlier.close()
    journal = open_postgres(postgres_url)
    page = await journal.definitions_page(DefinitionQuery(namespace="default"))
    assert [(row.id, row.name, row.steps) for row in page.rows] == [("order", "The order", 1)]
    owner = await Owner.of(journal)
    await owner.append(created("new", parent="old", priority=9, correlation_id="c"))
    found = await journal.list_executions(ExecutionQuery(namespace="default"))
    assert {(row.parent, row.priority, row.correlation_id) for row in found.rows} == {
        (None, 5, None),
        ("old", 9, "c"),
    }
    await journal.close()


async def test_readers_read_beside_the_writer(postgres_url: str) -> None:
    with pytest.raises(JournalUnavailable, match="has no journal"):
        open_postgres_readonly(postgres_url)
    journal = open_postgres(postgres_url)
    reader = open_postgres_readonly(postgres_url)
    owner = await Owner.of(journal)
    await owner.append(created("a"))
    assert reader.info == journal.info
    page = await reader.list_executions(ExecutionQuery(namespace="default"))
    assert [row.key.execution_id for row in page.rows] == ["a"]
    assert (await reader.list_tasks(TaskQuery(namespace="default"))).rows == ()
    await reader.close()
    await journal.publish([event("e")])
    await journal.close()


def test_a_user_who_may_not_is_told_the_cure(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN")
    with pytest.raises(JournalUnavailable, match="let it own the database"):
        open_postgres(postgres_url.replace("postgres@", "weak:secret@"))


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@host:none/db?x", "postgresql://u:secret@[h"]
)
def test_urls_that_are_none_do_not_tell_a_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        open_postgres(url)
    assert "secret" not in str(told.value)


class TestPassword:
    """It may come from elsewhere than the URL, and is told nowhere."""

    @pytest.fixture
    def asked(self, postgres: PostgresServer, postgres_url: str) -> Iterator[str]:
        """The URL of a database whose owner the server asks for a password: "geheim"."""
        rules = postgres.folder / "data" / "pg_hba.conf"
        before = rules.read_text()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE asked LOGIN SUPERUSER PASSWORD 'geheim'")
            rules.write_text(f"local all asked scram-sha-256\n{before}")
            connection.execute("SELECT pg_reload_conf()")
            url = postgres_url.replace("postgres@", "asked@")
            deadline = time.monotonic() + 60
            while not _is_refused(url):  # the server reads its rules when it gets to it
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield url
            rules.write_text(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP OWNED BY asked CASCADE")
            connection.execute("DROP ROLE asked")

    async def test_is_taken_from_the_environment(
        self, asked: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", "geheim")
        await open_postgres(asked).close()

    @pytest.mark.parametrize("named", ["in the URL", "in the environment"])
    async def test_is_taken_from_a_file(
        self, named: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passfile = tmp_path / "pgpass"
        passfile.write_text("*:*:*:asked:geheim\n")
        passfile.chmod(0o600)
        if named == "in the URL":
            asked += f"&passfile={quote(str(passfile))}"
        else:
            monkeypatch.setenv("PGPASSFILE", str(passfile))
        await open_postgres(asked).close()

    def test_that_is_wrong_or_missing_is_told_without_it(
        self, asked: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("PGPASSFILE", "/nonexistent")
        wrong = asked.replace("asked@", "asked:falsch@")
        for url in (wrong, asked):
            with pytest.raises(JournalUnavailable, match="check user, password") as told:
                open_postgres(url)
            story = "".join(traceback.format_exception(told.value))
            assert "falsch" not in story + caplog.text
            assert "geheim" not in story + caplog.text


def _is_refused(url: str) -> bool:
    try:
        psycopg.connect(url, passfile="/nonexistent").close()
    except psycopg.OperationalError:
        return True
    return False


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"install heliostat\[postgres\], on every node"):
        open_postgres("postgresql://h/d")
