"""One execution, followed for all its readers: folded once, each event written once.

What the host pushes is told at once where it comes next. Where something is missing, the journal
has it, and the channel reads on from there before it listens again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Protocol

from heliostat.actors.host.questions import StoredPage
from heliostat.actors.host.reads import view_of
from heliostat.api.http import rendering
from heliostat.engine.errors import HeliostatError, NotFound
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.codec import OtherVersion, first_version
from heliostat.engine.plan.plan import Plan

from .frames import Frame, Ring, end_frame, event_frame, state_frame
from .progress import Progress
from .readers import FRAMES_MAX, Reader

_log = logging.getLogger(__name__)

PAGE: Final = 500
"""Events read from the journal at once."""

SLICE: Final = 50
"""Events folded before others have their turn on the event loop: some ms."""

RING_BYTES: Final = 4 * 1024 * 1024
"""Of the latest events of one execution, for readers that join a little behind."""

STATE_S: Final = 1.0
"""How long the state frame of one `seq` serves those who join."""

_LOOK_S: Final = 0.02
"""Between two looks for what was pushed and is surely stored."""

_RETRY_S: Final = 2.0
"""When the journal is read again that could not be read."""


class Source(Protocol):
    """What a channel reads."""

    async def stored(self, key: ExecutionKey, *, after: int, limit: int) -> StoredPage: ...

    async def plan(self, namespace: str, id: str, version: str) -> tuple[Plan, str | None]: ...


class Channel:
    """An execution's progress, and those who read it."""

    def __init__(self, key: ExecutionKey, source: Callable[[], Source]) -> None:
        self.key = key
        self.readers: set[Reader] = set()
        self.followed = False
        """Whether its host pushes its events here."""
        self.opening = asyncio.Lock()
        self.guests = 0
        """Who uses it now, or is about to; it is kept meanwhile."""
        self.used_at = time.monotonic()
        self._source = source
        self._progress: Progress | None = None
        self._definition = self._first = ""
        """The definition, and the version that the execution began with."""
        self._plans: dict[str, Plan] = {}  # of the versions that it was at
        self._name: str | None = None  # the definition's, for people
        self._ring = Ring(frames_max=FRAMES_MAX // 2, bytes_max=RING_BYTES)
        self._heard = 0  # the last `seq` that was pushed
        self._again = False  # somebody wants to know what came since the last look
        self._reading: asyncio.Task[None] | None = None
        self._state: tuple[int, float, Frame] | None = None

    @property
    def progress(self) -> Progress:
        """As far as it is folded; there is one once `catch_up` returned."""
        assert self._progress is not None, "caught up"
        return self._progress

    @property
    def seq(self) -> int:
        return 0 if self._progress is None else self._progress.seq

    # what comes

    def recorded(self, after_seq: int, bodies: Sequence[bytes]) -> None:
        """The host pushed events."""
        self._heard = max(self._heard, after_seq + len(bodies))
        if self._reading is not None:
            return  # it reads on until it has these too
        seq = self.seq
        if after_seq > seq or self._progress is None:
            self.read_on()
            return
        try:
            for body in bodies[seq - after_seq :]:
                self._tell(body)
        except OtherVersion:  # its plan must be read, and the event once more
            self.read_on()

    def read_on(self) -> asyncio.Task[None]:
        """Read what is recorded by now from the journal, in the background."""
        self._again = True  # what is being read may have been looked up before
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name=f"heliostat-live-{self.key}")
            self._reading.add_done_callback(self._read_through)
        return self._reading

    async def catch_up(self) -> None:
        """Until all that was recorded by now is folded.

        Raises:
            NotFound: there is no such execution.
            Unreachable: the journal cannot be read just now.
        """
        await asyncio.shield(self.read_on())

    async def _read(self) -> None:
        try:
            await self._read_all()
        finally:
            self._reading = None  # here and not in a callback: a push may come before that

    async def _read_all(self) -> None:
        while True:
            before, self._again = self.seq, False
            page = await self._source().stored(self.key, after=before, limit=PAGE)
            self._definition = page.definition
            if self._progress is None:
                self._first = first_version(page.bodies) if page.bodies else page.version
                self._progress = Progress(await self._plan(self._first))
            for place, body in enumerate(page.bodies):
                # What nobody reads, and more follows, need not be written; who joins needs it.
                silently = page.more and not self.readers
                try:
                    self._tell(bytes(body), silently=silently)
                except OtherVersion as other:
                    self._progress.go_on_with(await self._plan(other.version))
                    self._tell(bytes(body), silently=silently)
                if place % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            if page.more or self._again:
                continue
            if self.seq >= self._heard:
                return
            if self.seq == before:  # pushed after this page was looked up
                await asyncio.sleep(_LOOK_S)

    async def _plan(self, version: str) -> Plan:
        """Of a version that the execution was at."""
        if version not in self._plans:
            self._plans[version], self._name = await self._source().plan(
                self.key.namespace, self._definition, version
            )
        return self._plans[version]

    def _read_through(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or not self.readers:
            return
        if isinstance(error, NotFound):
            self.end(error)
            return
        if not isinstance(error, HeliostatError):
            _log.error("live: reading %s broke", self.key, exc_info=error)
            self.end(error)
            return
        _log.info("live: %s cannot be read just now: %s", self.key, error)
        loop = asyncio.get_running_loop()
        loop.call_later(_RETRY_S, self._read_again)

    def _read_again(self) -> None:
        if self.readers:
            self.read_on()

    def _tell(self, body: bytes, *, silently: bool = False) -> None:
        progress = self.progress
        if silently or (not self.readers and not self.followed):
            progress.pass_over([body])
            self._ring.clear(progress.seq + 1)
            return
        told = progress.tell(body)
        frame = event_frame(told)
        self._ring.add(frame)
        end = end_frame(told.seq, told.status) if progress.ended else None
        for reader in self.readers:
            reader.offer(frame)
            if end is not None:
                reader.offer(end)

    # who reads

    def notice(self, frame: Frame) -> None:
        """Tell all readers something that is not recorded."""
        for reader in self.readers:
            reader.offer(frame)

    def end(self, why: BaseException) -> None:
        """Nothing can be told any more."""
        error = why if isinstance(why, Exception) else RuntimeError(str(why))
        for reader in self.readers:
            reader.close(error)

    def join(self, reader: Reader, after: int) -> list[Frame] | None:
        """Tell a reader all that comes; the events after `after` so far. None, and nothing is told,
        where some of them must be read from the journal."""
        missing = self._ring.after(after)
        if missing is not None:
            reader.position = after
            self.readers.add(reader)
            if self.progress.ended:
                missing.append(end_frame(self.seq, self.progress.state.status))
        return missing

    def state(self) -> Frame:
        """How the execution is now."""
        now = time.monotonic()
        kept = self._state
        if kept is not None and kept[0] == self.seq and now - kept[1] < STATE_S:
            return kept[2]
        progress = self.progress
        view = view_of(self.key, progress.plan, progress.state)
        steps = progress.steps()
        said = rendering.state(
            view,
            steps,
            name=self._name,
            total=len(steps),
            now_ms=time.time_ns() // 1_000_000,
        )
        frame = state_frame(self.seq, said)
        self._state = (self.seq, now, frame)
        return frame

    async def replay(self, reader: Reader, after: int) -> AsyncGenerator[Frame, None]:
        """Bring a reader that is far behind up to what is still held here, and have it join.

        Its events are read from the journal and folded for it alone, as fast as it takes them.
        """
        progress = Progress(await self._plan(self._first))
        while True:
            page = await self._source().stored(self.key, after=progress.seq, limit=PAGE)
            for place, raw in enumerate(page.bodies):
                body = bytes(raw)
                try:
                    frame = _next_frame(progress, body, after)
                except OtherVersion as other:
                    progress.go_on_with(await self._plan(other.version))
                    frame = _next_frame(progress, body, after)
                if frame is not None:
                    yield frame
                if place % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            missing = self.join(reader, max(progress.seq, after))
            if missing is not None:
                for frame in missing:
                    yield frame
                return


def _next_frame(progress: Progress, body: bytes, after: int) -> Frame | None:
    """The frame of the next event; None up to `after`. Raises as `Progress.tell`."""
    if progress.seq < after:
        progress.pass_over([body])
        return None
    return event_frame(progress.tell(body))
