"""How many runners a pool has, and who gets the next attempt."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from heliostat.actors.dispatch.dispatcher import Dispatcher
from heliostat.actors.dispatch.factory import RunnerHandle, RunnerNotStarted, RunnerSpec
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Returned
from heliostat.actors.dispatch.sockets import private_folder
from heliostat.engine.errors import ConfigurationError

from .conftest import DEPLOYMENT, Looks, Workshop


class TestSize:
    async def test_it_grows_while_work_waits_and_shrinks_when_idle(
        self, workshop: Workshop
    ) -> None:
        workshop.write(
            "gated",
            """
            import os, time
            def work(gate):
                while not os.path.exists(gate):
                    time.sleep(0.01)
            """,
        )
        host = await workshop.host(runners_max=2, idle_ms=300, look_ms=50)
        gate = workshop.root / "gate"
        host.pool.send([workshop.step("gated:work", input={"gate": str(gate)}) for _ in range(4)])
        await host.until(lambda: host.pool.runner_count == 2)
        gate.touch()
        await host.hear(4)
        host.acknowledge_all()
        await host.until(lambda: host.pool.runner_count == 1)
        host.pool.send([workshop.step("tiny")])
        await host.hear(5)

    async def test_one_with_unacknowledged_results_stays(
        self, workshop: Workshop, looks: Looks
    ) -> None:
        host = await workshop.host(recover=True, runners_min=0, idle_ms=100, look_ms=50)
        host.pool.start()
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        await looks.several(host, 10)  # for longer than one may be idle
        assert host.pool.runner_count == 1
        host.acknowledge_all()
        await host.until(lambda: host.pool.runner_count == 0)
        host.pool.send([workshop.step("tiny")])
        await host.hear(2)

    async def test_a_runner_that_reserves_nothing_stays_while_others_wait_for_cpus(
        self, workshop: Workshop, looks: Looks
    ) -> None:
        host = await workshop.host(look_ms=20)
        (lane,) = host.pool.lanes
        looks.demand_waits = True
        await looks.several(host)
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        assert host.pool.lanes == [lane]
        assert not lane.leaving

    async def test_steps_that_wait_for_each_other_do_not_starve(self, workshop: Workshop) -> None:
        workshop.write(
            "waits2",
            """
            import os, time
            def until(path):
                open(path + "-wanted", "w").close()
                while not os.path.exists(path):
                    time.sleep(0.01)
                return "there"
            """,
        )
        host = await workshop.host(blocked_ms=200)
        path = workshop.root / "flag"
        host.pool.send([workshop.step("waits2:until", input={"path": str(path)})])
        await host.until(path.with_name("flag-wanted").exists)
        host.pool.send([workshop.step("mark", input={"path": str(path)})])
        reports = await host.hear(2)
        assert all(isinstance(report, Returned) for report in reports)

    async def test_a_runner_that_does_not_start_is_tried_again(self, workshop: Workshop) -> None:
        host = await workshop.host()

        class Failing(ProcessFactory):
            failures = 0

            async def create(self, spec: RunnerSpec) -> RunnerHandle:
                Failing.failures += 1
                if Failing.failures == 1:
                    raise RunnerNotStarted("as the test wants it")
                return await super().create(spec)

        host.pool._common.factory = Failing(
            deployment=DEPLOYMENT,
            folder=workshop.root / "s",
            blobs=workshop.root / "blobs",
            code=[str(workshop.code)],
        )
        host.pool.send([workshop.step("die"), workshop.step("tiny")])
        await host.hear(2)
        assert Failing.failures >= 1


class TestOrphans:
    async def test_a_runner_without_a_host_exits(self, workshop: Workshop) -> None:
        factory = ProcessFactory(
            deployment=DEPLOYMENT,
            folder=workshop.root / "s",
            blobs=workshop.root / "blobs",
            orphan_ms=300,
        )
        handle = await factory.create(RunnerSpec(index=7))
        child = factory._children[7]
        began = time.monotonic()
        while child.poll() is None:
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.02)
        assert child.returncode == 0
        assert handle.socket is not None
        assert not handle.socket.exists()

    async def test_one_told_to_leave_does_not_keep_reports_for_ever(
        self, workshop: Workshop
    ) -> None:
        host = await workshop.host(recover=True, orphan_ms=400, runners_min=0, idle_ms=100)
        host.pool.start()
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)  # and not acknowledged
        workshop._ready(host)
        await host.until(lambda: host.pool.runner_count == 0)

    async def test_it_stands_back(self, workshop: Workshop) -> None:
        host = await workshop.host()
        pid = workshop.pid(host)
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
        score = Path(f"/proc/{pid}/oom_score_adj").read_text()
        assert int(score) >= 800


class TestDispatcher:
    async def test_recover_finds_before_it_starts(self, workshop: Workshop) -> None:
        host = await workshop.host(recover=True)
        dispatcher = Dispatcher(host.pool)
        assert host.pool.runner_count == 0
        assert await dispatcher.recover() == frozenset()
        dispatcher.send([workshop.step("tiny", input={"x": 1})])
        (report,) = await host.hear(1)
        dispatcher.acknowledge([(report.key, report.at)])
        await host.until(lambda: len(host.pool.lanes) == 1)
        workshop._ready(host)


def test_a_socket_folder_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        private_folder(tmp_path / ("x" * 100))


def test_a_socket_folder_is_private(folder: Path) -> None:
    made = private_folder(folder / "s")
    assert made.stat().st_mode & 0o777 == 0o700
