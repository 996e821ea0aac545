"""A thread that serves an event loop: calls gather while it works, and it takes all that gathered.

A database's calls block; here they block a thread of their own, and what arrives meanwhile forms
the next group by itself. The busier the journal, the larger its commits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

from ..errors import JournalError

GROUP_MAX: Final = 1_000
"""Calls of one group: bounds how long the first of them waits for the last."""

T = TypeVar("T")
C = TypeVar("C")  # what the thread works on: a connection


class Job(Generic[C]):
    """One call: the work, and who waits for what comes of it."""

    __slots__ = ("_error", "_result", "future", "loop", "work")

    def __init__(self, work: Callable[[C], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self._result: Any = None
        self._error: BaseException | None = None

    def succeed(self, result: Any) -> None:
        """Keep the result until `settle`."""
        self._result = result

    def fail(self, error: BaseException) -> None:
        """Keep what the caller gets in place of a result."""
        self._error = error

    def settle(self) -> None:
        """In the event loop's thread; the caller may have given up waiting."""
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)


class ServiceThread(Generic[C]):
    """Runs `serve(jobs)` for groups of calls until closed; `serve` never raises."""

    def __init__(self, name: str, serve: Callable[[Sequence[Job[C]]], None]) -> None:
        self._serve = serve
        self._jobs: SimpleQueue[Job[C] | None] = SimpleQueue()
        self._gate = threading.Lock()  # nothing enters behind the None that ends the queue
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[C], T]) -> T:
        """The result of `work`, run in the thread; it runs also when the caller is cancelled."""
        job = Job(work, asyncio.get_running_loop())
        with self._gate:
            if self._closed:
                raise JournalError("the journal is closed")
            self._jobs.put(job)
        result: T = await job.future
        return result

    def close(self) -> None:
        """Finish what was accepted, then end; blocks."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._serve_group():
            pass

    def _serve_group(self) -> bool:
        """Whether more may come; returning, it lets go of all that the group asked and was told."""
        jobs, last = self._gather()
        if jobs:
            self._serve(jobs)
            _settle(jobs)
        return not last

    def _gather(self) -> tuple[list[Job[C]], bool]:
        jobs: list[Job[C]] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP_MAX:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs, False
        return jobs, True


def _settle(jobs: Sequence[Job[Any]]) -> None:
    """Wake each waiting event loop once."""
    waiting: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in jobs:
        waiting.setdefault(job.loop, []).append(job)
    for loop, settled in waiting.items():
        if not loop.is_closed():  # else nobody is left to be told
            loop.call_soon_threadsafe(_settle_all, settled)


def _settle_all(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.settle()
