"""Which calendars a client registers definitions with."""

from __future__ import annotations

from pathlib import Path

from heliostat.cluster.config import load_configuration
from heliostat.cluster.connect import known_calendars
from heliostat.cluster.deployment import new_record
from heliostat.cluster.record import read_record, write_record

HERE = '[calendars.nyse]\nholidays = ["2026-12-25"]\n[calendars.xetra]\n'


def test_a_client_elsewhere_knows_those_that_the_deployment_came_up_with(tmp_path: Path) -> None:
    (tmp_path / "heliostat.toml").write_text(HERE)
    configured = load_configuration(directory=tmp_path, environment={})
    write_record(tmp_path, new_record(configured, None, embedded=False))
    record = read_record(tmp_path)
    assert record is not None
    elsewhere = load_configuration({"data_dir": tmp_path}, directory=tmp_path / "x", environment={})
    assert known_calendars(elsewhere, record) == dict(configured.calendars)


def test_its_own_configuration_comes_first(tmp_path: Path) -> None:
    (tmp_path / "heliostat.toml").write_text(HERE)
    record = new_record(
        load_configuration(directory=tmp_path, environment={}), None, embedded=False
    )
    own = load_configuration(
        directory=tmp_path, environment={"HELIOSTAT_CALENDARS": '{"nyse": {"holidays": []}}'}
    )
    assert own.calendars["nyse"].holidays == frozenset()
    found = known_calendars(own, record)
    assert found["nyse"] == own.calendars["nyse"]
    assert found["xetra"] == record.calendars["xetra"]
