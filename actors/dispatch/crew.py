"""The attempts of one host and one runtime environment, on their way to runners and back.

What no runner has room for waits in one line (`waiting.py`). Runners of this node are preferred;
those of other nodes get what these have no room for (`placing.py`). How many runners there are is
`staff.py`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.values import Json

from .common import Common
from .factory import RunnerHandle
from .frames import AttemptKey
from .lane import Lane
from .placing import empty_one, fill, keep_free
from .protocol import Assignment, Lost, Raised, Report, Returned, Stopped
from .staff import Staff
from .waiting import WaitingLine

RUNTIME_ENV_FAILED: Final = "RuntimeEnvFailed"
"""The type of the failure of attempts whose runtime environment cannot be set up."""


class Crew:
    """The lanes to these runners. Every method is called on the event loop."""

    def __init__(
        self, common: Common, *, env: str = "", runtime_env: Mapping[str, Json] | None = None
    ) -> None:
        self._common = common
        self._loop = asyncio.get_running_loop()
        self.staff = Staff(common, self, env=env, runtime_env=runtime_env)
        self._waiting = WaitingLine()
        self._waiting_alone: OrderedDict[AttemptKey, Assignment] = OrderedDict()
        self._at: dict[AttemptKey, Lane] = {}  # sent, and no report yet
        self._reported: dict[AttemptKey, Lane] = {}  # and not acknowledged yet
        self._repeat: set[AttemptKey] = set()  # of these, those to hand over once more
        self._held_back: list[Report] | None = None
        self._closed = False

    @property
    def lanes(self) -> list[Lane]:
        """To every runner of the crew."""
        return self.staff.lanes

    @property
    def waiting_count(self) -> int:
        """Attempts that no runner has got yet."""
        return len(self._waiting) + len(self._waiting_alone)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be missed if it were gone."""
        return self.staff.is_empty and not self.waiting_count

    def start(self) -> None:
        """Begin to have runners; the smallest number of them is started at once."""
        if self.staff.start():
            self._pump()

    # the port

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Queue attempts; those that are here already are not made twice."""
        now = self._loop.time()
        if self.waiting_count == 0:
            self.staff.waiting_since = now
        at, reported, line, now_ms = self._at, self._reported, self._waiting, now * 1_000
        for assignment in assignments:
            attempt = (assignment.key, assignment.at)
            if attempt in at or attempt in reported:
                continue
            if assignment.alone or assignment.code.at_most_once:
                self._waiting_alone[attempt] = assignment
            else:
                line.add(attempt, assignment, now_ms)
        self._pump()

    def knows(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, or its report is not acknowledged yet."""
        return (
            attempt in self._at
            or attempt in self._waiting
            or attempt in self._waiting_alone
            or attempt in self._reported
        )

    def runs(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, and its end has not been reported."""
        return attempt not in self._reported and self.knows(attempt)

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """See `Dispatch.forget`."""
        self._waiting.forget(is_lost)
        for attempt in [attempt for attempt in self._waiting_alone if is_lost(attempt[0])]:
            del self._waiting_alone[attempt]

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """See `Dispatch.stop`. One that is unknown here has ended without a trace: it is over."""
        over: list[Report] = []
        for key, at, grace_ms in attempts:
            attempt = (key, at)
            lane = self._at.get(attempt)
            if lane is not None:
                lane.stop(attempt, grace_ms)
            elif attempt not in self._reported:
                self._waiting.remove(attempt)
                self._waiting_alone.pop(attempt, None)
                over.append(Stopped(key=key, at=at))
        if over:
            self._loop.call_soon(self._hand_over, over)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """See `Dispatch.acknowledge`; what is not known here is ignored."""
        by_lane: defaultdict[Lane, list[AttemptKey]] = defaultdict(list)
        if self._repeat:
            self._repeat.difference_update(attempts)
        for attempt in attempts:
            lane = self._reported.pop(attempt, None)
            if lane is not None:
                by_lane[lane].append(attempt)
        for lane, known in by_lane.items():
            lane.acknowledge(known)

    async def recover(self, handles: Sequence[RunnerHandle]) -> frozenset[AttemptKey]:
        """Greet these, and those that are known, anew. Reports of what they hold and run come
        after this has returned."""
        self._held_back = self._held_back if self._held_back is not None else []
        # What is known is asked again too: a report that came before this host owned its execution
        # was dropped by it.
        self._repeat = set(self._reported)
        try:
            found = await self.staff.recover(handles)
        finally:
            self._loop.call_soon(self._release_held_back)
        return found.union(self._waiting, self._waiting_alone, self._at)

    async def close(self) -> None:
        """Let go of the runners, which live on and keep their reports."""
        self._closed = True
        await self.staff.close()

    def end_runners(self) -> None:
        """End every runner, whatever it runs, and make no more."""
        self.staff.end()

    def tend(self, *, demand_waits: bool) -> None:
        """See `Staff.tend`."""
        self.staff.tend(demand_waits=demand_waits)

    # what lanes tell

    def lane_reported(self, lane: Lane, reports: Sequence[Report]) -> None:
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

    def lane_gave_back(self, lane: Lane, assignments: Sequence[Assignment]) -> None:
        # Sent again when the lane next says that it has room, or has ended: it does so now.
        if self.waiting_count == 0:
            self.staff.waiting_since = self._loop.time()
        for assignment in reversed(assignments):
            attempt = (assignment.key, assignment.at)
            self._at.pop(attempt, None)
            alone = assignment.alone or assignment.code.at_most_once
            if alone:
                self._waiting_alone[attempt] = assignment
                self._waiting_alone.move_to_end(attempt, last=False)
            else:
                self._waiting.put_back(attempt, assignment)

    def lane_disowned(self, lane: Lane, attempts: Sequence[AttemptKey]) -> None:
        for attempt in attempts:
            self._at.pop(attempt, None)

    def lane_has_room(self, lane: Lane) -> None:
        self._pump()

    def lane_ended(self, lane: Lane) -> None:
        # Its held reports died with it; they were handed over, so the host has them.
        self._reported = {a: at for a, at in self._reported.items() if at is not lane}
        self.staff.lane_ended(lane)
        if not self._closed:
            self._pump()

    def lane_adopted(self, lane: Lane) -> None:
        for attempt in lane.attempts:
            self._at[attempt] = lane

    def environment_failed(self, cause: str) -> None:
        """What waits for this runtime environment fails: another try would fail too."""
        failed = list(self._waiting_alone.values())
        self._waiting_alone.clear()
        while self._waiting.peek() is not None:
            failed.append(self._waiting.take())
        now_ms = time.time_ns() // 1_000_000
        self._hand_over([_env_failed(each, cause, now_ms) for each in failed])

    def _hand_over(self, reports: Sequence[Report]) -> None:
        if self._held_back is not None:
            self._held_back.extend(reports)
        elif not self._closed:
            self._common.deliver(reports)

    def _release_held_back(self) -> None:
        held_back, self._held_back = self._held_back, None
        if held_back:
            self._hand_over(held_back)

    # who gets what

    def _pump(self) -> None:
        """Send what has found room, oldest first."""
        if self._waiting_alone:
            self._place_alone()
        elif self.lanes:
            for lane in self.lanes:
                lane.reserved = False
        if self._waiting:
            self._place()
        if self.waiting_count:
            self.staff.work_waits()

    def _place(self) -> None:
        common, at = self._common, self._at
        fillings = fill(
            self.lanes,
            self._waiting,
            window_items=common.bounds.window_items,
            estimate=common.estimates.of,
        )
        for filling in fillings:
            if filling.chosen:
                for assignment in filling.chosen:
                    at[assignment.key, assignment.at] = filling.lane
                filling.lane.send(filling.chosen)

    def _place_alone(self) -> None:
        for attempt in list(self._waiting_alone):
            lane = empty_one(self.lanes)
            if lane is None:
                break
            assignment = self._waiting_alone.pop(attempt)
            lane.reserved = False
            self._at[attempt] = lane
            lane.send([assignment])
        keep_free(self.lanes, alone=len(self._waiting_alone), others_wait=bool(self._waiting))


def _env_failed(assignment: Assignment, cause: str, now_ms: int) -> Raised:
    failure = Failure(
        type=RUNTIME_ENV_FAILED,
        message=f"the step's runtime_env cannot be set up: {cause}",
        mro=(RUNTIME_ENV_FAILED,),
        step=assignment.code.step_id,
        attempt=assignment.at.attempt,
    )
    return Raised(
        key=assignment.key,
        at=assignment.at,
        failure=failure,
        started_at_ms=now_ms,
        elapsed_ms=0,
        runner="",
    )
