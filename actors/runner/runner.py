"""The runner: makes attempts one at a time, in the order they came, and keeps each report.

Rules:
1. One executor thread runs user code. Nothing else does, so an attempt never shares the process.
2. A report is kept from the attempt's end until it is acknowledged, whoever is connected meanwhile,
   and goes to every connection that has greeted (`service.py`): usually the one host of this node,
   after a take-over the new one, which acknowledges what it stored.
3. What was not begun is nobody's yet: it is given back when asked, and whenever a host greets. A
   queue therefore never outlives the host that filled it.
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
    FrameError,
    Item,
    Progress,
    RawResults,
    Running,
    Withdrawn,
    frame,
)
from heliostat.actors.dispatch.protocol import StepCode
from heliostat.engine.identity import Address, ExecutionKey

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
        self._leaving = False
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

    def greet(self, listener: Listener) -> tuple[list[tuple[AttemptKey, Ended]], Running | None]:
        """Add a listener: what is held, and what runs. Gives back what was not begun.

        It may greet again, to hear again what it did not acknowledge.
        """
        with self._lock:
            given_back = list(self._queue)
            others = tuple(other for other in self._listeners if other is not listener)
            self._queue.clear()
            self._listeners = (*others, listener)
            held, started = list(self._held.items()), self._started
            running = None
            if started is not None:
                running = Running(started.key, started.at, started.at_ms, started.code.timeout_ms)
        if given_back:
            for other in others:
                other.send(frame(Withdrawn(given_back)))
        return held, running

    def forget(self, listener: Listener) -> bool:
        """Its connection is gone; whether it was a listener."""
        with self._lock:
            known = listener in self._listeners
            self._listeners = tuple(other for other in self._listeners if other is not listener)
        return known

    def learn(self, codes: Iterable[StepCode]) -> None:
        """Steps that work will name."""
        with self._lock:
            self._codes.update((code.key, code) for code in codes)

    def add(self, items: Sequence[Item]) -> None:
        """Queue attempts. One that is here already is not made twice.

        Raises:
            FrameError: a step that was never told of.
        """
        with self._lock:
            started = self._started
            for item in items:
                key = (item.key, item.at)
                if item.code not in self._codes:
                    raise FrameError(f"work of the step {item.code!r} came before its code")
                held = self._held.get(key)
                if held is not None:
                    self._pending.append(held)
                elif started is None or (started.key, started.at) != key:
                    self._queue[key] = item
            self._wake_up()

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
