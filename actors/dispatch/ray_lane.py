"""The host's side of the launcher: calls there, one bounded wait for news after another back.

The launcher's `life` says whether it still is the process that was given the attempts. With
another one, or without an answer for `LOST_S`, what it was given and has not reported is lost.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Callable, Sequence
from typing import Any, Final

from ray import exceptions

from heliostat.actors.calls import pack, unpack
from heliostat.actors.launching import (
    AcknowledgeLaunched,
    Ask,
    Launch,
    News,
    Placed,
    StopLaunched,
)
from heliostat.engine.identity import Address, ExecutionKey

from .frames import AttemptKey
from .frozen import kill_stopped
from .protocol import Assignment, Deliver, Lost, Raised, Report, Returned, Stopped

_log = logging.getLogger(__name__)

WAIT_MS: Final = 5_000
"""Of one call for news."""

ANSWER_S: Final = 15.0
"""For a call's answer, its wait included; a restart of the launcher takes less."""

RETRY_S: Final = 0.25
RETRY_S_MAX: Final = 5.0


class RayLane:
    """Attempts at the launcher. Methods are called on the event loop.

    Both functions answer with the launcher's handle; they may block and are called in a thread.
    The launcher is created when the first step needs it.
    """

    def __init__(
        self,
        *,
        find: Callable[[], Any | None],
        create: Callable[[], Any],
        deliver: Deliver,
        incarnation: str,
    ) -> None:
        self._find, self._create = find, create
        self._deliver, self._incarnation = deliver, incarnation
        self._handle: Any = None
        self._life: str | None = None
        self._pid = 0  # of the launcher, where it is on this machine
        self._unfinished: dict[AttemptKey, Assignment | None] = {}
        self._nodes: dict[AttemptKey, str | None] = {}  # where the unfinished run, or are to
        self._reported: set[AttemptKey] = set()
        self._unsent: list[Placed] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._closed = False

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Give attempts to the launcher, to be made wherever Ray likes."""
        self.send_to([(assignment, None) for assignment in assignments])

    def send_to(self, placed: Sequence[tuple[Assignment, str | None]]) -> None:
        """Give attempts to the launcher, each with the node that has room for it, in this order;
        those it has already are not made twice."""
        fresh = []
        for assignment, node in placed:
            attempt = (assignment.key, assignment.at)
            if attempt not in self._unfinished and attempt not in self._reported:
                self._unfinished[attempt] = assignment
                self._nodes[attempt] = node
                fresh.append(Placed(assignment, node))
        self._listen()
        if self._handle is None or self._life is None:
            self._unsent += fresh
        elif fresh:
            self._call("launch", pack(Launch(self._incarnation, tuple(fresh))))

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """Interrupt, and end by force after the grace."""
        there = []
        over: list[Report] = []
        unsent = {each.attempt for each in self._unsent}
        for key, at, grace_ms in attempts:
            if (key, at) in unsent:
                self._unsent = [each for each in self._unsent if each.attempt != (key, at)]
                self._drop((key, at))
                over.append(Stopped(key=key, at=at))
            elif (key, at) in self._unfinished:
                there.append((key, at, grace_ms))
        if over:
            asyncio.get_running_loop().call_soon(self._deliver, over)
        if there:
            self._call("stop", pack(StopLaunched(tuple(there))))

    def knows(self, attempt: AttemptKey) -> bool:
        """Whether the attempt is here, unfinished or not acknowledged."""
        return attempt in self._unfinished or attempt in self._reported

    def runs(self, attempt: AttemptKey) -> bool:
        """Whether its end has not been reported yet."""
        return attempt in self._unfinished

    def node_of(self, attempt: AttemptKey) -> str | None:
        """Ray's id of the node that an unfinished attempt runs on, where it is known."""
        return self._nodes.get(attempt)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """The launcher may forget these reports."""
        known = [attempt for attempt in attempts if attempt in self._reported]
        self._reported.difference_update(known)
        if known and self._handle is not None:
            self._call("acknowledge", pack(AcknowledgeLaunched(tuple(known))))

    async def recover(self) -> frozenset[AttemptKey]:
        """What the launcher holds and runs; reports of it come after this has returned."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        try:
            if self._handle is None:
                self._handle = await asyncio.to_thread(self._find)
            if self._handle is None:
                return frozenset(self._unfinished)  # never needed yet
            news = await self._ask(anew=True)
        except (exceptions.RayError, TimeoutError) as error:
            # Its process is gone, or the cluster is: tasks died with it. Listening tells the rest.
            _log.warning("the launcher does not answer: %s", error)
            self._handle, self._life = None, None
            if self._unfinished:
                self._listen()
            return frozenset(self._unfinished)
        assert news.known is not None
        self._reported.clear()
        for attempt, node in zip(news.known, news.nodes, strict=True):
            self._unfinished.setdefault(attempt, None)
            self._nodes[attempt] = node
        asyncio.get_running_loop().call_soon(self._take_and_listen, news)
        return frozenset((*news.known, *self._unfinished))

    async def close(self) -> None:
        """Let go of the launcher, which lives on and keeps its reports."""
        self._closed = True
        tasks = [*self._calls, *([self._listening] if self._listening is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # the launcher's answers

    def _listen(self) -> None:
        if self._listening is None and not self._closed:
            self._listening = asyncio.get_running_loop().create_task(self._listen_on())

    def _take_and_listen(self, news: News) -> None:
        if not self._closed:
            self._take(news)
            self._listen()

    async def _listen_on(self) -> None:
        failures = 0
        while True:
            try:
                if self._handle is None:
                    self._handle = await asyncio.to_thread(self._create)
                self._take(await self._ask(anew=self._life is None))
                failures = 0
            except (exceptions.RayError, ValueError, TimeoutError) as error:
                failures += 1
                _log.warning("the launcher does not answer: %s", error)
                if self._pid and kill_stopped(self._pid, "launcher"):  # Ray starts it again
                    _log.warning("the launcher was stopped (SIGSTOP), its process is ended")
                self._handle, self._life = None, None
                await asyncio.sleep(min(RETRY_S * 2**failures, RETRY_S_MAX))

    async def _ask(self, *, anew: bool) -> News:
        body = pack(Ask(self._incarnation, WAIT_MS, anew))
        async with asyncio.timeout(ANSWER_S):
            answer: bytes = await self._handle.news.remote(body)
        return unpack(answer, News)

    def _take(self, news: News) -> None:
        reports: list[Report] = []
        ends: list[Report] = [*news.returned, *news.raised, *news.lost, *news.stopped]
        for report in ends:
            attempt = (report.key, report.at)
            if attempt not in self._unfinished:
                continue  # asked anew; or given by another host, and not found at a take-over
            self._drop(attempt)
            if isinstance(report, Returned | Raised):
                self._reported.add(attempt)
            reports.append(report)
        reports += news.timed_out
        reports += news.noticed
        if news.known is not None:
            reports += self._lost(frozenset(news.known), news.life)
        self._life = news.life
        self._pid = news.pid if news.node == platform.node() else 0
        if reports:
            self._deliver(reports)
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            self._call("launch", pack(Launch(self._incarnation, tuple(unsent))))

    def _lost(self, known: frozenset[AttemptKey], life: str) -> list[Report]:
        """What was given to a launcher and is unknown to the one that answers."""
        unsent = {each.attempt for each in self._unsent}
        gone = [a for a in self._unfinished if a not in known and a not in unsent]
        for attempt in gone:
            self._drop(attempt)
        cause = f"the launcher ended, and its Ray tasks with it (now {life})"
        return [Lost(key=key, at=at, cause=cause, counted=False) for key, at in gone]

    def _drop(self, attempt: AttemptKey) -> None:
        self._unfinished.pop(attempt, None)
        self._nodes.pop(attempt, None)

    def _call(self, method: str, body: bytes) -> None:
        if self._handle is None:
            return  # said again, or void, when it answers
        call = asyncio.get_running_loop().create_task(self._called(method, body))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _called(self, method: str, body: bytes) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await getattr(self._handle, method).remote(body)
        except (exceptions.RayError, TimeoutError) as error:
            # What it was to do is lost with it, or asked again: ask anew what it knows.
            _log.warning("the launcher did not take %r: %s", method, error)
            self._life = None
