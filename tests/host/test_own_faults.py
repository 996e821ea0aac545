"""Our own mistakes: one execution's must not stop the others, a turn's must not stop the host."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.actors.host import aftermath, execution
from heliostat.actors.host.api import Refusal, Started
from heliostat.engine.kernel.stimuli import ChildEnded, EventArrived, Start, StepReturned
from tests.host.support import (
    CHAIN,
    World,
    events_of,
    info_of,
    key_of,
    publish,
    put,
    start,
    status,
)
from tests.host.test_events import HEARS
from tests.host.test_messages import CHILD, PARENT

ALL = [
    "execution.started",
    "step.completed",
    "step.completed",
    "step.completed",
    "execution.completed",
]


async def test_a_kernel_that_fails_on_a_start_refuses_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    usual = execution.settle

    def settle(plan: Any, state: Any, stimulus: Any) -> Any:
        if isinstance(stimulus, Start) and stimulus.execution_id == "bad":
            raise RuntimeError("a mistake")
        return usual(plan, state, stimulus)

    monkeypatch.setattr(execution, "settle", settle)
    host = world.host()
    await put(host, CHAIN)
    good, bad, other = await start(host, "chain", ["x", "bad", "y"], input={"n": 1})
    assert isinstance(good, Started)
    assert isinstance(other, Started)
    assert isinstance(bad, Refusal)
    assert bad.code == "INTERNAL"
    await world.clock.until(lambda: info_of(host).ended == 2)
    assert await world.journal.get_row(key_of("bad")) is None
    [fault] = info_of(host).faults
    assert "a mistake" in fault
    await world.close()


async def test_a_kernel_that_fails_on_a_report_leaves_it_with_the_runner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    usual = execution.settle
    failing = True

    def settle(plan: Any, state: Any, stimulus: Any) -> Any:
        if failing and isinstance(stimulus, StepReturned) and state.execution_id == "bad":
            usual(plan, state, stimulus)  # half of it is booked
            raise RuntimeError("a mistake")
        return usual(plan, state, stimulus)

    monkeypatch.setattr(execution, "settle", settle)
    host = world.host()
    await put(host, CHAIN)
    await start(host, "chain", ["x", "bad"], input={"n": 1})
    await world.clock.until(lambda: info_of(host).faults and info_of(host).ended == 1)
    assert await events_of(world.journal, "bad") == ["execution.started"]
    assert [name[0] for name in world.runners.held] == [key_of("bad")]
    # A release that knows better takes over.
    failing = False
    world.kill(host)
    second = world.host()
    await world.clock.until(lambda: info_of(second).ended == 1)
    assert await events_of(world.journal, "bad") == ALL
    await world.close()


@pytest.mark.parametrize("at", range(1, 6))
async def test_a_broken_turn_begins_again_from_the_journal(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    world = World()
    usual = aftermath.commands_of
    calls = 0

    def commands_of(executions: Any) -> Any:
        nonlocal calls
        calls += bool(executions)
        if calls == at:
            calls += 1
            raise RuntimeError("a mistake")
        return usual(executions)

    monkeypatch.setattr(aftermath, "commands_of", commands_of)
    host = world.host()
    await put(host, CHAIN)
    answers = await start(host, "chain", [f"x{n}" for n in range(20)], input={"n": 1})
    # Who was told of a fault asks again, and finds what was durable before it.
    while any(isinstance(each, Refusal) for each in answers):
        answers = await start(host, "chain", [f"x{n}" for n in range(20)], input={"n": 1})
    await world.clock.until(
        lambda: all(each.row.status == "Completed" for each in world.stored.values())
    )
    for n in range(20):
        events = await events_of(world.journal, f"x{n}")
        assert [each for each in events if each != "owner.changed"] == ALL
    await world.close()


async def test_a_message_that_the_kernel_fails_on_is_offered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    usual, failures = execution.settle, 3

    def settle(plan: Any, state: Any, stimulus: Any) -> Any:
        nonlocal failures
        if isinstance(stimulus, ChildEnded) and failures:
            failures -= 1
            raise RuntimeError("a fault of ours")
        return usual(plan, state, stimulus)

    monkeypatch.setattr(execution, "settle", settle)
    host = world.host()
    await put(host, CHILD, PARENT)
    await start(host, "parent", ["p"])
    end = await world.ends(host, "p")
    assert (failures, end.output) == (0, 2)
    assert await world.on_the_way() == []
    assert len(info_of(host).faults) == 3
    await world.close()


async def test_an_event_that_the_kernel_fails_on_holds_up_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    usual = execution.settle

    def settle(plan: Any, state: Any, stimulus: Any) -> Any:
        if isinstance(stimulus, EventArrived) and state.execution_id == "bad":
            raise RuntimeError("a fault of ours")
        return usual(plan, state, stimulus)

    monkeypatch.setattr(execution, "settle", settle)
    host = world.host()
    await put(host, HEARS)
    await start(host, "hears", ["bad", "good"], input={"count": 2})
    await publish(host, "order.paid", 1, id="e1")
    await publish(host, "order.paid", 2, id="e2")
    assert (await world.ends(host, "good")).output == [1, 2]
    assert (await status(host, "bad")).status == "Waiting"
    assert info_of(host).faults
    await world.close()
