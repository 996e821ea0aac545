"""Every command that works over HTTP, against a real door."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from heliostat.api.client import sender
from heliostat.engine.ids import new_id
from tests.cli.conftest import BOUND_S, Cli
from tests.client_http.conftest import Place

GREETING = """\
id: {id}
version: "{version}"
name: A greeting
tags: {{team: cli}}
vars: {{said: nothing}}
steps:
  - {{id: greet, type: decision, output: "hello", assign: {{said: $.output}}, next: wait}}
  - {{id: wait, type: wait, signal: go}}
"""


def until(holds: Callable[[], bool]) -> None:
    end_at = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < end_at, "it has not come about"
        time.sleep(0.02)


def test_definitions(there: Place, cli: Cli) -> None:
    id = f"g-{new_id()}".lower()
    for version in ("1", "2"):
        Path("g.yaml").write_text(GREETING.format(id=id, version=version))
        assert "is valid" in cli("workflow", "validate-definition", "--file", "g.yaml")
        assert cli("workflow", "register-definition", "-f", "g.yaml") == f"{id} {version}\n"
    assert cli("register", "g.yaml") == f"{id} 2\n"
    (found,) = cli.json("workflow", "list-definitions", "--filter", id)["definitions"]
    assert (found["version"], found["name"], found["steps"]) == ("2", "A greeting", 2)
    both = cli.json("workflow", "list-definitions", "-f", id, "--versions")
    assert [each["version"] for each in both["definitions"]] == ["2", "1"]
    assert id in cli("workflow", "list-definitions", "--filter", "team=cli")
    first = cli.json("workflow", "list-definitions", "--limit", "1")["definitions"]
    second = cli.json("workflow", "list-definitions", "--limit", "1", "-p", "2")["definitions"]
    assert first != second
    assert cli.json("workflow", "show-definition", id, "-v", "1")["version"] == "1"
    execution = cli("workflow", "start", id).strip()
    assert execution in cli("workflow", "delete-definition", id, code=2)
    cli("workflow", "cancel", execution)
    cli("workflow", "result", execution, code=3)
    assert cli.json("workflow", "delete-definition", id, "--version", "1")["versions"] == ["1"]
    assert "is deleted: 2" in cli("workflow", "delete-definition", id)
    assert "no definition" in cli("workflow", "show-definition", id, code=2)
    assert "no definitions" in cli("workflow", "list-definitions", "--filter", id)


def test_a_definition_that_is_not_valid(there: Place, cli: Cli) -> None:
    Path("bad.yaml").write_text(
        'id: bad\nversion: "1"\nsteps:\n  - {id: a, type: activity, activity: "nope:f"}\n'
    )
    for command in ("validate-definition", "register-definition"):
        said = cli("workflow", command, "--file", "bad.yaml", code=2)
        assert "error[HS301]" in said
        assert "over HTTP no code is shipped" in said


def test_an_execution_from_start_to_end(there: Place, cli: Cli) -> None:
    id = f"g-{new_id()}".lower()
    Path("g.yaml").write_text(GREETING.format(id=id, version="1"))
    Path("in.json").write_text('{"a": 1}')
    cli("register", "g.yaml")
    execution = new_id()
    arguments = ("-i", "in.json", "--id", execution, "-c", "order-7", "-p", "9", "--tag", "k=v")
    assert cli("workflow", "start", id, *arguments) == f"{execution}\n"
    assert cli("workflow", "start", id, *arguments) == f"{execution}\n"
    assert "DUPLICATE" in cli(
        "workflow", "start", id, "--id", execution, "--format", "json", code=2
    )
    until(lambda: cli.json("workflow", "status", execution)["status"] == "Waiting")
    now = cli.json("workflow", "status", execution, "--include-tasks", "--include-variables")
    assert (now["priority"], now["correlation_id"], now["tags"]) == (9, "order-7", {"k": "v"})
    assert now["variables"] == {"said": "hello"}
    assert (now["active"][0]["step"], now["tasks"]) == ("wait", [])
    assert "wait (waiting" in cli("workflow", "get", execution)
    assert execution in cli("workflow", "list-instances", "-d", id, "-s", "waiting", "-l", "5")
    assert "no executions" in cli("workflow", "list", "--definition", id, "--page", "2")
    assert "it is Paused" in cli("workflow", "pause", execution, "-r", "night")
    assert "goes on" in cli("workflow", "resume", execution)
    assert "not Paused" in cli("workflow", "resume", execution, code=2)
    Path("data.json").write_text('{"by": "hand"}')
    cli("workflow", "signal", execution, "--name", "go", "--data", "data.json")
    assert cli.json("workflow", "result", execution)["output"]["data"] == {"by": "hand"}
    told = cli("workflow", "history", execution)
    assert "execution.started" in told
    assert told.splitlines()[-1].split()[2] == "execution.completed"
    assert cli("workflow", "history", execution, "--follow") == told
    assert "Completed" in cli("workflow", "signal", execution, "-n", "go", code=2)


def test_a_failed_execution_is_retried(there: Place, cli: Cli) -> None:
    execution = cli("workflow", "start", "wrong", "-i", '{"what": "broke"}').strip()
    assert "Broken: it broke" in cli("workflow", "result", execution, code=1)
    assert "new run" in cli("workflow", "retry", execution, "--from-activity", "fail")
    cli("workflow", "result", execution, code=1)
    assert "run 2" in cli("workflow", "status", execution)
    assert execution in cli("workflow", "list", "--status", "Failed", "--definition", "wrong")


def test_people(there: Place, cli: Cli) -> None:
    execution = cli("workflow", "start", "ask", "-i", '{"order": "o-1"}').strip()

    def waiting() -> bool:
        return cli.json("task", "list", "--execution", execution)["tasks"] != []

    until(waiting)
    (task,) = cli.json("task", "list", "--execution", execution, "-t", "human")["tasks"]
    assert task["input"] == {"order": "o-1"}
    id = task["id"]
    assert '"approved"' in cli("task", "status", id)
    assert cli.json("task", "claim", id)["claimed_by"] == getpass.getuser()
    cli("task", "release", id)
    cli("task", "assign", id, "--assignee", "ann", "--user", "bob")
    assert cli.json("task", "claim", id.replace(f"{execution}:", f"{execution}~"), "-a", "ann")
    assert "ben" not in cli("task", "claim", id, "-a", "ben", code=2).split("by")[0]
    assert "form" in cli("task", "complete", id, "-o", "{}", "-u", "ann", code=2)
    cli("task", "complete", id, "-o", '{"approved": true}', "-u", "ann")
    assert cli.json("workflow", "result", execution)["output"]["completed_by"] == "ann"
    assert cli.json("task", "list", "--execution", execution, "--all")["tasks"][0]["status"]
    another = cli("workflow", "start", "ask", "-i", "{}").strip()
    until(lambda: cli.json("task", "list", "--execution", another)["tasks"] != [])
    (task,) = cli.json("task", "list", "--execution", another)["tasks"]
    cli("task", "claim", task["id"])
    cli("task", "fail", task["id"], "--error", "the customer is gone", "--details", '{"n": 1}')
    assert "the customer is gone" in cli("workflow", "result", another, code=1)


def test_events_and_health(there: Place, cli: Cli) -> None:
    execution = cli("workflow", "start", "paid").strip()
    until(lambda: cli.json("workflow", "status", execution)["status"] == "Waiting")
    assert cli("event", "publish", "-e", "order.paid", "-d", "[7]", "--id", f"e-{execution}")
    assert cli.json("workflow", "result", execution)["output"]["data"] == [7]
    assert "healthy" in cli("system", "health-check")
    assert cli.json("system", "health-check")["components"]["hosts"]["status"] == "healthy"


def test_the_server_is_named_in_three_places(place: Place, cli: Cli) -> None:
    assert cli("-s", place.url, "workflow", "list")
    assert cli("--server", place.url, "workflow", "list")
    assert cli("workflow", "list", "--server", place.url)
    said = cli("workflow", "list", "--server", place.url, "--data", "here", code=2)
    assert "two deployments" in said
    assert "no address" in cli("-s", "nonsense", "workflow", "list", code=2)


def test_what_does_not_work_over_http_says_so(place: Place, cli: Cli) -> None:
    for command in (["status"], ["run", "x.yaml"], ["up"], ["queue"]):
        assert f"`{command[0]}` does not work over HTTP" in cli("-s", place.url, *command, code=2)


def test_a_data_directory_wins_over_the_environment(there: Place, cli: Cli) -> None:
    assert "heliostat up" in cli("workflow", "list", "--data", "here", code=4)


def test_a_server_that_is_not_there(cli: Cli, monkeypatch: object, tmp_path: Path) -> None:
    Path("heliostat.toml").write_text("call_timeout_ms = 200\n")
    said = cli("-s", "http://127.0.0.1:9", "workflow", "list", code=4)
    assert "http://127.0.0.1:9 has not answered within 0.2 s: the connection is refused" in said
    assert "`heliostat status`" in said
    assert "Connect" not in said  # no names of exceptions
    assert "does not answer:" not in said  # it was over before anybody wondered


def test_who_waits_for_a_server_is_told_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "TOLD_AFTER_S", 0.1)
    Path("heliostat.toml").write_text("call_timeout_ms = 1_000\n")
    asking = ("-s", "http://127.0.0.1:9", "workflow", "list")
    said = cli(*asking, code=4).splitlines()
    refused = "http://127.0.0.1:9 does not answer: the connection is refused"
    assert said[0].startswith(refused)
    assert "trying for another 1 s" in said[0]
    assert len([line for line in said if line.startswith(refused)]) == 1
    assert cli.json(*asking, code=4)["code"] == "UNREACHABLE"  # notes are for people


def test_who_waits_for_a_host_that_is_silent_is_told_so(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "TOLD_AFTER_S", 0.1)
    monkeypatch.setattr(sender, "CONNECT_FIRST_S", 0.1)
    Path("heliostat.toml").write_text("call_timeout_ms = 1_000\n")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, ExitStack() as open:
        for _ in range(3):  # its queue is full: the next attempts to connect are not answered
            queued = open.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(silent.getsockname())
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = cli("-s", url, "workflow", "list", code=4)
    assert said.startswith(f"{url} does not answer: no connection within 0.1 s; trying for")
