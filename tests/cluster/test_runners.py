"""Runners as Ray actors, on a real Ray of this test's own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import ray

from heliostat.actors import names
from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.protocol import Lost, Report, Returned
from heliostat.actors.runner.factory import RayRunnerFactory, cpu_share

from .lanes import Reports, folder, own_ray, step, write_steps

__all__ = ["folder", "own_ray"]  # fixtures

pytestmark = pytest.mark.long


def factory(folder: Path, deployment: str) -> RayRunnerFactory:
    return RayRunnerFactory(
        deployment=deployment,
        generation=1,
        folder=folder / "s",
        blobs=folder / "blobs",
        code=[str(folder)],
        runners_max=1,
    )


def pool_of(folder: Path, deployment: str, reports: Reports, incarnation: str = "a") -> RunnerPool:
    bounds = DispatchBounds(runners_max=1)
    return RunnerPool(
        factory(folder, deployment),
        reports.take,
        deployment=deployment,
        incarnation=incarnation,
        bounds=bounds,
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

    asked = time.time()
    began = await asyncio.wait_for(whole_node.remote(), 60)
    assert began - asked < 15  # the demand was seen, the runner left, a worker came up
    pool.send([step("tiny")])
    await reports.hear(2, within=90)
    await pool.end_runners()
    await pool.close()
    name = names.runner_name("yields", 1, 0)
    async with asyncio.timeout(20):
        while True:
            try:
                ray.get_actor(name, namespace=names.NAMESPACE)
            except ValueError:
                break
            await asyncio.sleep(0.1)
