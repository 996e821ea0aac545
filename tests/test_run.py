"""`make test` runs every test once, and says so when one fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import run

ROOT = Path(__file__).parents[1]


def test_every_file_is_in_one_lane() -> None:
    found: list[Path] = []
    for given in run.lanes().values():
        for path in (ROOT / each for each in given):
            found += path.rglob("test_*.py") if path.is_dir() else [path]
    assert sorted(found) == sorted((ROOT / "tests").rglob("test_*.py"))


STARTS_A_RAY = re.compile(
    r"\bray\.init\(|\bstart_ray\(|\"ray\", \"start\"|\bfrom tests\.(cluster|nodes|parts)\b"
    r"|\bheliostat\.cluster\.(connect|deployment) import .*\b(connect|embed|up)\b"
)


def test_what_starts_a_ray_is_in_no_lane_of_units() -> None:
    """Two Rays that start at once on two CPUs are slow, and three may not come up."""
    lanes = run.lanes()
    for path in (ROOT / each for name in run.NICE for each in lanes[name]):
        for file in path.rglob("test_*.py") if path.is_dir() else [path]:
            if file != Path(__file__):
                found = STARTS_A_RAY.search(file.read_text())
                assert found is None, f"{file} has {found}: name it in OWN_RAY of tests/run.py"


def test_closing_lines_are_added_up() -> None:
    lines = [
        "====== 3 passed, 1 skipped in 1.00s ======",
        "\x1b[31m== \x1b[1m1 failed\x1b[0m, \x1b[32m20 passed\x1b[0m, 2 errors in 63.00s (0:01) ==",
        "=== 1 error in 2.00s ===",
        "=== 7 deselected in 2.00s ===",
    ]
    expected = {"passed": 23, "skipped": 1, "failed": 1, "error": 3, "deselected": 7}
    assert run.added_up(lines) == expected


def test_a_lane_without_a_test_neither_fails_nor_passes() -> None:
    nothing = run.NOTHING_COLLECTED
    assert run.exit_code([0, nothing]) == 0
    assert run.exit_code([nothing, nothing]) == nothing
    assert run.exit_code([0, 2]) == 1
    assert run.exit_code([0, -9]) == 1


def test_one_lane_that_fails_fails_all_and_ends_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # what it says of ours does not hold there
    (tmp_path / "test_fails.py").write_text("def test_it():\n    assert 0\n")
    (tmp_path / "test_passes.py").write_text("def test_it():\n    pass\n")
    given = {name: [str(tmp_path / f"test_{name}.py")] for name in ("fails", "passes")}
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # to load them takes a second each
    monkeypatch.setattr(run, "lanes", lambda: given)
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    assert run.main([]) == 1
    *_, failed, passed, all_together = capfd.readouterr().out.splitlines()
    assert "fails | 1 failed" in failed
    assert "passes | 1 passed" in passed
    assert "==== 1 failed, 1 passed in " in all_together
