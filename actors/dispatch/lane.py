"""A lane: what is said to one runner, and what it says.

The lane knows the order in which the runner works (`order.py`), so it knows what runs: the oldest
attempt that has not reported. From that it measures timeouts and graces, takes back what waits
behind a slow step, and says after a death which attempts may have begun (`sent.py`). What a lane
tells is in `lane_owner.py`; its connection is a line (`line.py`), over a transport.

A lane *feeds* the runners that its own host made. To another host's it only *listens*: after a
take-over it hears there how the attempts end that have become its host's, and sends nothing.

SIGKILL from outside cannot be told from the kernel's killer of memory hogs, and counts like it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from .bounds import DispatchBounds
from .estimates import Estimates
from .factory import RunnerHandle
from .frames import (
    Acknowledge,
    AttemptKey,
    Codes,
    Disowned,
    FrameError,
    Hello,
    ItemSent,
    Leave,
    Progress,
    Refused,
    Results,
    Running,
    Stop,
    Welcome,
    Withdraw,
    Withdrawn,
    WorkSent,
    decode_to_host,
    frame,
)
from .lane_owner import LaneOwner as LaneOwner
from .line import Line
from .order import Order
from .protocol import Assignment, Noticed, Report, Stopped
from .sent import Sent, after_death
from .transport import Transport

_log = logging.getLogger(__name__)


class Lane(Line):
    """Feeds one runner. Every method is called on the event loop."""

    def __init__(
        self,
        handle: RunnerHandle,
        transport: Transport,
        owner: LaneOwner,
        *,
        hello: Callable[[], Hello],
        mine: Callable[[AttemptKey], bool],
        bounds: DispatchBounds,
        estimates: Estimates,
    ) -> None:
        """Args:
        hello: the greeting, as it is when it is said.
        mine: whether an attempt is of this lane's host; asked of those that it did not send.
        """
        super().__init__(handle, transport, hello=hello, bounds=bounds)
        self.welcome: Welcome | None = None  # the latest
        self.leaving = False
        self.reserved = False  # waits to be empty, for an attempt that runs alone
        self._mine, self._owner, self._estimates = mine, owner, estimates
        self._window_us = bounds.remote_window_us if transport.is_remote else bounds.window_us
        self._order = Order(bounds, self._window_us, self._loop.time)
        self._withdrawing = False
        self._known_codes: set[str] = set()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0

    # what the pool asks

    @property
    def feeds(self) -> bool:
        """Whether the runner's work comes from here."""
        return self.handle.feeds

    @property
    def window_us(self) -> int:
        """How much unbegun work is kept there."""
        return self._window_us

    @property
    def unfinished(self) -> int:
        """Attempts sent, without a report."""
        return len(self._order.all)

    @property
    def idle_since(self) -> float:
        """When its last attempt ended."""
        return self._order.idle_since

    @property
    def head_age_s(self) -> float:
        """For how long the oldest attempt has been running; 0 where none is."""
        return self._order.head_age_s if self._order.all else 0.0

    @property
    def backlog_us(self) -> int:
        """Estimated work ahead of a new attempt."""
        return self._order.ahead_us

    @property
    def attempts(self) -> Iterable[AttemptKey]:
        """Those without a report, in the order of their turns."""
        return self._order.all.keys()

    def has_room(self, estimate_us: int, *, alone: bool) -> bool:
        """Whether one more attempt may be sent now."""
        if not self._greeted or self.leaving or self._ended or self._killed is not None:
            return False
        if not self.feeds:
            return False
        if self._withdrawing:
            return False  # what comes back is older
        return self._order.has_room(estimate_us, alone=alone or self.reserved)

    # connection

    async def _open(self) -> None:
        self._known_codes.clear()
        await super()._open()

    def close(self) -> None:
        """Let go of the runner, which lives on."""
        super().close()
        self._withdrawing = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    # to the runner

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Send attempts for which there is room."""
        codes, items = [], []
        order = self._order
        was_idle = not order.all
        for assignment in assignments:
            code = assignment.code
            estimate_us = self._estimates.of(code.key)
            if code.key not in self._known_codes:
                self._known_codes.add(code.key)
                codes.append(code)
            order.add(assignment, estimate_us)
            items.append(ItemSent(assignment.key, assignment.at, code.key, assignment.input))
        if was_idle:
            self._new_head()
        data = frame(Codes(tuple(codes))) if codes else b""
        step = self._bounds.frame_items
        for first in range(0, len(items), step):
            data += frame(WorkSent(items[first : first + step]))
        self._write(data)

    def stop(self, attempt: AttemptKey, grace_ms: int) -> None:
        """Tell a running attempt to stop, take back a waiting one; kill when the grace is over."""
        if not self._order.stop(attempt, grace_ms):
            return
        self._write(frame(Stop((attempt,))))
        self._arm()

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """The runner may forget these reports.

        Said with what is sent next: most often work, that the same commit let go. Two writes would
        wake the runner twice.
        """
        if not self._transport.is_open:
            return  # they are reported again after the next greeting
        if not self._gathered:
            self._loop.call_soon(self._write_gathered)
        self._gathered.append(frame(Acknowledge(tuple(attempts))))

    def leave(self) -> None:
        """Nothing more is sent; the runner exits when it has ended and handed over everything."""
        if not self.leaving:
            self.leaving = True
            self._write(frame(Leave()))

    # from the runner

    def _handle(self, body: memoryview) -> None:
        match decode_to_host(body):
            case Results() as results:
                self._on_results(results)
            case Withdrawn(attempts=attempts):
                self._withdrawing = False
                self._on_given_back(attempts)
                self._owner.lane_has_room(self)
            case Disowned(attempts=attempts):
                self._on_disowned(attempts)
            case Progress(key=key, at=at, data=data):
                notice = Noticed(key=key, at=at, kind="progress", data=data["progress"])
                self._owner.lane_reported(self, [notice])
            case Welcome() as welcome:
                self._on_welcome(welcome)
            case Refused(reason=reason):
                if self._answer is not None and not self._answer.done():
                    self._answer.set_exception(FrameError(reason))

    def _on_welcome(self, welcome: Welcome) -> None:
        self._greeted, self._reconnects = True, 0
        self.welcome = welcome
        self._transport.learn(welcome.pid, welcome.node)
        self.leaving = self.leaving or welcome.leaving
        there = set(welcome.held)
        running = welcome.running
        if running is not None:
            there.add((running.key, running.at))
        lost_sight = [attempt for attempt in self._order.all if attempt not in there]
        self._on_given_back(lost_sight)
        if running is not None and (running.key, running.at) not in self._order.all:
            self._adopt(running)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(frozenset(there))
        self._owner.lane_has_room(self)

    def _adopt(self, running: Running) -> None:
        """Another host sent it: its time counts from when it began."""
        if not self.feeds and not self._mine((running.key, running.at)):
            return
        self._order.adopt(running, spent_s=max(0.0, _now_ms() - running.started_at_ms) / 1_000)
        self._arm()

    def _on_results(self, results: Results) -> None:
        reports: list[Report] = []
        void: list[AttemptKey] = []
        spent = iter(results.spent_us)
        before = len(self._order.all)
        for returned in results.returned:
            self._settle((returned.key, returned.at), next(spent))
            reports.append(returned)
        for raised in results.raised:
            attempt = (raised.key, raised.at)
            sent = self._settle(attempt, next(spent))
            if sent is not None and sent.stop_at is not None:
                reports.append(Stopped(key=raised.key, at=raised.at))
                void.append(attempt)
            else:
                reports.append(raised)
        if void:
            self.acknowledge(void)
        if len(self._order.all) != before:  # else they were repeated
            self._new_head()
        self._owner.lane_reported(self, reports)
        self._owner.lane_has_room(self)

    def _settle(self, attempt: AttemptKey, spent_us: int) -> Sent | None:
        sent = self._order.take(attempt)
        if sent is not None and sent.assignment is not None:
            self._estimates.learn(sent.assignment.code.key, spent_us)
        return sent

    def _new_head(self) -> None:
        """The runner has gone on to the oldest unfinished attempt, if there is one."""
        self._order.go_on()
        if self._order.all:
            self._arm()

    def _on_given_back(self, attempts: Iterable[AttemptKey]) -> None:
        stopped: list[Report] = []
        assignments = []
        for attempt in attempts:
            sent = self._order.take(attempt)
            if sent is None:
                continue
            if sent.stop_at is not None:
                stopped.append(Stopped(key=attempt[0], at=attempt[1]))
            elif sent.assignment is not None:
                assignments.append(sent.assignment)
        if not self._order.all:
            self._new_head()
        if stopped:
            self._owner.lane_reported(self, stopped)
        if assignments:
            self._owner.lane_gave_back(self, assignments)

    def _on_disowned(self, attempts: Iterable[AttemptKey]) -> None:
        """Another host claimed their shard and found them not begun: it has them made."""
        gone = [each for each in attempts if self._order.take(each) is not None]
        if not self._order.all:
            self._new_head()
        self._owner.lane_disowned(self, gone)
        self._owner.lane_has_room(self)

    # time

    def _arm(self) -> None:
        """Look again when the next thing may be due; one timer a lane, none when idle."""
        due = None if self._ended else self._order.due_at()
        if due is None:
            return
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(due, self._on_timer), due

    def _on_timer(self) -> None:
        self._timer = None
        order = self._order
        if not order.all or self._ended:
            return
        reports, withdraw = order.look()
        if withdraw and not self._withdrawing:
            self._withdrawing = True
            self._write(frame(Withdraw()))
        if reports:
            self._owner.lane_reported(self, reports)
        for key, at in order.overdue():
            self.kill(f"the attempt {at} of {key} did not stop within its grace")
        self._arm()

    # ends

    def broken(self) -> None:
        """See `Heard`: the connection is gone; the runner perhaps not."""
        self._withdrawing = False
        super().broken()

    def exited(self) -> None:
        """See `Heard`: the process is gone."""
        order = self._order
        unfinished = list(order.all.items())
        order.all.clear()
        killed, head_took_s = self._killed, order.head_age_s
        self.close()
        reports, given_back = after_death(
            unfinished,
            killed=killed is not None or self._transport.node_died,
            head_was_slow=head_took_s * 1_000_000 >= self._window_us,
            cause=f"runner {self.handle.name} (pid {self.pid}) "
            + (f"was killed: {killed}" if killed is not None else "ended"),
        )
        if reports:
            self._owner.lane_reported(self, reports)
        if given_back:
            self._owner.lane_gave_back(self, given_back)
        self._owner.lane_ended(self)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
