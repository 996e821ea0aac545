"""Following many executions at once: their events, as they are stored, over one stream per host.

`Feed` keeps asking whoever has an execution by then, until it is told to stop. Where a stream broke
or an execution moved, events may have passed by meanwhile: the listener is told, and reads them
from the journal. What it hears has its `seq`, so that it sees what it has and what it misses.

For one event loop. It holds no thread, and one stream for each host that has something followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from heliostat.actors.calls import pack
from heliostat.actors.client.hosts import Hosts, Tries
from heliostat.actors.client.waiting import Wait
from heliostat.actors.host.questions import FeedBatch, Subscribe, Subscribed
from heliostat.engine.errors import HeliostatError, NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id

_log = logging.getLogger(__name__)

_BATCH: Final = 1_000
"""Executions in one `subscribe`."""

_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 2.0
"""Between two tries to open a stream again: a killed host answers after 0.7 s at the earliest."""


class Listener(Protocol):
    """Who hears a feed; called on its event loop, and must not block."""

    def recorded(self, key: ExecutionKey, after_seq: int, bodies: Sequence[bytes]) -> None:
        """Events became durable: those after `after_seq`. Some may have been heard before."""
        ...

    def missed(self, keys: Iterable[ExecutionKey]) -> None:
        """Events of these may have passed by; from here on they are heard again."""
        ...

    def gone(self, key: ExecutionKey) -> None:
        """The execution does not exist any more."""
        ...

    def noticed(self, key: ExecutionKey, notice: dict[str, Any]) -> None:
        """Something that is recorded nowhere."""
        ...


class Feed:
    """What followed executions record, told to a listener."""

    def __init__(self, hosts: Hosts, wait: Wait, listener: Listener) -> None:
        self._hosts, self._wait, self._listener = hosts, wait, listener
        self._client_id = new_id()
        self._wanted: set[ExecutionKey] = set()
        self._at: dict[str, dict[ExecutionKey, str]] = {}
        """By host, those that it sends; each with the host's memory of this client that knows."""
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._asking: Counter[str] = Counter()  # by host, `subscribe`s that are on their way
        self._breaks: Counter[str] = Counter()  # by host, how often its stream broke
        self._homeless: set[ExecutionKey] = set()  # to be subscribed again
        self._housing: asyncio.Task[None] | None = None
        self._closed = False

    async def follow(self, key: ExecutionKey) -> None:
        """Hear of an execution; what is recorded after this returned is told.

        Raises:
            NotFound: there is none.
            Unreachable: no host answered within the connection's bound.
        """
        self._wanted.add(key)
        try:
            unknown = await self._subscribe([key])
        except Unreachable:
            self._wanted.discard(key)
            raise
        if unknown:
            self._wanted.discard(key)
            raise NotFound("execution", key.execution_id, f"its namespace is {key.namespace!r}")

    def again(self, keys: Iterable[ExecutionKey]) -> None:
        """Hear of these as soon as somebody carries them; the listener is told when."""
        keys = list(keys)
        self._wanted.update(keys)
        self._rehouse(keys)

    async def leave(self, keys: Iterable[ExecutionKey]) -> None:
        """Hear of these no more."""
        left = set(keys)
        self._wanted -= left
        self._homeless -= left
        for host, members in list(self._at.items()):
            here = tuple(members.keys() & left)
            if here:
                for key in here:
                    del members[key]
                request = Subscribe(client=self._client_id, drop=here)
                ask = partial(self._hosts.once, host, "subscribe", request, Subscribed)
                with suppress(HeliostatError):  # else it sends what nobody wants, until it breaks
                    await self._wait(ask)

    async def close(self) -> None:
        """Hear of nothing any more."""
        self._closed = True
        self._wanted.clear()
        tasks = [*self._readers.values(), *([self._housing] if self._housing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # where they are

    async def _subscribe(self, keys: Iterable[ExecutionKey]) -> list[ExecutionKey]:
        """Have whoever carries them by now send their events; those that do not exist."""
        tries = Tries(self._hosts, "subscribe")
        left = list(keys)
        unknown: list[ExecutionKey] = []
        while left:
            by_host = await self._wait(partial(self._by_host, left))
            again: list[ExecutionKey] = []
            moved = unowned = False
            for host, members in by_host.items():
                request = Subscribe(client=self._client_id, keys=tuple(members))
                ask = partial(self._hosts.once, host, "subscribe", request, Subscribed)
                breaks = self._breaks[host]
                self._asking[host] += 1
                self._ensure_reader(host)
                try:
                    answers = await self._wait(ask)
                except Unreachable as error:
                    again += members
                    await self._wait(partial(tries.again, host, error))
                    continue
                finally:
                    self._asking[host] -= 1
                if self._breaks[host] != breaks:  # whether it still knows of it is not known
                    again += members
                    moved = True
                    continue
                here = self._at.setdefault(host, {})
                for key, owner in answers.elsewhere:
                    await self._wait(partial(self._hosts.learn, key, owner))
                elsewhere = {key for key, _ in answers.elsewhere}
                away = {*elsewhere, *answers.unowned, *answers.unknown}
                for key in members:
                    if key in self._wanted and key not in away:
                        here[key] = answers.feed
                unknown += answers.unknown
                again += elsewhere | set(answers.unowned)
                moved, unowned = moved or bool(elsewhere), unowned or bool(answers.unowned)
            left = [key for key in again if key in self._wanted]
            if left and unowned:
                why = "no host has taken over some executions yet"
                await self._wait(partial(tries.wait, why))
            elif left and moved:
                await self._wait(tries.moved)
        return unknown

    def _by_host(self, keys: Iterable[ExecutionKey]) -> dict[str, list[ExecutionKey]]:
        by_host: dict[str, list[ExecutionKey]] = {}
        for key in keys:
            by_host.setdefault(self._hosts.of(key), []).append(key)
        return by_host

    def _rehouse(self, keys: Iterable[ExecutionKey]) -> None:
        """Subscribe these again, in the background, until it is done."""
        self._homeless.update(key for key in keys if key in self._wanted)
        if self._homeless and self._housing is None and not self._closed:
            self._housing = asyncio.create_task(self._house(), name="heliostat-feed-house")
            self._housing.add_done_callback(self._housed)

    async def _house(self) -> None:
        pause_s = _PAUSE_S
        while self._homeless:
            some = list(self._homeless)[:_BATCH]
            self._homeless.difference_update(some)  # first: they may lose their host again
            try:
                unknown = await self._subscribe(some)
            except HeliostatError as error:
                _log.info("followed executions have no host yet: %s", error)
                self._homeless.update(key for key in some if key in self._wanted)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_MAX_S)
                continue
            pause_s = _PAUSE_S
            for key in unknown:
                self._wanted.discard(key)
                self._listener.gone(key)
            self._listener.missed(
                [key for key in some if key in self._wanted and key not in unknown]
            )

    def _housed(self, task: asyncio.Task[None]) -> None:
        self._housing = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("following broke, and goes on", exc_info=task.exception())
        self._rehouse(self._homeless.copy())

    # what they say

    def _ensure_reader(self, host: str) -> None:
        if host not in self._readers and not self._closed:
            self._readers[host] = asyncio.create_task(
                self._read(host), name=f"heliostat-feed-{host}"
            )

    async def _read(self, host: str) -> None:
        """Until nothing of a host is followed: read its stream, and open it again."""
        pause_s = _PAUSE_S
        while not self._closed:
            try:
                async for batch in self._batches(host):
                    pause_s = _PAUSE_S
                    self._hear(host, batch)
            except HeliostatError as error:
                _log.info("the feed of %s broke: %s", host, error)
            except Exception:  # noqa: BLE001 – the task's edge: nobody must fall silent
                _log.exception("the feed of %s broke", host)
            self._breaks[host] += 1
            self._rehouse(self._at.pop(host, ()))
            if len(self._hosts.names) > 1:
                await self._wait(partial(self._hosts.refresh, without=host))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
            if not self._at.get(host) and not self._asking[host]:
                del self._readers[host]
                return

    async def _batches(self, host: str) -> AsyncGenerator[FeedBatch, None]:
        body = pack(self._client_id)
        stream = await self._wait(lambda: self._hosts.open_stream(host, "feed", body))
        try:
            while True:
                piece = await self._hosts.piece_async(stream)
                if piece is None:
                    return
                yield self._hosts.opened(piece, FeedBatch)
        finally:
            stream.drop()

    def _hear(self, host: str, batch: FeedBatch) -> None:
        listener = self._listener
        for piece in batch.recorded:
            if piece.key in self._wanted:
                listener.recorded(
                    piece.key, piece.after_seq, [bytes(body) for body in piece.bodies]
                )
        for key, notice in batch.notices:
            if key in self._wanted:
                listener.noticed(key, notice)
        here = self._at.get(host, {})
        unknown = [key for key, feed in here.items() if feed != batch.feed]
        if batch.lost or unknown:
            away = {*batch.lost, *unknown}
            for key in away:
                here.pop(key, None)
            self._rehouse(away)
        if batch.resync:
            listener.missed([key for key in here if key in self._wanted])
