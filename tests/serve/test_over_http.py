"""The shared suite on a real deployment, and the four ways in as the documentation shows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.actors.client.client import Client
from heliostat.api.client.connecting import connect
from heliostat.cluster.connect import attach
from tests.client_http.behaviour import BOUND_S, Behaviour
from tests.http.conftest import DEFINITIONS, STEPS
from tests.serve.conftest import Served

pytestmark = pytest.mark.long

WAYS = Path(__file__).parents[2] / "docs" / "ways.md"


@pytest.fixture(scope="module")
def up(served: Served) -> Served:
    """With what the suite starts."""
    (served.home / "http_steps.py").write_text(STEPS)
    for name, text in DEFINITIONS.items():
        (served.home / f"{name}.yaml").write_text(text)
    with attach(served.configuration) as client:
        client.register_many(served.home / f"{name}.yaml" for name in DEFINITIONS)
    return served


@pytest.fixture(scope="module")
def within(up: Served) -> Iterator[Client]:
    with attach(up.configuration) as client:
        yield client


class TestOnRay(Behaviour):
    @pytest.fixture(params=["within", "http"])
    def client(self, request: pytest.FixtureRequest, up: Served) -> Iterator[Client]:
        if request.param == "within":
            yield request.getfixturevalue("within")
        else:
            with connect(up.address) as client:
                yield client

    def test_code_runs(self, client: Client) -> None:
        assert client.start("calc", {"number": 21}).result(BOUND_S) == 42


def test_commands_over_http(up: Served) -> None:
    server = ("-s", up.address)
    assert up.cli(*server, "workflow", "start", "patient", "--id", "by-cli").out == "by-cli\n"
    assert up.cli(*server, "workflow", "signal", "by-cli", "-n", "go", "-d", "1").code == 0
    watched = up.cli(*server, "workflow", "watch", "by-cli")
    assert (watched.code, "execution.completed" in watched.out) == (0, True)
    assert up.cli("workflow", "watch", "by-cli").out == watched.out, "of the data directory"
    assert up.cli(*server, "system", "health-check").out.startswith("health   healthy")


def test_the_four_ways_as_documented(up: Served, within: Client) -> None:
    text = WAYS.read_text(encoding="utf-8")
    home = up.home / "ways"
    home.mkdir()
    (file,) = re.findall(r"```yaml file=hello\.yaml\n(.*?)```", text, re.DOTALL)
    (home / "hello.yaml").write_text(file.replace("id: hello", "id: ways-hello"))
    bin_ = Path(sys.executable).parent
    environment = up.environment() | {"PATH": f"{bin_}:{os.environ['PATH']}"}
    environment["HELIOSTAT_CODE"] = str(up.home)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    said = []
    for language, block in blocks:
        block = block.replace("http://localhost:8080", up.address)
        # The session has a `hello` of its own.
        block = re.sub(r'(?<=start )hello\b|(?<=")hello(?=")', "ways-hello", block)
        command = ["bash", "-eu", "-c", block]
        if language == "python":
            (home / "driver.py").write_text(block)
            command = [sys.executable, "driver.py"]
        ran = subprocess.run(
            command,
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BOUND_S * 2,
            check=False,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"
        said.append(ran.stdout)
    command, server, curl, http, driver, page = said
    assert '"hello ann"' in command
    assert "execution.completed" in server
    assert '"hello ben"' in curl
    assert http.splitlines()[-1] == "{'text': 'hello eve'}"
    assert "execution.completed" in http
    assert "heliostat/" in driver
    assert driver.splitlines()[-1] == "{'text': 'hello zoe'}"
    assert '"type":"end"' in page
    assert up.address in page
    ids = {"by-command", "by-curl", "by-http", "by-driver", "by-page"}
    rows = within.list(definition="ways-hello").rows
    assert {row.key.execution_id for row in rows if row.status == "Completed"} == ids
