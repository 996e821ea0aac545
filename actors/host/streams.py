"""Result streams: the ends of executions, to the clients that want them.

A client has one stream. What ended waits for it in a bounded buffer; a buffer that overflows is
emptied and the stream says `resync`, whereupon the client asks again for what it still awaits.
That is always possible: an end is in the journal before it is here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from heliostat.actors.calls import pack
from heliostat.actors.host.api import Ended
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.hearing import Pace, heard
from heliostat.actors.host.questions import ResultBatch
from heliostat.actors.host.rendering import placed
from heliostat.actors.host.watching import Watchers
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.plan import Plan


class _Client:
    __slots__ = ("bell", "bytes", "ends", "left_at_ms", "name", "opened", "resync")

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.ends: list[Ended] = []
        self.bytes = 0
        self.resync = False
        self.bell: Doorbell | None = None  # of the stream that is open now
        self.opened = False
        self.left_at_ms: int | None = now_ms


class ResultStreams:
    """Who watches what, and what waits for whom."""

    def __init__(self, *, clock: Clock, bounds: HostBounds) -> None:
        self._clock, self._bounds = clock, bounds
        self._clients: dict[str, _Client] = {}
        self._watchers = Watchers[_Client]()
        self._to_wake: set[_Client] = set()
        self._closed = False
        self.on_end: Callable[[ExecutionKey], None] = lambda _: None
        """Told of each end, watched or not."""

    def __len__(self) -> int:
        return len(self._clients)

    # watching

    def room(self, client: str, count: int) -> bool:
        """Whether a client may watch so many more."""
        known = self._clients.get(client)
        watched = self._watchers.count(known) if known else 0
        return watched + count <= self._bounds.watched

    def watch(self, name: str, key: ExecutionKey) -> None:
        """Send this execution's end to a client; watching twice is watching."""
        self._watchers.add(self._client(name), key)

    def unwatch(self, name: str, key: ExecutionKey) -> None:
        """There is no such execution."""
        client = self._clients.get(name)
        if client is not None:
            self._watchers.remove(client, key)

    def watchers(self, key: ExecutionKey) -> Sequence[str]:
        """The clients that watch an execution."""
        return [client.name for client in self._watchers.of(key)]

    def _client(self, name: str) -> _Client:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = _Client(name, self._clock.steady_ms())
        return client

    # ends

    def ended(self, key: ExecutionKey, state: ExecutionState, plan: Plan, bytes: int) -> None:
        """An end is durable; `bytes` is about its size. Heard after the next `flush`."""
        self.on_end(key)
        watchers = self._watchers.take(key)
        if watchers:
            ended = end_of(key, state, plan)
            for client in watchers:
                self._push(client, ended, bytes)

    def send(self, name: str, ended: Ended, bytes: int) -> None:
        """An end that was read from the journal, for the one client that asked."""
        client = self._client(name)
        self._watchers.remove(client, ended.key)
        self._push(client, ended, bytes)

    def _push(self, client: _Client, ended: Ended, bytes: int) -> None:
        client.ends.append(ended)
        client.bytes += bytes
        if len(client.ends) > self._bounds.stream_ends or client.bytes > self._bounds.stream_bytes:
            client.ends.clear()
            client.bytes = 0
            client.resync = True
        self._to_wake.add(client)

    def flush(self) -> None:
        """Wake the streams that have something to say: once per turn, not once per end."""
        if self._to_wake:
            for client in self._to_wake:
                if client.bell is not None:
                    client.bell.ring()
            self._to_wake.clear()

    def shard_lost(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Another host carries these executions now: their clients shall ask again."""
        for client in self._watchers.take_all(is_lost):
            client.resync = True
            self._to_wake.add(client)
        self.flush()

    # streams

    def results(self, name: str) -> AsyncIterator[bytes]:
        """What a client hears; a newer stream of the same client ends the older one.

        The first batch comes at once. It asks to resync where an earlier stream broke, since what
        that one said last may not have arrived.
        """
        client = self._client(name)
        pace = Pace(self._clock, self._bounds.heartbeat_ms, lambda: self._closed)
        return heard(client, pace, lambda: self._take(client))

    def _take(self, client: _Client) -> bytes:
        limit = self._bounds.batch_ends
        ends, client.ends = client.ends[:limit], client.ends[limit:]
        if client.ends:
            assert client.bell is not None
            client.bell.ring()
        else:
            client.bytes = 0
        resync, client.resync = client.resync, False
        return pack(ResultBatch(ended=tuple(ends), resync=resync))

    def forget_gone(self) -> None:
        """Forget clients that have had no stream for long."""
        before_ms = self._clock.steady_ms() - self._bounds.client_linger_ms
        gone = {
            client
            for client in self._clients.values()
            if client.left_at_ms is not None and client.left_at_ms < before_ms
        }
        self._watchers.forget(gone)
        for client in gone:
            del self._clients[client.name]

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._wake(self._clients.values())

    @staticmethod
    def _wake(clients: Iterable[_Client]) -> None:
        for client in clients:
            if client.bell is not None:
                client.bell.ring()


def end_of(key: ExecutionKey, state: ExecutionState, plan: Plan) -> Ended:
    """The end of an execution, from its last state."""
    return Ended(
        key=key,
        status=state.status,
        run=state.run,
        output=state.resolve(state.output),
        failure=placed(plan, state.failure),
    )
