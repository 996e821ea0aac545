"""How many runners a pool has, and who gets the next attempt."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from heliostat.actors.dispatch.dispatcher import Dispatcher
from heliostat.actors.dispatch.factory import RunnerHandle, RunnerNotStarted
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Returned
from heliostat.actors.dispatch.slots import SlotCount, SlotRequest
from heliostat.actors.dispatch.sockets import private_folder
from heliostat.engine.errors import ConfigurationError
from heliostat.engine.plan.plan import Resources

from .conftest import DEPLOYMENT, Workshop


class TestSize:
    async def test_it_grows_while_work_waits_and_shrinks_when_idle(
        self, workshop: Workshop
    ) -> None:
        host = await workshop.host(runners_max=2, idle_ms=300, look_ms=50)
        host.pool.send([workshop.step("nap", input={"seconds": 2}) for _ in range(4)])
        await host.until(lambda: host.pool.runner_count == 2)
        await host.hear(4)
        host.acknowledge_all()
        await host.until(lambda: host.pool.runner_count == 1)
        host.pool.send([workshop.step("tiny")])
        await host.hear(5)

    async def test_one_with_unacknowledged_results_stays(self, workshop: Workshop) -> None:
        host = await workshop.host(recover=True, runners_min=0, idle_ms=100, look_ms=50)
        host.pool.start()
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        await asyncio.sleep(0.5)
        assert host.pool.runner_count == 1
        host.acknowledge_all()
        await host.until(lambda: host.pool.runner_count == 0)
        host.pool.send([workshop.step("tiny")])
        await host.hear(2)

    async def test_steps_that_wait_for_each_other_do_not_starve(self, workshop: Workshop) -> None:
        workshop.write(
            "waits2",
            """
            import os, time
            def until(path):
                while not os.path.exists(path):
                    time.sleep(0.01)
                return "there"
            """,
        )
        host = await workshop.host(blocked_ms=200)
        path = workshop.root / "flag"
        host.pool.send([workshop.step("waits2:until", input={"path": str(path)})])
        await asyncio.sleep(0.05)
        host.pool.send([workshop.step("mark", input={"path": str(path)})])
        reports = await host.hear(2)
        assert all(isinstance(report, Returned) for report in reports)

    async def test_a_runner_that_does_not_start_is_tried_again(self, workshop: Workshop) -> None:
        host = await workshop.host()

        class Failing(ProcessFactory):
            failures = 0

            async def create(self, index: int, *, reserve: bool) -> RunnerHandle:
                Failing.failures += 1
                if Failing.failures == 1:
                    raise RunnerNotStarted("as the test wants it")
                return await super().create(index, reserve=reserve)

        host.pool._factory = Failing(
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
        handle = await factory.create(7, reserve=True)
        child = factory._children[7]
        began = time.monotonic()
        while child.poll() is None:
            assert time.monotonic() - began < 10
            await asyncio.sleep(0.02)
        assert child.returncode == 0
        assert not handle.socket.exists()

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
        await host.until(lambda: len(host.pool._lanes) == 1)
        workshop._ready(host)


class TestSlots:
    def test_leases_are_granted_renewed_and_run_out(self) -> None:
        now = [0]
        slots = SlotCount("here", 3, lambda: now[0])
        (lease,) = slots.request(SlotRequest(holder="a", count=2, ttl_ms=100))
        (other,) = slots.request(SlotRequest(holder="b", count=5, ttl_ms=100))
        assert (lease.count, other.count, slots.free) == (2, 1, 0)
        assert slots.request(SlotRequest(holder="c", count=1, ttl_ms=100)) == []
        now[0] = 90
        assert slots.renew([lease.id, 99], ttl_ms=100) == [lease.id]
        now[0] = 120
        assert slots.free == 1
        slots.release([lease.id])
        assert slots.free == 3

    def test_other_nodes_and_shapes_are_not_its_own(self) -> None:
        slots = SlotCount("here", 1, lambda: 0)
        assert not slots.request(SlotRequest(holder="a", count=1, ttl_ms=1, node="there"))
        gpu = Resources(num_gpus=1)
        assert not slots.request(SlotRequest(holder="a", count=1, ttl_ms=1, shape=gpu))


def test_a_socket_folder_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        private_folder(tmp_path / ("x" * 100))


def test_a_socket_folder_is_private(folder: Path) -> None:
    made = private_folder(folder / "s")
    assert made.stat().st_mode & 0o777 == 0o700
