"""Several hosts, each with runners: what one hears at another's, and whose work is begun."""

from __future__ import annotations

from pathlib import Path

from heliostat.actors.dispatch.protocol import Assignment, Returned
from heliostat.engine.identity import shard_of

from .conftest import Host, Workshop

SHARDS = 2


def steps_of(
    workshop: Workshop, shard: str, count: int, function: str, **input: object
) -> list[Assignment]:
    """So many attempts of executions that fall into the shard."""
    found: list[Assignment] = []
    while len(found) < count:
        step = workshop.step(function, input=dict(input) or None)  # type: ignore[arg-type]  # plain
        if shard_of(step.key, SHARDS) == shard:
            found.append(step)
    return found


def keys(steps: list[Assignment]) -> set[object]:
    return {(step.key, step.at) for step in steps}


def heard(host: Host) -> set[object]:
    return {(report.key, report.at) for report in host.reports}


class TestTheHostIsGone:
    async def test_what_ran_and_what_is_held_comes_to_the_one_that_takes_over(
        self, workshop: Workshop
    ) -> None:
        first = await workshop.host("first", owner="0", shard_count=SHARDS)
        assert await first.pool.recover(["0", "1"]) == frozenset()
        held = steps_of(workshop, "0", 3, "tiny")
        first.pool.send(held)
        await first.hear(3)
        path = workshop.root / "m"
        slow = steps_of(workshop, "1", 1, "mark", path=str(path), seconds=1.5)
        first.pool.send(slow)
        pid = workshop.pid(first)
        await first.until(path.exists)
        await first.pool.close()  # its connections end, as with its process

        second = await workshop.host(
            "second", owner="1", recover=True, shard_count=SHARDS, unfed_ms=200, look_ms=50
        )
        assert await second.pool.recover(["0", "1"]) == keys([*held, *slow])
        await second.until(lambda: heard(second) == keys([*held, *slow]))
        assert all(isinstance(report, Returned) for report in second.reports)
        assert path.read_text() == "x"

        second.pool.start()
        second.acknowledge_all()
        await second.until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), within=60)
        await second.until(lambda: second.pool.listening == [])

    async def test_the_next_life_of_the_only_host_goes_on_with_its_runner(
        self, workshop: Workshop
    ) -> None:
        """One host, which does not tell shards apart, claims them again."""
        first = await workshop.host("first", owner="0")
        await first.pool.recover(["0", "1"])
        pid = workshop.pid(first)
        await first.pool.close()
        second = await workshop.host("second", owner="0", recover=True)
        await second.pool.recover(["0", "1"])
        second.pool.start()
        second.pool.send([workshop.step("tiny") for _ in range(3)])
        await second.hear(3)
        assert workshop.pid(second) == pid
        second.acknowledge_all()

    async def test_an_attempt_can_be_stopped_there(self, workshop: Workshop) -> None:
        first = await workshop.host("first", owner="0", shard_count=SHARDS)
        await first.pool.recover(["0"])
        (slow,) = steps_of(workshop, "0", 1, "doze", seconds=60)
        first.pool.send([slow])
        workshop.pid(first)
        await first.until(lambda: first.has_noticed(slow))  # that it has begun
        await first.pool.close()
        second = await workshop.host("second", owner="1", recover=True, shard_count=SHARDS)
        assert await second.pool.recover(["0"]) == keys([slow])
        second.pool.stop([(slow.key, slow.at, 50)])
        (report,) = await second.hear(1)
        assert type(report).__name__ == "Stopped"

    async def test_queued_work_is_not_begun_any_more(self, workshop: Workshop) -> None:
        first = await workshop.host(
            "first", owner="0", shard_count=SHARDS, window_us=60_000_000, look_ms=50
        )
        await first.pool.recover(["0", "1"])
        path, busy = workshop.root / "m", workshop.root / "busy"
        (slow,) = steps_of(workshop, "0", 1, "mark", path=str(busy), seconds=1.5)
        first.pool.send([slow])
        await first.until(busy.exists)
        first.pool.send(steps_of(workshop, "1", 3, "mark", path=str(path)))
        workshop.pid(first)
        (lane,) = first.pool.lanes
        assert lane.unfinished == 4  # the runner has them all
        await first.pool.close()
        second = await workshop.host("second", owner="1", recover=True, shard_count=SHARDS)
        assert await second.pool.recover(["0", "1"]) == keys([slow])
        await second.hear(1)
        assert not path.exists()


class TestTheHostLives:
    async def test_only_what_was_claimed_is_taken_from_it(self, workshop: Workshop) -> None:
        first = await workshop.host("first", owner="0", shard_count=SHARDS, window_us=60_000_000)
        await first.pool.recover(["0", "1"])
        busy, mine, gone = (workshop.root / name for name in ("busy", "mine", "gone"))
        (slow,) = steps_of(workshop, "0", 1, "mark", path=str(busy), seconds=2)
        first.pool.send([slow])
        await first.until(busy.exists)
        stay = steps_of(workshop, "0", 2, "mark", path=str(mine))
        go = steps_of(workshop, "1", 2, "mark", path=str(gone))
        first.pool.send([go[0], *stay, go[1]])

        second = await workshop.host("second", owner="1", recover=True, shard_count=SHARDS)
        assert await second.pool.recover(["1"]) == frozenset()
        assert second.pool.listening == []  # nothing of its own is there
        late = steps_of(workshop, "1", 1, "mark", path=str(gone))
        first.pool.send(late)  # it does not know yet
        await first.until(lambda: heard(first) == keys([slow, *stay]))
        await first.until(lambda: not any(first.pool.runs((each.key, each.at)) for each in late))
        assert not gone.exists()
        assert mine.read_text() == "xx"
        assert second.reports == []

        assert await first.pool.recover(["1"]) == keys([slow, *stay])  # claimed back: held, no more
        first.pool.send(go)
        await first.until(lambda: keys(go) <= heard(first))

    async def test_a_listener_hears_its_own_and_lets_go(self, workshop: Workshop) -> None:
        first = await workshop.host("first", owner="0", shard_count=SHARDS)
        await first.pool.recover(["0", "1"])
        path = workshop.root / "m"
        (slow,) = steps_of(workshop, "1", 1, "mark", path=str(path), seconds=1.5)
        first.pool.send([slow])
        await first.until(path.exists)
        second = await workshop.host("second", owner="1", recover=True, shard_count=SHARDS)
        assert await second.pool.recover(["1"]) == keys([slow])
        assert len(second.pool.listening) == 1
        others = steps_of(workshop, "0", 5, "tiny")
        await second.hear(1)
        first.pool.send(others)
        await first.until(lambda: keys(others) <= heard(first))
        assert heard(second) == keys([slow])
        second.acknowledge_all()
        await second.until(lambda: second.pool.listening == [])
        first.acknowledge_all()
        assert await first.pool.recover() == frozenset()  # acknowledged by its owner


def _is_zombie(pid: int) -> bool:
    """Ended, and not waited for by its parent: this process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
