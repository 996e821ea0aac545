"""Following an execution: its state, and then each event once, whatever becomes of the stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.interface import Followed
from heliostat.actors.client.waiting import CALLS_AT_ONCE
from heliostat.actors.host.api import ExecutionView
from heliostat.engine import errors
from tests.client.inprocess import LocalHosts, deployment
from tests.client.test_with_host import WAITS, Work, register

BOUND_S = 60.0


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path, Work()) as client:
        register(client, WAITS)
        yield client


def split(told: list[Followed]) -> tuple[ExecutionView, list[dict[str, Any]]]:
    """The state, which comes first and once, and the events."""
    first, *events = told
    assert isinstance(first, ExecutionView)
    assert all(isinstance(event, dict) for event in events)
    return first, [event for event in events if isinstance(event, dict)]


def test_the_state_comes_first_and_then_each_event_as_it_is_recorded(client: Client) -> None:
    handle = client.start("waits")
    while handle.status().status != "Waiting":
        pass
    following = handle.follow()
    view, *_ = islice(following, 1)
    assert isinstance(view, ExecutionView)
    assert view.status == "Waiting"
    events = [event for event in islice(following, view.seq) if isinstance(event, dict)]
    handle.signal("go", {"ok": False})  # only now: the next is heard because it was recorded
    heard = next(following)
    assert isinstance(heard, dict)
    assert heard["seq"] == view.seq + 1
    handle.signal("go", {"ok": True})
    events += [heard, *(event for event in following if isinstance(event, dict))]
    assert events == handle.history()


def test_of_one_that_has_ended_all_is_told_at_once(client: Client) -> None:
    handle = client.start("waits")
    handle.signal("go", {"ok": True})
    handle.result(BOUND_S)
    view, events = split(list(handle.follow()))
    assert view.status == "Completed"
    assert events == handle.history()
    _, later = split(list(handle.follow(after=2)))
    assert later == handle.history(after=2)
    assert split(list(handle.follow(after=None)))[1] == []


def test_one_that_does_not_exist(client: Client) -> None:
    with pytest.raises(errors.NotFound, match="no execution 'nobody'"):
        next(client.get("nobody").follow())


def test_a_stream_that_breaks_leaves_nothing_out_and_repeats_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third piece is lost with its stream; what it said is told by the next."""
    handle = client.start("waits")
    heard = LocalHosts.piece
    pieces = 0

    def lossy(self: LocalHosts, stream: Any) -> bytes | None:
        nonlocal pieces
        piece = heard(self, stream)
        pieces += 1
        if pieces % 3 == 0:
            raise errors.Unreachable("the host died")
        return piece

    monkeypatch.setattr(LocalHosts, "piece", lossy)
    told: list[Followed] = []
    follower = threading.Thread(target=lambda: told.extend(handle.follow()))
    follower.start()
    for _ in range(10):
        handle.signal("go", {"ok": False})
    handle.signal("go", {"ok": True})
    handle.result(BOUND_S)
    follower.join(BOUND_S)
    assert pieces > 3
    assert split(told)[1] == handle.history()


async def test_more_may_follow_than_calls_are_made_at_once(client: Client) -> None:
    """Followers take no thread of those that calls need."""
    handle = await client.start_async("waits")
    ready = [asyncio.Event() for _ in range(CALLS_AT_ONCE + 20)]

    async def follow(ready: asyncio.Event) -> list[Followed]:
        told = []
        async for one in handle.follow_async():
            told.append(one)
            ready.set()
        return told

    following = [asyncio.create_task(follow(each)) for each in ready]
    async with asyncio.timeout(BOUND_S):
        for each in ready:
            await each.wait()
        assert (await handle.status_async()).status in ("Running", "Waiting")
        await handle.signal_async("go", {"ok": True})
        for told in await asyncio.gather(*following):
            assert split(told)[1] == await handle.history_async()
