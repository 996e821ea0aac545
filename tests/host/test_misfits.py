"""What is no run of its plan does not go on: a mistake of the kernel's, or a history somebody
changed; and nothing else is held up by it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec.structs import replace

from heliostat.actors.host import execution
from heliostat.actors.host.bounds import HostBounds
from heliostat.engine.kernel.codec import decode_event, encode_event
from heliostat.engine.kernel.events import StepCompleted
from heliostat.engine.kernel.stimuli import StepReturned
from heliostat.engine.kernel.turn import Decision
from tests.host.support import (
    CHAIN,
    NAP,
    World,
    events_of,
    info_of,
    key_of,
    put,
    start,
    status,
)
from tests.host.test_own_faults import ALL


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A kernel that says of an execution `bad` that its steps go nowhere."""
    usual, how = execution.settle, {"mistaken": True}

    def settle(plan: Any, state: Any, stimulus: Any) -> Decision:
        decision = usual(plan, state, stimulus)
        if how["mistaken"] and isinstance(stimulus, StepReturned) and state.execution_id == "bad":
            decision.events = [
                replace(each, taken=()) if isinstance(each, StepCompleted) else each
                for each in decision.events
            ]
        return decision

    monkeypatch.setattr(execution, "settle", settle)
    return how


async def test_what_the_kernel_decided_wrongly_is_not_recorded(
    mistaken: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    host = world.host()
    await put(host, CHAIN)
    with caplog.at_level(logging.ERROR):
        await start(host, "chain", ["x", "bad"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).faults and info_of(host).ended == 1)
    assert await events_of(world.journal, "bad") == ["execution.started"]
    assert await events_of(world.journal, "x") == ALL
    view = await status(host, "bad")
    assert view.misfit is not None
    assert view.misfit.startswith("event 2 (step.completed of step 'a') does not fit: ")
    assert (view.status, view.seq) == ("Running", 1)
    assert any("history.misfit: execution default/bad" in each.message for each in caplog.records)
    # A release that knows better takes over: the runner has kept the report.
    mistaken["mistaken"] = False
    world.kill(host)
    second = world.host()
    await world.clock.until(lambda: info_of(second).ended == 1)
    assert await events_of(world.journal, "bad") == ALL
    assert (await status(second, "bad")).misfit is None
    await world.close()


async def test_it_can_be_turned_off(mistaken: dict[str, bool]) -> None:
    world = World()
    host = world.host(bounds=HostBounds(conformance=False))
    await put(host, CHAIN)
    await start(host, "chain", ["bad"], input={"n": 1})
    await world.clock.until(lambda: info_of(host).ended == 1)
    assert info_of(host).faults == ()
    await world.close()


async def test_a_history_that_somebody_changed_is_not_taken_over() -> None:
    world = World()
    host = world.host()
    await put(host, NAP)
    await start(host, "nap", ["changed", "good"])
    await world.clock.spend(1_000)
    world.kill(host)
    stored = world.stored[key_of("changed")]
    started = decode_event(stored.events[0])
    again = replace(started, activated=started.activated * 2)  # type: ignore[union-attr,call-arg]
    stored.events[0] = encode_event(again)
    second = world.host()
    await world.clock.until(lambda: info_of(second).ended == 1)
    view = await status(second, "changed")
    assert view.misfit is not None
    assert "event 1 (execution.started) does not fit" in view.misfit
    assert any("changed" in fault and "does not fit" in fault for fault in info_of(second).faults)
    await world.close()
