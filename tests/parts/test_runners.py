"""Runners as Ray actors, on a real Ray."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import ray

from heliostat.actors import names
from heliostat.actors.dispatch import ray_calls
from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.protocol import Lost, Raised, Report, Returned, Stopped, TimedOut
from heliostat.actors.runner.factory import RayRunnerFactory, cpu_share
from heliostat.engine.plan.plan import Resources

from .lanes import Reports, step, write_steps

pytestmark = pytest.mark.long


def factory(
    folder: Path, deployment: str, sockets: str = "s", owner: str = "0"
) -> RayRunnerFactory:
    return RayRunnerFactory(
        deployment=deployment,
        generation=1,
        folder=folder / sockets,
        owner=owner,
        blobs=folder / "blobs",
        environments=folder / "environments",
        code=[str(folder)],
        runners_max=1,
    )


def pool_of(
    folder: Path,
    deployment: str,
    reports: Reports,
    incarnation: str = "a",
    *,
    sockets: str = "s",
    owner: str = "0",
    shard_count: int = 0,
) -> RunnerPool:
    bounds = DispatchBounds(runners_max=1)
    return RunnerPool(
        factory(folder, deployment, sockets, owner),
        reports.take,
        deployment=deployment,
        incarnation=incarnation,
        bounds=bounds,
        shard_count=shard_count,
    )


def test_shares_leave_a_cpu_to_others() -> None:
    assert cpu_share(1, 1) == 0.5
    assert cpu_share(2, 1) == 1
    assert cpu_share(2, 2) == 0.5
    assert cpu_share(8, 4) == 1
    assert cpu_share(4, 7) * 7 <= 3


async def test_steps_and_a_runner_that_outlives_its_host(own_ray: None, folder: Path) -> None:
    write_steps(folder)
    first = Reports()
    pool = pool_of(folder, "outlive", first)
    pool.start()
    pool.send([step("tiny", {"x": n}) for n in range(100)])
    await first.hear(100, within=90)
    assert all(isinstance(report, Returned) for report in first.all)
    await pool.close()

    second = Reports()
    pool = pool_of(folder, "outlive", second, "b")
    assert len(await pool.recover()) == 100
    await second.hear(100)
    pool.acknowledge([(report.key, report.at) for report in second.all])
    pool.start()
    pool.send([step("die", alone=True)])
    await second.hear(101, within=30)
    lost: Report = second.all[100]
    assert isinstance(lost, Lost)
    assert lost.counted
    pool.send([step("tiny")])  # by another actor of the same name
    await second.hear(102, within=90)
    await pool.end_runners()
    await pool.close()


async def test_runners_give_way_and_work_goes_on(own_ray: None, folder: Path) -> None:
    write_steps(folder)
    reports = Reports()
    pool = pool_of(folder, "yields", reports)
    pool.start()
    pool.send([step("tiny")])
    await reports.hear(1, within=90)
    pool.acknowledge([(report.key, report.at) for report in reports.all])  # else it stays for them

    @ray.remote(num_cpus=2)
    def whole_node() -> float:
        return time.time()

    await asyncio.wait_for(whole_node.remote(), 60)  # the demand is seen, and the runner leaves
    pool.send([step("tiny")])
    await reports.hear(2, within=90)
    await pool.end_runners()
    await pool.close()
    name = names.runner_name("yields", 1, "0", 0)
    async with asyncio.timeout(20):
        while True:
            try:
                ray.get_actor(name, namespace=names.NAMESPACE)
            except ValueError:
                break
            await asyncio.sleep(0.1)


async def test_by_ray_calls_it_is_the_same_lane(own_ray: None, folder: Path) -> None:
    """A host that does not see a runner's socket reaches it as it would on another node."""
    write_steps(folder)
    first = Reports()
    pool = pool_of(folder, "calls", first)
    pool.start()
    pool.send([step("tiny", {"x": 1})])
    await first.hear(1, within=90)
    nap = step("nap", {"seconds": 3})
    pool.send([nap])
    await first.hear_of(nap)

    listener = Reports()
    other = pool_of(folder, "calls", listener, "b", sockets="t", owner="1", shard_count=1)
    assert await other.recover() == frozenset()  # it claimed nothing
    assert other.listening == []
    assert len(await other.recover(["0"])) == 2
    assert [lane.is_remote for lane in other.listening] == [True]
    await listener.hear(2)
    assert all(isinstance(report, Returned) for report in listener.all)
    other.acknowledge([(report.key, report.at) for report in listener.all])
    async with asyncio.timeout(30):
        while other.listening:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await other.close()
    await pool.close()

    feeder = Reports()
    pool = pool_of(folder, "calls", feeder, "c", sockets="u", shard_count=1)
    assert await pool.recover(["0"]) == frozenset()  # acknowledged by the other
    (lane,) = pool.lanes
    assert lane.is_remote
    many = [step("tiny", {"x": number}) for number in range(500)]
    pool.send(many)
    await feeder.hear(500, within=200)
    assert [(r.key, r.at) for r in feeder.all] == [(s.key, s.at) for s in many]
    pool.acknowledge([(report.key, report.at) for report in feeder.all])

    slow = step("nap", {"seconds": 60}, timeout_ms=300)
    pool.send([slow])
    (told,) = (await feeder.hear(501, within=100))[500:]
    assert isinstance(told, TimedOut)
    pool.stop([(slow.key, slow.at, 100)])  # it does not listen: its process is killed
    (stopped,) = (await feeder.hear(502, within=100))[501:]
    assert isinstance(stopped, Stopped)
    pool.start()
    pool.send([step("tiny")])
    await feeder.hear(503, within=100)
    await pool.end_runners()
    await pool.close()


