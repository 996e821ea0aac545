"""A property that an execution breaks is heard of by all who listen, and survives its host."""

from __future__ import annotations

from typing import Any

from tests.host.support import World, events_of, info_of, put, start, status
from tests.host.test_following import Follower

SETTLED = """
id: sale
version: "1"
properties:
  - {id: settled, ltl: "G (completed(charge) -> F (completed(ship) | completed(refund)))"}
  - {id: asked-first, ltl: "!completed(charge) W completed(ask)"}
steps:
  - {id: charge, type: activity, activity: "m:f", next: ship}
  - {id: ship, type: activity, activity: "m:f", retry: {max_attempts: 1}, next: ask}
  - {id: ask, type: activity, activity: "m:f"}
  - {id: refund, type: activity, activity: "m:f"}
""".replace("next: ask}", "on_error: [{error: Out, next: refund}], next: ask}")


def lost(assignment: Any) -> Any:
    return RuntimeError("the parcel is gone") if assignment.code.step_id == "ship" else 1


async def test_it_is_recorded_at_once_streamed_and_told() -> None:
    world = World(script=lost)
    host = world.host()
    await put(host, SETTLED)
    await start(host, "sale", ["s"])
    await world.clock.until(lambda: info_of(host).ended == 1)
    assert await events_of(world.journal, "s") == [
        "execution.started",
        "step.completed",
        "property.violated",  # charged, and nobody asked: nothing mends that
        "step.failed",
        "execution.failed",
        "property.violated",  # neither shipped nor refunded
    ]
    follower = Follower(host, "s")
    await world.clock.until(follower.task.done)
    events = [each for batch in follower.batches for each in batch.events]  # type: ignore[union-attr]
    assert [(each["property"], each["number"]) for each in events if "property" in each] == [
        ("asked-first", 2),
        ("settled", 5),
    ]
    assert (await status(host, "s")).violated == ("asked-first", "settled")
    # What another host folds says the same.
    world.kill(host)
    second = world.host()
    await world.clock.spend(1_000)
    assert (await status(second, "s")).violated == ("asked-first", "settled")
    await world.close()


async def test_who_follows_as_it_happens_hears_the_last_one_too() -> None:
    world = World(script=lost)
    host = world.host()
    await put(host, SETTLED)
    await start(host, "sale", ["s"])
    follower = Follower(host, "s")
    await world.clock.until(follower.task.done)
    assert follower.seqs == [1, 2, 3, 4, 5, 6]
    await world.close()
