"""What people are told of wrong definitions, word for word.

`bad/*.yaml` are definitions, the `.txt` beside each is what is printed. After a change run with
`--rewrite-diagnostics` and read the diff as a user would.
"""

import pickle
from pathlib import Path

import pytest

from heliostat.engine.authoring.diagnostics import ALL_CODES
from heliostat.engine.authoring.loading import load_definition
from heliostat.engine.errors import DefinitionError

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


def told(file: Path) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        load_definition(file)
    return caught.value


@pytest.mark.parametrize("file", BAD, ids=[file.stem for file in BAD])
def test_diagnostics_are_as_written(file: Path, request: pytest.FixtureRequest) -> None:
    printed = f"{told(file)}\n"
    expected = file.with_suffix(".txt")
    if request.config.getoption("--rewrite-diagnostics", default=False):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", BAD, ids=[file.stem for file in BAD])
def test_every_diagnostic_points_into_the_file(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines() or [""]
    for fault in told(file).diagnostics:
        assert 1 <= fault.line <= max(len(lines), 1)
        assert fault.source_line == lines[fault.line - 1]
        start, end = fault.caret
        assert start == fault.column - 1
        assert start < end <= max(len(fault.source_line), start + 1)


def test_errors_survive_pickling() -> None:
    error = told(BAD[0])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.diagnostics == error.diagnostics


def test_every_code_is_told_somewhere() -> None:
    codes = {fault.code for file in BAD for fault in told(file).diagnostics}
    # HS001 is about files that cannot be read, HS3xx about functions and the deployment, HS4xx
    # about workflows in Python, HS5xx about what proofs find
    elsewhere = {"HS001"} | {code for code in ALL_CODES if code.startswith(("HS3", "HS4", "HS5"))}
    assert codes == set(ALL_CODES) - elsewhere


def test_there_are_wrong_definitions_of_every_kind() -> None:
    assert len(BAD) >= 100
