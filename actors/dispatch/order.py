"""The order in which one runner works: what was sent there and has not reported, oldest first.

The oldest runs. What is estimated of all of them says whether there is room for another, and how
long the oldest has been running says what is slow, out of time, or past its grace. Sends nothing
and has no timer: that is the lane's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from .bounds import DispatchBounds
from .frames import AttemptKey, Running
from .protocol import Assignment, Noticed, Report, TimedOut
from .sent import Sent


class Order:
    """What is at one runner."""

    def __init__(self, bounds: DispatchBounds, window_us: int, time: Callable[[], float]) -> None:
        """Args:
        time: in seconds, steady.
        """
        self.all: OrderedDict[AttemptKey, Sent] = OrderedDict()
        self.ahead_us = 0
        """Estimated, of all that is unfinished."""
        self.idle_since = 0.0
        self._bounds, self._window_us, self._time = bounds, window_us, time
        self._head_since = 0.0
        self._has_alone = self._has_stops = False
        self._slow = False  # the running step takes longer than the window: nothing is sent behind

    @property
    def head_age_s(self) -> float:
        """Since the runner went on to the oldest attempt."""
        return self._time() - self._head_since

    def has_room(self, estimate_us: int, *, alone: bool) -> bool:
        """Whether one more attempt may be sent now."""
        if not self.all:
            return True
        if alone or self._has_alone or self._slow:
            return False
        return (
            self.ahead_us + estimate_us <= self._window_us
            and len(self.all) < self._bounds.window_items
        )

    # what comes and goes

    def add(self, assignment: Assignment, estimate_us: int) -> None:
        """It was sent. Where there was nothing before, `go_on` follows."""
        code = assignment.code
        self.all[assignment.key, assignment.at] = Sent(assignment, estimate_us, code.timeout_ms)
        self.ahead_us += estimate_us
        self._has_alone = self._has_alone or assignment.alone or code.at_most_once

    def adopt(self, running: Running, *, spent_s: float) -> None:
        """It runs there, sent by another host; its time counts from when it began.

        Args:
            spent_s: since then by the wall clock, most often of one node: a jump may end the wait
                early or late, once.
        """
        sent = Sent(None, self._window_us, running.timeout_ms)
        self.all[running.key, running.at] = sent
        self.all.move_to_end((running.key, running.at), last=False)
        self.ahead_us += sent.estimate_us
        self.go_on()
        self._slow = True  # for how long it has been running already is beside the point
        if sent.timeout_s is not None:
            sent.timeout_s = max(0.0, sent.timeout_s - spent_s)

    def take(self, attempt: AttemptKey) -> Sent | None:
        """It is there no more; None where it was not. `go_on` follows where the oldest may have
        changed."""
        sent = self.all.pop(attempt, None)
        if sent is not None:
            self.ahead_us -= sent.estimate_us
        return sent

    def go_on(self) -> None:
        """The runner has gone on to the oldest unfinished attempt, if there is one."""
        now = self._time()
        self._head_since, self._slow = now, False
        if not self.all:
            self.ahead_us = 0
            self._has_alone = self._has_stops = False
            self.idle_since = now

    def stop(self, attempt: AttemptKey, grace_ms: int) -> bool:
        """Begin the grace of an attempt; False where it is not there, or was stopped before."""
        sent = self.all.get(attempt)
        if sent is None or sent.stop_at is not None:
            return False
        if next(iter(self.all)) != attempt:
            grace_ms = max(grace_ms, self._bounds.withdrawn_grace_ms)
        sent.stop_at = self._time() + grace_ms / 1_000
        self._has_stops = True
        return True

    # time

    def due_at(self) -> float | None:
        """When to `look` again; None: never, as it is."""
        if not self.all:
            return None
        head = next(iter(self.all.values()))
        due: list[float] = []
        if self._has_stops:
            due += [sent.stop_at for sent in self.all.values() if sent.stop_at is not None]
        if not self._slow:
            due.append(self._head_since + self._window_us / 1_000_000)
        if head.timeout_s is not None and not head.timed_out:
            due.append(self._head_since + head.timeout_s)
        earliest = min(due, default=math.inf)
        return None if earliest == math.inf else earliest

    def look(self) -> tuple[list[Report], bool]:
        """What is to be reported of the oldest, and whether the others are to be taken back."""
        now = self._time()
        attempt, head = next(iter(self.all.items()))
        reports: list[Report] = []
        withdraw = False
        if not self._slow and now - self._head_since >= self._window_us / 1_000_000:
            self._slow = True
            withdraw = len(self.all) > 1
            if not head.noticed:
                head.noticed = True
                reports.append(Noticed(key=attempt[0], at=attempt[1], kind="started"))
        if (
            head.timeout_s is not None
            and not head.timed_out
            and now - self._head_since >= head.timeout_s
        ):
            head.timed_out = True
            reports.append(TimedOut(key=attempt[0], at=attempt[1]))
        return reports, withdraw

    def overdue(self) -> list[AttemptKey]:
        """Those whose grace is over; each is told once."""
        now = self._time()
        found = []
        for attempt, sent in self.all.items():
            if sent.stop_at is not None and now >= sent.stop_at:
                sent.stop_at = math.inf
                found.append(attempt)
        return found
