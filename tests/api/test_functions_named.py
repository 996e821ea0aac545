"""`shop.py:checkout` on the command line: a workflow in Python in place of a definition's file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from heliostat.api.cli.app import main

SHOP: Final = """\
import heliostat as hs


@hs.step
def charge(total: int) -> str:
    return f"r-{total}"


@hs.workflow
def parcel(receipt: str) -> str:
    return f"parcel of {receipt}"


@hs.workflow
def checkout(total: int) -> str:
    return parcel(charge(total))
"""


def code(arguments: list[str]) -> object:
    """What the command exits with."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module that no test before has imported, by its file's name."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HELIOSTAT_")]:
        monkeypatch.delenv(name)
    file = f"{re.sub(r'[^a-z]+', '_', request.node.name)}.py"
    (tmp_path / file).write_text(SHOP)
    return file


def test_it_is_simulated_with_the_workflows_that_it_starts(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = json.dumps({"charge": {"output": "r-3"}})
    asked = ["simulate", f"{shop}:checkout", "-i", '{"total": 3}', "--outcomes", outcomes]
    assert code([*asked, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == "parcel of r-3"


def test_it_is_validated_and_nothing_registered(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(["workflow", "validate-definition", "-f", f"{shop}:checkout"]) == 0
    assert "is valid" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["register", "run", "simulate", "verify"])
def test_a_workflow_that_there_is_not_is_told_with_those_that_there_are(
    shop: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert code([command, f"{shop}:order"]) == 2
    assert "no workflow 'order'" in (told := capsys.readouterr().err)
    assert "parcel, checkout" in told


@pytest.mark.parametrize("command", ["register", "run", "simulate", "verify"])
def test_a_fault_of_the_function_is_told_before_anybody_is_asked(
    shop: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    file = Path(f"{command}_{shop}")
    file.write_text(SHOP.replace("charge(total))", "print(total))"))
    assert code([command, f"{file}:checkout"]) == 2
    assert f"{file}:16:19" in capsys.readouterr().err