async def test_a_runner_that_is_frozen_elsewhere_is_ended_there(
    own_ray: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_calls, "UNANSWERED_S", 1.0)
    write_steps(folder)
    first = Reports()
    pool = pool_of(folder, "frozen", first)
    pool.start()
    pool.send([step("tiny")])
    await first.hear(1, within=90)
    await pool.close()
    second = Reports()
    pool = pool_of(folder, "frozen", second, "b", sockets="t")
    await pool.recover()
    await second.hear(1)
    (lane,) = pool.lanes
    assert lane.is_remote
    pool.send([step("nap", {"seconds": 60}, alone=True)])
    pid = lane.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    (lost,) = (await second.hear(2, within=90))[1:]
    assert isinstance(lost, Lost)
    await pool.close()


async def test_a_runtime_environment_has_runners_of_its_own(own_ray: None, folder: Path) -> None:
    write_steps(folder)
    reports = Reports()
    pool = pool_of(folder, "env", reports)
    pool.start()
    mine = Resources(runtime_env={"env_vars": {"HELIOSTAT_SAID": "so"}})
    broken = Resources(runtime_env={"working_dir": str(folder / "nowhere")})
    asks = {"name": "HELIOSTAT_SAID"}
    pool.send([step("said", asks), step("said", asks, resources=mine)])
    pool.send([step("said", asks, resources=broken)])
    await reports.hear(3, within=120)
    outputs = [report.output for report in reports.all if isinstance(report, Returned)]
    assert sorted(outputs, key=str) == [None, "so"]
    (failed,) = [report for report in reports.all if isinstance(report, Raised)]
    assert failed.failure.type == "RuntimeEnvFailed"
    assert "nowhere" in failed.failure.message
    await pool.end_runners()
    await pool.close()


async def test_nested_tasks_get_through_where_runners_and_tasks_hold_every_cpu(
    own_ray: None, folder: Path
) -> None:
    write_steps(folder)
    reports = Reports()
    pool = pool_of(folder, "nested", reports)
    pool.start()
    pool.send([step("tiny")])
    await reports.hear(1, within=90)  # as many runners as there may be

    @ray.remote(num_cpus=1)
    def inner() -> int:
        return 1

    @ray.remote(num_cpus=1)
    def outer() -> int:  # as a step of the launcher: it has a CPU, and asks for another
        return ray.get(inner.remote())

    tasks = [outer.remote() for _ in range(4)]
    pool.send([step("nested") for _ in range(4)])
    assert await asyncio.wait_for(asyncio.gather(*tasks), 120) == [1] * 4
    ends = (await reports.hear(5, within=120))[1:]
    assert all(isinstance(report, Returned) for report in ends)
    await pool.end_runners()
    await pool.close()
