"""`verify --durations` reads what was measured, from a file or from the history of a deployment."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.stored import with_journal
from tests.http.conftest import HELLO


def test_a_file_says_how_long_steps_took(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(HELLO)
    (tmp_path / "took.json").write_text(json.dumps({"greet": [100, 300, 200]}))
    (found,) = cli.json(
        "verify", str(tmp_path / "hello.yaml"), "-p", "time",
        "--durations", str(tmp_path / "took.json"),
    )  # fmt: skip
    step = found["verdicts"][0]["section"]["steps"][0]
    assert (step["step"], step["source"], step["measured"]) == ("greet", "measured", 3)
    assert (step["min_ms"], step["expected_ms"], step["max_ms"]) == (100, 200, 300)


def test_so_does_a_data_directory(cli: Cli, tmp_path: Path) -> None:
    waits = 'id: hello\nversion: "1"\nsteps: [{id: pause, type: wait, timer: 5ms}]\n'
    data, _ = with_journal(tmp_path / "data", waits)
    (tmp_path / "hello.yaml").write_text(waits)
    (found,) = cli.json(
        "verify", str(tmp_path / "hello.yaml"), "-p", "time", "--durations", str(data)
    )
    step = found["verdicts"][0]["section"]["steps"][0]
    assert (step["step"], step["source"], step["measured"]) == ("pause", "measured", 1)
    assert 5 <= step["min_ms"] == step["max_ms"]


def test_what_is_no_duration_is_exit_code_2(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(HELLO)
    (tmp_path / "took.json").write_text(json.dumps({"greet": "soon"}))
    found = cli.json(
        "verify", str(tmp_path / "hello.yaml"), "--durations", str(tmp_path / "took.json"), code=2
    )
    assert "step 'greet': 'soon' is no duration" in found["message"]


def test_what_decorators_of_a_workflow_in_python_say_counts(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import heliostat as hs\n\n\n"
        "@hs.step(timeout='20s', grace='0s', retry=hs.Retry(max_attempts=2, initial='1s'))\n"
        "def charge(total: int) -> int:\n    return total\n\n\n"
        "@hs.workflow\ndef slow(total: int) -> int:\n    return charge(total)\n"
    )
    (found,) = cli.json("verify", str(tmp_path / "slow.py"), "-p", "time")
    assert found["verdicts"][0]["section"]["max_ms"] == 41_000
