"""Semaphores of the deployment on real runners: never more at a time than there are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliostat.actors.dispatch.dispatcher import Dispatcher
from heliostat.actors.dispatch.leases import AttemptLeases
from heliostat.actors.dispatch.placement_local import LocalPlacement
from heliostat.actors.dispatch.protocol import Assignment, Report, Returned
from heliostat.engine.scheduling.board import Rules
from heliostat.engine.scheduling.nodes import NodeView
from tests.runner.conftest import Workshop


def most_at_once(reports: Sequence[Report]) -> int:
    """How many ran together at the fullest moment."""
    ran = [
        (report.started_at_ms, report.started_at_ms + report.elapsed_ms)
        for report in reports
        if isinstance(report, Returned)
    ]
    return max(sum(began <= at < ended for began, ended in ran) for at, _ in ran)


def taking(assignment: Assignment, semaphores: dict[str, int]) -> Assignment:
    return msgspec.structs.replace(assignment, semaphores=semaphores)


async def test_attempts_on_warm_runners_never_exceed_a_semaphore(workshop: Workshop) -> None:
    host = await workshop.host(recover=True, runners_min=3, runners_max=3)
    placement = LocalPlacement(
        nodes=[NodeView(id="n", name="n", total={"CPU": 4.0})], rules=Rules(semaphores={"llm": 2})
    )
    leases = AttemptLeases(placement, host._take)
    host.pool._common.deliver = leases.deliver
    dispatcher = Dispatcher(host.pool, leases=leases)
    await dispatcher.recover()
    await host.until(lambda: workshop._ready(host) == 3, within=60)
    steps = [
        taking(workshop.step("nap", input={"seconds": 0.4}), {"llm": 1}) for _ in range(8)
    ]  # fmt: skip
    dispatcher.send(steps)
    await host.hear(len(steps), within=60)
    assert most_at_once(host.reports) == 2
    assert len(dispatcher.reasons([(each.key, each.at) for each in steps])) == 0
    await placement.close()
