"""Messages between executions: delivered whatever is killed, taken once, in order, or told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from heliostat.actors.host.api import Accepted, ExecutionView
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.journal.protocol import ShardBatch
from heliostat.engine.kernel import requests
from tests.host.support import (
    HOLD,
    World,
    cancel,
    events_of,
    info_of,
    key_of,
    owner_of,
    put,
    row_of,
    serving,
    start,
    status,
)

CHILD = """
id: child
version: "1"
input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: $.input.n}, needs: []}
"""

PARENT = """
id: parent
version: "1"
steps:
  - {id: call, type: sub_workflow, workflow: child, version: latest, input: {n: 1}, needs: []}
"""

FAMILY = """
id: family
version: "1"
steps:
  - id: each
    type: sub_workflow
    workflow: child
    version: latest
    foreach: $.input.items
    input: {n: $.item}
    needs: []
"""

LISTENER = """
id: listener
version: "1"
vars: {seen: []}
output: $.vars.seen
steps:
  - id: hear
    type: wait
    signal: say
    assign: {seen: {append: $.output.data}}
    next:
      - {when: "len($.vars.seen) < $.input.count", to: hear}
      - {to: end}
"""

SPEAKER = """
id: speaker
version: "1"
vars: {n: 0}
steps:
  - id: speak
    type: decision
    assign: {n: "${ $.vars.n + 1 }"}
    signal: [{execution: $.input.to, name: say, data: $.vars.n}]
    next:
      - {when: "$.vars.n < $.input.count", to: rest}
      - {to: end}
  - {id: rest, type: timer, duration: 1s, next: speak}
"""


SIGNALS = ", ".join(f"{{execution: ear, name: say, data: {n}}}" for n in range(12))
BURST = f"""
id: burst
version: "1"
steps:
  - {{id: speak, type: decision, needs: [], signal: [{SIGNALS}]}}
