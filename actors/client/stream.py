"""How a client hears of the ends of executions: one stream per host, read by one daemon thread.

Rules:

1. Whoever wants an end calls `expect` *before* it sends the start, so that no end is missed.
2. An end settles the future of its key once; later ones of the same key are ignored.
3. When a stream breaks, or is silent for longer than its heartbeats allow, it is opened anew and
   everything still open is watched again: the host sends at once what ended meanwhile.
4. Of an execution that was retried the end of the new run is awaited: an earlier one, which may
   still be on its way, is ignored.
5. A key is watched only once its start is acknowledged (`confirm`): before, no host knows it.

All waits are bounded; the thread sleeps in Ray and spends nothing while nothing ends.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Final, TypeAlias

from heliostat.actors.client.hosts import STREAM_SILENCE_S, Hosts
from heliostat.actors.host.api import Ended, Watch
from heliostat.actors.host.questions import WatchAnswers
from heliostat.engine.errors import HeliostatError, NotFound
from heliostat.engine.identity import ExecutionKey

End: TypeAlias = "Future[Ended]"

_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 1.0
"""Between two openings of a stream."""

_WATCH_BATCH: Final = 10_000
"""Keys of one `watch` call: below a megabyte."""


class ResultStream:
    """The ends that one client waits for. Methods may be called from any thread."""

    def __init__(self, hosts: Hosts, client_id: str) -> None:
        self._hosts = hosts
        self._client_id = client_id
        self._lock = threading.Lock()
        self._open: dict[ExecutionKey, End] = {}
        self._shared: Counter[ExecutionKey] = Counter()  # of those open, by how many more than one
        self._confirmed: dict[str, set[ExecutionKey]] = {}  # by host; all of them in `_open`
        self._runs: dict[ExecutionKey, int] = {}  # of those open and retried: the run awaited
        self._breaks: dict[str, int] = {}  # by host, how often its stream was opened again
        self._readers: dict[str, threading.Thread] = {}
        self._closing = threading.Event()

    def expect(self, keys: Iterable[ExecutionKey]) -> dict[ExecutionKey, End]:
        """A future per key; the same one for a key that is expected already."""
        ends: dict[ExecutionKey, End] = {}
        with self._lock:
            for key in keys:
                if key in self._open:
                    self._shared[key] += 1
                ends[key] = self._open.setdefault(key, Future())
        for host in {self._hosts.of(key) for key in ends}:
            self._ensure_reader(host)
        return ends

    def position(self) -> dict[str, int]:
        """Remember before a send, and give to `confirm`: tells whether a stream broke meanwhile."""
        with self._lock:
            return dict(self._breaks)

    def confirm(self, keys: Iterable[ExecutionKey], position: dict[str, int]) -> None:
        """The host acknowledged these starts, and will send their ends.

        Watches them itself where the host may have died since the acknowledgement.
        """
        for host, members in self._by_host(keys).items():
            with self._lock:
                self._confirmed.setdefault(host, set()).update(self._open.keys() & members)
                broken = self._breaks.get(host, 0) != position.get(host, 0)
            if broken:
                self._watch(host, members)

    def watch(self, keys: Iterable[ExecutionKey], *, run: int = 1) -> dict[ExecutionKey, End]:
        """The futures of executions that this client did not start, or that existed before.

        One that does not exist gets a `NotFound`.

        Args:
            run: ends of earlier runs are not meant.
        """
        keys = list(keys)
        if run > 1:  # before they are expected: an earlier end may come at any moment
            with self._lock:
                self._runs |= {key: max(run, self._runs.get(key, 1)) for key in keys}
        ends = self.expect(keys)
        for host, members in self._by_host(ends).items():
            with self._lock:
                confirmed = self._confirmed.setdefault(host, set())
                new = [key for key in members if key in self._open and key not in confirmed]
                confirmed.update(new)
            self._watch(host, new)
        return ends

    def drop(self, keys: Iterable[ExecutionKey]) -> None:
        """Take back one `expect` of each key: its start was refused.

        Others may expect the same key: the execution that made the start a duplicate is theirs.
        """
        with self._lock:
            for key in keys:
                if self._shared[key] > 0:
                    self._shared[key] -= 1
                else:
                    self._open.pop(key, None)
                if not self._shared[key]:
                    del self._shared[key]

    def close(self) -> None:
        """Stop reading; futures still open are canceled."""
        self._closing.set()
        with self._lock:
            left, self._open = self._open, {}
            readers = list(self._readers.values())
        for end in left.values():
            end.cancel()
        for reader in readers:
            reader.join(timeout=STREAM_SILENCE_S)

    def _by_host(self, keys: Iterable[ExecutionKey]) -> dict[str, list[ExecutionKey]]:
        by_host: dict[str, list[ExecutionKey]] = {}
        for key in keys:
            by_host.setdefault(self._hosts.of(key), []).append(key)
        return by_host

    def _watch(self, host: str, keys: Sequence[ExecutionKey]) -> None:
        for start in range(0, len(keys), _WATCH_BATCH):
            some = tuple(keys[start : start + _WATCH_BATCH])
            request = Watch(client=self._client_id, keys=some)
            self._missing(host, self._hosts.call(host, "watch", request, WatchAnswers).unknown)

    def _missing(self, host: str, keys: Iterable[ExecutionKey]) -> None:
        for key in keys:
            end = self._take(host, key)
            if end is not None:
                end.set_exception(
                    NotFound("execution", key.execution_id, f"its namespace is {key.namespace!r}")
                )

    # the reading side

    def _ensure_reader(self, host: str) -> None:
        with self._lock:
            if host in self._readers or self._closing.is_set():
                return
            reader = threading.Thread(
                target=self._read, args=(host,), name=f"heliostat-results-{host}", daemon=True
            )
            self._readers[host] = reader
        reader.start()

    def _read(self, host: str) -> None:
        """Until the client closes: read the stream, and open it again when it breaks."""
        pause_s = _PAUSE_S
        anew = False  # a stream that broke before: ends may have been missed
        while not self._closing.is_set():
            try:
                for batch in self._hosts.results(host, self._client_id, self._closing):
                    pause_s = _PAUSE_S
                    for ended in batch.ended:
                        self._settle(host, ended)
                    if batch.resync or anew:
                        self._watch_all(host)
                        anew = False
            except HeliostatError:
                pass  # away, or it refused: both pass, and the futures stay open
            self._closing.wait(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
            anew = True
            with self._lock:
                self._breaks[host] = self._breaks.get(host, 0) + 1

    def _watch_all(self, host: str) -> None:
        with self._lock:
            keys = list(self._confirmed.get(host, ()))
        if keys:
            self._watch(host, keys)

    def _settle(self, host: str, ended: Ended) -> None:
        if ended.run < self._runs.get(ended.key, 1):
            return
        end = self._take(host, ended.key)
        if end is not None:
            end.set_result(ended)

    def _take(self, host: str, key: ExecutionKey) -> End | None:
        """The open future of a key, which is open no more; None when it was settled before."""
        with self._lock:
            self._confirmed.get(host, set()).discard(key)
            end = self._open.pop(key, None)
            self._runs.pop(key, None)
            del self._shared[key]  # of a Counter: harmless where there is none
        return end if end is not None and end.set_running_or_notify_cancel() else None
