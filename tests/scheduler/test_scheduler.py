"""The scheduler's process and the hosts' side of it, without Ray: calls, restarts, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch import placement_scheduler
from heliostat.actors.dispatch.placement_scheduler import Remote, SchedulerPlacement
from heliostat.actors.scheduler.scheduler import Scheduler, SchedulerInfo
from heliostat.actors.scheduler.view import QueueRequest, QueueView
from heliostat.engine.scheduling.board import Rules
from heliostat.engine.scheduling.nodes import NodeView
from heliostat.engine.scheduling.protocol import Demand, Grants, Refused, SlotLease, Want

NODE = NodeView(id="n", name="10.0.0.1", total={"CPU": 2.0})
WITHIN_S = 60.0


class Asker:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.leases: dict[str, SlotLease] = {}
        self.order: list[str] = []
        self.sentences: dict[str, str] = {}
        self.asked_back: list[str] = []

    def granted(self, leases: Sequence[SlotLease]) -> None:
        for lease in leases:
            assert lease.id not in self.leases, "told twice"
            self.leases[lease.id] = lease
            self.order.append(lease.id)

    def refused(self, refused: Sequence[Refused]) -> None:
        self.sentences |= {each.id: each.message for each in refused}

    def revoked(self, ids: Sequence[str]) -> None:
        self.asked_back += ids


class World:
    """A scheduler that can be killed, and hosts that look for it."""

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None
        self.placements: list[SchedulerPlacement] = []
        self.views: list[NodeView] = [NODE]
        self.rules = Rules(semaphores={"llm": 1})
        self.told: list[list[dict[str, float]]] = []
        self.broken = False
        self.calls = 0
        self.made = 0
        self.begin()

    def begin(self) -> Scheduler:
        self.scheduler = Scheduler(self.rules, look=self.look, ask_for_nodes=self.tell)
        self.scheduler.begin()
        return self.scheduler

    async def look(self) -> Sequence[NodeView]:
        if self.broken:
            raise OSError("no answer")
        return self.views

    async def tell(self, shapes: Sequence[dict[str, float]]) -> None:
        self.told.append(list(shapes))

    async def kill(self) -> None:
        scheduler, self.scheduler = self.scheduler, None
        if scheduler is not None:
            await scheduler.close()

    def host(self, name: str) -> SchedulerPlacement:
        async def find() -> Remote | None:
            return None if self.scheduler is None else self

        async def create() -> object:
            self.made += 1
            return self.begin()

        made = SchedulerPlacement(holder=name, name=name, node="n", find=find, create=create)
        made.begin()
        self.placements.append(made)
        return made

    async def exchange(self, body: bytes) -> bytes:
        self.calls += 1
        scheduler = self.scheduler
        if scheduler is None:
            raise ConnectionError("it is dead")
        answer = asyncio.ensure_future(scheduler.exchange(body))
        while not answer.done():
            await asyncio.wait({answer}, timeout=0.02)
            if self.scheduler is not scheduler:
                answer.cancel()
                raise ConnectionError("it died")
        return answer.result()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for each in world.placements:
        await each.close()
    await world.kill()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110  # there is nothing to wait on
            await asyncio.sleep(0.005)


def cpu(id: str, cpus: float = 1.0, **fields: object) -> Want:
    return Want(id=id, kind="attempt", needs={"CPU": cpus}, **fields)  # type: ignore[arg-type]


async def queue_of(world: World) -> QueueView:
    assert world.scheduler is not None
    return unpack(await world.scheduler.queue(pack(QueueRequest())), QueueView)


async def test_wants_are_granted_in_order_as_room_is_given_back(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.want([cpu("first", 2.0)], asker)
    await until(lambda: "first" in asker.leases)
    host.want([cpu("low", 2.0, priority=1), cpu("high", 2.0, priority=9)], asker)
    await until(lambda: host.reasons().keys() == {"low", "high"})
    assert host.reasons()["high"].place == 1
    assert "10.0.0.1 has 0 CPU free of 2 CPU" in host.reasons()["low"].reason
    host.release(["first"])
    await until(lambda: "high" in asker.leases)
    host.release(["high"])
    await until(lambda: "low" in asker.leases)
    assert asker.order == ["first", "high", "low"]
    assert host.reasons() == {}


async def test_what_can_never_be_is_refused_and_two_askers_hear_of_their_own(world: World) -> None:
    one, other, host = Asker(), Asker(), world.host("h")
    host.want([cpu("never", 64.0)], one)
    host.want([Want(id="r", kind="runner", needs={"CPU": 1.0})], other)
    await until(lambda: one.sentences and other.leases)
    assert "needs {CPU: 64} on one node" in one.sentences["never"]
    host.want([cpu("both", 2.0)], one)
    await until(lambda: other.asked_back == ["r"])
    host.release(["r"])
    await until(lambda: "both" in one.leases)


async def test_one_host_gives_back_and_another_that_waits_is_granted_at_once(world: World) -> None:
    one, other = Asker(), Asker()
    first, second = world.host("1"), world.host("2")
    first.want([Want(id="a", kind="attempt", semaphores={"llm": 1})], one)
    await until(lambda: one.leases)
    second.want([Want(id="b", kind="attempt", semaphores={"llm": 1})], other)
    await until(lambda: second.reasons())
    first.release(["a"])
    await until(lambda: other.leases)
    view = await queue_of(world)
    assert [(each.name, each.taken, each.capacity) for each in view.semaphores] == [("llm", 1, 1)]


async def test_a_scheduler_that_is_killed_learns_what_is_held_from_the_hosts(world: World) -> None:
    one, other = Asker(), Asker()
    first, second = world.host("1"), world.host("2")
    first.want([cpu("held", 2.0)], one)
    await until(lambda: "held" in one.leases)
    second.want([cpu("waits")], other)
    await world.kill()
    world.views = [NodeView(id="n", total={"CPU": 2.0}, used={"CPU": 2.0})]
    await until(lambda: first.silent_ms > 0 and second.silent_ms > 0)
    assert one.leases.keys() == {"held"}
    world.begin()
    await until(lambda: second.reasons() and not first.silent_ms)
    assert "waits" not in other.leases
    view = await queue_of(world)
    assert [each.execution or each.kind for each in view.held] == ["attempt"]
    world.views = [NODE]
    first.release(["held"])
    await until(lambda: "waits" in other.leases)
    assert first.silent_ms == 0


async def test_a_scheduler_that_stays_away_is_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement_scheduler, "MISSING_S", 0.2)
    await world.kill()
    asker, host = Asker(), world.host("h")
    host.want([cpu("1")], asker)
    await until(lambda: asker.leases)
    assert world.made == 1


async def test_what_a_recovery_found_is_held_without_being_granted(world: World) -> None:
    asker, host = Asker(), world.host("h")
    lease = SlotLease(id="ran", kind="attempt", node="n", needs={"CPU": 2.0})
    host.want([cpu("ran", 2.0)], asker)
    host.hold([lease], asker)
    host.want([cpu("waits")], asker)
    await until(lambda: host.reasons())
    assert asker.leases == {}
    host.release(["ran"])
    await until(lambda: asker.leases)
    assert asker.order == ["waits"]


async def test_a_withdrawn_want_is_told_of_no_more(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.want([cpu("1")], asker)
    host.release(["1"])
    host.want([cpu("2", 2.0)], asker)
    await until(lambda: asker.leases)
    assert asker.order == ["2"]


async def test_a_long_queue_is_named_in_parts_and_the_urgent_moves_up(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.want([cpu(f"{n}", 2.0) for n in range(1_200)], asker)
    await until(lambda: asker.leases)
    host.want([cpu("urgent", 2.0, priority=10)], asker)
    host.release([asker.order[0]])
    host.release([f"{n}" for n in range(100, 1_100)])
    await until(lambda: "urgent" in asker.leases)
    assert asker.order == ["0", "urgent"]
    view = await queue_of(world)
    assert view.waiting_count == 199


async def test_when_nothing_changes_hardly_a_call_is_made(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.want([cpu("1")], asker)
    await until(lambda: asker.leases)
    before = world.calls
    await asyncio.sleep(0.3)
    assert world.calls - before <= 2


async def test_a_look_that_fails_is_told_and_the_board_goes_on(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.want([cpu("1")], asker)
    await until(lambda: asker.leases)
    world.broken = True

    async def trouble() -> str | None:
        assert world.scheduler is not None
        await asyncio.sleep(0.01)
        return unpack(await world.scheduler.info(), SchedulerInfo).trouble

    while "no answer" not in (await trouble() or ""):
        pass
    host.want([cpu("2")], asker)
    await until(lambda: "2" in asker.leases)
    world.broken = False
    while await trouble() is not None:
        pass


async def test_the_autoscaler_hears_what_waits_and_when_nothing_does(world: World) -> None:
    await world.kill()
    world.rules = Rules(autoscaling=True)
    world.begin()
    asker, host = Asker(), world.host("h")
    host.want([cpu("1", 8.0)], asker)
    await until(lambda: world.told[-1:] == [[{"CPU": 8.0}]])
    world.views = [NODE, NodeView(id="new", total={"CPU": 8.0})]
    await until(lambda: asker.leases)
    await until(lambda: world.told[-1] == [])


async def test_what_an_earlier_life_asked_the_autoscaler_for_is_withdrawn(world: World) -> None:
    world.rules = Rules(autoscaling=True)
    await world.kill()  # with a request that stands at Ray's, for something that has ended since
    world.told.clear()
    world.begin()
    await until(lambda: world.told == [[]])


async def test_a_later_demand_ends_the_wait_of_the_earlier_one(world: World) -> None:
    scheduler = world.scheduler
    assert scheduler is not None
    first = unpack(await scheduler.exchange(pack(Demand(holder="h", turn=1))), Grants)
    waits = asyncio.ensure_future(
        scheduler.exchange(pack(Demand(holder="h", turn=2, wait_ms=10_000)))
    )
    await asyncio.sleep(0)
    answer = unpack(await scheduler.exchange(pack(Demand(holder="h", turn=3))), Grants)
    assert await waits == b""
    assert answer.answer == first.answer + 1
    assert await scheduler.exchange(pack(Demand(holder="h", turn=1))) == b""  # late: says nothing


async def test_the_view_tells_how_many_steps_asked_nobody(world: World) -> None:
    asker, host = Asker(), world.host("h")
    host.dispatched(1_000)
    host.want([cpu("1", 2.0, execution="default/e", step="train")], asker)
    host.want([cpu("2", execution="default/f", step="train")], asker)
    await until(lambda: asker.leases and host.reasons())
    view = await queue_of(world)
    assert (view.steps, view.asked, view.granted) == (1_000, 2, 1)
    assert [(each.execution, each.host) for each in view.held] == [("default/e", "h")]
    assert [(each.place, each.execution) for each in view.waiting] == [(1, "default/f")]
