"""`workflow check`: a recorded history, as it was written and after somebody changed it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.stored import with_journal


def test_tells_a_run_from_what_somebody_changed(tmp_path: Path, cli: Cli) -> None:
    data, id = with_journal(tmp_path)
    said = cli("workflow", "check", id, "--data", str(data))
    assert said == "3 events, a run of its definition\n"
    with closing(sqlite3.connect(data / "journal")) as journal:
        journal.execute("delete from events where seq = 2")
        journal.execute("update events set seq = 2 where seq = 3")
        journal.commit()
    found = cli.json("workflow", "check", id, "--data", str(data), code=1)
    assert (found["fits"], found["misfit"]["number"]) == (False, 2)
    assert found["misfit"]["event"] == "execution.completed"


def test_needs_the_journal(cli: Cli) -> None:
    said = cli("workflow", "check", "x", "--server", "http://127.0.0.1:9", code=2)
    assert "name its data directory with --data" in said
