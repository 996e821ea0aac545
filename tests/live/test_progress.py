"""The fold of events into steps, over random executions of every construct, among faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from heliostat.actors.host.reads import _active
from heliostat.api.http.rendering import instant_or_none
from heliostat.api.live.progress import Progress, Told
from heliostat.api.live.steps import StepProgress
from heliostat.engine.expressions.time import INSTANT_MS_MAX
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.visits import is_item
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import Simulation, SimulationResult
from tests.simulation.seeds import replay_hint, seeds
from tests.simulation.worlds import World


class Thorough(Progress):
    """Looks at every visit after every event."""

    def _granted(self, touched: Any, heads: Any) -> bool:
        return True


def run(seed: int) -> SimulationResult:
    world = World(seed)
    how = {"faults": world.faults, **world.how}
    return Simulation(world.plan, world.input, world.outcomes, seed=seed, **how).run()


@pytest.fixture(scope="module")
def runs() -> list[tuple[int, SimulationResult]]:
    return [(seed, run(seed)) for seed in seeds(0.2)]


def told(progress: Progress, result: SimulationResult) -> Iterator[Told]:
    for body in result.history:
        yield progress.tell(body)


def test_an_event_changes_what_looking_at_everything_finds_changed(
    runs: list[tuple[int, SimulationResult]],
) -> None:
    """Event by event: what a reader makes of the changes is what there is."""
    for seed, result in runs:
        quick, thorough = Progress(result.plan), Thorough(result.plan)
        seen = quick.steps()
        for one, other in zip(told(quick, result), told(thorough, result), strict=True):
            assert one == other, f"{replay_hint(seed)}\n{result.story}"
            seen |= one.changes
            assert seen == quick.steps() == thorough.steps(), replay_hint(seed)


def test_all_at_once_is_as_one_by_one(runs: list[tuple[int, SimulationResult]]) -> None:
    for seed, result in runs:
        one_by_one, at_once = Progress(result.plan), Progress(result.plan)
        events = [each.seq for each in told(one_by_one, result)]
        at_once.pass_over(result.history)
        assert one_by_one.steps() == at_once.steps(), replay_hint(seed)
        assert events == list(range(1, len(result.history) + 1))
        assert at_once.seq == len(result.history)


def test_agrees_with_what_the_host_says(runs: list[tuple[int, SimulationResult]]) -> None:
    """The steps that a host names as active are those that run or wait here, and no others."""
    for seed, result in runs:
        progress = Progress(result.plan)
        for body in result.history:
            progress.tell(body)
            active = {each["step"] for each in status(result.plan, progress.state)}
            steps = progress.steps()
            going = {id for id, step in steps.items() if step["status"] in ("Running", "Waiting")}
            assert going == active, f"{replay_hint(seed)}\n{result.story}"
        assert progress.state == result.state or result.state.begun, replay_hint(seed)


def status(plan: Plan, state: ExecutionState) -> list[dict[str, Any]]:
    """As `Reads.status` names what is active."""
    return [
        _active(plan, scope.number, visit)
        for scope in state.scopes.values()
        for visit in scope.active.values()
    ]


def test_items_are_counted_and_none_is_left_active(
    runs: list[tuple[int, SimulationResult]],
) -> None:
    counted = 0
    for seed, result in runs:
        progress = Progress(result.plan)
        for body in result.history:
            progress.tell(body)
            if progress.ended:
                continue
            for scope in progress.state.scopes.values():
                for visit in scope.active.values():
                    if visit.items is None or is_item(scope):
                        continue
                    items = progress.steps()[result.plan.steps[visit.step].id]["items"]
                    assert items["total"] >= visit.items.width
                    assert items["active"] >= visit.items.in_flight
        for step in progress.steps().values():
            items = step.get("items")
            if items is not None and step["status"] not in ("Running", "Waiting"):
                counted += 1
                assert items["active"] == 0, replay_hint(seed)
                ended = items["completed"] + items["failed"] + items["canceled"]
                assert ended <= items["total"], replay_hint(seed)
                assert min(items.values()) >= 0, replay_hint(seed)
    assert counted > 20 or len(runs) == 1


def test_every_way_that_a_step_can_go_is_reached(
    runs: list[tuple[int, SimulationResult]],
) -> None:
    statuses: set[str] = set()
    phases: set[str] = set()
    for _, result in runs:
        progress = Progress(result.plan)
        for one in told(progress, result):
            for step in one.changes.values():
                statuses.add(step["status"])
                phases.add(step.get("phase", ""))
    if len(runs) > 1:
        assert statuses >= {"Running", "Waiting", "Completed", "Failed", "Skipped", "Canceled"}
        assert phases >= {
            *("running", "child", "items", "body", "human", "waiting", "timer", "backoff"),
            *("queued", "held", "stopping"),
        }


def test_steps_and_executions_beyond_the_calendar_are_told() -> None:
    """A history may hold instants that no calendar has a name for: they were not always refused."""
    step = StepProgress("far")
    step.skip(INSTANT_MS_MAX + 1)
    assert step.told()["ended_at"] == instant_or_none(INSTANT_MS_MAX + 1)
