"""The command line against a real deployment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from heliostat.cluster import parts
from heliostat.cluster.deployment import settings_of
from heliostat.cluster.processes import identify
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.record import read_record
from heliostat.cluster.status import deployment_status
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Place

SHOUT = str(WORKFLOWS / "shout.yaml")
SLEEPER = str(WORKFLOWS / "sleeper.yaml")


class TestUp:
    def test_again_is_harmless_and_says_so(self, deployment: Place) -> None:
        before = read_record(deployment.configuration.data_dir)
        ran = deployment.cli("up")
        assert ran.code == 0
        assert "is up already" in ran.out
        assert read_record(deployment.configuration.data_dir) == before

    def test_status(self, deployment: Place) -> None:
        ran = deployment.cli("status", "--format", "json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.json["up"] is True
        assert {"raylet", "gcs_server"} <= {each["name"] for each in ran.json["processes"]}
        assert ran.json["hosts"][0]["state"] == "running"
        assert deployment.cli("status").code == 0

    def test_brings_back_actors_that_are_gone(self, deployment: Place) -> None:
        record = read_record(deployment.configuration.data_dir)
        assert record is not None
        assert record.ray.address is not None
        with connected(record.ray.address, ours=True):
            parts.kill(settings_of(deployment.configuration, record))
        ran = deployment.cli("up")
        assert ran.code == 0, ran.err
        assert "creating what is missing" in ran.err or "is up already" in ran.out
        assert deployment.cli("run", SHOUT, "--input", '{"word": "back"}').code == 0

    def test_everything_listens_on_the_loopback_interface_only(self, deployment: Place) -> None:
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


class TestRun:
    def test_a_file_in_another_folder_with_the_modules_beside_it(
        self, deployment: Place, tmp_path: Path
    ) -> None:
        shutil.copytree(WORKFLOWS, tmp_path / "elsewhere")
        file = str(tmp_path / "elsewhere" / "shop.yaml")
        given = json.dumps({"lines": ["tea", "cake"]})
        ran = deployment.cli("run", file, "--input", given, "--dev")
        assert (ran.code, json.loads(ran.out)) == (0, {"paid": 7}), ran.err

    def test_a_failing_step(self, deployment: Place) -> None:
        file, given = str(WORKFLOWS / "shop.yaml"), '{"lines": ["house"]}'
        ran = deployment.cli("run", file, "--input", given, "--id", "too-much")
        assert (ran.code, ran.out) == (1, "")
        assert "in step 'charge': Declined: 1000 is too much" in ran.err
        status = deployment.cli("workflow", "status", "too-much")
        assert "Failed" in status.out
        assert "Declined" in status.out
        assert deployment.cli("workflow", "result", "too-much").code == 1

    def test_prints_nothing_but_the_result_on_stdout(self, deployment: Place) -> None:
        ran = deployment.cli("run", SHOUT, "--input", "-", stdin='{"word": "hey"}')
        assert (ran.code, ran.json) == (0, {"said": "HEY", "n": 0})
        assert "runs" in ran.err
        assert "WARNING" not in ran.err
        assert "ray" not in ran.err.lower()

    def test_in_json(self, deployment: Place) -> None:
        arguments = ("--input", '{"word": "a"}', "--id", "json-1", "--format", "json")
        ran = deployment.cli("run", SHOUT, *arguments)
        output = {"said": "A", "n": 0}
        assert ran.json == {"id": "json-1", "status": "Completed", "output": output}
        assert ran.err == ""

    def test_the_same_id_and_input_is_the_same_execution(self, deployment: Place) -> None:
        arguments = ("run", SHOUT, "--id", "once", "--input", '{"word": "one"}')
        first, again = deployment.cli(*arguments), deployment.cli(*arguments)
        assert (first.code, again.code) == (0, 0)
        assert first.out == again.out
        history = deployment.cli("workflow", "history", "once", "--format", "json").json
        assert [event["type"] for event in history].count("execution.started") == 1

    def test_the_same_id_with_other_input_is_refused(self, deployment: Place) -> None:
        deployment.cli("run", SHOUT, "--id", "taken", "--input", '{"word": "one"}')
        arguments = ("--id", "taken", "--input", '{"word": "two"}', "--format", "json")
        ran = deployment.cli("run", SHOUT, *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert json.loads(ran.err)["code"] == "DUPLICATE_ERROR"

    def test_an_input_that_breaks_the_schema(self, deployment: Place) -> None:
        ran = deployment.cli("run", SHOUT, "--input", "{}")
        assert ran.code == 2
        assert "input_schema" in ran.err

    def test_a_changed_file_needs_a_new_version(self, deployment: Place, tmp_path: Path) -> None:
        file = tmp_path / "shout.yaml"
        text = Path(SHOUT).read_text().replace("id: shout", "id: shout-edited")
        file.write_text(text)
        arguments = ("run", str(file), "--input", '{"word": "x"}')
        assert deployment.cli(*arguments).code == 0
        file.write_text(text.replace("upper", "lower"))
        ran = deployment.cli(*arguments)
        assert ran.code == 2
        assert "-" in ran.err
        assert "lower" in ran.err
        edited = deployment.cli(*arguments, "--dev")
        assert (edited.code, edited.json["said"]) == (0, "x")

    def test_interrupted_it_detaches_and_says_how_to_go_on(self, deployment: Place) -> None:
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
        assert deployment.cli("workflow", "cancel", "left").code == 0


class TestWorkflow:
    def test_cancel(self, deployment: Place) -> None:
        given = '{"wait": "1h", "word": "never"}'
        arguments = ("--input", given, "--id", "asleep", "--detach", "--tag", "kind=nap")
        ran = deployment.cli("run", SLEEPER, *arguments)
        assert (ran.code, ran.out) == (0, "asleep\n")
        listed = deployment.cli("workflow", "list", "--tag", "kind=nap", "--format", "json").json
        assert [each["id"] for each in listed["executions"]] == ["asleep"]
        status = deployment.cli("workflow", "status", "asleep", "--format", "json").json
        assert [active["step"] for active in status["active"]] == ["rest"]
        ran = deployment.cli("workflow", "result", "asleep", "--timeout", "0.1")
        assert ran.code == 4
        assert "it goes on" in ran.err
        assert deployment.cli("workflow", "cancel", "asleep", "--reason", "enough").code == 0
        ran = deployment.cli("workflow", "result", "asleep")
        assert (ran.code, ran.out) == (3, "")
        history = deployment.cli("workflow", "history", "asleep")
        assert "enough" in history.out

    def test_one_that_does_not_exist(self, deployment: Place) -> None:
        for command in ("status", "history", "result", "cancel"):
            ran = deployment.cli("workflow", command, "nobody", "--format", "json")
            assert (ran.code, ran.out) == (2, ""), command
            assert json.loads(ran.err)["code"] == "NOT_FOUND"

    def test_history_follows_to_the_end(self, deployment: Place) -> None:
        given = '{"wait": "500ms", "word": "soon"}'
        deployment.cli("run", SLEEPER, "--input", given, "--id", "short", "--detach")
        ran = deployment.cli("workflow", "history", "short", "--follow", "--format", "json")
        events = [json.loads(line) for line in ran.out.splitlines()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "execution.completed"


@pytest.mark.long
class TestLife:
    """A deployment of its own: killed, brought up again, down."""

    def test_everything_is_killed_and_goes_on(self, place: Place) -> None:
        assert place.cli("run", SLEEPER, "--detach").code == 4  # nothing is up
        first = place.cli("up", "--format", "json")
        assert (first.code, first.json["started"]) == (0, True), first.err
        given = '{"wait": "2s", "word": "awake"}'
        assert place.cli("run", SLEEPER, "--id", "s", "--input", given, "--detach").code == 0

        processes = deployment_status(place.configuration).processes
        for process in processes:
            if process.alive:
                os.kill(process.pid, signal.SIGKILL)
        ran = place.cli("status", "--format", "json")
        assert (ran.code, ran.json["up"]) == (4, False)
        assert sum(ran.json["executions"].values()) == 1
        assert place.cli("workflow", "cancel", "s").code == 4

        second = place.cli("up", "--format", "json")
        assert (second.code, second.json["started"]) == (0, True), second.err
        assert second.json["deployment_id"] == first.json["deployment_id"]
        assert place.cli("workflow", "result", "s").out == '"awake"\n'

        running = [each for each in deployment_status(place.configuration).processes if each.alive]
        assert place.cli("down").code == 0
        assert not [each for each in running if identify(each.pid) is not None]
        assert "no deployment is up" in place.cli("down").out
        history = place.cli("workflow", "history", "s", "--format", "json").json
        assert history[-1]["type"] == "execution.completed"
        assert place.cli("workflow", "result", "s").code == 0

    def test_on_a_ray_that_somebody_else_started(self, deployment: Place, place: Place) -> None:
        address = deployment.cli("status", "--format", "json").json["address"]
        ran = place.cli("up", "--ray-address", address, "--format", "json")
        assert (ran.code, ran.json["address"]) == (0, address), ran.err
        ran = place.cli("run", SHOUT, "--input", '{"word": "guest"}')
        assert (ran.code, ran.json["said"]) == (0, "GUEST"), ran.err
        assert place.cli("down").code == 0
        assert place.cli("status").code == 4
        assert deployment.cli("status").code == 0

    def test_two_at_once_start_one(self, place: Place) -> None:
        starting = [
            subprocess.Popen(
                place.command("up", "--format", "json"),
                stdout=subprocess.PIPE,
                text=True,
                env=place.environment(),
            )
            for _ in range(2)
        ]
        reports = [json.loads(each.communicate(timeout=BOUND_S)[0]) for each in starting]
        assert sorted(report["started"] for report in reports) == [False, True]
        assert reports[0]["address"] == reports[1]["address"]

    def test_run_where_nothing_is_up_brings_its_own(self, place: Place) -> None:
        ran = place.cli("run", SHOUT, "--id", "own", "--input", '{"word": "hi"}')
        assert (ran.code, ran.json["said"]) == (0, "HI"), ran.err
        assert "no deployment is up" in ran.err
        status = place.cli("status", "--format", "json").json
        assert (status["up"], status["executions"]) == (False, {"Completed": 1})
        assert place.cli("workflow", "result", "own").json["said"] == "HI"
