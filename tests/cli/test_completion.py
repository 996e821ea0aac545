"""Completion, and the nearest name for a slip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.engine.ids import new_id
from tests.cli.conftest import BOUND_S, Cli
from tests.client_http.conftest import Place


def offered(place: Place | None, *words: str) -> list[str]:
    """What a shell that completes the last word is given."""
    kept = {name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"}
    if place is not None:
        kept["HELIOSTAT_SERVER"] = place.url
    ran = subprocess.run(
        [sys.executable, "-c", "from heliostat.api.cli.app import main; main()"],
        env={
            **kept,
            "_HELIOSTAT_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("heliostat", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert ran.stderr == ""
    return [line.partition(",")[2] for line in ran.stdout.splitlines() if line]


def test_commands_and_options_are_completed() -> None:
    assert offered(None, "workf") == ["workflow"]
    assert "watch" in offered(None, "workflow", "wa")
    assert offered(None, "workflow", "watch", "--aft") == ["--after"]


def test_ids_are_those_of_the_deployment(place: Place) -> None:
    id = f"complete-{new_id()}"
    place.within.start("patient", id=id)
    assert offered(place, "workflow", "watch", "complete-") == [id]
    assert "patient" in offered(place, "workflow", "start", "pat")


def test_where_nothing_is_up_nothing_is_offered_and_nothing_said() -> None:
    assert offered(None, "workflow", "watch", "x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_the_shell(shell: str, cli: Cli, tmp_path: Path) -> None:
    script = cli("completion", shell)
    assert "_HELIOSTAT_COMPLETE" in script
    if (found := shutil.which(shell)) is None:
        return
    file = tmp_path / "script"
    file.write_text(script)
    subprocess.run([found, "-n", str(file)], check=True, timeout=BOUND_S)


def test_a_slip_is_answered_with_the_nearest(cli: Cli) -> None:
    assert "'workflow'" in cli("workflw", code=2)
    assert "'watch'" in cli("workflow", "wach", "x", code=2)
    assert "'--reason'" in cli("workflow", "cancel", "x", "--raeson", "y", code=2)
