"""The command line against a real deployment.

Most commands run in this process: what is looked at is what they do, and say. Those that bring a
deployment up or down, or run where another one is up, have a process of their own.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from heliostat.cluster import parts
from heliostat.cluster.deployment import settings_of
from heliostat.cluster.record import read_record
from heliostat.cluster.status import deployment_status
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Shared

SHOUT = str(WORKFLOWS / "shout.yaml")
SLEEPER = str(WORKFLOWS / "sleeper.yaml")


class TestUp:
    def test_again_is_harmless_and_says_so(self, deployment: Shared) -> None:
        before = read_record(deployment.configuration.data_dir)
        ran = deployment.here("up")
        assert ran.code == 0
        assert "is up already" in ran.out
        assert read_record(deployment.configuration.data_dir) == before

    def test_status(self, deployment: Shared) -> None:
        ran = deployment.here("status", "--format", "json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.json["up"] is True
        assert {"raylet", "gcs_server"} <= {each["name"] for each in ran.json["processes"]}
        assert ran.json["hosts"][0]["state"] == "running"
        assert deployment.here("status").code == 0

    def test_brings_back_actors_that_are_gone(self, deployment: Shared) -> None:
        parts.kill(settings_of(deployment.configuration, deployment.record))
        ran = deployment.here("up")
        assert ran.code == 0, ran.err
        assert "creating what is missing" in ran.err or "is up already" in ran.out
        assert deployment.here("run", SHOUT, "--input", '{"word": "back"}').code == 0

    def test_everything_listens_on_the_loopback_interface_only(self, deployment: Shared) -> None:
        processes = deployment_status(deployment.configuration).processes
        addresses = {each.pid: _listening(each.pid) for each in processes if each.alive}
        assert sum(map(len, addresses.values())) > 2
        for pid, listening in addresses.items():
            assert set(listening) <= LOOPBACK, f"process {pid} listens on {listening}"


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same within IPv6, and ::1, as the kernel writes them."""


def _listening(pid: int) -> list[str]:
    """The local addresses on which a process accepts connections; none when it has ended."""
    sockets, found = set(), []
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                target = str(fd.readlink())
                if target.startswith("socket:["):
                    sockets.add(target[8:-1])
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in sockets:
                    found.append(fields[1].partition(":")[0])
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


STALL = """
import heliostat as hs


@hs.step
def fetch(what: str) -> str:
    return what.upper()


@hs.workflow
def bag(thing: str) -> str:
    return f"a bag of {thing}"


@hs.workflow
def sell(what: str) -> str:
    return bag(fetch(what))
"""