"""


def inputs(call: Any) -> int:
    return int(call.input["n"]) + 1


async def family(world: World, *texts: str, **changes: Any) -> ExecutionHost:
    host = world.host("h0", **changes)
    await put(host, *texts)
    return host


class TestChild:
    async def test_brings_its_output_to_its_parent(self, any_world: World) -> None:
        host = await family(any_world, CHILD, PARENT)
        await start(host, "parent", ["p"])
        end = await any_world.ends(host, "p")
        assert (end.status, end.output) == ("Completed", 2)
        assert await any_world.on_the_way() == []
        assert info_of(host).started == 2

    async def test_many_are_children_of_one(self, any_world: World) -> None:
        host = await family(any_world, CHILD, FAMILY)
        await start(host, "family", ["p"], input={"items": list(range(40))})
        assert (await any_world.ends(host, "p")).output == list(range(1, 41))

    async def test_is_not_kept_in_memory_by_its_parents_wait(self, world: World) -> None:
        host = await family(world, CHILD, PARENT, bounds=HostBounds(idle_ms=0))
        world.runners.script = lambda _: HOLD
        await start(host, "parent", ["p"])
        await world.clock.until(lambda: world.runners.running and info_of(host).resident == 1)
        [(key, at)] = world.runners.running
        assert (await status(host, "p")).active[0]["child"] == key.execution_id
        assert (await status(host, key.execution_id)).parent == "p"
        world.runners.finish(key, at, 7)
        assert (await world.ends(host, "p")).output == 7

    async def test_of_a_definition_that_is_not_there_fails_its_parent(
        self, any_world: World
    ) -> None:
        host = await family(any_world, PARENT.replace("workflow: child", "workflow: nobody"))
        await start(host, "parent", ["p"])
        end = await any_world.ends(host, "p")
        assert end.status == "Failed"
        assert end.failure is not None
        assert end.failure.type == "DefinitionNotFound"
        assert "'nobody'" in end.failure.message
        assert await any_world.on_the_way() == []

    async def test_with_an_input_that_breaks_the_schema_fails_its_parent(
        self, world: World
    ) -> None:
        host = await family(world, CHILD, PARENT.replace("n: 1", "n: one"))
        await start(host, "parent", ["p"])
        end = await world.ends(host, "p")
        assert end.failure is not None
        assert end.failure.type == "SchemaError"
        assert not world.runners.ran
        assert await world.on_the_way() == []

    async def test_whose_id_is_taken_fails_its_parent(self, world: World) -> None:
        host = await family(world, CHILD, PARENT)
        world.runners.script = lambda _: HOLD
        await start(host, "parent", ["p"])
        await world.clock.until(lambda: world.runners.running)
        [(key, _)] = world.runners.running
        # In another world, somebody has an execution of just this id.
        other = World()
        there = await family(other, CHILD, PARENT)
        await start(there, "child", [key.execution_id], input={"n": 5})
        await start(there, "parent", ["p"])
        end = await other.ends(there, "p")
        assert end.failure is not None
        assert end.failure.type == "Duplicate"
        assert await other.on_the_way() == []
        await other.close()

    async def test_runs_the_version_that_is_the_latest_at_its_start(self, world: World) -> None:
        host = await family(world, CHILD, PARENT)
        await start(host, "parent", ["p"])
        await world.ends(host, "p")
        await put(host, CHILD.replace('version: "1"', 'version: "2"'))
        await start(host, "parent", ["q"])
        await world.ends(host, "q")
        assert {key.execution_id: each.row.version for key, each in executions(world).items()} == {
            "p": "1",
            "q": "1",
            child_of(world, "p"): "1",
            child_of(world, "q"): "2",
        }

    async def test_waits_for_room_in_memory(self, world: World) -> None:
        host = await family(
            world, CHILD, FAMILY, bounds=HostBounds(executions_resident=4, idle_ms=0)
        )
        most = 0

        def script(call: Any) -> int:
            nonlocal most
            most = max(most, info_of(host).resident)
            return inputs(call)

        world.runners.script = script
        await start(host, "family", ["p"], input={"items": list(range(30))})
        assert (await world.ends(host, "p")).output == list(range(1, 31))
        assert most < 40

    async def test_more_than_the_outbox_holds(self, world: World) -> None:
        host = await family(world, CHILD, FAMILY, bounds=HostBounds(outbox_messages=2))
        await start(host, "family", ["p"], input={"items": list(range(50))})
        await world.clock.until(lambda: info_of(host).messages_pending)
        assert (await world.ends(host, "p")).output == list(range(1, 51))
        assert info_of(host).messages_pending == 0


def executions(world: World) -> dict[Any, Any]:
    found: dict[Any, Any] = world.stored
    return found


def child_of(world: World, parent: str) -> str:
    [id] = [
        key.execution_id
        for key in executions(world)
        if key.execution_id.startswith(parent) and key.execution_id != parent
    ]
    return str(id)


class TestCancel:
    async def test_travels_down(self, any_world: World) -> None:
        host = await family(any_world, CHILD, PARENT)
        any_world.runners.script = lambda _: HOLD
        await start(host, "parent", ["p"])
        await any_world.until(lambda: any_world.runners.running)
        [(child, _)] = any_world.runners.running
        assert isinstance(await cancel(host, "p"), Accepted)
        assert (await any_world.ends(host, "p")).status == "Canceled"
        assert (await any_world.ends(host, child.execution_id)).status == "Canceled"
        assert await any_world.on_the_way() == []

    @pytest.mark.parametrize("rounds", range(12))
    async def test_never_leaves_a_child_running(self, world: World, rounds: int) -> None:
        """However far the start has come when the cancel is on its way."""
        host = await family(world, CHILD, PARENT)
        world.runners.script = lambda _: HOLD
        await start(host, "parent", ["p"])
        for _ in range(rounds):
            await asyncio.sleep(0)
        await cancel(host, "p")
        assert (await world.ends(host, "p")).status == "Canceled"
        await world.clock.spend(20_000)
        assert await world.on_the_way() == []
        assert {each.row.status for each in executions(world).values()} == {"Canceled"}

    async def test_waits_for_a_start_that_waits_for_its_definition(self, world: World) -> None:
        host = await family(world, PARENT, CHILD)
        world.runners.script = lambda _: HOLD
        usual, asked = world.journal._journal.get_definition, asyncio.Event()

        async def slow(namespace: str, id: str, version: str | None = None) -> Any:
            if id == "child":
                await asked.wait()
            return await usual(namespace, id, version)

        world.journal.get_definition = slow  # type: ignore[attr-defined]
        await start(host, "parent", ["p"])
        await cancel(host, "p")
        await world.clock.spend(1_000)
        assert len(executions(world)) == 1
        asked.set()
        assert (await world.ends(host, "p")).status == "Canceled"
        await world.clock.spend(20_000)
        assert {each.row.status for each in executions(world).values()} == {"Canceled"}
        assert await world.on_the_way() == []


class TestSignal:
    async def test_wakes_a_sleeper_in_order(self, any_world: World) -> None:
        host = await family(any_world, LISTENER, SPEAKER, bounds=HostBounds(idle_ms=0))
        await start(host, "listener", ["ear"], input={"count": 3})
        await start(host, "speaker", ["mouth"], input={"to": "ear", "count": 3})
        assert (await any_world.ends(host, "ear")).output == [1, 2, 3]
        assert await any_world.on_the_way() == []

    async def test_to_nobody_is_dropped_visibly(
        self, any_world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        host = await family(any_world, SPEAKER, bounds=HostBounds(idle_ms=0))
        await start(host, "speaker", ["mouth"], input={"to": "nobody", "count": 1})
        assert (await any_world.ends(host, "mouth")).status == "Completed"
        await any_world.until(lambda: info_of(host).messages_dropped == 1)
        await any_world.until(lambda: info_of(host).messages_pending == 0)
        assert await any_world.on_the_way() == []
        assert "from execution default/mouth to default/nobody (TellSignal)" in caplog.text

    async def test_to_one_that_has_ended_is_dropped_visibly(self, world: World) -> None:
        host = await family(world, CHILD, SPEAKER)
        await start(host, "child", ["x"], input={"n": 1})
        await world.ends(host, "x")
        before = await events_of(world.journal, "x")
        await start(host, "speaker", ["mouth"], input={"to": "x", "count": 1})
        await world.clock.until(lambda: info_of(host).messages_dropped == 1)
        await world.clock.until(lambda: info_of(host).messages_pending == 0)
        assert await world.on_the_way() == []
        assert await events_of(world.journal, "x") == before

    async def test_to_a_full_buffer_is_offered_again_in_order(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "SIGNALS_KEPT_MAX", 1)
        late = LISTENER.replace(
            "steps:\n", "steps:\n  - {id: sleep, type: timer, duration: 60s, next: hear}\n"
        )
        host = await family(world, late, SPEAKER, bounds=HostBounds(message_pause_ms=2_000))
        await start(host, "listener", ["ear"], input={"count": 6})
        await start(host, "speaker", ["mouth"], input={"to": "ear", "count": 6})
        await world.ends(host, "mouth")
        await world.clock.spend(10_000)
        assert len(await world.on_the_way()) == 5  # the first was kept
        assert (await world.ends(host, "ear")).output == [1, 2, 3, 4, 5, 6]
        await world.clock.until(lambda: info_of(host).messages_pending == 0)
        assert await world.on_the_way() == []
        assert info_of(host).messages_dropped == 0

    async def test_to_a_buffer_that_stays_full_is_dropped_after_its_bound(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "SIGNALS_KEPT_MAX", 1)
        bounds = HostBounds(signal_keep_ms=60_000, message_pause_ms=5_000)
        host = await family(
            world, LISTENER.replace("signal: say", "signal: never"), SPEAKER, bounds=bounds
        )
        await start(host, "listener", ["ear"], input={"count": 1})
        await start(host, "speaker", ["mouth"], input={"to": "ear", "count": 3})
        await world.ends(host, "mouth")
        await world.clock.spend(50_000)
        assert info_of(host).messages_dropped == 0
        assert len(await world.on_the_way()) == 2
        await world.clock.spend(20_000)
        assert info_of(host).messages_dropped == 2
        assert await world.on_the_way() == []

    async def test_that_is_refused_holds_up_no_cancel(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "SIGNALS_KEPT_MAX", 0)
        text = """
