"""Configuration: sources and their order, and errors that say what to do."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import msgspec
import pytest

from heliostat.actors.journals import shown
from heliostat.actors.settings import Settings
from heliostat.cluster.config import KEYS, load_configuration
from heliostat.cluster.deployment import new_record, refuse_second, settings_of
from heliostat.cluster.reading import journal_info, read_counts
from heliostat.cluster.record import write_record
from heliostat.engine.errors import ConfigurationError, Conflict
from heliostat.engine.journal.postgres import open_postgres
from heliostat.engine.journal.protocol import OwnerRow

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


class TestSources:
    def test_defaults_lie_in_the_working_directory(self, tmp_path: Path) -> None:
        configuration = load_configuration(environment={}, directory=tmp_path)
        assert configuration.data_dir == tmp_path / ".heliostat"
        assert configuration.code == tmp_path
        assert configuration.ray_address is None

    def test_each_source_overrides_the_one_before(self, tmp_path: Path) -> None:
        (tmp_path / "heliostat.toml").write_text("runners = 2\nup_timeout_ms = 5\nhosts = 1\n")
        configuration = load_configuration(
            {"runners": 4, "data_dir": None},
            environment={"HELIOSTAT_RUNNERS": "3", "HELIOSTAT_UP_TIMEOUT_MS": "7", "HOME": "/h"},
            directory=tmp_path,
        )
        assert (configuration.runners, configuration.up_timeout_ms) == (4, 7)

    def test_paths_in_a_file_start_at_its_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "etc"
        folder.mkdir()
        (folder / "my.toml").write_text('data_dir = "data"\n')
        configuration = load_configuration(
            file=Path("etc/my.toml"), environment={}, directory=tmp_path
        )
        assert configuration.data_dir == folder / "data"

    def test_the_environment_may_name_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "my.toml").write_text("dashboard = true\n")
        configuration = load_configuration(
            environment={"HELIOSTAT_CONFIG": str(tmp_path / "my.toml")}, directory=tmp_path
        )
        assert configuration.dashboard is True

    def test_text_in_a_file_names_variables(self, tmp_path: Path) -> None:
        (tmp_path / "heliostat.toml").write_text(
            'data_dir = "${BASE}/x$${y}"\nrunners = "${COUNT}"\n'
        )
        configuration = load_configuration(
            environment={"BASE": "/srv", "COUNT": "5"}, directory=tmp_path
        )
        assert configuration.data_dir == Path("/srv/x${y}")
        assert configuration.runners == 5

    def test_paths_are_those_of_the_actors(self, tmp_path: Path) -> None:
        configuration = load_configuration(environment={}, directory=tmp_path)
        settings = Settings(deployment="d", data_dir=str(configuration.data_dir))
        assert configuration.journal_path == settings.journal_path
        assert configuration.blobs_path == settings.blobs_path


class TestCalendars:
    def test_of_a_file_are_read_and_checked(self, tmp_path: Path) -> None:
        (tmp_path / "heliostat.toml").write_text(
            """
            [calendars.nyse]
            timezone = "America/New_York"
            holidays = [2026-11-26, "2026-12-25"]
            [calendars.shop]
            weekdays = ["sat", "tue"]
            """
        )
        found = load_configuration(environment={}, directory=tmp_path).calendars
        assert found["nyse"].holidays == {date(2026, 11, 26), date(2026, 12, 25)}
        assert found["nyse"].timezone == "America/New_York"
        assert found["shop"].weekdays == ("tue", "sat")

    def test_of_the_environment_are_json(self, tmp_path: Path) -> None:
        text = '{"c": {"timezone": "Asia/Tokyo"}}'
        found = load_configuration(environment={"HELIOSTAT_CALENDARS": text}, directory=tmp_path)
        assert found.calendars["c"].timezone == "Asia/Tokyo"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("calendars = 3", ["calendars = 3", "no table"]),
            ("[calendars]\nnyse = 3", ["'nyse'", "heliostat.toml", "a table of"]),
            ('calendars.c.timezone = "Mars"', ["'c'", "'Mars'", "IANA"]),
            ('calendars = "{"', ["no JSON"]),
        ],
    )
    def test_bad_ones_are_told(self, tmp_path: Path, content: str, words: list[str]) -> None:
        (tmp_path / "heliostat.toml").write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(environment={}, directory=tmp_path)
        assert all(word in str(caught.value) for word in words), str(caught.value)


class TestRetention:
    def test_durations_are_text_with_units(self, tmp_path: Path) -> None:
        (tmp_path / "heliostat.toml").write_text('retention = "30d"\nbus_retention = "PT2H"')
        configuration = load_configuration(environment={}, directory=tmp_path)
        assert configuration.retention == 30 * 86_400_000
        bounds = settings_of(configuration, new_record(configuration, None, embedded=True)).host
        assert (bounds.keep_ms, bounds.bus_keep_ms) == (configuration.retention, 7_200_000)

    def test_nothing_is_deleted_unless_it_is_set(self, tmp_path: Path) -> None:
        configuration = load_configuration(environment={}, directory=tmp_path)
        settings = settings_of(configuration, new_record(configuration, None, embedded=True))
        assert settings.host.keep_ms is None
        unset = load_configuration(
            environment={"HELIOSTAT_RETENTION": "", "HELIOSTAT_BUS_RETENTION": ""},
            directory=tmp_path,
        )
        assert (unset.retention, unset.bus_retention) == (None, 86_400_000)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("retention = 30", ["retention = 30", "say the unit", '"30d"']),
            ('retention = "0.5s"', ["a second at least"]),
            ('retention = "1 month"', ["'1 month'", "is not a duration"]),
            ("bus_retention = true", ["bus_retention = True"]),
        ],
    )
    def test_bad_ones_are_told(self, tmp_path: Path, content: str, words: list[str]) -> None:
        (tmp_path / "heliostat.toml").write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(environment={}, directory=tmp_path)
        assert all(word in str(caught.value) for word in words), str(caught.value)


class TestSecrets:
    def test_their_variables_are_no_settings(self, tmp_path: Path) -> None:
        load_configuration(environment={"HELIOSTAT_SECRET_KEY": "s"}, directory=tmp_path)

    def test_their_file_is_a_path_that_actors_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "heliostat.toml").write_text('secrets_file = "secrets.toml"')
        configuration = load_configuration(environment={}, directory=tmp_path)
        assert configuration.secrets_file == tmp_path / "secrets.toml"
        settings = settings_of(configuration, new_record(configuration, None, embedded=True))
        assert settings.secrets_file == str(tmp_path / "secrets.toml")
        none = load_configuration({"secrets_file": ""}, environment={}, directory=tmp_path)
        assert none.secrets_file is None


class TestJournal:
    URL = "postgresql://me:geheim@db:5432/orders"

    def test_on_postgresql_is_shared_by_hosts(self, tmp_path: Path) -> None:
        configuration = load_configuration(
            {"data_dir": tmp_path, "hosts": 3},
            environment={"HELIOSTAT_JOURNAL": self.URL},
            directory=tmp_path,
        )
        record = new_record(load_configuration({}, environment={}, directory=tmp_path), None,
                            embedded=True)  # fmt: skip
        record = msgspec.structs.replace(record, journal=self.URL, hosts=3)
        settings = settings_of(configuration, record)
        assert (settings.journal, settings.hosts) == (self.URL, 3)

    def test_its_password_is_in_no_error(self, tmp_path: Path) -> None:
        for url in ("mysql://me:geheim@db/x", "postgresql://me:geheim@db:port/x", "me:geheim"):
            with pytest.raises(ConfigurationError) as caught:
                load_configuration({"journal": url}, environment={}, directory=tmp_path)
            assert "journal" in str(caught.value)
            assert "geheim" not in str(caught.value) or url == "me:geheim"

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            (URL, "postgresql://me:…@db:5432/orders"),
            ("postgresql://me:a/b@c@db/x", "postgresql://me:…@db/x"),
            ("postgresql://db/x?user=me&password=geheim", "postgresql://db/x?user=me&password=…"),
            ("postgresql:///x?host=/tmp/pg", "postgresql:///x?host=/tmp/pg"),
            ("sqlite", "sqlite"),
        ],
    )
    def test_is_shown_without_its_password(self, url: str, told: str) -> None:
        assert shown(url) == told

    def test_its_password_is_in_no_repr_of_what_carries_it(self, tmp_path: Path) -> None:
        """As in a traceback, a log line or an actor's constructor that failed."""
        configuration = load_configuration(
            {"data_dir": tmp_path, "journal": "postgresql://me:geheim@db/x"},
            environment={},
            directory=tmp_path,
        )
        here = load_configuration({"data_dir": tmp_path}, environment={}, directory=tmp_path)
        record = msgspec.structs.replace(
            new_record(here, None, embedded=False), journal=configuration.journal
        )
        settings = settings_of(configuration, record)
        for carrier in (configuration, record, settings):
            assert "postgresql://me:…@db/x" in repr(carrier)
            assert "geheim" not in f"{carrier} {carrier!r} {[carrier]}"
        assert settings.journal == "postgresql://me:geheim@db/x"

    def test_is_found_by_a_command_that_was_not_told_of_it(
        self, postgres_url: str, tmp_path: Path
    ) -> None:
        """`up` had it from its terminal, and wrote it where only its owner reads."""
        journal = open_postgres(postgres_url, deployment_id="d")
        try:
            untold = load_configuration({"data_dir": tmp_path}, environment={}, directory=tmp_path)
            record = msgspec.structs.replace(
                new_record(untold, None, embedded=False), journal=postgres_url
            )
            assert read_counts(untold) == {}
            write_record(tmp_path, record)
            found = journal_info(untold)
            assert found is not None
            assert found.deployment_id == "d"
            told = load_configuration(
                {"data_dir": tmp_path / "other", "journal": postgres_url},
                environment={}, directory=tmp_path,
            )  # fmt: skip
            assert new_record(told, None, embedded=False).deployment_id == "d"
        finally:
            asyncio.run(journal.close())

    async def test_that_hosts_of_another_ray_write_is_refused(
        self, postgres_url: str, tmp_path: Path
    ) -> None:
        journal = open_postgres(postgres_url, deployment_id="d")
        configuration = load_configuration(
            {"data_dir": tmp_path, "journal": postgres_url}, environment={}, directory=tmp_path
        )
        owner = OwnerRow(
            incarnation="i", name="heliostat/d/1/host/0", pid=1, node="elsewhere",
            started_at_ms=1, beat_at_ms=1,
        )  # fmt: skip
        await asyncio.to_thread(refuse_second, configuration)  # nobody writes
        await journal.register_owner(owner)
        await asyncio.to_thread(refuse_second, configuration)  # its row does not move

        async def beat() -> None:
            for at_ms in range(2, 10_000):
                await journal.beat("i", at_ms=at_ms)
                await asyncio.sleep(0.05)

        beating = asyncio.ensure_future(beat())
        with pytest.raises(Conflict, match="'elsewhere'"):
            await asyncio.to_thread(refuse_second, configuration)
        beating.cancel()
        await journal.close()


