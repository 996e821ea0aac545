"""Commands that ask something of a deployment, against a real host in this process."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.host.api import TaskInfo, TaskInfos
from heliostat.api.cli.app import main
from heliostat.cluster import connect, reading
from heliostat.engine.errors import ExecutionFailed
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import TaskQuery
from tests.client.inprocess import deployment

BOUND_S = 60.0

FLOW = """
id: flow
version: "1"
steps:
  - {id: ready, type: wait, signal: go, next: paid}
  - {id: paid, type: wait, event: order.paid, next: approve}
  - id: approve
    type: human
    candidates: ["group:credit"]
    input: {total: $.input.total}
    form: {type: object, properties: {approved: {type: boolean}}, required: [approved]}
"""
PARENT = """
id: parent
version: "1"
steps: [{id: call, type: sub_workflow, workflow: flow}]
"""
FAILS = """
id: fails
version: "1"
steps: [{id: check, type: decision, fail: {type: Bad, message: "no"}}]
"""


class Lent:
    """A client that commands do not close."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def __enter__(self) -> Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Where commands attach to, and read from, is this client's host."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("flow", FLOW), ("parent", PARENT), ("fails", FAILS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    with deployment(tmp_path / "blobs") as client:

        def attach(settings: Any, *, namespace: str = "default") -> Lent:
            assert namespace == "default"
            return Lent(client)

        def read_tasks(settings: Any, query: TaskQuery) -> TaskInfos:
            page = client.tasks(
                person=query.person,
                status=query.status,
                execution_id=query.execution_id,
                definition=query.definition,
                namespace=query.namespace,
                limit=query.limit,
                cursor=query.cursor,
            )
            return TaskInfos(tasks=tuple(each.info for each in page), next_cursor=page.next_cursor)

        def read_task(settings: Any, key: ExecutionKey, task_id: str) -> TaskInfo:
            return client.task(key.execution_id, task_id).info

        monkeypatch.setattr(connect, "attach", attach)
        monkeypatch.setattr(reading, "read_tasks", read_tasks)
        monkeypatch.setattr(reading, "read_task", read_task)
        yield client


@pytest.fixture
def cli(client: Client, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


class Cli:
    """The command line, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it wrote: on stdout, or where it failed on stderr."""
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        out, err = self._capsys.readouterr()
        assert exited.value.code == code, err
        return err if code else out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--format", "json"))


def test_an_execution_is_steered_from_start_to_end(client: Client, cli: Cli) -> None:
    assert cli("register", "flow.yaml") == "flow 1\n"
    started = cli("workflow", "start", "flow", "-i", '{"total": 9}', "--id", "f-1", "--tag", "k=v")
    assert started == "f-1\n"
    assert "it is Paused" in cli("workflow", "pause", "f-1", "--reason", "night")
    assert cli.json("workflow", "resume", "f-1") == {"id": "f-1", "status": "Waiting"}
    assert "not Paused" in cli("workflow", "resume", "f-1", code=2)
    cli("workflow", "signal", "f-1", "--name", "go", "--payload", '{"by": "hand"}')
    published = cli("event", "publish", "-e", "order.paid", "-d", "[7]", "--id", "e-1")
    assert published == "e-1\n"
    (task,) = _until_one(cli)
    assert (task["step"], task["execution_id"], task["status"]) == ("approve", "f-1", "Open")
    assert "group:credit" in cli("task", "list", "--person", "group:credit")
    assert "no tasks" in cli("task", "list", "--person", "nobody")
    shown = cli("task", "show", task["id"])
    assert '"total": 9' in shown
    assert '"approved"' in shown
    assert cli.json("task", "claim", task["id"])["claimed_by"] == getpass.getuser()
    assert "claimed by" in cli("task", "claim", task["id"], "--user", "bob", code=2)
    cli("task", "release", task["id"])
    cli("task", "assign", task["id"], "--assignee", "ann", "--user", "bob")
    assert "the form" in cli("task", "complete", task["id"], "-o", "{}", code=2)
    done = cli.json("task", "complete", task["id"], "-o", '{"approved": true}', "--user", "ann")
    assert done["status"] == "Completed"
    assert client.get("f-1").result(BOUND_S) == {"approved": True, "completed_by": "ann"}
    assert cli.json("task", "list", "--all")["tasks"][0]["status"] == "Completed"
    assert cli.json("task", "list")["tasks"] == []
    assert "Completed" in cli("workflow", "signal", "f-1", "--name", "go", code=2)


def _until_one(cli: Cli) -> list[Any]:
    """The event reaches those that wait for it soon, not at once."""
    for _ in range(1_000):
        tasks: list[Any] = cli.json("task", "list")["tasks"]
        if tasks:
            return tasks
    raise AssertionError("no task came")


def test_a_failed_one_is_retried(client: Client, cli: Cli) -> None:
    cli("register", "fails.yaml")
    cli("workflow", "start", "fails", "--id", "x")
    with pytest.raises(ExecutionFailed):
        client.get("x").result(BOUND_S)
    assert client.get("x").status().run == 1
    assert "no step of the root" in cli("workflow", "retry", "x", "--from", "nowhere", code=2)
    cli("workflow", "retry", "x", "--from", "check")
    with pytest.raises(ExecutionFailed):
        client.get("x").result(BOUND_S)
    assert client.get("x").status().run == 2


def test_a_run_that_fails_says_how_it_goes_on(cli: Cli, tmp_path: Path) -> None:
    told = cli("run", "fails.yaml", "--id", "x", "--dev", code=1)
    assert f"heliostat workflow retry --data {tmp_path / '.heliostat'} x" in told
    assert "error: execution 'x' failed in step 'check': Bad: no" in told


def test_definitions_that_call_each_other(client: Client, cli: Cli) -> None:
    fault = cli("register", "parent.yaml", code=2)
    assert "parent.yaml:4:" in fault
    assert "error[HS320]" in fault
    assert "heliostat register FILE FILE" in fault
    assert cli("register", "parent.yaml", "flow.yaml") == "parent 1\nflow 1\n"
    assert cli.json("register", "flow.yaml") == [
        {"id": "flow", "version": "1", "namespace": "default", "warnings": []}
    ]
    cli("run", "parent.yaml", "--with", "flow.yaml", "--detach", "--id", "p")
    assert client.get("p").status().definition == "parent"
    assert "no definition 'nothing'" in cli("workflow", "start", "nothing", code=2)


def test_two_versions_are_compared(cli: Cli, tmp_path: Path) -> None:
    changed = FLOW.replace('version: "1"', 'version: "2"').replace("order.paid", "order.settled")
    (tmp_path / "changed.yaml").write_text(changed)
    cli("register", "flow.yaml", code=0)
    files = cli.json("workflow", "diff", "flow.yaml", "flow.yaml")
    assert files["changes"] == []
    with pytest.raises(SystemExit) as exited:
        main(["workflow", "diff", "flow@1", "changed.yaml", "--format", "json"])
    assert exited.value.code == 1
    cli("register", "changed.yaml")
    with pytest.raises(SystemExit) as exited:
        main(["workflow", "diff", "flow@1", "flow"])
    assert exited.value.code == 1
    assert "no definition" in cli("workflow", "diff", "flow@1", "nothing@1", code=2)


GREETS = """
import heliostat as hs

@hs.step
def greet(name: str) -> str: ...

@hs.workflow
def greets(name: str) -> str:
    greeting = greet(name)
    return greeting
"""


def test_functions_are_compared(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greets_before.py").write_text(GREETS)
    changed = GREETS.replace("return greeting", "again = greet(greeting)\n    return again")
    (tmp_path / "greets_after.py").write_text(changed)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "greets_after.py").write_text(GREETS)
    with pytest.raises(SystemExit) as exited:
        main(["workflow", "diff", "greets_before.py:greets", "greets_after.py"])
    assert exited.value.code == 1
    assert "+ step again (activity)" in capsys.readouterr().out
    told = cli("workflow", "diff", "greets_after.py", "other/greets_after.py", code=2)
    assert "give the file another name" in told


PATIENT = """
id: patient
version: "1"
steps:
  - {id: ready, type: wait, signal: go, next: done}
  - {id: done, type: decision, output: 1}
"""


def test_executions_are_moved_to_another_version(client: Client, cli: Cli, tmp_path: Path) -> None:
    versions = {
        "1": PATIENT,
        "2": PATIENT.replace("output: 1", "output: 2"),
        "3": PATIENT.replace("ready", "steady"),
    }
    for version, text in versions.items():
        file = tmp_path / f"patient{version}.yaml"
        file.write_text(text.replace('version: "1"', f'version: "{version}"'))
        cli("register", file.name)
    for id in ("p-1", "p-2", "p-3"):
        cli("workflow", "start", "patient", "--version", "1", "--id", id)
    told = cli("workflow", "migrate", "p-1", "--to", "2", "--reason", "mended")
    assert told == "execution p-1 is moved; it is Waiting\n"
    assert client.get("p-1").status().version == "2"
    found = _moved(cli, "--all", "patient", "--from", "1", "--to", "3", "--dry-run", code=1)
    assert {each["id"]: each["code"] for each in found} == {"p-2": "UNMAPPED", "p-3": "UNMAPPED"}
    assert found[0]["details"]["obstacles"] == [
        {"place": "step `ready`", "reason": "is waiting and is not in version 3"}
    ]
    assert {each["id"] for each in _moved(cli, "--all", "patient", "--to", "2")} == {"p-2", "p-3"}
    assert _moved(cli, "--all", "patient", "--to", "2") == []
    cli("workflow", "signal", "p-3", "--name", "go")
    assert client.get("p-3").result(BOUND_S) == 2
    check = ("--check", "--all", "patient", "--from", "1")
    assert _moved(cli, *check, "--to", "2")["maps"] is True
    told = _moved(cli, *check, code=1)
    assert told["obstacles"] == [{"place": "step `ready`", "reason": "is not in version 3"}]
    assert told["decided_by"] == "structure"  # this deployment proves nothing
    assert "one of the two" in cli("workflow", "migrate", code=2)
    assert "--from VERSION" in cli("workflow", "migrate", "--check", "--all", "patient", code=2)


def _moved(cli: Cli, *arguments: str, code: int = 0) -> Any:
    with pytest.raises(SystemExit) as exited:
        main(["workflow", "migrate", *arguments, "--format", "json"])
    out, err = cli._capsys.readouterr()
    assert exited.value.code == code, err
    return json.loads(out)
