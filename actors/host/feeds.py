"""Feeds: the events of executions, as they are stored, to those who follow many at once.

A client has one feed, however many executions it follows. A commit's events wait for it in a
bounded buffer, as the bytes that were committed: nothing is read, decoded or rendered here, and an
execution in which nothing happens costs nothing. A buffer that overflows is emptied and the feed
says `resync`, whereupon the client reads what it misses from the journal. That is always possible:
an event is in the journal before it is here; and each piece says after which `seq` it comes, so
that a client sees what it misses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from heliostat.actors.calls import pack
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.hearing import Pace, heard
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.questions import (
    FeedBatch,
    Recorded,
    StoredPage,
    StoredRequest,
    Subscribe,
    Subscribed,
)
from heliostat.actors.host.reads import HISTORY_LIMIT, Reads
from heliostat.actors.host.requests import unknown
from heliostat.actors.host.starts import overloaded
from heliostat.engine.errors import InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import Journal


class _Client:
    __slots__ = (
        "bell",
        "bytes",
        "feed",
        "followed",
        "left_at_ms",
        "lost",
        "name",
        "notices",
        "opened",
        "recorded",
        "resync",
    )

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.feed = new_id()
        self.followed: set[ExecutionKey] = set()
        self.recorded: list[tuple[Recorded, int]] = []  # each with its bytes
        self.notices: list[tuple[ExecutionKey, dict[str, Any]]] = []
        self.lost: list[ExecutionKey] = []
        self.bytes = 0
        self.resync = False
        self.bell: Doorbell | None = None  # of the stream that is open now
        self.opened = False
        self.left_at_ms: int | None = now_ms


class Feeds:
    """Who follows what, and what waits for whom. Used on the host's event loop only."""

    def __init__(
        self,
        *,
        journal: Journal,
        ownership: Ownership,
        reads: Reads,
        clock: Clock,
        bounds: HostBounds,
    ) -> None:
        self._journal, self._ownership, self._reads = journal, ownership, reads
        self._clock, self._bounds = clock, bounds
        self._clients: dict[str, _Client] = {}
        self._followers: dict[ExecutionKey, tuple[_Client, ...]] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many executions are followed."""
        return len(self._followers)

    # who follows what

    async def subscribe(self, request: Subscribe) -> Subscribed | Refusal:
        """Follow executions, and some no more; following twice is following."""
        client = self._client(request.client)
        for key in request.drop:
            self._release(client, key)
        if len(client.followed) + len(request.keys) > self._bounds.followed:
            return overloaded("the list of followed executions", self._bounds)
        missing: list[ExecutionKey] = []
        elsewhere: list[tuple[ExecutionKey, str]] = []
        unowned: list[ExecutionKey] = []
        for key in request.keys:
            self._follow(client, key)  # first, so that nothing falls between
            located = await self._reads.locate(key)
            own = self._ownership
            if not located.exists:
                missing.append(key)
            elif located.carrier != own.name:
                elsewhere.append((key, located.carrier))
            elif not (own.find(own.shard_name(key)) or own.find(own.start_shard(key))):
                unowned.append(key)
            else:
                continue
            self._release(client, key)
        return Subscribed(
            feed=client.feed,
            unknown=tuple(missing),
            elsewhere=tuple(elsewhere),
            unowned=tuple(unowned),
        )

    def _follow(self, client: _Client, key: ExecutionKey) -> None:
        if key not in client.followed:
            client.followed.add(key)
            self._followers[key] = (*self._followers.get(key, ()), client)

    def _release(self, client: _Client, key: ExecutionKey) -> None:
        client.followed.discard(key)
        left = tuple(each for each in self._followers.get(key, ()) if each is not client)
        if left:
            self._followers[key] = left
        else:
            self._followers.pop(key, None)

    def _client(self, name: str) -> _Client:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = _Client(name, self._clock.steady_ms())
        return client

    # what is told

    def recorded(self, key: ExecutionKey, after_seq: int, bodies: Sequence[bytes]) -> None:
        """These events of an execution are durable."""
        followers = self._followers.get(key)
        if followers is None or not bodies:
            return
        piece = Recorded(key=key, after_seq=after_seq, bodies=tuple(map(msgspec.Raw, bodies)))
        size = sum(map(len, bodies))
        for client in followers:
            client.recorded.append((piece, size))
            client.bytes += size
            if client.bytes > self._bounds.feed_bytes:
                client.recorded.clear()
                client.bytes = 0
                client.resync = True
            if client.bell is not None:
                client.bell.ring()

    def notice(self, key: ExecutionKey, notice: dict[str, Any]) -> None:
        """Something that is not recorded; left out where much waits."""
        for client in self._followers.get(key, ()):
            if len(client.notices) < self._bounds.feed_notices:
                client.notices.append((key, notice))
                if client.bell is not None:
                    client.bell.ring()

    def follows(self, key: ExecutionKey) -> bool:
        """Whether anybody follows an execution here."""
        return key in self._followers

    def shard_lost(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Others carry these executions now: who follows them shall do so there."""
        for key in [key for key in self._followers if is_lost(key)]:
            self._lose(key)

    def look(self) -> None:
        """Owners are known afresh: leave dedicated executions to those that carry them, and forget
        clients that have had no stream for long."""
        dedicated = self._ownership.dedicated
        if dedicated:
            for key in list(self._followers):
                shard = dedicated.shard(key)
                seen = None if shard is None else dedicated.seen.get(shard)
                if seen is not None and seen.carrier not in (None, self._ownership.name):
                    self._lose(key)
        before_ms = self._clock.steady_ms() - self._bounds.client_linger_ms
        for client in list(self._clients.values()):
            if client.left_at_ms is not None and client.left_at_ms < before_ms:
                for key in list(client.followed):
                    self._release(client, key)
                del self._clients[client.name]

    def _lose(self, key: ExecutionKey) -> None:
        for client in self._followers.pop(key, ()):
            client.followed.discard(key)
            client.lost.append(key)
            if client.bell is not None:
                client.bell.ring()

    # streams

    def feed(self, name: str) -> AsyncIterator[bytes]:
        """What a client hears; a newer stream of the same client ends the older one.

        The first batch comes at once. It asks to resync where an earlier stream broke, since what
        that one said last may not have arrived.
        """
        client = self._client(name)
        pace = Pace(self._clock, self._bounds.heartbeat_ms, lambda: self._closed)
        return heard(client, pace, lambda: self._take(client))

    def _take(self, client: _Client) -> bytes:
        taken: list[Recorded] = []
        size = 0
        for piece, bytes in client.recorded:
            taken.append(piece)
            size += bytes
            if size > self._bounds.feed_batch_bytes:
                break
        client.recorded = client.recorded[len(taken) :]
        client.bytes -= size
        if client.recorded:
            assert client.bell is not None
            client.bell.ring()
        resync, client.resync = client.resync, False
        notices, client.notices = client.notices, []
        lost, client.lost = client.lost, []
        return pack(
            FeedBatch(
                feed=client.feed,
                recorded=tuple(taken),
                notices=tuple(notices),
                lost=tuple(lost),
                resync=resync,
            )
        )

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for client in self._clients.values():
            if client.bell is not None:
                client.bell.ring()

    # the journal, for those who missed something

    async def stored(self, request: StoredRequest) -> StoredPage | Refusal:
        """A page of stored events, as they are stored."""
        if not 1 <= request.limit <= HISTORY_LIMIT or request.after_seq < 0:
            raise InputError(
                f"limit is {request.limit} and after_seq {request.after_seq}; "
                f"limit must be between 1 and {HISTORY_LIMIT:,}, after_seq not below 0"
            )
        row = await self._journal.get_row(request.key)
        if row is None:
            return unknown(request.key)
        page = await self._journal.read(
            request.key, after_seq=request.after_seq, limit=request.limit
        )
        return StoredPage(
            definition=row.definition,
            version=row.version,
            bodies=tuple(msgspec.Raw(body) for _, body in page),
            more=len(page) == request.limit,
        )