class TestErrors:
    """Each names the key, the value, the source and the cure."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("data_dirs = 1", ["data_dirs", "heliostat.toml", "did you mean data_dir?"]),
            ("colour = 1", ["colour", "known are data_dir, journal, code"]),
            ("runners = -1", ["runners = -1", "heliostat.toml", ">= 0", "docs/configuration.md"]),
            ('runners = "many"', ["runners = 'many'", "int"]),
            ("runners = 1.5", ["runners = 1.5", "int"]),
            ('data_dir = ""', ["data_dir = ''", "length"]),
            ('data_dir = "${NOPE}/x"', ["data_dir", "'NOPE'", "not set", "$${"]),
            ("hosts = 2", ["hosts = 2", "SQLite", "postgresql://", "set hosts = 1"]),
            ("hosts = ", ["not TOML", "correct the file"]),
        ],
    )
    def test_in_a_file(self, tmp_path: Path, content: str, words: list[str]) -> None:
        (tmp_path / "heliostat.toml").write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(environment={}, directory=tmp_path)
        for word in words:
            assert word in str(caught.value)

    def test_in_the_environment(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="HELIOSTAT_DASHBOARD"):
            load_configuration(environment={"HELIOSTAT_DASHBOARD": "maybe"}, directory=tmp_path)
        with pytest.raises(ConfigurationError, match="did you mean HELIOSTAT_RUNNERS"):
            load_configuration(environment={"HELIOSTAT_RUNNER": "1"}, directory=tmp_path)

    def test_in_a_flag(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="--runners"):
            load_configuration({"runners": 5_000}, environment={}, directory=tmp_path)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="--config"):
            load_configuration(file=Path("no.toml"), environment={}, directory=tmp_path)


def test_every_key_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for key in KEYS:
        assert f"| `{key}` |" in text
