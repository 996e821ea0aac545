"""`heliostat import wfformat`, up to where a deployment is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliostat.api.cli.app import main
from heliostat.engine.authoring.loading import load_definition
from tests.importing.traces import BREAD


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["import", "wfformat", *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_definition_goes_to_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command(str(BREAD), "--scale", "0.1") == 0
    written = tmp_path / "bread.yaml"
    written.write_text(capsys.readouterr().out)
    assert load_definition(written).steps[1].input == {"seconds": 6.05}


@pytest.mark.parametrize("name", ["bread.yaml", "bread.json"])
def test_or_to_a_file_with_a_summary_in_its_place(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / name
    assert command(str(BREAD), "-o", str(target), "--id", "loaf", "--version", "2") == 0
    told = capsys.readouterr().out
    assert "loaf 2: 5 steps, 5 needs, 4 in the longest chain; at least 100.750 s" in told
    definition = load_definition(target)
    assert (definition.id, definition.version) == ("loaf", "2")
    if name.endswith(".json"):
        json.loads(target.read_text())


def test_json_holds_the_figures_and_the_definition(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(BREAD), "--format", "json", "--resources") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["steps"], told["needs"], told["work_s"]) == (5, 5, 140.75)
    assert told["renamed"]["end_"] == "end"
    assert told["definition"]["steps"][0]["resources"] == {"num_cpus": 2, "memory": 104_857_600}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.json"], "No such file"),
        ([str(BREAD), "--scale", "-1"], "give 0 or more"),
        ([str(BREAD), "--scale", "inf"], "give 0 or more"),
        ([str(BREAD), "--work", "rest"], "'rest' is not one of"),
        ([str(BREAD), "--id", "a b"], "cannot name a definition"),
        ([str(BREAD), "-o", "/nowhere/a.yaml"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 2
    assert said in capsys.readouterr().err


def test_registering_needs_a_deployment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command(str(BREAD), "--register", "--data", str(tmp_path)) == 4
    assert "no deployment is up" in capsys.readouterr().err
