"""The runner of a dedicated execution's actor: none before a step needs one, then one."""

from __future__ import annotations

from typing import Any

from tests.runner.conftest import Workshop

NONE: dict[str, Any] = {"runners_min": 0, "runners_max": 0, "owner": "x0123456789ab"}


async def test_it_is_made_when_a_step_waits_and_the_next_owner_goes_on_with_it(
    workshop: Workshop,
) -> None:
    first = await workshop.host(recover=True, **NONE)
    assert await first.pool.recover() == frozenset()
    first.pool.start()
    assert first.pool.runner_count == 0
    first.pool.send([workshop.step("tiny", input={"x": 1})])
    await first.hear(1)
    first.acknowledge_all()
    assert first.pool.runner_count == 1
    pid = workshop.pid(first)
    await first.pool.close()
    second = await workshop.host("b", recover=True, **NONE)
    await second.pool.recover()
    second.pool.start()
    second.pool.send([workshop.step("tiny", input={"x": 2}, execution="again")])
    await second.until(lambda: "again" in {each.key.execution_id for each in second.reports})
    assert workshop.pid(second) == pid
