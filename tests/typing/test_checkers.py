"""Users' workflows are checked by the checkers that users have: mypy --strict, and pyright."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RIGHT = [
    HERE / "right.py",
    ROOT / "tests" / "engine" / "authoring" / "python" / "functions.py",
    ROOT / "tests" / "engine" / "authoring" / "python" / "elsewhere.py",
    *sorted((ROOT / "examples" / "python").glob("*.py")),
]
WRONG = HERE / "wrong.py"
BOUND_S = 280

Told = dict[str, dict[int, str]]
"""By a file's name, what is told of which line."""


def mypy(folder: Path, *files: Path) -> Told:
    configuration = folder / "mypy.ini"  # not the repository's: users have none of its extras
    configuration.write_text(
        "[mypy]\nstrict = True\nignore_missing_imports = True\n"
        # half of all that is read, and no type of it is in what users see
        "[mypy-ray.*]\nfollow_imports = skip\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(configuration), *map(str, files)],
        capture_output=True, text=True, timeout=BOUND_S, check=False, cwd=folder,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    told: Told = defaultdict(dict)
    for file, line, words in re.findall(r"(?m)^(.+?):(\d+): error: (.*)$", ran.stdout):
        told[Path(file).name][int(line)] = words
    return told


def pyright(folder: Path, *files: Path) -> Told:
    project = {
        "include": [str(file) for file in files],
        "typeCheckingMode": "strict",
        "venvPath": str(Path(sys.prefix).parent),
        "venv": Path(sys.prefix).name,
        # the libraries that the examples compute with have no types
        "reportMissingTypeStubs": False,
        "reportUnknownMemberType": False,
        "reportUnknownParameterType": False,
        "reportUnknownVariableType": False,
        "reportUnknownArgumentType": False,
        # statements that only show a mistake, and a test that calls itself `test`
        "reportUnusedExpression": False,
        "reportUnusedCoroutine": False,
        "reportUnusedVariable": False,
    }
    configuration = folder / "pyrightconfig.json"
    configuration.write_text(json.dumps(project))
    ran = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(configuration)],
        capture_output=True, text=True, timeout=BOUND_S, check=False, cwd=ROOT,
    )  # fmt: skip
    told: Told = defaultdict(dict)
    for each in json.loads(ran.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            line = each["range"]["start"]["line"] + 1
            told[Path(each["file"]).name][line] = each["message"]
    return told


def wrong_lines() -> Iterator[int]:
    for number, line in enumerate(WRONG.read_text(encoding="utf-8").splitlines(), 1):
        if "# wrong" in line:
            yield number


@pytest.mark.long
@pytest.mark.parametrize("check", [mypy, pyright])
def test_right_ones_pass_and_wrong_ones_are_told(
    check: Callable[..., Told], tmp_path: Path
) -> None:
    told = check(tmp_path, *RIGHT, WRONG)
    found = told.pop(WRONG.name, {})
    assert told == {}
    expected = set(wrong_lines())
    assert len(expected) > 30
    assert {line: found[line] for line in sorted(found.keys() - expected)} == {}
    assert sorted(expected - found.keys()) == []
