"""How a client hears of the ends of executions: one stream per host, read by one daemon thread.

Rules:

1. Whoever wants an end calls `expect` *before* it sends the start, so that no end is missed.
2. An end settles the future of its key once; later ones of the same key are ignored.
3. When a stream breaks, or is silent for longer than its heartbeats allow, it is opened anew and
   everything still open is watched again: the host sends at once what ended meanwhile.
4. Of an execution that was retried the end of the new run is awaited: an earlier one, which may
   still be on its way, is ignored.
5. A key is watched only once its start is acknowledged (`confirm`): before, no host knows it.
6. A key is watched at the host that serves it, and at its next one when it moves: a host that loses
   executions says `resync`, and one that is gone breaks its stream. Either way what was watched
   there is watched again, wherever it is by then.

All waits are bounded; the threads sleep and spend nothing while nothing ends.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from heliostat.actors import names
from heliostat.actors.client.hosts import STREAM_SILENCE_S, Hosts, Tries
from heliostat.actors.client.interface import End
from heliostat.actors.host.api import Ended, Watch
from heliostat.actors.host.questions import WatchAnswers
from heliostat.engine.errors import HeliostatError, NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey

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
        """Remember before a send, and give to `confirm`: tells whether ends may have been missed
        meanwhile."""
        with self._lock:
            return dict(self._breaks)

    def confirm(self, host: str, keys: Iterable[ExecutionKey], position: Mapping[str, int]) -> None:
        """This host acknowledged these starts, and will send their ends.

        Watches them itself where the host may have died, or lost them, since it did.
        """
        with self._lock:
            members = [key for key in keys if key in self._open]
            self._confirmed.setdefault(host, set()).update(members)
            broken = self._breaks.get(host, 0) != position.get(host, 0)
        self._ensure_reader(host)
        if broken:
            self._watch(members)

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
        with self._lock:
            watched = self._confirmed.values()
            new = [
                key
                for key in ends
                if key in self._open and not any(key in members for members in watched)
            ]
        self._watch(new)
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

    def _watch(self, keys: Iterable[ExecutionKey]) -> None:
        """Have the ends of keys sent by whoever serves them by then, wherever that leads.

        Those for which that fails stay where they were watched before, and are tried again when
        that stream is opened again.
        """
        tries = Tries(self._hosts, "watch")
        left = list(keys)
        while left and not self._closing.is_set():
            again: list[ExecutionKey] = []
            for host, members in self._by_host(left).items():
                try:
                    again += self._watch_at(host, members, tries)
                except Unreachable as error:
                    again += members
                    tries.again(host, error)
            with self._lock:
                left = [key for key in again if key in self._open]

    def _watch_at(
        self, host: str, keys: Sequence[ExecutionKey], tries: Tries
    ) -> list[ExecutionKey]:
        """Watch keys at one host; returns those that are to be watched again, where they are."""
        self._ensure_reader(host)
        again: list[ExecutionKey] = []
        for start in range(0, len(keys), _WATCH_BATCH):
            some = keys[start : start + _WATCH_BATCH]
            position = self.position()
            request = Watch(client=self._client_id, keys=tuple(some))
            answers = self._hosts.once(host, "watch", request, WatchAnswers)
            self._missing(answers.unknown)
            for key, owner in answers.elsewhere:
                self._hosts.learn(key, owner)
            moved = {*(key for key, _ in answers.elsewhere), *answers.unowned}
            again += moved
            if answers.unowned:
                tries.wait("no host has taken over some executions yet")
            elif moved:
                tries.moved()
            with self._lock:
                here = [key for key in some if key in self._open and key not in moved]
                for members in self._confirmed.values():
                    members.difference_update(here)
                self._confirmed.setdefault(host, set()).update(here)
                if self._breaks.get(host, 0) != position.get(host, 0):
                    again += here
        return again

    def _missing(self, keys: Iterable[ExecutionKey]) -> None:
        for key in keys:
            end = self._take(key)
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
                        self._settle(ended)
                    if batch.resync or anew:
                        self._watch(self._missed(host))
                        anew = False
            except HeliostatError:
                pass  # away, or it refused: both pass, and the futures stay open
            if self._closing.is_set() or self._is_over(host):
                return
            with suppress(HeliostatError):
                self._follow(host)
            self._closing.wait(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
            anew = True

    def _missed(self, host: str) -> list[ExecutionKey]:
        """What is watched at a host of which ends may have been missed.

        Counted before it is looked up: what is confirmed from here on sees that, and is watched by
        whoever confirms it.
        """
        with self._lock:
            self._breaks[host] = self._breaks.get(host, 0) + 1
            return list(self._confirmed.get(host, ()))

    def _follow(self, host: str) -> None:
        """A host's stream broke: watch where they are now those that another host has taken."""
        if self._hosts.names == (host,):
            return  # nobody else could have taken them
        self._hosts.refresh(without=host)
        self._watch([key for key in self._missed(host) if self._hosts.of(key) != host])

    def _is_over(self, host: str) -> bool:
        """Whether nobody is at the other end for good, and nothing is awaited from there."""
        with self._lock:
            if names.is_host(host) or self._confirmed.get(host):
                return False
            self._readers.pop(host, None)
            return True

    def _settle(self, ended: Ended) -> None:
        if ended.run < self._runs.get(ended.key, 1):
            return
        end = self._take(ended.key)
        if end is not None:
            end.set_result(ended)

    def _take(self, key: ExecutionKey) -> End | None:
        """The open future of a key, which is open no more; None when it was settled before."""
        with self._lock:
            for members in self._confirmed.values():
                members.discard(key)
            end = self._open.pop(key, None)
            self._runs.pop(key, None)
            del self._shared[key]  # of a Counter: harmless where there is none
        return end if end is not None and end.set_running_or_notify_cancel() else None
