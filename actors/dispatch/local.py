"""The local lane: one runner of this node, over its Unix-domain socket.

The lane knows the order in which the runner works, so it knows what runs: the oldest attempt that
has not reported. From that it measures timeouts and graces, takes back what waits behind a slow
step, and says after a death which attempts may have begun (`sent.py`).

A runner is dead when its process is: its pidfd says so, also where a child of the user's code still
holds the socket. An end of file alone is answered by connecting again. SIGKILL from outside cannot
be told from the kernel's killer of memory hogs, and counts like it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import signal
import socket
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from .bounds import DispatchBounds
from .estimates import Estimates
from .factory import RunnerHandle
from .frames import (
    PROTOCOL,
    READ_BYTES,
    Acknowledge,
    AttemptKey,
    Codes,
    FrameError,
    FrameReader,
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
from .frozen import is_stopped
from .protocol import Assignment, Noticed, Report, Stopped, TimedOut
from .sent import Sent, after_death
from .sockets import peer

_log = logging.getLogger(__name__)

RECONNECTS_MAX: Final = 3
"""In a row, to a runner that closes the connection and lives on; then it is ended."""

DRAIN_READS_MAX: Final = 4_096
"""Pieces read from the socket of a dead runner; more than it can hold."""


class LaneOwner(Protocol):
    """What a lane tells of; called on the event loop, and never waits."""

    def lane_reported(self, lane: LocalLane, reports: Sequence[Report]) -> None: ...

    def lane_gave_back(self, lane: LocalLane, assignments: Sequence[Assignment]) -> None:
        """Not begun, and to be sent elsewhere, before what came later.

        `lane_has_room` or `lane_ended` follows at once.
        """
        ...

    def lane_has_room(self, lane: LocalLane) -> None: ...

    def lane_ended(self, lane: LocalLane) -> None:
        """The runner is dead; everything it owed was told before."""
        ...


class LocalLane:
    """Feeds one runner. Every method is called on the event loop."""

    def __init__(
        self,
        handle: RunnerHandle,
        owner: LaneOwner,
        *,
        deployment: str,
        incarnation: str,
        bounds: DispatchBounds,
        estimates: Estimates,
    ) -> None:
        self.handle = handle
        self.pid: int | None = None
        self.leaving = False
        self.reserved = False  # waits to be empty, for an attempt that runs alone
        self.idle_since = 0.0
        self._owner, self._bounds, self._estimates = owner, bounds, estimates
        self._hello = Hello(PROTOCOL, deployment, incarnation)
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._pidfd: int | None = None
        self._reader = FrameReader()
        self._unwritten = bytearray()
        self._gathered: list[bytes] = []  # to be written with what follows, at the latest soon
        self._unfinished: OrderedDict[AttemptKey, Sent] = OrderedDict()
        self._head_since = 0.0
        self._ahead_us = 0  # estimated, of all that is unfinished
        self._has_alone = self._has_stops = False
        self._slow = False  # the running step takes longer than the window: nothing is sent behind
        self._withdrawing = False
        self._known_codes: set[str] = set()
        self._welcome: asyncio.Future[frozenset[AttemptKey]] | None = None
        self._greeted = False
        self._reconnects = 0
        self._killed: str | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._ended = False

    # what the pool asks

    @property
    def unfinished(self) -> int:
        """Attempts sent, without a report."""
        return len(self._unfinished)

    @property
    def head_age_s(self) -> float:
        """For how long the oldest attempt has been running; 0 where none is."""
        return self._loop.time() - self._head_since if self._unfinished else 0.0

    @property
    def backlog_us(self) -> int:
        """Estimated work ahead of a new attempt."""
        return self._ahead_us

    @property
    def attempts(self) -> Iterable[AttemptKey]:
        """Those without a report, in the order of their turns."""
        return self._unfinished.keys()

    def has_room(self, estimate_us: int, *, alone: bool) -> bool:
        """Whether one more attempt may be sent now."""
        if not self._greeted or self.leaving or self._ended or self._killed is not None:
            return False
        if self._withdrawing:
            return False  # what comes back is older
        if not self._unfinished:
            return True
        if alone or self._has_alone or self._slow or self.reserved:
            return False
        return (
            self._ahead_us + estimate_us <= self._bounds.window_us
            and len(self._unfinished) < self._bounds.window_items
        )

    # connection

    async def connect(self) -> frozenset[AttemptKey]:
        """Greet; the attempts that the runner holds and runs, which it reports here from now on.

        Raises:
            OSError: nobody listens there.
            TimeoutError: it did not answer in time, and lives.
            FrameError: it refused.
        """
        self._open()
        return await self.greet()

    async def greet(self) -> frozenset[AttemptKey]:
        """Ask again what it holds and runs; reports that are not acknowledged are repeated."""
        self._greeted = False  # what is sent until it answers would be taken for given back
        self._welcome = self._loop.create_future()
        self._write(frame(self._hello))
        async with asyncio.timeout(self._bounds.answer_ms / 1_000):
            return await self._welcome

    def _open(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(os.fspath(self.handle.socket))
            self.pid, user = peer(connection)
            if user != os.getuid():
                raise FrameError(f"{self.handle.socket} belongs to user {user}")
            if self._pidfd is None:
                self._pidfd = os.pidfd_open(self.pid)
                self._loop.add_reader(self._pidfd, self._on_exit)
        except BaseException:
            connection.close()
            raise
        self._socket = connection
        self._reader, self._unwritten = FrameReader(), bytearray()
        self._gathered.clear()
        self._known_codes.clear()
        self._loop.add_reader(connection.fileno(), self._read_once)

    def close(self) -> None:
        """Let go of the runner, which lives on."""
        self._write_gathered()
        self._ended = True
        self._disconnect()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._welcome is not None and not self._welcome.done():
            self._welcome.cancel()

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._greeted = self._withdrawing = False

    # to the runner

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Send attempts for which there is room."""
        codes, items = [], []
        was_idle = not self._unfinished
        for assignment in assignments:
            code = assignment.code
            estimate_us = self._estimates.of(code.key)
            if code.key not in self._known_codes:
                self._known_codes.add(code.key)
                codes.append(code)
            sent = Sent(assignment, estimate_us, code.timeout_ms)
            self._unfinished[assignment.key, assignment.at] = sent
            self._ahead_us += estimate_us
            self._has_alone = self._has_alone or assignment.alone or code.at_most_once
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
        sent = self._unfinished.get(attempt)
        if sent is None or sent.stop_at is not None:
            return
        if next(iter(self._unfinished)) != attempt:
            grace_ms = max(grace_ms, self._bounds.withdrawn_grace_ms)
        sent.stop_at = self._loop.time() + grace_ms / 1_000
        self._has_stops = True
        self._write(frame(Stop((attempt,))))
        self._arm()

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """The runner may forget these reports.

        Said with what is sent next: most often work, that the same commit let go. Two writes would
        wake the runner twice.
        """
        if self._socket is None:
            return  # they are reported again after the next greeting
        if not self._gathered:
            self._loop.call_soon(self._write_gathered)
        self._gathered.append(frame(Acknowledge(tuple(attempts))))

    def _write_gathered(self) -> None:
        if self._gathered:
            self._write(b"")

    def leave(self) -> None:
        """Nothing more is sent; the runner exits when it has ended and handed over everything."""
        if not self.leaving:
            self.leaving = True
            self._write(frame(Leave()))

    @property
    def is_frozen(self) -> bool:
        """Whether the runner's process is stopped, as the kernel sees it."""
        return is_stopped(self.pid)

    def kill(self, cause: str) -> None:
        """End the runner's process; what follows is told when it is gone."""
        if self._pidfd is None or self._ended:
            return
        if self._killed is None:
            self._killed = cause
            _log.warning("runner %s is killed: %s", self.handle.name, cause)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _write(self, data: bytes) -> None:
        if self._gathered:
            data = b"".join((*self._gathered, data))
            self._gathered.clear()
        if self._socket is None or not data:
            return  # it is said again after the next greeting
        if self._unwritten:
            self._unwritten += data
            return
        try:
            written = self._socket.send(data)
        except BlockingIOError:
            written = 0
        except OSError:
            return  # the end of file follows
        if written < len(data):
            self._unwritten += memoryview(data)[written:]
            self._loop.add_writer(self._socket.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        assert self._socket is not None
        try:
            written = self._socket.send(self._unwritten)
        except BlockingIOError:
            return
        except OSError:
            written = len(self._unwritten)
        del self._unwritten[:written]
        if not self._unwritten:
            self._loop.remove_writer(self._socket.fileno())

    # from the runner

    def _read_once(self) -> bool:
        """Handle one piece; whether there was one."""
        if self._socket is None:
            return False
        try:
            piece = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            piece = b""
            if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                _log.warning("runner %s: %s", self.handle.name, error)
        if not piece:
            self._on_end_of_file()
            return False
        try:
            for body in self._reader.feed(piece):
                self._handle(body)
        except FrameError as error:
            _log.error("runner %s: %s", self.handle.name, error)
            self._on_end_of_file()
            return False
        except Exception:  # noqa: BLE001 – the outer edge of what a runner says
            # A mistake of ours may have swallowed reports: greet again, and they are repeated.
            _log.exception("runner %s: what it said could not be handled", self.handle.name)
            self._on_end_of_file()
            return False
        return True

    def _handle(self, body: memoryview) -> None:
        match decode_to_host(body):
            case Results() as results:
                self._on_results(results)
            case Withdrawn(attempts=attempts):
                self._withdrawing = False
                self._on_given_back(attempts)
                self._owner.lane_has_room(self)
            case Progress(key=key, at=at, data=data):
                notice = Noticed(key=key, at=at, kind="progress", data=data["progress"])
                self._owner.lane_reported(self, [notice])
            case Welcome() as welcome:
                self._on_welcome(welcome)
            case Refused(reason=reason):
                if self._welcome is not None and not self._welcome.done():
                    self._welcome.set_exception(FrameError(reason))

    def _on_welcome(self, welcome: Welcome) -> None:
        self._greeted, self._reconnects = True, 0
        there = set(welcome.held)
        running = welcome.running
        if running is not None:
            there.add((running.key, running.at))
        lost_sight = [attempt for attempt in self._unfinished if attempt not in there]
        self._on_given_back(lost_sight)
        if running is not None and (running.key, running.at) not in self._unfinished:
            self._adopt(running)
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_result(frozenset(there))
        self._owner.lane_has_room(self)

    def _adopt(self, running: Running) -> None:
        """Another host sent it: its time counts from when it began."""
        sent = Sent(None, self._bounds.window_us, running.timeout_ms)
        self._unfinished[running.key, running.at] = sent
        self._unfinished.move_to_end((running.key, running.at), last=False)
        self._ahead_us += sent.estimate_us
        self._new_head()
        self._slow = True  # for how long it has been running already is beside the point
        if sent.timeout_s is not None:
            # Wall clock, both on this node. One that jumped may end the wait early or late, once.
            spent_s = max(0.0, _now_ms() - running.started_at_ms) / 1_000
            sent.timeout_s = max(0.0, sent.timeout_s - spent_s)
        self._arm()

    def _on_results(self, results: Results) -> None:
        reports: list[Report] = []
        void: list[AttemptKey] = []
        spent = iter(results.spent_us)
        before = len(self._unfinished)
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
        if len(self._unfinished) != before:  # else they were repeated
            self._new_head()
        self._owner.lane_reported(self, reports)
        self._owner.lane_has_room(self)

    def _settle(self, attempt: AttemptKey, spent_us: int) -> Sent | None:
        sent = self._unfinished.pop(attempt, None)
        if sent is not None:
            self._ahead_us -= sent.estimate_us
            if sent.assignment is not None:
                self._estimates.learn(sent.assignment.code.key, spent_us)
        return sent

    def _new_head(self) -> None:
        """The runner has gone on to the oldest unfinished attempt, if there is one."""
        now = self._loop.time()
        self._head_since, self._slow = now, False
        if self._unfinished:
            self._arm()
        else:
            self._ahead_us = 0
            self._has_alone = self._has_stops = False
            self.idle_since = now

    def _on_given_back(self, attempts: Iterable[AttemptKey]) -> None:
        stopped: list[Report] = []
        assignments = []
        for attempt in attempts:
            sent = self._unfinished.pop(attempt, None)
            if sent is None:
                continue
            self._ahead_us -= sent.estimate_us
            if sent.stop_at is not None:
                stopped.append(Stopped(key=attempt[0], at=attempt[1]))
            elif sent.assignment is not None:
                assignments.append(sent.assignment)
        if not self._unfinished:
            self._new_head()
        if stopped:
            self._owner.lane_reported(self, stopped)
        if assignments:
            self._owner.lane_gave_back(self, assignments)

    # time

    def _arm(self) -> None:
        """Look again when the next thing may be due; one timer a lane, none when idle."""
        due = self._due_at()
        if due is None:
            return
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(due, self._on_timer), due

    def _due_at(self) -> float | None:
        if not self._unfinished or self._ended:
            return None
        head = next(iter(self._unfinished.values()))
        due: list[float] = []
        if self._has_stops:
            due += [sent.stop_at for sent in self._unfinished.values() if sent.stop_at is not None]
        if not self._slow:
            due.append(self._head_since + self._bounds.window_us / 1_000_000)
        if head.timeout_s is not None and not head.timed_out:
            due.append(self._head_since + head.timeout_s)
        earliest = min(due, default=math.inf)
        return None if earliest == math.inf else earliest

    def _on_timer(self) -> None:
        self._timer = None
        if not self._unfinished or self._ended:
            return
        now = self._loop.time()
        attempt, head = next(iter(self._unfinished.items()))
        reports: list[Report] = []
        if not self._slow and now - self._head_since >= self._bounds.window_us / 1_000_000:
            self._slow = True
            if len(self._unfinished) > 1 and not self._withdrawing:
                self._withdrawing = True
                self._write(frame(Withdraw()))
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
        if reports:
            self._owner.lane_reported(self, reports)
        for (key, at), sent in self._unfinished.items():
            if sent.stop_at is not None and now >= sent.stop_at:
                sent.stop_at = math.inf  # once
                self.kill(f"the attempt {at} of {key} did not stop within its grace")
        self._arm()

    # ends

    def _on_end_of_file(self) -> None:
        """The connection is gone; the runner perhaps not."""
        self._disconnect()
        if self._ended or self._is_dead():
            return  # `_on_exit` follows, or was here
        self._reconnects += 1
        if self._reconnects > RECONNECTS_MAX:
            self.kill("it closes its connections")
            return
        self._loop.call_later(0.05 * self._reconnects, self._reconnect)

    def _reconnect(self) -> None:
        if self._ended or self._socket is not None:
            return
        try:
            self._open()
        except (OSError, FrameError) as error:
            if not self._is_dead():
                self.kill(f"it cannot be connected again: {error}")
            return
        self._write(frame(self._hello))

    def _is_dead(self) -> bool:
        if self._pidfd is None:
            return True
        try:
            signal.pidfd_send_signal(self._pidfd, 0)
        except ProcessLookupError:
            return True
        return False

    def _on_exit(self) -> None:
        """The process is gone. What it still sent is read first, then the rest is told."""
        for _ in range(DRAIN_READS_MAX):
            if not self._read_once():
                break
        unfinished = list(self._unfinished.items())
        self._unfinished.clear()
        killed, head_took_s = self._killed, self._loop.time() - self._head_since
        self.close()
        reports, given_back = after_death(
            unfinished,
            killed=killed is not None,
            head_was_slow=head_took_s * 1_000_000 >= self._bounds.window_us,
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
