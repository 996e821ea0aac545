"""Deployments from their first start to their last end, with the Rays that they start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from heliostat.cluster.processes import Process, identify, is_alive
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Place, Shared
from tests.leftovers import naming

pytestmark = pytest.mark.long

SHOP = str(WORKFLOWS / "shop.yaml")
SHOUT = str(WORKFLOWS / "shout.yaml")
SLEEPER = str(WORKFLOWS / "sleeper.yaml")


def running(place: Place) -> list[Process]:
    """The processes of a deployment."""
    status = place.cli("status", "--format", "json").json
    found = [identify(each["pid"]) for each in status["processes"] if each["alive"]]
    return [each for each in found if each is not None]


def test_two_at_once_start_one_whose_executions_can_be_read_when_it_is_down(place: Shared) -> None:
    assert place.here("run", SLEEPER, "--detach").code == 4  # nothing is up
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
    given = '{"wait": "2s", "word": "awake"}'
    assert place.cli("run", SLEEPER, "--id", "s", "--input", given).out == '"awake"\n'

    processes = running(place)
    assert place.cli("down").code == 0
    assert not [each for each in processes if is_alive(each)]
    assert "no deployment is up" in place.here("down").out
    history = place.here("workflow", "history", "s", "--format", "json").json
    assert history[-1]["type"] == "execution.completed"
    assert place.here("workflow", "result", "s").code == 0
    checked = place.here("workflow", "check", "s", "--format", "json").json
    assert (checked["fits"], checked["events"]) == (True, len(history))


def test_run_where_nothing_is_up_brings_its_own(place: Shared) -> None:
    ran = place.cli("run", SHOUT, "--id", "own", "--input", '{"word": "hi"}')
    assert (ran.code, ran.json["said"]) == (0, "HI"), ran.err
    assert "no deployment is up" in ran.err
    status = place.here("status", "--format", "json").json
    assert (status["up"], status["executions"]) == (False, {"Completed": 1})
    assert place.here("workflow", "result", "own").json["said"] == "HI"
    assert place.here("workflow", "check", "own").out.endswith(" events, a run of its definition\n")


EMBEDDED = """\
import sys
import heliostat as hs
with hs.connect(sys.argv[1], runners=1) as client:
    assert client.embedded
    client.register(sys.argv[2])
    with hs.connect(sys.argv[1]) as second:
        assert not second.embedded
        handle = second.start("shop", {"lines": ["tea"]}, id="one")
        print(handle.result(60)["paid"], len(handle.history()))
print("closed")
"""


def test_an_embedded_one_ends_with_its_client_and_the_journal_stays(place: Shared) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EMBEDDED, str(place.home / "data"), SHOP],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        env=place.environment(),
        check=False,
    )
    assert ran.stdout.split() == ["3", "4", "closed"], ran.stderr
    assert ran.stderr == ""
    assert naming(place.home) == {}
    assert place.here("workflow", "result", "one").json == {"paid": 3}
