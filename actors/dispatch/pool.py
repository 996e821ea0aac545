"""The runners of one node: which one gets an attempt, and how many there are.

One queue in the order of arrival holds what no runner has room for. An attempt that must run alone
waits for an empty runner; the one with least ahead of it is kept free for it, so that neither it
nor the others starve.

More runners are started while work waits, up to a bound, and end when they are idle. They give way
to demand of others: idle ones end at once, busy ones when their step does. With demand waiting and
no runner left, work gets one that reserves nothing: tiny steps never stop altogether. The same
where every runner is at a step that may itself wait for a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import OrderedDict, defaultdict
from collections.abc import Sequence

from heliostat.engine.identity import Address, ExecutionKey

from .bounds import DispatchBounds
from .estimates import Estimates
from .factory import RunnerFactory, RunnerHandle, RunnerNotStarted
from .frames import AttemptKey, FrameError
from .local import LocalLane
from .protocol import Assignment, Deliver, Lost, Raised, Report, Returned, Stopped
from .slots import SlotCount, SlotHolding, Slots

_log = logging.getLogger(__name__)


class RunnerPool:
    """The lanes to the runners of this node. Every method is called on the event loop."""

    def __init__(
        self,
        factory: RunnerFactory,
        deliver: Deliver,
        *,
        deployment: str,
        incarnation: str,
        bounds: DispatchBounds | None = None,
        slots: Slots | None = None,
    ) -> None:
        """Args:
        slots: who grants capacity; absent, `bounds.runners_max` slots on this node.
        """
        self._factory, self._deliver = factory, deliver
        self._deployment, self._incarnation = deployment, incarnation
        self._bounds = bounds if bounds is not None else DispatchBounds()
        self._estimates = Estimates()
        self._loop = loop = asyncio.get_running_loop()
        if slots is None:
            slots = SlotCount("", self._bounds.runners_max, lambda: int(loop.time() * 1_000))
        self._slots = SlotHolding(slots, holder=incarnation, ttl_ms=self._bounds.slot_ttl_ms)
        self._lanes: list[LocalLane] = []
        self._waiting: OrderedDict[AttemptKey, Assignment] = OrderedDict()
        self._waiting_alone: OrderedDict[AttemptKey, Assignment] = OrderedDict()
        self._waiting_since = 0.0
        self._at: dict[AttemptKey, LocalLane] = {}  # sent, and no report yet
        self._reported: dict[AttemptKey, LocalLane] = {}  # and not acknowledged yet
        self._repeat: set[AttemptKey] = set()  # of these, those to hand over once more
        self._held_back: list[Report] | None = None
        self._frozen_since: dict[LocalLane, float] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._indexes_taken: set[int] = set()
        self._start_failures = 0
        self._start_not_before = 0.0
        self._yield_until = 0.0
        self._growing: asyncio.TimerHandle | None = None
        self._tending: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = self._ends = False

    @property
    def runner_count(self) -> int:
        """Runners that are connected."""
        return len(self._lanes)

    @property
    def _staying(self) -> int:
        """Runners that still take work."""
        return sum(not lane.leaving for lane in self._lanes)

    @property
    def waiting_count(self) -> int:
        """Attempts that no runner has got yet."""
        return len(self._waiting) + len(self._waiting_alone)

    def start(self) -> None:
        """Begin to have runners; the smallest number of them is started at once."""
        if self._tending is None and not self._closed:
            self._tending = self._loop.create_task(self._tend())
            self._fill_up()

    # the port

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Queue attempts; those that are here already are not made twice."""
        if self.waiting_count == 0:
            self._waiting_since = self._loop.time()
        for assignment in assignments:
            attempt = (assignment.key, assignment.at)
            if attempt in self._at or attempt in self._reported:
                continue
            if assignment.alone or assignment.code.at_most_once:
                self._waiting_alone[attempt] = assignment
            else:
                self._waiting[attempt] = assignment
        self._pump()

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """See `Dispatch.stop`. One that is unknown here has ended without a trace: it is over."""
        over: list[Report] = []
        for key, at, grace_ms in attempts:
            attempt = (key, at)
            lane = self._at.get(attempt)
            if lane is not None:
                lane.stop(attempt, grace_ms)
            elif attempt not in self._reported:
                self._waiting.pop(attempt, None)
                self._waiting_alone.pop(attempt, None)
                over.append(Stopped(key=key, at=at))
        if over:
            self._loop.call_soon(self._hand_over, over)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """See `Dispatch.acknowledge`; what is not known here is ignored."""
        by_lane: defaultdict[LocalLane, list[AttemptKey]] = defaultdict(list)
        if self._repeat:
            self._repeat.difference_update(attempts)
        for attempt in attempts:
            lane = self._reported.pop(attempt, None)
            if lane is not None:
                by_lane[lane].append(attempt)
        for lane, known in by_lane.items():
            lane.acknowledge(known)

    async def recover(self) -> frozenset[AttemptKey]:
        """See `Dispatch.recover`. Reports of what it names come after it has returned."""
        self._held_back = self._held_back if self._held_back is not None else []
        # What is known is asked again too: a report that came before this host owned its execution
        # was dropped by it.
        self._repeat = set(self._reported)
        known_sockets = {lane.handle.socket for lane in self._lanes}
        try:
            handles = [
                handle
                for handle in await self._factory.find()
                if handle.socket not in known_sockets
            ]
            found = await asyncio.gather(
                *(self._ask_again(lane) for lane in list(self._lanes)),
                *(self._connect(handle) for handle in handles),
            )
        finally:
            self._loop.call_soon(self._release_held_back)
        queued = (*self._waiting, *self._waiting_alone, *self._at)
        return frozenset(queued).union(*found)

    async def close(self) -> None:
        """Let go of the runners, which live on and keep their reports."""
        self._closed = True
        if self._growing is not None:
            self._growing.cancel()
        tasks = [*self._starting, *self._ending]
        if self._tending is not None:
            tasks.append(self._tending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()
        await self._factory.close()

    async def end_runners(self) -> None:
        """End every runner, whatever it runs, and make no more: for `down`, and for tests."""
        self._ends = True
        for lane in list(self._lanes):
            lane.kill("the deployment goes down")
        deadline = self._loop.time() + self._bounds.answer_ms / 1_000
        while self._lanes and self._loop.time() < deadline:  # noqa: ASYNC110  # rare
            await asyncio.sleep(0.01)

    # what lanes tell

    def lane_reported(self, lane: LocalLane, reports: Sequence[Report]) -> None:
        fresh: list[Report] = []
        for report in reports:
            attempt = (report.key, report.at)
            kind = type(report)
            if kind is Returned or kind is Raised:
                if attempt in self._reported and attempt not in self._repeat:
                    continue  # repeated after a new greeting
                self._repeat.discard(attempt)
                self._at.pop(attempt, None)
                self._reported[attempt] = lane
            elif kind is Lost or kind is Stopped:
                self._at.pop(attempt, None)
            fresh.append(report)
        if fresh:
            self._hand_over(fresh)

    def lane_gave_back(self, lane: LocalLane, assignments: Sequence[Assignment]) -> None:
        # Sent again when the lane next says that it has room, or has ended: it does so now.
        if self.waiting_count == 0:
            self._waiting_since = self._loop.time()
        for assignment in reversed(assignments):
            attempt = (assignment.key, assignment.at)
            self._at.pop(attempt, None)
            alone = assignment.alone or assignment.code.at_most_once
            queue = self._waiting_alone if alone else self._waiting
            queue[attempt] = assignment
            queue.move_to_end(attempt, last=False)

    def lane_has_room(self, lane: LocalLane) -> None:
        self._pump()

    def lane_ended(self, lane: LocalLane) -> None:
        if lane in self._lanes:
            self._lanes.remove(lane)
        # Its held reports died with it; they were handed over, so the host has them.
        self._reported = {a: at for a, at in self._reported.items() if at is not lane}
        self._indexes_taken.discard(lane.handle.index)
        self._slots.give_back(lane.handle.index)
        self._track(self._ending, self._discard(lane.handle))
        if not self._closed:
            self._fill_up()
            self._pump()

    def _hand_over(self, reports: Sequence[Report]) -> None:
        if self._held_back is not None:
            self._held_back.extend(reports)
        elif not self._closed:
            self._deliver(reports)

    def _release_held_back(self) -> None:
        held_back, self._held_back = self._held_back, None
        if held_back:
            self._hand_over(held_back)

    # who gets what

    def _pump(self) -> None:
        """Send what has found room, oldest first."""
        if self._waiting_alone:
            self._place_alone()
        elif self._lanes:
            for lane in self._lanes:
                lane.reserved = False
        if self._waiting:
            self._place()
        if self.waiting_count and self._growing is None and not self._closed:
            self._growing = self._loop.call_later(self._bounds.grow_ms / 1_000, self._grow)

    def _place(self) -> None:
        window_us, window_items = self._bounds.window_us, self._bounds.window_items
        fillings = [
            _Filling(lane)
            for lane in self._lanes
            if not lane.reserved and lane.has_room(0, alone=False)
        ]
        estimate, waiting, at = self._estimates.of, self._waiting, self._at
        for attempt, assignment in waiting.items():
            estimate_us = estimate(assignment.code.key)
            best: _Filling | None = None
            for filling in fillings:
                if filling.items and (
                    filling.ahead_us + estimate_us > window_us or filling.items >= window_items
                ):
                    continue
                if best is None or filling.ahead_us < best.ahead_us:
                    best = filling
            if best is None:
                break
            best.chosen.append(assignment)
            best.items += 1
            best.ahead_us += estimate_us
            at[attempt] = best.lane
        for filling in fillings:
            for assignment in filling.chosen:
                del waiting[assignment.key, assignment.at]
            if filling.chosen:
                filling.lane.send(filling.chosen)

    def _place_alone(self) -> None:
        for attempt in list(self._waiting_alone):
            lane = next((lane for lane in self._lanes if lane.has_room(0, alone=True)), None)
            if lane is None:
                break
            assignment = self._waiting_alone.pop(attempt)
            lane.reserved = False
            self._at[attempt] = lane
            lane.send([assignment])
        usable = [lane for lane in self._lanes if not lane.leaving]
        wanted = min(len(self._waiting_alone), len(usable))
        if self._waiting and len(usable) > 1:
            wanted = min(wanted, len(usable) - 1)  # the others go on meanwhile
        for place, lane in enumerate(sorted(usable, key=lambda lane: lane.backlog_us)):
            lane.reserved = place < wanted

    # how many runners there are

    def _fill_up(self) -> None:
        missing = self._bounds.runners_min - self._staying - len(self._starting)
        for _ in range(missing):
            self._start_one()

    def _grow(self) -> None:
        """Work has waited: one more runner, and look again while it goes on waiting."""
        self._growing = None
        if self._closed or not self.waiting_count:
            return
        now = self._loop.time()
        waited = now - self._waiting_since >= self._bounds.grow_ms / 1_000
        count = self._staying + len(self._starting)
        wants_one = count == 0 or (waited and not self._starting)
        if wants_one and not self._start_one() and not self._starting:
            blocked_s = self._bounds.blocked_ms / 1_000
            blocked = all(lane.head_age_s >= blocked_s for lane in self._lanes)
            if blocked and count < self._bounds.runners_max + self._bounds.runners_extra:
                self._start_one(extra=True)
        self._waiting_since = now
        self._growing = self._loop.call_later(self._bounds.grow_ms / 1_000, self._grow)

    def _start_one(self, *, extra: bool = False) -> bool:
        """Start a runner if there is a slot for it; an `extra` one needs none."""
        now = self._loop.time()
        if self._closed or self._ends or self._tending is None or now < self._start_not_before:
            return False
        reserve = now >= self._yield_until and not extra
        if not reserve and not extra and (self._staying or self._starting):
            return False
        index = 0
        while index in self._indexes_taken:
            index += 1
        if not extra and not self._slots.take(index):
            return False
        self._indexes_taken.add(index)
        self._track(self._starting, self._create(index, reserve=reserve))
        return True

    async def _create(self, index: int, *, reserve: bool) -> None:
        try:
            handle = await self._factory.create(index, reserve=reserve)
        except RunnerNotStarted as error:
            self._indexes_taken.discard(index)
            self._slots.give_back(index)
            self._start_failures += 1
            pause_ms = self._bounds.retry_ms * 2 ** min(self._start_failures - 1, 10)
            pause_s = min(pause_ms, self._bounds.retry_max_ms) / 1_000
            pause_s *= 0.5 + random.random() / 2
            self._start_not_before = self._loop.time() + pause_s
            _log.error("%s; the next try is in %.1f s", error, pause_s)
            return
        self._start_failures = 0
        await self._connect(handle)

    async def _connect(self, handle: RunnerHandle) -> frozenset[AttemptKey]:
        lane = LocalLane(
            handle,
            self,
            deployment=self._deployment,
            incarnation=self._incarnation,
            bounds=self._bounds,
            estimates=self._estimates,
        )
        self._indexes_taken.add(handle.index)
        self._lanes.append(lane)  # before it connects: it may die in between, and says so
        try:
            found = await lane.connect()
        except TimeoutError:
            lane.kill("it does not answer, so what it holds cannot be known")
            return frozenset()
        except (OSError, FrameError) as error:
            _log.warning("runner %s cannot be used: %s", handle.name, error)
            self._lanes.remove(lane)
            lane.close()
            if isinstance(error, OSError):  # nobody listens: its process is gone
                self._indexes_taken.discard(handle.index)
                self._slots.give_back(handle.index)
                await self._factory.discard(handle)
            return frozenset()
        self._adopt(lane)
        self._slots.take(handle.index)  # one that was found, and one more than was granted, stays
        return found

    async def _ask_again(self, lane: LocalLane) -> frozenset[AttemptKey]:
        try:
            found = await lane.greet()
        except (TimeoutError, FrameError):
            lane.kill("it does not answer, so what it holds cannot be known")
            return frozenset()
        except asyncio.CancelledError:
            if self._closed or lane in self._lanes:
                raise
            return frozenset()  # it died meanwhile, and its attempts were reported
        self._adopt(lane)
        return found

    def _adopt(self, lane: LocalLane) -> None:
        for attempt in lane.attempts:
            self._at[attempt] = lane

    async def _tend(self) -> None:
        """End idle runners, give way to demand."""
        while True:
            await asyncio.sleep(self._bounds.look_ms / 1_000)
            if await self._factory.demand_waits():
                self._give_way()
            self._end_frozen()
            taken_back = self._slots.renew()
            for lane in self._lanes:
                if lane.handle.index in taken_back and not lane.leaving:
                    lane.leave()
            now = self._loop.time()
            idle_s = self._bounds.idle_ms / 1_000
            for lane in list(self._lanes):
                if (
                    self._staying > self._bounds.runners_min
                    and not lane.unfinished
                    and not lane.leaving
                    and now - lane.idle_since > idle_s
                ):
                    lane.leave()
            if self._loop.time() >= self._start_not_before:
                self._fill_up()

    def _end_frozen(self) -> None:
        """End runners whose process somebody stopped: they hold up their attempts for ever.

        That is not silence: the kernel tells a stopped process from one that is busy.
        """
        now = self._loop.time()
        for lane in self._lanes:
            if not lane.unfinished or not lane.is_frozen:
                self._frozen_since.pop(lane, None)
            elif now - self._frozen_since.setdefault(lane, now) >= self._bounds.frozen_ms / 1_000:
                lane.kill("it was stopped (SIGSTOP) with attempts in it")
        self._frozen_since = {
            lane: at for lane, at in self._frozen_since.items() if lane in self._lanes
        }

    def _give_way(self) -> None:
        """Others wait for CPUs: idle runners end, of the busy ones one does after its step."""
        self._yield_until = self._loop.time() + self._bounds.yield_ms / 1_000
        staying = [lane for lane in self._lanes if not lane.leaving]
        idle = [lane for lane in staying if not lane.unfinished]
        for lane in idle or staying[:1]:
            lane.leave()

    async def _discard(self, handle: RunnerHandle) -> None:
        how = await self._factory.discard(handle)
        _log.info("runner %s is gone%s", handle.name, "" if how is None else f": {how}")

    def _track(self, tasks: set[asyncio.Task[None]], work: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)  # type: ignore[arg-type]
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell_failure)


class _Filling:
    """A lane with room, and what it is to get."""

    __slots__ = ("ahead_us", "chosen", "items", "lane")

    def __init__(self, lane: LocalLane) -> None:
        self.lane = lane
        self.ahead_us, self.items = lane.backlog_us, lane.unfinished
        self.chosen: list[Assignment] = []


def _tell_failure(task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        error = task.exception()
        if error is not None:
            _log.error("a task of the runner pool failed", exc_info=error)