id: parent
version: "1"
steps:
  - {id: call, type: sub_workflow, workflow: child, version: latest, input: {n: 1}, next: end}
"""
        host = await family(
            world,
            CHILD,
            text.replace("next: end", "needs: []")
            + """\
  - id: say
    type: decision
    needs: []
    signal: [{execution: "p.1-0-1-1", name: say, data: 1}]
""",
        )
        world.runners.script = lambda _: HOLD
        await start(host, "parent", ["p"])
        await world.clock.until(lambda: world.runners.running)
        assert child_of(world, "p") == "p.1-0-1-1"
        await world.clock.spend(5_000)
        assert len(await world.on_the_way()) == 1  # the signal
        await cancel(host, "p")
        assert (await world.ends(host, "p")).status == "Canceled"
        await world.clock.until(lambda: info_of(host).messages_dropped == 1)  # it has ended


Harm = Callable[[World, int], Callable[[Sequence[ShardBatch]], None]]


def _with_messages(batches: Sequence[ShardBatch]) -> bool:
    return any(each.sent or each.received for batch in batches for each in batch.appends)


async def _killed_at(world: World, count: int, begin: Any, is_over: Any) -> int:
    """Kill the host whenever the `count`-th commit from its start is durable, before it knows.

    Returns how many hosts lived.
    """
    lives = 0
    while True:
        lives += 1
        assert lives < 60, "the hosts do not get on"
        host = world.host("h0")
        left = count if lives <= 12 else 10_000

        def stored(batches: Sequence[ShardBatch], host: ExecutionHost = host) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                world.kill(host)

        world.journal.stored = stored
        begun = asyncio.ensure_future(begin(host))
        over = asyncio.ensure_future(_over(world, is_over))
        try:
            await world.clock.until(
                lambda host=host, over=over: host.incarnation in world.dead or over.done()
            )
        finally:
            for task in (begun, over):
                task.cancel()
            await asyncio.gather(begun, over, return_exceptions=True)
        if host.incarnation not in world.dead:
            return lives


async def _over(world: World, is_over: Any) -> None:
    while not is_over():
        await world_pause(world)


async def world_pause(world: World) -> None:
    waited = asyncio.get_running_loop().create_future()
    world.clock.call_later(5, lambda: waited.done() or waited.set_result(None))
    await waited


def is_ended(world: World, id: str) -> bool:
    found = executions(world).get(key_of(id))
    return found is not None and found.row.status in ("Completed", "Failed", "Canceled")


class TestKilled:
    """After each commit: what it sent is not delivered, or is, and the receiver's is not known."""

    @pytest.mark.parametrize("count", range(1, 9))
    async def test_between_commit_and_delivery(self, world: World, count: int) -> None:
        for text in (CHILD, FAMILY):
            await world.journal.put_definition(row_of(text))

        async def begin(host: ExecutionHost) -> None:
            await start(host, "family", ["p"], input={"items": [1, 2, 3]})

        world.runners.script = inputs
        lives = await _killed_at(world, count, begin, lambda: is_ended(world, "p"))
        assert lives > 1
        assert executions(world)[key_of("p")].row.status == "Completed"
        assert (await status(world.hosts[-1], "p")).output == [2, 3, 4]
        assert len(executions(world)) == 4
        for key in executions(world):
            kinds = Counter(await events_of(world.journal, key.execution_id))
            assert kinds["execution.started"] == kinds["execution.completed"] == 1, key
        assert await world.on_the_way() == []

    @pytest.mark.parametrize("count", range(1, 7))
    async def test_signals_arrive_once_and_in_order(self, world: World, count: int) -> None:
        for text in (LISTENER, SPEAKER):
            await world.journal.put_definition(row_of(text))

        async def begin(host: ExecutionHost) -> None:
            await start(host, "listener", ["ear"], input={"count": 5})
            await start(host, "speaker", ["mouth"], input={"to": "ear", "count": 5})

        def is_over() -> bool:
            return is_ended(world, "ear") and is_ended(world, "mouth")

        assert await _killed_at(world, count, begin, is_over) > 1
        assert (await status(world.hosts[-1], "ear")).output == [1, 2, 3, 4, 5]
        assert await world.on_the_way() == []

    @pytest.mark.parametrize("count", [1, 2, 3])
    async def test_what_is_said_in_one_breath_arrives_in_order(
        self, world: World, count: int
    ) -> None:
        for text in (LISTENER, BURST):
            await world.journal.put_definition(row_of(text))

        async def begin(host: ExecutionHost) -> None:
            await start(host, "listener", ["ear"], input={"count": 12})
            await start(host, "burst", ["mouth"])

        await _killed_at(world, count, begin, lambda: is_ended(world, "ear"))
        assert (await status(world.hosts[-1], "ear")).output == list(range(12))

    @pytest.mark.parametrize("count", range(1, 5))
    async def test_a_child_that_cannot_start_is_an_end_for_its_parent(
        self, world: World, count: int
    ) -> None:
        await world.journal.put_definition(row_of(PARENT))

        async def begin(host: ExecutionHost) -> None:
            await start(host, "parent", ["p"])

        await _killed_at(world, count, begin, lambda: is_ended(world, "p"))
        assert executions(world)[key_of("p")].row.failure_type == "DefinitionNotFound"
        assert len(executions(world)) == 1
        assert await world.on_the_way() == []

    @pytest.mark.parametrize("count", range(1, 5))
    async def test_what_is_dropped_stays_dropped(self, world: World, count: int) -> None:
        await world.journal.put_definition(row_of(SPEAKER))

        async def begin(host: ExecutionHost) -> None:
            await start(host, "speaker", ["mouth"], input={"to": "nobody", "count": 2})

        def is_over() -> bool:
            boxes = world.journal._journal._message_shards
            return is_ended(world, "mouth") and not boxes

        await _killed_at(world, count, begin, is_over)
        kinds = Counter(await events_of(world.journal, "mouth"))
        assert kinds["execution.completed"] == 1

    @pytest.mark.parametrize("fault", ["unavailable", "unknown before", "unknown after"])
    @pytest.mark.parametrize("at", range(8))
    async def test_a_failing_journal_loses_and_doubles_nothing(
        self, world: World, fault: str, at: int
    ) -> None:
        host = await family(world, CHILD, FAMILY)
        world.journal.faults = [""] * at + [fault]
        world.runners.script = inputs
        await start(host, "family", ["p"], input={"items": [1, 2, 3]})
        assert (await world.ends(host, "p")).output == [2, 3, 4]
        assert len(executions(world)) == 4
        await world.clock.until(lambda: info_of(host).messages_pending == 0)
        assert await world.on_the_way() == []


