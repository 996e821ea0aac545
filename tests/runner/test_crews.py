"""Runners by runtime environment, and with slot leases from a placement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.factory import EnvironmentNotMade, RunnerHandle, RunnerSpec
from heliostat.actors.dispatch.placement import Asker
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Assignment, Raised, Returned
from heliostat.engine.plan.plan import Resources
from heliostat.engine.scheduling.protocol import SlotLease, Waiting, Want

from .conftest import DEPLOYMENT, Host, Looks, Workshop

SAID = """
    import os
    def said():
        return os.environ.get("HELIOSTAT_SAID")
"""


def with_env(assignment: Assignment, **env: object) -> Assignment:
    resources = Resources(runtime_env=env)  # type: ignore[arg-type]  # plain values
    code = msgspec.structs.replace(
        assignment.code, key=f"{assignment.code.key}|{env}", resources=resources
    )
    return msgspec.structs.replace(assignment, code=code)


class TestEnvironments:
    async def test_a_step_with_one_gets_a_runner_of_it_that_ends_when_idle(
        self, workshop: Workshop
    ) -> None:
        workshop.write("env_steps", SAID)
        host = await workshop.host(idle_ms=200, look_ms=50)
        plain = workshop.step("env_steps:said")
        mine = with_env(workshop.step("env_steps:said"), env_vars={"HELIOSTAT_SAID": "so"})
        host.pool.send([plain, mine])
        await host.hear(2)
        outputs = {r.key: r.output for r in host.reports if isinstance(r, Returned)}
        assert outputs == {plain.key: None, mine.key: "so"}
        assert host.pool.runner_count == 2
        assert host.pool.knows((mine.key, mine.at))
        workshop._ready(host)
        host.acknowledge_all()
        assert not host.pool.knows((mine.key, mine.at))
        await host.until(lambda: host.pool.runner_count == 1, within=60)

    async def test_it_is_found_again(self, workshop: Workshop) -> None:
        workshop.write("env_steps", SAID)
        first = await workshop.host("first")
        mine = with_env(workshop.step("env_steps:said"), env_vars={"HELIOSTAT_SAID": "so"})
        first.pool.send([mine])
        await first.hear(1)
        workshop._ready(first)
        await first.pool.close()
        second = await workshop.host("second", recover=True)
        assert await second.pool.recover() == {(mine.key, mine.at)}
        await second.hear(1)
        assert second.pool.runner_count == 2

    async def test_one_that_cannot_be_made_fails_what_waits_for_it(
        self, workshop: Workshop
    ) -> None:
        class Failing(ProcessFactory):
            async def create(self, spec: RunnerSpec) -> RunnerHandle:
                if spec.runtime_env is not None:
                    raise EnvironmentNotMade("there is no such package")
                return await super().create(spec)

        host = Host(
            Failing(deployment=DEPLOYMENT, folder=workshop.root / "s", blobs=workshop.root / "b"),
            "a",
            DispatchBounds(runners_max=2),
        )
        workshop.hosts.append(host)
        host.pool.start()
        host.pool.send([with_env(workshop.step("tiny"), pip=["nowhere"]) for _ in range(3)])
        for report in await host.hear(3):
            assert isinstance(report, Raised)
            assert report.failure.type == "RuntimeEnvFailed"
            assert "no such package" in report.failure.message
        await host.until(lambda: workshop._ready(host) == 1, within=60)


class FakePlacement:
    """Grants when the test says so."""

    def __init__(self) -> None:
        self.wants: dict[str, Want] = {}
        self.held: dict[str, SlotLease] = {}
        self.asker: Asker | None = None
        self.draining: frozenset[str] = frozenset()
        self.silent_ms = 0

    def begin(self) -> None: ...

    def want(self, wants: Sequence[Want], asker: Asker) -> None:
        self.asker = asker
        self.wants.update({want.id: want for want in wants})

    def hold(self, leases: Sequence[SlotLease], asker: Asker) -> None:
        self.asker = asker
        self.held.update({lease.id: lease for lease in leases})

    def serve(self, shard: str, epoch: int) -> None: ...

    def release(self, ids: Sequence[str]) -> None:
        for id in ids:
            self.wants.pop(id, None)
            self.held.pop(id, None)

    def dispatched(self, count: int) -> None: ...

    def reasons(self) -> Mapping[str, Waiting]:
        return {}

    async def close(self) -> None: ...

    def grant(self) -> None:
        assert self.asker is not None
        for want in list(self.wants.values()):
            lease = SlotLease(id=want.id, kind="runner", node="", needs=want.needs)
            del self.wants[want.id]
            self.held[lease.id] = lease
            self.asker.granted([lease])


class TestLeases:
    async def _host(
        self,
        workshop: Workshop,
        placement: FakePlacement,
        *,
        gate: asyncio.Event | None = None,
        **bounds: int,
    ) -> Host:
        """Args:
        gate: while it is closed, no runner begins.
        """

        class Gated(ProcessFactory):
            async def create(self, spec: RunnerSpec) -> RunnerHandle:
                if gate is not None:
                    await gate.wait()
                return await super().create(spec)

        host = await workshop.host(recover=True)
        await host.pool.close()
        host.pool = RunnerPool(
            Gated(
                deployment=DEPLOYMENT,
                folder=workshop.root / "s",
                blobs=workshop.root / "blobs",
                code=[str(workshop.code)],
            ),
            host._take,
            deployment=DEPLOYMENT,
            incarnation="a",
            bounds=DispatchBounds(look_ms=50, **bounds),
            placement=placement,
        )
        host.pool.start()
        return host

    async def _grant(self, host: Host, placement: FakePlacement, *, count: int = 1) -> None:
        """Have `count` runners, all with leases."""
        await self._granting(
            host,
            placement,
            lambda: sum(lane.welcome is not None for lane in host.pool.lanes) == count,
        )

    async def _granting(
        self, host: Host, placement: FakePlacement, condition: Callable[[], bool]
    ) -> None:
        """Grant whatever is wanted until this holds: on a busy machine a runner may not come up,
        and its lease is wanted once more."""

        def met() -> bool:
            placement.grant()
            return condition()

        await host.until(lambda: placement.asker is not None, within=60)
        await host.until(met, within=60)

    async def test_a_runner_has_one_and_leaves_when_it_is_revoked(self, workshop: Workshop) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=60_000)
        host.pool.send([workshop.step("tiny")])
        await host.until(lambda: bool(placement.wants))
        assert host.pool.runner_count == 0
        (id,) = placement.wants
        placement.grant()
        await host.hear(1, within=60)
        workshop._ready(host)
        assert list(placement.held) == [id]
        assert placement.asker is not None
        slow = workshop.step("nap", input={"seconds": 0.5})
        host.pool.send([slow])
        placement.asker.revoked([id])
        host.acknowledge_all()
        await host.hear(2, within=60)
        assert isinstance(host.reports[1], Returned)  # its step ends first
        host.acknowledge_all()
        await host.until(lambda: id not in placement.held, within=60)

    async def test_the_last_runner_does_not_leave_before_another_is_there(
        self, workshop: Workshop
    ) -> None:
        """Behind the processes of many attempts, a runner's own took 20 s to begin."""
        placement, gate = FakePlacement(), asyncio.Event()
        host = await self._host(workshop, placement, gate=gate, lease_wait_ms=600_000)
        gate.set()
        await self._grant(host, placement)
        gate.clear()
        (lane,) = host.pool.lanes
        assert placement.asker is not None
        placement.asker.revoked(list(placement.held))
        host.pool.send([workshop.step("where") for _ in range(3)])
        await host.hear(3, within=60)  # while the other one cannot begin
        assert {r.output for r in host.reports if isinstance(r, Returned)} == {lane.pid}
        host.acknowledge_all()
        gate.set()
        await host.until(lambda: not placement.held, within=60)  # given back all the same
        workshop._ready(host)
        assert host.pool.runner_count >= 1
        assert lane not in host.pool.lanes

    async def test_of_two_whose_leases_are_revoked_one_leaves_at_once(
        self, workshop: Workshop
    ) -> None:
        placement, gate = FakePlacement(), asyncio.Event()
        host = await self._host(
            workshop, placement, gate=gate, runners_min=2, runners_max=2, lease_wait_ms=600_000
        )
        gate.set()
        await self._grant(host, placement, count=2)
        gate.clear()
        assert placement.asker is not None
        placement.asker.revoked(list(placement.held))
        await host.until(lambda: len(placement.held) == 1, within=60)
        host.pool.send([workshop.step("tiny")])
        await host.hear(1, within=60)
        host.acknowledge_all()
        gate.set()
        await host.until(lambda: not placement.held, within=60)
        workshop._ready(host)

    async def test_a_runner_asked_back_leaves_in_the_end_though_no_other_begins(
        self, workshop: Workshop
    ) -> None:
        placement, gate = FakePlacement(), asyncio.Event()
        host = await self._host(
            workshop, placement, gate=gate, lease_wait_ms=600_000, handover_ms=100
        )
        gate.set()
        await self._grant(host, placement)
        gate.clear()
        assert placement.asker is not None
        placement.asker.revoked(list(placement.held))
        await host.until(lambda: not placement.held, within=60)
        assert host.pool.runner_count == 0

    async def test_the_last_runner_gives_way_to_others_only_when_another_is_there(
        self, workshop: Workshop, looks: Looks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placement, gate = FakePlacement(), asyncio.Event()
        monkeypatch.setattr("heliostat.actors.dispatch.staff.reserves", lambda lane: True)
        host = await self._host(workshop, placement, gate=gate, lease_wait_ms=600_000)
        gate.set()
        await self._grant(host, placement)
        gate.clear()
        (lane,) = host.pool.lanes
        looks.demand_waits = True
        await looks.several(host)
        assert not lane.leaving
        host.pool.send([workshop.step("tiny")])
        await host.hear(1, within=60)
        host.acknowledge_all()
        gate.set()
        await host.until(lambda: lane not in host.pool.lanes, within=60)
        workshop._ready(host)

    async def test_one_that_stands_in_leaves_for_one_that_has_a_lease(
        self, workshop: Workshop, looks: Looks
    ) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=100)
        await host.until(lambda: workshop._ready(host) == 1, within=60)  # nobody has answered
        (standing_in,) = host.pool.lanes
        assert not placement.held
        await looks.several(host)  # with nothing to do
        await self._granting(host, placement, lambda: standing_in not in host.pool.lanes)
        (lane,) = host.pool.lanes
        assert list(placement.held) == [lane.handle.name]
        workshop._ready(host)

    async def test_who_was_asked_back_is_not_followed_at_once_by_one_that_reserves(
        self, workshop: Workshop
    ) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=600_000)
        await self._grant(host, placement)
        (lane,) = host.pool.lanes
        assert placement.asker is not None
        placement.asker.revoked(list(placement.held))
        await host.until(lambda: lane not in host.pool.lanes, within=60)
        await host.until(lambda: workshop._ready(host) == 1, within=60)
        assert not placement.wants
        host.pool._first.staff.leases._pause_until = 0.0  # the pause is over
        await host.until(lambda: bool(placement.wants), within=60)
        await self._granting(
            host, placement, lambda: host.pool.lanes[0].handle.name in placement.held
        )
        workshop._ready(host)

    async def test_tiny_steps_go_on_while_the_only_lease_is_revoked(
        self, workshop: Workshop
    ) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=600_000)
        await host.until(lambda: bool(placement.wants))
        placement.grant()
        await host.until(lambda: host.pool.runner_count == 1, within=60)
        workshop._ready(host)
        assert placement.asker is not None
        placement.asker.revoked(list(placement.held))  # and nothing is granted from here on
        host.pool.send([workshop.step("tiny")])
        await host.hear(1, within=60)
        assert isinstance(host.reports[0], Returned)
        host.acknowledge_all()

    async def test_a_lease_that_is_revoked_while_its_runner_is_made_is_given_back(
        self, workshop: Workshop
    ) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=600_000)
        await host.until(lambda: bool(placement.wants))
        placement.grant()
        assert placement.asker is not None
        assert host.pool.runner_count == 0
        placement.asker.revoked(list(placement.held))
        await host.until(lambda: not placement.held, within=60)
        await host.until(lambda: host.pool.runner_count == 1, within=60)
        workshop._ready(host)

    async def test_without_an_answer_one_runner_goes_on_alone(self, workshop: Workshop) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=100)
        host.pool.send([workshop.step("tiny")])
        await host.hear(1, within=60)
        workshop._ready(host)
        assert placement.held == {}
        assert host.pool.runner_count == 1

    async def test_a_want_that_is_not_needed_any_more_is_withdrawn(
        self, workshop: Workshop
    ) -> None:
        placement = FakePlacement()
        host = await self._host(workshop, placement, lease_wait_ms=60_000, runners_max=3)
        await self._grant(host, placement)
        naps = [workshop.step("nap", input={"seconds": 0.3}) for _ in range(3)]
        host.pool.send(naps)
        await host.hear(3, within=60)
        workshop._ready(host)
        host.acknowledge_all()
        await host.until(lambda: not placement.wants, within=60)
        await asyncio.sleep(0)
        assert host.pool.runner_count >= 1
