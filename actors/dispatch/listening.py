"""Runners of other hosts, after a take-over: what is there of executions that are ours now.

A host that takes over shards greets every runner of the deployment. To those of other hosts it
listens for as long as one of its own attempts is there: until its report is acknowledged, or the
runner is dead. Reports of others' executions are ignored and not acknowledged.

A runner whose own host is gone for good is told to leave: it ends when it is empty. What such a
host had queued there was given back by the greeting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from heliostat.engine.identity import Address, ExecutionKey

from .common import Common
from .factory import RunnerHandle
from .frames import AttemptKey, FrameError
from .lane import Lane
from .protocol import Assignment, Lost, Raised, Report, Returned, Stopped

_log = logging.getLogger(__name__)


class Listeners:
    """The lanes to other hosts' runners. Every method is called on the event loop."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[Lane, set[AttemptKey]] = {}  # ours, and not acknowledged
        self._at: dict[AttemptKey, Lane] = {}
        self._reported: set[AttemptKey] = set()
        self._unfed_since: dict[Lane, float] = {}
        self._held_back: list[Report] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def lanes(self) -> list[Lane]:
        return list(self._awaited)

    def knows(self, attempt: AttemptKey) -> bool:
        """Whether it runs there, or its report is not acknowledged yet."""
        return attempt in self._at

    def runs(self, attempt: AttemptKey) -> bool:
        """Whether it runs there, as far as is known."""
        return attempt in self._at and attempt not in self._reported

    async def recover(self, handles: Sequence[RunnerHandle]) -> frozenset[AttemptKey]:
        """Greet these; what they hold and run of ours. Its reports come after this returned."""
        self._held_back = self._held_back if self._held_back is not None else []
        self._reported.clear()  # a report that came before its execution was ours was dropped
        known = {lane.handle.name: lane for lane in self._awaited}
        try:
            found = await asyncio.gather(
                *(self._greet(known.get(handle.name), handle) for handle in handles)
            )
        finally:
            self._loop.call_soon(self._release_held_back)
        return frozenset(self._at).union(*found)

    async def _greet(self, lane: Lane | None, handle: RunnerHandle) -> frozenset[AttemptKey]:
        common = self._common
        is_new = lane is None
        if lane is None:
            lane = Lane(
                handle,
                common.factory.connect(handle),
                self,
                hello=lambda: common.hello(False),
                mine=common.mine,
                bounds=common.bounds,
                estimates=common.estimates,
            )
            self._awaited[lane] = set()
        try:
            there = await (lane.connect() if is_new else lane.greet())
        except TimeoutError:
            lane.kill("it does not answer, so what it holds cannot be known")
            return frozenset()
        except (OSError, FrameError) as error:
            _log.warning("runner %s of another host cannot be asked: %s", handle.name, error)
            self._let_go(lane)
            return frozenset()
        except asyncio.CancelledError:
            if self._closed or lane in self._awaited:
                raise
            return frozenset()  # it died meanwhile
        ours = frozenset(attempt for attempt in there if common.mine(attempt))
        self._awaited[lane] = set(ours)
        for attempt in ours:
            self._at[attempt] = lane
        if lane.welcome is not None and not lane.welcome.fed:
            self._unfed_since.setdefault(lane, self._loop.time())
        else:
            self._unfed_since.pop(lane, None)
        if not ours and lane not in self._unfed_since:
            self._let_go(lane)
        return ours

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """See `Dispatch.stop`; of what `runs` here."""
        for key, at, grace_ms in attempts:
            self._at[key, at].stop((key, at), grace_ms)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """See `Dispatch.acknowledge`; what is not known here is ignored."""
        for attempt in attempts:
            if attempt not in self._reported:
                continue
            self._reported.discard(attempt)
            lane = self._at.pop(attempt, None)
            if lane is None:
                continue
            lane.acknowledge([attempt])
            self._awaited[lane].discard(attempt)
            self._end_if_done(lane)

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Executions that are another host's now are not waited for."""
        for lane, awaited in list(self._awaited.items()):
            for attempt in [attempt for attempt in awaited if is_lost(attempt[0])]:
                awaited.discard(attempt)
                self._at.pop(attempt, None)
                self._reported.discard(attempt)
            self._end_if_done(lane)

    def tend(self) -> None:
        """Look after runners whose host is gone; called every `look_ms`."""
        now, unfed_s = self._loop.time(), self._common.bounds.unfed_ms / 1_000
        for lane, since in list(self._unfed_since.items()):
            if now - since < unfed_s or lane.leaving:
                continue  # it may come back; or it was told, and is not empty yet
            self._unfed_since[lane] = now
            self._look(lane, leaves=True)

    def _look(self, lane: Lane, *, leaves: bool) -> None:
        look = self._loop.create_task(self._look_again(lane, leaves=leaves))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        look.add_done_callback(_tell_failure)

    async def _look_again(self, lane: Lane, *, leaves: bool) -> None:
        """Whether its host is there; if not, and it had its time to come back, it is to leave."""
        try:
            await lane.greet()
        except (TimeoutError, asyncio.CancelledError):
            return  # frozen, or dead, or busy: the next look tells
        if lane not in self._awaited:
            return
        if lane.welcome is None or not lane.welcome.fed:
            self._unfed_since.setdefault(lane, self._loop.time())
            if leaves:
                _log.info("runner %s has lost its host, and leaves when empty", lane.handle.name)
                lane.leave()
        else:
            self._unfed_since.pop(lane, None)
            if not self._awaited[lane]:
                self._let_go(lane)

    def close(self) -> None:
        """Let go of the runners."""
        self._closed = True
        for look in self._looks:
            look.cancel()
        for lane in list(self._awaited):
            self._let_go(lane)

    def kill(self) -> None:
        """End those that are listened to."""
        for lane in self._awaited:
            lane.kill("the deployment goes down")

    # what lanes tell

    def lane_reported(self, lane: Lane, reports: Sequence[Report]) -> None:
        ours: list[Report] = []
        for report in reports:
            attempt = (report.key, report.at)
            if attempt in self._reported or not self._common.mine(attempt):
                continue
            if isinstance(report, Returned | Raised):
                self._reported.add(attempt)
                self._at[attempt] = lane
                self._awaited.setdefault(lane, set()).add(attempt)
            elif isinstance(report, Lost | Stopped):
                self._at.pop(attempt, None)
                self._awaited.get(lane, set()).discard(attempt)
                self._loop.call_soon(self._end_if_done, lane)
            ours.append(report)
        if ours:
            self._hand_over(ours)

    def lane_gave_back(self, lane: Lane, assignments: Sequence[Assignment]) -> None:
        raise AssertionError("nothing is sent to a runner of another host")

    def lane_disowned(self, lane: Lane, attempts: Sequence[AttemptKey]) -> None:
        """Nothing was sent there."""

    def lane_has_room(self, lane: Lane) -> None:
        """Nothing is sent there."""

    def lane_ended(self, lane: Lane) -> None:
        self._let_go(lane)

    def _end_if_done(self, lane: Lane) -> None:
        """Nothing of ours is left there: let go, unless its host has gone meanwhile. When it
        greeted, the end of that host's connection may not have been noticed yet."""
        if lane in self._awaited and not self._awaited[lane] and lane not in self._unfed_since:
            self._look(lane, leaves=False)

    def _let_go(self, lane: Lane) -> None:
        for attempt in self._awaited.pop(lane, ()):
            if self._at.get(attempt) is lane:
                del self._at[attempt]
        self._unfed_since.pop(lane, None)
        lane.close()

    def _hand_over(self, reports: Sequence[Report]) -> None:
        if self._held_back is not None:
            self._held_back.extend(reports)
        elif not self._closed:
            self._common.deliver(reports)

    def _release_held_back(self) -> None:
        held_back, self._held_back = self._held_back, None
        if held_back:
            self._hand_over(held_back)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a look at another host's runner failed", exc_info=task.exception())
