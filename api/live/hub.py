"""The executions that somebody watches through this process, each followed once for all readers.

A `Hub` hears the events of followed executions over one stream per host, whatever their number and
that of their readers, and reads from the journal what it missed. Executions that nobody watches any
more are let go after a while.

For one event loop: a replica's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from heliostat.actors.client.feed import Feed, Listener
from heliostat.engine.errors import HeliostatError, NotFound
from heliostat.engine.identity import ExecutionKey

from .channel import Channel
from .channel import Source as Stored
from .frames import Frame, notice_frame
from .progress import Progress
from .readers import Reader

_log = logging.getLogger(__name__)

SEATS_MAX: Final = 4_000
"""Readers of one process. Each costs a buffer that is mostly empty, and its share of the loop."""

LINGER_S: Final = 30.0
"""How long an execution is followed after its last reader left: pages are reloaded."""

KEPT_MAX: Final = 100
"""Executions that nobody watches, kept folded for those who ask for their state."""

SWEEP_S: Final = 5.0


class Source(Stored, Protocol):
    """The deployment, as far as the hub needs it; `RayConnection` is one."""

    def feed(self, listener: Listener) -> Feed: ...


class TooMany(Exception):
    """This process has as many readers as it takes."""

    def __str__(self) -> str:
        return f"{SEATS_MAX:,} readers are connected already; try again in a while"


class Leaving(Exception):
    """This process ends; another one serves who connects again."""

    def __str__(self) -> str:
        return "the service restarts; connect again"


class Seat:
    """One reader's place at an execution."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.reader = Reader()

    def refresh(self) -> None:
        """Tell the state again, after all that waits."""
        self.reader.offer(self._channel.state())

    async def frames(self, after: int | None) -> AsyncGenerator[Frame, None]:
        """The state, then every event after `after` (absent: after that state), then whatever
        comes. Raises what `Reader.take` does."""
        channel, reader = self._channel, self.reader
        if after is not None and after > channel.seq:
            await channel.catch_up()  # it saw more through another process than is known here
        state = channel.state()
        position = channel.seq if after is None else after
        missing = channel.join(reader, position)
        yield state
        if missing is None:
            async for frame in channel.replay(reader, position):
                yield frame
        else:
            for frame in missing:
                yield frame
        while True:
            for frame in await reader.take():
                yield frame


class Hub:
    """What this process follows, and who reads it.

    Args:
        connection: the way to the deployment; raises `Unreachable` while there is none.
    """

    def __init__(self, connection: Callable[[], Source], *, seats_max: int = SEATS_MAX) -> None:
        self._connection = connection
        self._seats_max = seats_max
        self._seats: set[Seat] = set()
        self._channels: dict[ExecutionKey, Channel] = {}
        self._feed: Feed | None = None
        self._feeds_of: Source | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many readers there are."""
        return len(self._seats)

    @property
    def followed(self) -> int:
        """How many executions are followed."""
        return sum(channel.followed for channel in self._channels.values())

    # for readers

    @asynccontextmanager
    async def seat(self, key: ExecutionKey) -> AsyncIterator[Seat]:
        """A reader's place at an execution.

        Raises:
            TooMany: there are too many readers.
            NotFound: there is no such execution.
            Unreachable: the deployment does not answer.
        """
        if self._closed:
            raise Leaving
        if len(self._seats) >= self._seats_max:
            raise TooMany
        channel = self._channel(key)
        seat = Seat(channel)
        self._seats.add(seat)
        channel.guests += 1
        try:
            await self._follow(channel)
            yield seat
        finally:
            self._seats.discard(seat)
            channel.readers.discard(seat.reader)
            self._leave(channel)

    async def progress(self, key: ExecutionKey) -> Progress:
        """An execution folded up to now; not to be changed, and not to be kept over an `await`.

        Raises: as `seat`, but for `TooMany`.
        """
        channel = self._channel(key)
        channel.guests += 1
        try:
            await channel.catch_up()
            return channel.progress
        finally:
            self._leave(channel)

    async def close(self) -> None:
        """Tell all readers that this process ends, and follow nothing any more."""
        self._closed = True
        for seat in list(self._seats):
            seat.reader.close(Leaving())
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._feed is not None:
            await self._feed.close()

    # channels

    def _channel(self, key: ExecutionKey) -> Channel:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(key, self._connection)
        if self._sweeping is None and not self._closed:
            self._sweeping = asyncio.create_task(self._sweep(), name="heliostat-live-sweep")
        return channel

    def _leave(self, channel: Channel) -> None:
        channel.guests -= 1
        channel.used_at = time.monotonic()
        if not channel.guests and channel.seq == 0:  # there was nothing there
            self._channels.pop(channel.key, None)

    async def _follow(self, channel: Channel) -> None:
        """Have its host push, and fold what there is; one does it for all that come."""
        async with channel.opening:
            feed = await self._feed_now()
            if not channel.followed:
                await feed.follow(channel.key)
                channel.followed = True
                await channel.catch_up()

    async def _feed_now(self) -> Feed:
        """The feed of the deployment that there is now."""
        source = self._connection()
        if self._feed is None or source is not self._feeds_of:
            before, self._feed, self._feeds_of = self._feed, source.feed(self), source
            if before is not None:
                await before.close()
                for channel in self._channels.values():
                    channel.followed = False
                    if channel.readers:
                        self._feed.again([channel.key])
                        channel.followed = True
        return self._feed

    async def _sweep(self) -> None:
        """Let go, again and again, of what nobody watches."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for seat in list(self._seats):
                if seat.reader.is_stuck(time.monotonic()):
                    seat.reader.give_up()
            before = time.monotonic() - LINGER_S
            idle = sorted(
                (each for each in self._channels.values() if not each.guests),
                key=lambda channel: channel.used_at,
            )
            left = [each for each in idle if each.followed and each.used_at < before]
            kept = [each for each in idle if not each.followed]
            gone = [*left, *kept[: max(len(kept) - KEPT_MAX, 0)]]
            for channel in gone:
                del self._channels[channel.key]
            if left and self._feed is not None:
                try:
                    await self._feed.leave([each.key for each in left])
                except HeliostatError as error:
                    _log.info("live: not unfollowed: %s", error)

    # what the feed says

    def recorded(self, key: ExecutionKey, after_seq: int, bodies: Sequence[bytes]) -> None:
        """See `Listener`."""
        channel = self._channels.get(key)
        if channel is None:
            return
        try:
            channel.recorded(after_seq, bodies)
        except Exception as error:  # noqa: BLE001 – one execution's fault must not silence others
            _log.exception("live: the events of %s cannot be told", key)
            channel.end(error)

    def missed(self, keys: Iterable[ExecutionKey]) -> None:
        """See `Listener`."""
        for key in keys:
            channel = self._channels.get(key)
            if channel is not None and channel.followed:
                channel.read_on()

    def gone(self, key: ExecutionKey) -> None:
        """See `Listener`."""
        channel = self._channels.get(key)
        if channel is not None:
            channel.followed = False
            channel.end(NotFound("execution", key.execution_id, "it was deleted"))

    def noticed(self, key: ExecutionKey, notice: dict[str, Any]) -> None:
        """See `Listener`."""
        channel = self._channels.get(key)
        if channel is not None:
            channel.notice(notice_frame(notice))
