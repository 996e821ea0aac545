"""How many runners a crew has: when one more is started, and when one leaves.

More are started while work waits: each with a slot lease, on the node that the lease names. They
end when they are idle, when their lease is revoked, and give way to demand of others: idle ones at
once, busy ones when their step does. The last one that takes work does not leave before another is
there: a process may take long to begin, behind those of the very attempts that it gives way to.

Who comes in its place reserves nothing, as does one that is started where nobody grants a lease; it
*stands in*, and leaves for one that reserves as soon as there is room for that. Where every runner
is at a step that may itself wait for a step, one more goes *beyond* the others, and reserves
nothing either.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

from heliostat.engine.values import Json

from .background import Background
from .common import Common
from .employer import Employer
from .factory import EnvironmentNotMade, RunnerHandle, RunnerNotStarted, RunnerSpec
from .frames import AttemptKey, FrameError
from .frozen_runners import FrozenRunners
from .lane import Lane
from .runner_leases import RunnerLeases

_log = logging.getLogger(__name__)


class Staff:
    """The runners of one crew. Every method is called on the event loop."""

    def __init__(
        self,
        common: Common,
        employer: Employer,
        *,
        env: str,
        runtime_env: Mapping[str, Json] | None,
    ) -> None:
        self._common, self._employer = common, employer
        self._env, self.runtime_env = env, runtime_env
        self._bounds, self._placement = common.bounds, common.placement
        self._min = self._bounds.runners_min if not env else 0
        self._loop = asyncio.get_running_loop()
        self.lanes: list[Lane] = []
        self.leases = RunnerLeases(common, env, self)
        self.waiting_since = 0.0  # told by the employer, when the first attempt begins to wait
        self._beyond: set[int] = set()  # indexes of those started because all others were blocked
        self._frozen = FrozenRunners(bound_ms=self._bounds.frozen_ms)
        self._starting, self._ending = Background(), Background()
        self._start_failures = 0
        self._start_not_before = self._yield_until = 0.0
        self._growing: asyncio.TimerHandle | None = None
        self._started = self._closed = self._ends = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be missed if it were gone."""
        return not (self.lanes or self._starting or self._ending)

    @property
    def count(self) -> int:
        """Runners that still take work, and those that begin."""
        return self._staying + len(self._starting)

    @property
    def _staying(self) -> int:
        return sum(not lane.leaving for lane in self.lanes)

    @property
    def _taking_work(self) -> list[Lane]:
        """Lanes to runners that are there, and do not leave."""
        return [lane for lane in self.lanes if lane.welcome is not None and not lane.leaving]

    @property
    def _most(self) -> int:
        nodes = 1 if self._placement is None else max(1, self._common.node_count)
        return self._bounds.runners_max * nodes

    def start(self) -> bool:
        """Begin to have runners, the smallest number at once; False where it has begun already."""
        if self._started or self._closed:
            return False
        self._started = True
        self._fill_up()
        return True

    def end(self) -> None:
        """End every runner, whatever it runs, and make no more."""
        self._ends = True
        for lane in list(self.lanes):
            lane.kill("the deployment goes down")

    async def close(self) -> None:
        """Let go of the runners, which live on and keep their reports."""
        self._closed = True
        if self._growing is not None:
            self._growing.cancel()
        await self.leases.close()
        await self._starting.close()
        await self._ending.close()
        for lane in self.lanes:
            lane.close()
        self.lanes.clear()

    # one more

    def work_waits(self) -> None:
        """Look soon whether it still does, and again as long as it does."""
        if self._growing is None and not self._closed:
            self._growing = self._loop.call_later(self._bounds.grow_ms / 1_000, self._grow)

    def _fill_up(self) -> None:
        for _ in range(self._min - self.count):
            self._start_one()

    def _grow(self) -> None:
        """Work has waited: one more runner, and look again while it goes on waiting."""
        self._growing = None
        if self._closed or not self._employer.waiting_count:
            return
        now = self._loop.time()
        waited = now - self.waiting_since >= self._bounds.grow_ms / 1_000
        count = self.count
        wants_one = count == 0 or (waited and not self._starting)
        if wants_one and not self._start_one() and not self._starting:
            blocked_s = self._bounds.blocked_ms / 1_000
            blocked = all(lane.head_age_s >= blocked_s for lane in self.lanes)
            if blocked and count < self._most + self._bounds.runners_extra:
                self._start_unreserved(beyond=bool(count))
        self._look_after_want()
        self.waiting_since = now
        self.work_waits()

    @property
    def _may_start(self) -> bool:
        now = self._loop.time()
        return self._started and not (self._closed or self._ends) and now >= self._start_not_before

    def _start_one(self) -> bool:
        """Start a runner, or ask for a lease for it.

        False where there may be none now, and nothing is on its way.
        """
        count = self.count
        if not self._may_start or count >= self._most:
            return False
        reserve = self._loop.time() >= self._yield_until
        if not reserve and count:
            return False
        if reserve and self._placement is not None:
            if self.leases.is_wanted:
                return count == 0
            self.leases.want()
            return True
        self._begin(self._common.take_index(), reserve=reserve)
        return True

    def _start_unreserved(self, *, beyond: bool = False) -> None:
        """Start one that needs no lease, where one may be started now."""
        if self._may_start:
            index = self._common.take_index()
            if beyond:
                self._beyond.add(index)
            self._begin(index, reserve=False)

    def _look_after_want(self) -> None:
        """A lease that nobody grants holds up no tiny step; one that is not needed is not kept."""
        if not self.leases.is_wanted:
            return
        if not self.wants_lease:
            self.leases.withdraw()
        elif self.count == 0 and self.leases.waited_s > self._bounds.lease_wait_ms / 1_000:
            self._start_unreserved()

    # what the leases tell

    @property
    def wants_lease(self) -> bool:
        """See `LeaseUser`."""
        if self._closed or self._ends:
            return False
        return bool(
            self._employer.waiting_count or self._staying < self._min or self._lacks_reserving
        )

    def lease_granted(self, index: int, node: str) -> None:
        """See `LeaseUser`."""
        self._begin(index, reserve=True, node=node)

    def lease_refused(self) -> None:
        """See `LeaseUser`."""
        if self.count == 0:
            self._start_unreserved()

    def leases_revoked(self) -> None:
        """See `LeaseUser`. As long as others wait for the CPU no lease will be granted, so that who
        comes in the place of the last runner reserves nothing."""
        handover_s = self._bounds.handover_ms / 1_000
        for lane in self._taking_work:
            since = self.leases.asked_back_since(lane.handle.name)
            if since is None:
                continue
            last = len(self._taking_work) == 1 and (self._min or self._employer.waiting_count)
            if not last or self._loop.time() - since > handover_s:
                lane.leave()
            elif not self._starting:
                self._start_unreserved()

    # those that stand in, and those that reserve

    @property
    def _reserving(self) -> int:
        """Runners that have a lease, and may keep it."""
        leases = self.leases
        return sum(
            leases.has(lane.handle.index) and leases.asked_back_since(lane.handle.name) is None
            for lane in self._taking_work
        )

    @property
    def _lacks_reserving(self) -> bool:
        """Whether one that reserves should come in place of one that does not."""
        if self._placement is None or not (self._min or any(x.unfinished for x in self.lanes)):
            return False
        if self.leases.pauses or self._loop.time() < self._yield_until:
            return False
        return bool(self._staying) and self._reserving < max(self._min, 1)

    def _relieve(self) -> None:
        """Those that stand in leave for those that reserve; while these are too few, one is asked
        for."""
        if self._placement is None:
            return
        if self._lacks_reserving:
            if self._may_start and not self._starting and not self.leases.is_wanted:
                self.leases.want()
            return
        spare = self._staying - max(self._min, 1) if self._reserving else 0
        for lane in self._taking_work:
            index = lane.handle.index
            if spare > 0 and not self.leases.has(index) and index not in self._beyond:
                lane.leave()
                spare -= 1

    # from a number to a runner that takes work

    def _begin(self, index: int, *, reserve: bool, node: str = "") -> None:
        self._starting.begin(self._create(index, reserve=reserve, node=node))

    async def _create(self, index: int, *, reserve: bool, node: str) -> None:
        try:
            spec = RunnerSpec(
                index=index,
                node=node,
                cpus=await self._common.factory.share() if reserve else 0.0,
                env=self._env,
                runtime_env=self.runtime_env,
            )
            handle = await self._common.factory.create(spec)
        except RunnerNotStarted as error:
            self._gone(index)
            self._start_failures += 1
            pause_ms = self._bounds.retry_ms * 2 ** min(self._start_failures - 1, 10)
            pause_s = min(pause_ms, self._bounds.retry_max_ms) / 1_000
            pause_s *= 0.5 + random.random() / 2
            self._start_not_before = self._loop.time() + pause_s
            _log.error("%s; the next try is in %.1f s", error, pause_s)
            return
        except EnvironmentNotMade as error:
            self._gone(index)
            _log.error("runtime environment %s cannot be set up: %s", self._env, error)
            self._employer.environment_failed(str(error))
            return
        self._start_failures = 0
        await self._connect(handle)
        self.leases_revoked()  # this one's, or that of one that waited for it
        self._relieve()

    async def _connect(self, handle: RunnerHandle) -> frozenset[AttemptKey]:
        common = self._common
        lane = Lane(
            handle,
            common.factory.connect(handle),
            self._employer,
            hello=lambda: common.hello(True),
            mine=common.mine,
            bounds=self._bounds,
            estimates=common.estimates,
        )
        common.indexes_taken.add(handle.index)
        self.lanes.append(lane)  # before it connects: it may die in between, and says so
        try:
            found = await lane.connect()
        except TimeoutError:
            lane.kill("it does not answer, so what it holds cannot be known")
            return frozenset()
        except (OSError, FrameError) as error:
            _log.warning("runner %s cannot be used: %s", handle.name, error)
            if lane in self.lanes:
                self.lanes.remove(lane)
            lane.close()
            if isinstance(error, OSError):  # nobody listens: its process is gone
                self._gone(handle.index)
                await common.factory.discard(handle)
            return frozenset()
        except asyncio.CancelledError:
            if self._closed or lane in self.lanes:
                raise
            return frozenset()  # it died meanwhile
        self._employer.lane_adopted(lane)
        self.leases.hold(lane)
        return found

    async def recover(self, handles: Sequence[RunnerHandle]) -> frozenset[AttemptKey]:
        """Greet these, and those that are known, anew; what they hold and run."""
        connected = {lane.handle.index for lane in self.lanes}
        begin = [index for index in self._common.indexes_taken if index not in connected]
        known = {lane.handle.name for lane in self.lanes}
        known |= {self._common.factory.name(index, self._env) for index in begin}
        found = await asyncio.gather(
            *(self._ask_again(lane) for lane in list(self.lanes)),
            *(self._connect(handle) for handle in handles if handle.name not in known),
        )
        return frozenset().union(*found)

    async def _ask_again(self, lane: Lane) -> frozenset[AttemptKey]:
        try:
            found = await lane.greet()
        except (TimeoutError, FrameError):
            lane.kill("it does not answer, so what it holds cannot be known")
            return frozenset()
        except asyncio.CancelledError:
            if self._closed or lane in self.lanes:
                raise
            return frozenset()  # it died meanwhile, and its attempts were reported
        self._employer.lane_adopted(lane)
        return found

    # ends

    def lane_ended(self, lane: Lane) -> None:
        """The runner is dead; another is started where there are too few."""
        if lane in self.lanes:
            self.lanes.remove(lane)
        self._ending.begin(self._discard(lane.handle))
        if not self._closed:
            self._fill_up()

    async def _discard(self, handle: RunnerHandle) -> None:
        try:
            how = await self._common.factory.discard(handle)
        finally:
            self._gone(handle.index)  # not before: its name would be another's
        _log.info("runner %s is gone%s", handle.name, "" if how is None else f": {how}")

    def _gone(self, index: int) -> None:
        self._beyond.discard(index)
        self.leases.give_back(index)

    def tend(self, *, demand_waits: bool) -> None:
        """End idle runners, give way to demand; called every `look_ms`."""
        if demand_waits:
            self._give_way()
        self._frozen.look(self.lanes, self._loop.time())
        self.leases_revoked()
        self._look_after_want()
        self._relieve()
        draining = frozenset() if self._placement is None else self._placement.draining
        now = self._loop.time()
        idle_s = self._bounds.idle_ms / 1_000
        for lane in list(self.lanes):
            if lane.leaving:
                continue
            idle = not lane.unfinished and now - lane.idle_since > idle_s
            if (idle and self._staying > self._min) or (
                draining and lane.welcome is not None and lane.welcome.node in draining
            ):
                lane.leave()
        self._fill_up()

    def _give_way(self) -> None:
        """Others wait for CPUs: idle runners end, of the busy ones one does after its step."""
        self._yield_until = self._loop.time() + self._bounds.yield_ms / 1_000
        self.leases.withdraw()
        # One that reserves nothing has nothing to give: ending it would only stop tiny steps.
        staying = [lane for lane in self.lanes if not lane.leaving and reserves(lane)]
        idle = [lane for lane in staying if not lane.unfinished]
        self.leases.ask_back(lane.handle.name for lane in idle or staying[:1])


def reserves(lane: Lane) -> bool:
    """Whether the runner has CPUs of its node for itself."""
    return lane.welcome is not None and lane.welcome.cpus > 0
