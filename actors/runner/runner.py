"""The runner: makes attempts one at a time, in the order they came, and keeps each report.

Rules:
1. One executor thread runs user code. Nothing else does, so an attempt never shares the process.
2. A report is kept from the attempt's end until it is acknowledged, whoever is connected meanwhile,
   and goes to every connection that has greeted (`connection.py`): usually the one host that made
   this runner, its *feeder*; for a while after a take-over others too, which only listen and
   acknowledge what they stored.
3. What was not begun is nobody's yet. It is given back when asked, and when its feeder greets anew:
   a queue never outlives the process that filled it. A listener takes nothing from a living feeder
   but what it claimed: attempts of shards that are its own are not begun for another host.
4. Reports are sent in batches while quick steps follow each other, and at once when nothing waits
   or a step took its time. Whoever hears from a host sends what is pending, so that a report waits
   behind a slow step no longer than the host's patience.

Everything shared between the executor and the connections' threads is under one lock, held for
microseconds and never while a socket is written.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from heliostat.actors.dispatch.frames import (
    AttemptKey,
    Disowned,
    FrameError,
    Hello,
    Item,
    Progress,
    RawResults,
    Running,
    Withdrawn,
    frame,
)
from heliostat.actors.dispatch.protocol import StepCode
from heliostat.engine.identity import Address, ExecutionKey, shard_of

from .attempt import Attempts, Ended
from .current import Current
from .progress import ProgressLimit

BATCH_RESULTS_MAX: Final = 64
"""Reports of one frame: 64 already cost a tenth of what single ones do."""

BATCH_US_MAX: Final = 1_000
"""Work after which reports do not wait for each other any longer."""

OVERHEAD_US: Final = 10
"""What a step costs beside its own time, for the sum above."""


class Listener(Protocol):
    """A greeted connection. `send` is bounded in time and never raises."""

    def send(self, data: bytes) -> None: ...

    def send_lossy(self, data: bytes) -> None:
        """Send, unless that would mean to wait."""
        ...


class Greeted(Struct, frozen=True):
    """What a host is told that greets."""

    held: list[tuple[AttemptKey, Ended]]
    running: Running | None
    fed: bool
    leaving: bool


class _Started(Struct, frozen=True):
    key: ExecutionKey
    at: Address
    code: StepCode
    current: Current
    at_ms: int


class Runner:
    """The attempts of this process: queued, running, held."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._wake = threading.Lock()  # released when there is something to do
        self._wake.acquire()
        self._queue: OrderedDict[AttemptKey, Item] = OrderedDict()
        self._codes: dict[str, StepCode] = {}
        self._started: _Started | None = None
        self._held: dict[AttemptKey, Ended] = {}
        self._pending: list[Ended] = []
        self._pending_us = 0
        self._listeners: tuple[Listener, ...] = ()
        self._feeder: Listener | None = None
        self._owners: dict[str, str] = {}  # incarnations by shard, as greetings named them
        self._shard_count = 0
        self._leaving = False
        self._idle_since = time.monotonic()
        self._progress = ProgressLimit()

    # the executor thread

    def run(self) -> None:
        """Make attempts until told to leave."""
        ended: Ended | None = None
        while True:
            with self._lock:
                if ended is not None:
                    self._book(ended)
                item = self._queue.popitem(last=False)[1] if self._queue else None
                started = self._started = None if item is None else self._begin(item)
                if item is not None:
                    flush = self._pending_us >= BATCH_US_MAX
                    flush = flush or len(self._pending) >= BATCH_RESULTS_MAX
                else:
                    self._idle_since = time.monotonic()
                    flush = bool(self._pending)
                    if self._leaving and not flush and not self._held:
                        return
            ended = None
            if flush:
                self.flush()
            if item is not None and started is not None:
                ended = self._attempts.make(started.code, item.input, started.current)
            elif not flush:
                self._wake.acquire()

    def _begin(self, item: Item) -> _Started:
        code = self._codes[item.code]
        current = Current(item.key, item.at, code.step_id, self._report_progress)
        now_ms = time.time_ns() // 1_000_000
        return _Started(item.key, item.at, code, current, now_ms)

    def _book(self, ended: Ended) -> None:
        started = self._started
        assert started is not None
        self._held[started.key, started.at] = ended
        self._pending.append(ended)
        self._pending_us += ended.spent_us + OVERHEAD_US

    def _report_progress(self, key: ExecutionKey, at: Address, progress: Any) -> None:
        data = self._progress.admit(progress)
        if data is not None:
            told = frame(Progress(key, at, data))
            for listener in self._listeners:
                listener.send_lossy(told)

    # the threads of connections

    def flush(self) -> None:
        """Send the reports that are pending."""
        with self._flushing:  # so that two threads do not overtake each other
            with self._lock:
                pending, self._pending, self._pending_us = self._pending, [], 0
                listeners = self._listeners
            if pending and listeners:
                data = results_frame(pending)
                for listener in listeners:
                    listener.send(data)

    def greet(self, listener: Listener, hello: Hello) -> Greeted:
        """Add a listener: what is held, and what runs; what becomes of the queue is rule 3.

        It may greet again, to hear again what it did not acknowledge.
        """
        with self._lock:
            others = tuple(other for other in self._listeners if other is not listener)
            self._listeners = (*others, listener)
            for shard in hello.shards:
                self._owners[shard] = hello.incarnation
            self._shard_count = hello.shard_count or self._shard_count
            feeder = self._feeder
            if hello.feeds or feeder is None or feeder is listener:
                taken = list(self._queue)
            else:
                claimed, count = frozenset(hello.shards), self._shard_count
                taken = [
                    each for each in self._queue if count and shard_of(each[0], count) in claimed
                ]
            for attempt in taken:
                del self._queue[attempt]
            if hello.feeds:
                self._feeder = listener
            held, started = list(self._held.items()), self._started
            running = None
            if started is not None:
                running = Running(started.key, started.at, started.at_ms, started.code.timeout_ms)
            greeted = Greeted(held, running, self._feeder is not None, self._leaving)
        if taken and feeder is not None and feeder is not listener:
            feeder.send(frame(Withdrawn(taken) if hello.feeds else Disowned(taken)))
        return greeted

    def forget(self, listener: Listener) -> bool:
        """Its connection is gone; whether it was a listener."""
        with self._lock:
            known = listener in self._listeners
            self._listeners = tuple(other for other in self._listeners if other is not listener)
            if self._feeder is listener:
                self._feeder = None
        return known

    def learn(self, codes: Iterable[StepCode]) -> None:
        """Steps that work will name."""
        with self._lock:
            self._codes.update((code.key, code) for code in codes)

    def add(self, items: Sequence[Item], incarnation: str) -> list[AttemptKey]:
        """Queue attempts of a host. One that is here already is not made twice.

        Returns those that are not made at all, since another host claimed their shards.

        Raises:
            FrameError: a step that was never told of.
        """
        disowned: list[AttemptKey] = []
        with self._lock:
            started, owners = self._started, self._owners
            for item in items:
                key = (item.key, item.at)
                if item.code not in self._codes:
                    raise FrameError(f"work of the step {item.code!r} came before its code")
                if owners and self._shard_count:  # 0: the deployment has one host, at a time
                    owner = owners.get(shard_of(item.key, self._shard_count), incarnation)
                    if owner != incarnation:
                        disowned.append(key)
                        continue
                held = self._held.get(key)
                if held is not None:
                    self._pending.append(held)
                elif started is None or (started.key, started.at) != key:
                    self._queue[key] = item
            self._wake_up()
        return disowned

    def withdraw(self) -> list[AttemptKey]:
        """Give back what was not begun."""
        with self._lock:
            given_back = list(self._queue)
            self._queue.clear()
        return given_back

    def stop(self, attempts: Iterable[AttemptKey]) -> list[AttemptKey]:
        """Tell those that run, give back those that were not begun."""
        given_back, current = [], None
        with self._lock:
            started = self._started
            for attempt in attempts:
                if self._queue.pop(attempt, None) is not None:
                    given_back.append(attempt)
                elif started is not None and (started.key, started.at) == attempt:
                    current = started.current
        if current is not None:
            current.stop()
        return given_back

    def acknowledge(self, attempts: Iterable[AttemptKey]) -> None:
        """Forget these reports."""
        with self._lock:
            for attempt in attempts:
                self._held.pop(attempt, None)
            if self._leaving:
                self._wake_up()

    def leave(self) -> None:
        """End `run` when nothing is queued, running or held."""
        with self._lock:
            self._leaving = True
            self._wake_up()

    @property
    def lingering_s(self) -> float:
        """For how long it would have left, but for reports that nobody acknowledged."""
        with self._lock:
            if not self._leaving or self._queue or self._started is not None:
                return 0.0
            return time.monotonic() - self._idle_since

    def _wake_up(self) -> None:
        if self._wake.locked():  # only ever released under the other lock
            self._wake.release()


def results_frame(ended: Sequence[Ended]) -> bytes:
    """The reports as one frame."""
    returned = [each for each in ended if each.returned]
    raised = [each for each in ended if not each.returned]
    return frame(
        RawResults(
            [each.report for each in returned],
            [each.report for each in raised],
            [each.spent_us for each in (*returned, *raised)],
        )
    )
