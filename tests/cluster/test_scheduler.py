"""The scheduler of a real deployment: order, reasons, refusal; and when it dies or is stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.calls import unpack
from heliostat.actors.client.client import Client
from heliostat.actors.scheduler.handle import find_scheduler
from heliostat.actors.scheduler.ray_view import RayView
from heliostat.actors.scheduler.scheduler import SchedulerInfo
from heliostat.cluster.deployment import settings_of
from heliostat.cluster.queue import deployment_queue
from heliostat.engine.errors import ExecutionFailed, Unreachable
from tests.cluster.conftest import BOUND_S, Shared

pytestmark = pytest.mark.long

STEPS = """
import time
from pathlib import Path

def work(folder, name):
    with open(Path(folder, "began"), "a") as file:
        file.write(name + "\\n")
    if name.startswith("gate"):
        while not Path(folder, name).exists():
            time.sleep(0.02)
    with open(Path(folder, "ended"), "a") as file:
        file.write(name + "\\n")
    return name
"""

DEFINITION = """
id: queue-{id}
version: "1"
semaphores: {{seat: {{per: deployment}}}}
steps:
  - id: work
    type: activity
    activity: "queue_steps:work"
    input: {{folder: $.input.folder, name: $.input.name}}
    {field}
"""

FIELDS = {
    "large": "resources: {num_cpus: 2}",
    "never": "resources: {num_cpus: 512}",
    "asks": "uses: {seat: 1}",
    "undeclared": "resources: {num_cpus: 1, custom: {unicorn: 1}}",
}


class Deployed:
    """The session's deployment, seen from its scheduler, and what steps noted."""

    def __init__(self, place: Shared, folder: Path) -> None:
        self._place, self.folder = place, folder
        self.configuration = place.configuration

    @property
    def scheduler(self) -> Any:
        return find_scheduler(settings_of(self.configuration, self._place.record))

    def info(self) -> SchedulerInfo | None:
        import ray
        from ray.exceptions import RayError

        try:
            return unpack(ray.get(self.scheduler.info.remote(), timeout=2), SchedulerInfo)
        except (RayError, TimeoutError):
            return None

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def queue_command(self, *arguments: str) -> str:
        ran = self._place.here("queue", *arguments)
        assert ran.code == 0, ran.err
        return ran.out


@pytest.fixture
def deployed(deployment: Shared, tmp_path: Path) -> Deployed:
    (tmp_path / "queue_steps.py").write_text(STEPS)
    for id, field in FIELDS.items():
        (tmp_path / f"{id}.yaml").write_text(DEFINITION.format(id=id, field=field))
    return Deployed(deployment, tmp_path)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"it never came true that {what}"
        time.sleep(0.05)


def test_order_reasons_refusal_and_a_scheduler_that_is_killed_and_stopped(
    deployed: Deployed, client: Client
) -> None:
    for id in FIELDS:
        client.register(deployed.folder / f"{id}.yaml")

    def start(id: str, name: str, priority: int | None = None) -> Any:
        input = {"folder": str(deployed.folder), "name": name}
        return client.start(f"queue-{id}", input, priority=priority)

    # one takes all CPUs; others of mixed priority queue up behind it
    gate = start("large", "gate-1")
    until(lambda: deployed.lines("began") == ["gate-1"], "the first large step runs")
    waiting = [start("large", f"p{p}", p) for p in (2, 9, 5, 1, 10)]
    holds = start("asks", "gate-2")
    until(lambda: "gate-2" in deployed.lines("began"), "the semaphore is taken")
    asks = start("asks", "ask-2", 10)

    # what can never run fails at once, while the others wait
    with pytest.raises(ExecutionFailed, match=r"needs \{CPU: 512\} on one node"):
        start("never", "n").result(timeout=BOUND_S)
    with pytest.raises(ExecutionFailed, match="unicorn: 1"):
        start("undeclared", "u").result(timeout=BOUND_S)

    until(lambda: deployment_queue(deployed.configuration).waiting_count >= 6, "all six wait")
    view = json.loads(deployed.queue_command("--format", "json"))
    attempts = [each for each in view["waiting"] if each["kind"] == "attempt"]
    order = [each["priority"] for each in attempts if each["workflow"] == "queue-large"]
    assert order == [10, 9, 5, 2, 1]
    why = {each["workflow"]: each["reason"] for each in attempts}
    assert "needs 2 CPU on one node" in why["queue-large"]
    assert "large" not in why["queue-asks"]
    assert why["queue-asks"].startswith("semaphore seat: 1 of 1 taken")
    text = deployed.queue_command()
    assert "semaphore seat: 1 of 1 taken" in text
    assert "place" in text
    until(lambda: "semaphore seat" in json.dumps(_status(client, asks.id)), "status says why")

    # killed: nothing granted is lost, nothing is granted twice
    first = deployed.info()
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: (i := deployed.info()) is not None and i.life != first.life, "it is back")
    until(lambda: _waits(deployed) == 6, "the new one knows who waits")
    assert len(deployed.lines("began")) == 2

    # stopped: the host ends it, Ray begins another
    second = deployed.info()
    assert second is not None
    os.kill(second.pid, signal.SIGSTOP)
    until(lambda: (i := deployed.info()) is not None and i.life != second.life, "it is back")
    until(lambda: _waits(deployed) == 6, "the third one knows who waits")
    assert len(deployed.lines("began")) == 2

    (deployed.folder / "gate-1").touch()
    (deployed.folder / "gate-2").touch()
    for handle in (gate, holds, asks, *waiting):
        handle.result(timeout=BOUND_S)
    large = [name for name in deployed.lines("began") if name[0] == "p"]
    assert large == ["p10", "p9", "p5", "p2", "p1"]
    assert sorted(deployed.lines("began")) == sorted(set(deployed.lines("began")))
    until(lambda: _waits(deployed) == 0, "nobody waits")

    # what waits reaches Ray's autoscaler, and is taken back
    ray_view = RayView()
    ray_view.ask_for_nodes([{"CPU": 64.0}, {"CPU": 64.0}, {"GPU": 1.0}])
    asked = {'{"CPU": 64.0}': 2, '{"GPU": 1.0}': 1}
    until(lambda: _asked_of_ray() == asked, "Ray's autoscaler was asked")
    ray_view.ask_for_nodes([])
    until(lambda: _asked_of_ray() == {}, "it is asked for nothing any more")


def _asked_of_ray() -> dict[str, int]:
    """What Ray's autoscaler says that it was asked for, besides its own tasks and actors."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    told = _internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(told).get("load_metrics_report", {}) if told else {}
    return {json.dumps(shape): count for shape, count in report.get("request_demand", ())}


def _waits(deployed: Deployed) -> int:
    try:
        view = deployment_queue(deployed.configuration)
    except Unreachable:
        return -1
    return sum(1 for each in view.waiting if each.kind == "attempt")


def _status(client: Client, id: str) -> Any:
    import msgspec

    return msgspec.to_builtins(client.get(id).status(), enc_hook=str)