class TestSeveralHosts:
    async def test_talk_to_each_other(self, world: World) -> None:
        hosts = await several(world)
        await start_anywhere(hosts, "family", "p", {"items": list(range(30))})
        end = await ends_anywhere(world, hosts, "p")
        assert end.output == list(range(1, 31))
        homes = {owner_of(hosts, key.execution_id) for key in executions(world)}
        assert len(homes) == 2, "all lived on one host: the test walked the easy road"
        await world.clock.spend(1_000)
        assert await world.on_the_way() == []

    @pytest.mark.parametrize("fault", ["lost", "answer lost"])
    async def test_calls_that_break_are_made_again_in_order(self, world: World, fault: str) -> None:
        hosts = await several(world)
        ear, mouth = apart(hosts)
        await world.journal.put_definition(
            row_of(BURST.replace("execution: ear", f"execution: {ear}"))
        )
        world.peer_faults = ["", fault, "", fault, fault, fault]
        await start_anywhere(hosts, "listener", ear, {"count": 24})
        await start_anywhere(hosts, "burst", mouth, None)
        await world.ends(owner_of(hosts, mouth), mouth)
        again = next(
            f"again{n}"
            for n in range(1_000)
            if owner_of(hosts, f"again{n}") is owner_of(hosts, mouth)
        )
        await start_anywhere(hosts, "burst", again, None)
        end = await ends_anywhere(world, hosts, ear)
        assert end.output == [*range(12), *range(12)]
        await world.clock.spend(70_000)
        assert await world.on_the_way() == []
        assert len(world.peer_faults) < 6

    async def test_a_child_that_cannot_start_over_there_fails_its_parent(
        self, world: World
    ) -> None:
        hosts = await several(world)
        text = PARENT.replace("workflow: child", "workflow: nobody")
        await world.journal.put_definition(row_of(text))
        ids = [f"p{n}" for n in range(12)]
        for id in ids:
            await start_anywhere(hosts, "parent", id, None)
        elsewhere = 0
        for id in ids:
            end = await ends_anywhere(world, hosts, id)
            assert end.failure is not None
            assert end.failure.type == "DefinitionNotFound"
            elsewhere += owner_of(hosts, id) is not owner_of(hosts, f"{id}.1-0-1-1")
        assert elsewhere
        assert await world.on_the_way() == []

    async def test_one_that_is_drained_hands_its_messages_over(self, world: World) -> None:
        hosts = await several(world)
        world.runners.script = lambda _: HOLD
        await start_anywhere(hosts, "family", "p", {"items": list(range(30))})
        await world.clock.until(lambda: len(world.runners.running) == 30)
        leaving = owner_of(hosts, "p")
        [staying] = [host for host in hosts if host is not leaving]
        draining = asyncio.ensure_future(leaving.drain(b"\x80"))
        for key, at in list(world.runners.running):
            world.runners.finish(key, at, 1)
        await world.clock.until(draining.done)
        await world.clock.until(lambda: len(serving(staying)) == 16)
        assert (await world.ends(staying, "p")).output == [1] * 30
        await world.clock.spend(70_000)
        assert await world.on_the_way() == []

    async def test_one_that_dies_is_succeeded(self, world: World) -> None:
        hosts = await several(world)
        world.runners.script = lambda _: HOLD
        await start_anywhere(hosts, "family", "p", {"items": list(range(30))})
        await world.clock.until(lambda: len(world.runners.running) == 30)
        parents = owner_of(hosts, "p")
        [other] = [host for host in hosts if host is not parents]
        world.kill(other)
        for key, at in list(world.runners.running):
            world.runners.finish(key, at, int(at.attempt))
        await world.clock.until(lambda: len(serving(parents)) == 16)
        end = await ends_anywhere(world, [parents], "p")
        assert end.output == [1] * 30
        await world.clock.spend(70_000)
        assert await world.on_the_way() == []


async def several(world: World) -> list[ExecutionHost]:
    for text in (CHILD, FAMILY, LISTENER, SPEAKER):
        await world.journal.put_definition(row_of(text))
    world.runners.script = inputs
    return await world.two_hosts()


def apart(hosts: Sequence[ExecutionHost]) -> tuple[str, str]:
    """Two ids whose executions live on different hosts."""
    ids = [f"x{n}" for n in range(100)]
    ear = ids[0]
    return ear, next(id for id in ids if owner_of(hosts, id) is not owner_of(hosts, ear))


async def start_anywhere(
    hosts: Sequence[ExecutionHost], definition: str, id: str, input: Any
) -> None:
    await start(owner_of(hosts, id), definition, [id], input=input)


async def ends_anywhere(world: World, hosts: Sequence[ExecutionHost], id: str) -> ExecutionView:
    return await world.ends(owner_of(hosts, id), id)
