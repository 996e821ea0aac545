"""Human tasks: rows that keep up with the history, and what people do with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.host.api import (
    Accepted,
    Refusal,
    TaskActionRequest,
    TaskInfo,
    TaskInfos,
    TaskRequest,
)
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import answer
from heliostat.actors.host.tasks import task_address, task_id
from heliostat.engine.errors import NotFound
from heliostat.engine.identity import Address
from heliostat.engine.journal.protocol import TaskQuery
from tests.host.support import (
    World,
    ask,
    asked,
    cancel,
    events_of,
    info_of,
    key_of,
    put,
    start,
    status,
)

ASKS = """
id: asks
version: "1"
steps:
  - id: approve
    type: human
    name: Approve the order
    assignees: [ann]
    input: {order: 7}
    form: {type: object, properties: {ok: {type: boolean}}, required: [ok]}
    needs: []
"""


async def tasks_of(host: ExecutionHost, **query: Any) -> list[TaskInfo]:
    body = await asked(host, host.list_tasks(pack(TaskQuery(namespace="default", **query))))
    infos = answer(body, TaskInfos)
    assert not isinstance(infos, Refusal), infos
    return list(infos.tasks)


async def task(host: ExecutionHost, id: str, task_id: str) -> TaskInfo | Refusal:
    request = TaskRequest(key=key_of(id), task_id=task_id)
    return answer(await asked(host, host.get_task(pack(request))), TaskInfo)


async def act(
    host: ExecutionHost, id: str, task_id: str, verb: Any, *, message: str = "a1", **changes: Any
) -> Accepted | Refusal:
    given: dict[str, Any] = {"user": "ann", **changes}
    request = TaskActionRequest(
        key=key_of(id), message_id=message, task_id=task_id, verb=verb, **given
    )
    return await ask(host, "act_on_task", request)


async def asking(world: World, **changes: Any) -> ExecutionHost:
    host = world.host("h0", **changes)
    await put(host, ASKS)
    await start(host, "asks", ["x"])
    return host


async def test_is_listed_with_what_the_person_is_shown(any_world: World) -> None:
    host = await asking(any_world)
    [found] = await tasks_of(host)
    assert found.key == key_of("x")
    assert (found.definition, found.step, found.name) == ("asks", "approve", "Approve the order")
    assert (found.status, found.assignees) == ("Open", ("ann",))
    assert found.input == {"order": 7}
    assert found.form is not None
    assert found.form["required"] == ["ok"]
    assert await task(host, "x", found.task_id) == found
    assert (await status(host, "x")).active[0]["task_id"] == found.task_id
    assert await tasks_of(host, execution_id="y") == []


async def test_is_claimed_and_completed(any_world: World) -> None:
    host = await asking(any_world, bounds=HostBounds(idle_ms=0))
    [found] = await tasks_of(host)
    await any_world.until(lambda: info_of(host).resident == 0)
    assert isinstance(await act(host, "x", found.task_id, "claim"), Accepted)
    [claimed] = await tasks_of(host)
    assert (claimed.status, claimed.claimed_by) == ("Claimed", "ann")
    done = await act(host, "x", found.task_id, "complete", message="a2", data={"ok": True})
    assert done == Accepted(key=key_of("x"), status="Completed")
    end = await any_world.ends(host, "x")
    assert end.output == {"ok": True, "completed_by": "ann"}
    [completed] = await tasks_of(host)
    assert completed.status == "Completed"
    assert completed.ended_at_ms is not None


async def test_what_breaks_the_form_is_refused_and_changes_nothing(world: World) -> None:
    host = await asking(world)
    [found] = await tasks_of(host)
    refusal = await act(host, "x", found.task_id, "complete", data={"ok": "perhaps"})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "INVALID_INPUT"
    assert await tasks_of(host) == [found]


async def test_of_somebody_else_is_refused(world: World) -> None:
    host = await asking(world)
    [found] = await tasks_of(host)
    await act(host, "x", found.task_id, "claim")
    refusal = await act(host, "x", found.task_id, "claim", message="a2", user="bob")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "CONFLICT"


async def test_an_action_repeated_under_its_id_is_accepted_and_does_nothing(world: World) -> None:
    host = await asking(world)
    [found] = await tasks_of(host)
    for _ in range(3):
        answered = await act(host, "x", found.task_id, "complete", data={"ok": True})
        assert isinstance(answered, Accepted)
        assert answered.status == "Completed"
    assert (await events_of(world.journal, "x")).count("step.completed") == 1


async def test_is_canceled_with_its_execution(world: World) -> None:
    host = await asking(world)
    await cancel(host, "x")
    await world.ends(host, "x")
    [found] = await tasks_of(host)
    assert found.status == "Canceled"
    refusal = await act(host, "x", found.task_id, "complete", data={"ok": True})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "CONFLICT"


@pytest.mark.parametrize("id", ["", "1:0", "0:0:1:1", "1:0:1:1:1", "a:b:c:d", "1:0:1:" + "9" * 30])
async def test_that_cannot_be_one_is_not_found(world: World, id: str) -> None:
    host = await asking(world)
    refusal = await act(host, "x", id, "claim")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "NOT_FOUND"
    found = await task(host, "x", id)
    assert isinstance(found, Refusal)
    assert found.code == "NOT_FOUND"


def test_ids_are_addresses() -> None:
    at = Address(3, 0, 2, 1)
    assert task_address(task_id(at)) == at
    with pytest.raises(NotFound, match=r"scope:step:visit:attempt"):
        task_address("nothing")


@pytest.mark.parametrize("commit", [1, 2])
async def test_rows_and_history_agree_after_a_crash(world: World, commit: int) -> None:
    host = await asking(world)
    [found] = await tasks_of(host)
    left = commit

    def stored(_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            world.kill(host)

    world.journal.stored = stored

    async def work() -> None:
        await act(host, "x", found.task_id, "claim")
        await act(host, "x", found.task_id, "complete", message="a2", data={"ok": True})

    working = asyncio.ensure_future(work())
    await world.clock.until(lambda: left <= 0)
    working.cancel()
    second = world.host("h0")
    [row] = await tasks_of(second)
    kinds = await events_of(world.journal, "x")
    assert (row.status == "Completed") == ("step.completed" in kinds)
    assert row.claimed_by == "ann"
    again = await act(second, "x", found.task_id, "complete", message="a2", data={"ok": True})
    assert isinstance(again, Accepted)
    assert (await world.ends(second, "x")).output == {"ok": True, "completed_by": "ann"}
