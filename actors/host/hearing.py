"""One stream to one client: a batch whenever its bell rings, and at each heartbeat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol

from heliostat.actors.host.clock import Clock, Doorbell


class Hearer(Protocol):
    """What a host remembers of a client that listens."""

    bell: Doorbell | None
    """Of the stream that it listens to now."""
    left_at_ms: int | None
    resync: bool
    opened: bool


class Pace(NamedTuple):
    """When a stream says something though nothing has happened, and when it ends."""

    clock: Clock
    heartbeat_ms: int
    closed: Callable[[], bool]


async def heard(client: Hearer, pace: Pace, take: Callable[[], bytes]) -> AsyncIterator[bytes]:
    """What a client hears; a newer stream of the same client ends the older one.

    The first batch comes at once. It asks to resync where an earlier stream broke, since what that
    one said last may not have arrived.
    """
    bell = Doorbell(pace.clock)
    if client.bell is not None:
        client.bell.ring()
    client.bell = bell
    client.left_at_ms = None
    client.resync |= client.opened
    client.opened = True
    bell.ring()
    try:
        while client.bell is bell and not pace.closed():
            await bell.wait(pace.heartbeat_ms)
            if client.bell is bell:
                yield take()
    finally:
        if client.bell is bell:
            client.bell = None
            client.left_at_ms = pace.clock.steady_ms()