class TestRun:
    def test_a_file_in_another_folder_with_the_modules_beside_it(
        self, deployment: Shared, tmp_path: Path
    ) -> None:
        shutil.copytree(WORKFLOWS, tmp_path / "elsewhere")
        file = str(tmp_path / "elsewhere" / "shop.yaml")
        given = json.dumps({"lines": ["tea", "cake"]})
        ran = deployment.here("run", file, "--input", given, "--dev")
        assert (ran.code, json.loads(ran.out)) == (0, {"paid": 7}), ran.err

    def test_a_workflow_in_python_and_what_it_starts(
        self, deployment: Shared, tmp_path: Path
    ) -> None:
        file = tmp_path / "stall.py"
        file.write_text(STALL)
        registered = deployment.here("register", f"{file}:sell", "--format", "json")
        assert [each["id"] for each in registered.json] == ["sell"]
        ran = deployment.here("run", f"{file}:sell", "-i", '{"what": "tea"}')
        assert (ran.code, json.loads(ran.out)) == (0, "a bag of TEA"), ran.err

    def test_a_failing_step(self, deployment: Shared) -> None:
        file, given = str(WORKFLOWS / "shop.yaml"), '{"lines": ["house"]}'
        ran = deployment.here("run", file, "--input", given, "--id", "too-much")
        assert (ran.code, ran.out) == (1, "")
        assert "in step 'charge': Declined: 1000 is too much" in ran.err
        status = deployment.here("workflow", "status", "too-much")
        assert "Failed" in status.out
        assert "Declined" in status.out
        assert deployment.here("workflow", "result", "too-much").code == 1

    def test_prints_nothing_but_the_result_on_stdout(self, deployment: Shared) -> None:
        ran = deployment.cli("run", SHOUT, "--input", "-", stdin='{"word": "hey"}')
        assert (ran.code, ran.json) == (0, {"said": "HEY", "n": 0})
        assert "runs" in ran.err
        assert "WARNING" not in ran.err
        assert "ray" not in ran.err.lower()

    def test_in_json(self, deployment: Shared) -> None:
        arguments = ("--input", '{"word": "a"}', "--id", "json-1", "--format", "json")
        ran = deployment.here("run", SHOUT, *arguments)
        output = {"said": "A", "n": 0}
        assert ran.json == {"id": "json-1", "status": "Completed", "output": output}
        assert ran.err == ""

    def test_the_same_id_and_input_is_the_same_execution(self, deployment: Shared) -> None:
        arguments = ("run", SHOUT, "--id", "once", "--input", '{"word": "one"}')
        first, again = deployment.here(*arguments), deployment.here(*arguments)
        assert (first.code, again.code) == (0, 0)
        assert first.out == again.out
        history = deployment.here("workflow", "history", "once", "--format", "json").json
        assert [event["type"] for event in history].count("execution.started") == 1

    def test_the_same_id_with_other_input_is_refused(self, deployment: Shared) -> None:
        deployment.here("run", SHOUT, "--id", "taken", "--input", '{"word": "one"}')
        arguments = ("--id", "taken", "--input", '{"word": "two"}', "--format", "json")
        ran = deployment.here("run", SHOUT, *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert json.loads(ran.err)["code"] == "DUPLICATE_ERROR"

    def test_an_input_that_breaks_the_schema(self, deployment: Shared) -> None:
        ran = deployment.here("run", SHOUT, "--input", "{}")
        assert ran.code == 2
        assert "input_schema" in ran.err

    def test_a_changed_file_needs_a_new_version(self, deployment: Shared, tmp_path: Path) -> None:
        file = tmp_path / "shout.yaml"
        text = Path(SHOUT).read_text().replace("id: shout", "id: shout-edited")
        file.write_text(text)
        arguments = ("run", str(file), "--input", '{"word": "x"}')
        assert deployment.here(*arguments).code == 0
        file.write_text(text.replace("upper", "lower"))
        ran = deployment.here(*arguments)
        assert ran.code == 2
        assert "-" in ran.err
        assert "lower" in ran.err
        edited = deployment.here(*arguments, "--dev")
        assert (edited.code, edited.json["said"]) == (0, "x")

    def test_interrupted_it_detaches_and_says_how_to_go_on(self, deployment: Shared) -> None:
        arguments = ("run", SLEEPER, "--id", "left", "--input", '{"wait": "60s", "word": "x"}')
        with subprocess.Popen(
            deployment.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=deployment.environment(),
            # Who runs the tests in the background may have told all its children to ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as popen:
            assert popen.stderr is not None
            assert "runs" in popen.stderr.readline()
            popen.send_signal(signal.SIGINT)
            out, err = popen.communicate(timeout=BOUND_S)
        assert (popen.returncode, out) == (130, "")
        assert "heliostat workflow result" in err
        assert "left" in err
        assert deployment.here("workflow", "cancel", "left").code == 0


class TestWorkflow:
    def test_cancel(self, deployment: Shared) -> None:
        given = '{"wait": "1h", "word": "never"}'
        arguments = ("--input", given, "--id", "asleep", "--detach", "--tag", "kind=nap")
        ran = deployment.here("run", SLEEPER, *arguments)
        assert (ran.code, ran.out) == (0, "asleep\n")
        listed = deployment.here("workflow", "list", "--tag", "kind=nap", "--format", "json").json
        assert [each["id"] for each in listed["executions"]] == ["asleep"]
        status = deployment.here("workflow", "status", "asleep", "--format", "json").json
        assert [active["step"] for active in status["active"]] == ["rest"]
        ran = deployment.here("workflow", "result", "asleep", "--timeout", "0.1")
        assert ran.code == 4
        assert "it goes on" in ran.err
        assert deployment.here("workflow", "cancel", "asleep", "--reason", "enough").code == 0
        ran = deployment.here("workflow", "result", "asleep")
        assert (ran.code, ran.out) == (3, "")
        history = deployment.here("workflow", "history", "asleep")
        assert "enough" in history.out

    def test_one_that_does_not_exist(self, deployment: Shared) -> None:
        for command in ("status", "history", "result", "cancel"):
            ran = deployment.here("workflow", command, "nobody", "--format", "json")
            assert (ran.code, ran.out) == (2, ""), command
            assert json.loads(ran.err)["code"] == "NOT_FOUND"

    def test_history_follows_to_the_end(self, deployment: Shared) -> None:
        given = '{"wait": "500ms", "word": "soon"}'
        deployment.here("run", SLEEPER, "--input", given, "--id", "short", "--detach")
        ran = deployment.here("workflow", "history", "short", "--follow", "--format", "json")
        events = [json.loads(line) for line in ran.out.splitlines()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "execution.completed"


def test_on_a_ray_that_somebody_else_started(deployment: Shared, place: Shared) -> None:
    address = deployment.ray_address
    ran = place.cli("up", "--ray-address", address, "--format", "json")
    assert (ran.code, ran.json["address"]) == (0, address), ran.err
    ran = place.cli("run", SHOUT, "--input", '{"word": "guest"}')
    assert (ran.code, ran.json["said"]) == (0, "GUEST"), ran.err
    assert place.cli("down").code == 0
    assert place.here("status").code == 4
    assert deployment.here("status").code == 0
