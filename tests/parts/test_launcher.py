"""The launcher and its lane, on a real Ray."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import ray

from heliostat.actors.dispatch.protocol import (
    Lost,
    Raised,
    Returned,
    Stopped,
    TimedOut,
)
from heliostat.actors.dispatch.ray_lane import RayLane
from heliostat.actors.launcher import create_launcher, find_launcher
from heliostat.actors.launching import LauncherSettings
from heliostat.engine.plan.plan import Resources

from .lanes import Reports, step, write_steps

pytestmark = pytest.mark.long

CPU = Resources(num_cpus=0.5)


@pytest.fixture
async def launcher(own_ray: None, folder: Path) -> AsyncIterator[LauncherSettings]:
    write_steps(folder)
    settings = LauncherSettings(
        deployment="launch",
        name=f"heliostat/{folder.name}/1/launcher",
        blobs=str(folder / "blobs"),
        scratch=str(folder / "unpacked"),
        environments=str(folder / "environments"),
        code=(str(folder),),
    )
    yield settings
    handle = find_launcher(settings)
    if handle is not None:
        ray.kill(handle, no_restart=True)


def lane_of(settings: LauncherSettings, reports: Reports, incarnation: str = "a") -> RayLane:
    return RayLane(
        find=lambda: find_launcher(settings),
        create=lambda: create_launcher(settings),
        deliver=reports.take,
        incarnation=incarnation,
    )


async def test_ends_of_every_kind(launcher: LauncherSettings) -> None:
    reports = Reports()
    lane = lane_of(launcher, reports)
    assert await lane.recover() == frozenset()
    steps = [
        step("tiny", {"x": 1}, resources=CPU),
        step("fail", resources=CPU),
        step("full", resources=CPU),
        step("die", resources=CPU),
        step("table", resources=CPU),
        step("beat", resources=CPU),
    ]
    lane.send(steps)
    lane.send(steps)  # again: made once
    await reports.hear(len(steps), within=90)
    by_key = {report.key: report for report in reports.all}
    tiny, fail, full, die, table, beat = (by_key[each.key] for each in steps)
    assert isinstance(tiny, Returned)
    assert tiny.output == {"x": 2}
    assert tiny.stdout == "said 1\n"
    assert isinstance(fail, Raised)
    assert fail.failure.type == "KeyError"
    assert isinstance(full, Raised)
    assert full.failure.type == "OutOfMemory"
    assert isinstance(die, Lost)
    assert die.counted
    assert isinstance(table, Returned)
    assert table.output["rows"] == 3
    assert table.output["table"].encoding == "arrow"
    assert isinstance(beat, Returned)
    assert beat.output == "beaten"
    kinds = [notice.kind for notice in reports.notices if notice.key == beat.key]
    assert kinds[0] == "started"
    assert "progress" in kinds
    last = step("tiny", resources=Resources(num_cpus=2))  # there is room when nothing else runs
    lane.send([last])
    await reports.hear(len(steps) + 1, within=90)
    assert [report.key for report in reports.all[len(steps) :]] == [last.key]
    await lane.close()


async def test_timeouts_and_graces(launcher: LauncherSettings) -> None:
    reports = Reports()
    lane = lane_of(launcher, reports)
    stuck = step("nap", {"seconds": 120}, resources=CPU, timeout_ms=300)
    polite = step("polite", resources=CPU, timeout_ms=300)
    lane.send([stuck, polite])
    await reports.hear(2, within=90)
    assert all(isinstance(report, TimedOut) for report in reports.all)
    lane.stop([(stuck.key, stuck.at, 500), (polite.key, polite.at, 10_000)])
    await reports.hear(4, within=30)
    by_key = {report.key: report for report in reports.all[2:]}
    assert isinstance(by_key[stuck.key], Stopped)
    returned = by_key[polite.key]
    assert isinstance(returned, Returned)
    assert returned.output == "as far as I got"
    await lane.close()


async def test_a_step_has_the_runtime_environment_that_it_declares(
    launcher: LauncherSettings, folder: Path
) -> None:
    (folder / "work").mkdir()
    (folder / "work" / "colour.txt").write_text("green")
    (folder / "shade").mkdir()
    (folder / "shade" / "__init__.py").write_text("NAME = 'dark'\n")
    environment = {
        "env_vars": {"TASTE": "sour"},
        "working_dir": str(folder / "work"),
        "py_modules": [str(folder / "shade")],
    }
    reports = Reports()
    lane = lane_of(launcher, reports)
    with_it = step("surroundings", resources=Resources(num_cpus=0.5, runtime_env=environment))
    broken = {"working_dir": str(folder / "nowhere")}
    without = step("tiny", resources=Resources(num_cpus=0.5, runtime_env=broken))
    lane.send([with_it, without])
    await reports.hear(2, within=90)
    by_key = {report.key: report for report in reports.all}
    returned, failed = by_key[with_it.key], by_key[without.key]
    assert isinstance(returned, Returned)
    assert returned.output == ["sour", "green", "dark"]
    assert isinstance(failed, Raised)
    assert failed.failure.type == "RuntimeEnvFailed"
    assert "nowhere" in failed.failure.message
    await lane.close()


async def test_results_wait_for_the_next_host(launcher: LauncherSettings) -> None:
    first = Reports()
    lane = lane_of(launcher, first)
    done, slow = step("tiny", resources=CPU), step("nap", {"seconds": 2}, resources=CPU)
    lane.send([done, slow])
    await first.hear(1, within=90)
    await lane.close()

    second = Reports()
    lane = lane_of(launcher, second, "b")
    assert await lane.recover() == {(done.key, done.at), (slow.key, slow.at)}
    await second.hear(2, within=30)
    assert {report.key for report in second.all} == {done.key, slow.key}
    lane.acknowledge([(report.key, report.at) for report in second.all])

    third = lane_of(launcher, Reports(), "c")
    async with asyncio.timeout(30):
        while await third.recover():  # noqa: ASYNC110  # until the acknowledgement arrived
            await asyncio.sleep(0.02)
    await lane.close()
    await third.close()


async def test_its_death_loses_its_tasks_uncounted(launcher: LauncherSettings) -> None:
    reports = Reports()
    lane = lane_of(launcher, reports)
    slow = step("nap", {"seconds": 60}, resources=CPU)
    lane.send([slow])
    await reports.hear_of(slow, within=90)
    handle = find_launcher(launcher)
    assert handle is not None
    pid = await handle.__ray_call__.remote(lambda self: os.getpid())
    os.kill(pid, signal.SIGKILL)
    (lost,) = await reports.hear(1, within=60)
    assert isinstance(lost, Lost)
    assert not lost.counted
    again = step("tiny", resources=CPU)
    lane.send([again])
    await reports.hear(2, within=60)
    assert isinstance(reports.all[1], Returned)
    await lane.close()
