"""A toy scheduler for the reference interpreter: coroutines in virtual time, ties drawn.

A draw is of one of three kinds. Of `steps`, each task that is ready may be next: orders in which
all take turns are likely so, and hardly any in which one waits until a long chain beside it is
over. Of `ranks`, each task has one, and the highest that is ready goes on: any one of n waits for
all the others once in n times so (Burckhardt, Kothari, Musuvathi and Nagarakatti, A Randomized
Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010). Of `families`, ranks are
those of whoever began a task before its own: all that comes of one thing goes before another.

Nothing of the simulator is used here, so that a fault in one is not repeated in the other.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from heapq import heappop, heappush
from random import Random
from typing import Any, Literal, TypeAlias

Draw: TypeAlias = Literal["steps", "ranks", "families"]


class Cancelled(BaseException):
    """Thrown into a task that is withdrawn."""


class Future:
    """Something that becomes done once."""

    def __init__(self) -> None:
        self._done = False
        self.value: Any = None
        self._waiting: list[tuple[Task, int]] = []

    def is_done(self) -> bool:
        """Asked anew each time: a property would be thought constant."""
        return self._done

    @property
    def done(self) -> bool:
        return self._done

    def set(self, value: Any = None) -> None:
        if self._done:
            return
        self._done, self.value = True, value
        for task, ticket in self._waiting:
            task.wake(ticket)
        self._waiting = []

    def add(self, task: Task, ticket: int) -> None:
        self._waiting.append((task, ticket))


class _Pause:
    """What a task yields: wake me when one of these is done, or at that instant."""

    def __init__(self, futures: tuple[Future, ...], until: int | None) -> None:
        self.futures, self.until = futures, until

    def __await__(self) -> Generator[_Pause, None, None]:
        yield self


def wait(*futures: Future, until: int | None = None) -> _Pause:
    """Wait for the first of several futures, or for an instant."""
    return _Pause(futures, until)


class Task(Future):
    """A coroutine under way; done when it has returned or raised."""

    def __init__(self, loop: Loop, work: Coroutine[Any, Any, Any]) -> None:
        super().__init__()
        self._loop, self._work = loop, work
        self.error: BaseException | None = None
        self._ticket = 0
        self._cancelled = False
        self._ready = True
        self.spawned_at = loop.steps
        self.rank = loop.rank()
        loop.begin(self)

    def cancel(self) -> None:
        """Throw `Cancelled` into it where it waits, as often as this is called."""
        if self.done:
            return
        self._cancelled = True
        self._wake()

    def wake(self, ticket: int) -> None:
        if ticket == self._ticket and not self.done:
            self._wake()

    def _wake(self) -> None:
        if not self._ready:
            self._ready = True
            self._ticket += 1
            self._loop.ready.append(self)

    def close(self) -> None:
        """Give the coroutine up where it is."""
        self._work.close()

    def step(self) -> None:
        self._ready = False
        self._ticket += 1
        try:
            if self._cancelled:
                self._cancelled = False
                pause = self._work.throw(Cancelled())
            else:
                pause = self._work.send(None)
        except StopIteration as stop:
            self.set(stop.value)
            return
        except BaseException as error:  # noqa: BLE001 – whoever waits for the task looks at it
            self.error = error
            self.set()
            return
        self._suspend(pause)

    def _suspend(self, pause: _Pause) -> None:
        for future in pause.futures:
            if future.done:
                self._wake()
                return
            future.add(self, self._ticket)
        if pause.until is not None:
            self._loop.at(pause.until, self, self._ticket)


class Loop:
    """Runs tasks until nothing can happen any more."""

    def __init__(
        self, random: Random | None, now: int, *, deep: bool = False, draw: Draw = "steps"
    ) -> None:
        self.now = now
        self._deep, self._begun = deep, 0
        self._draw = draw
        self._random = random  # None: first come, first served
        self._past = Future()
        self._past.set()
        self.ready: list[Task] = []
        self._heap: list[tuple[int, int, Task, int]] = []
        self._count = 0
        self.steps = 0
        self.current: Task
        self._family: tuple[float, ...] = ()  # the rank of the current one

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Task:
        return Task(self, work)

    def begin(self, task: Task) -> None:
        """A new task waits behind the others, or (`deep`) goes first, with its siblings."""
        if self._deep:
            self.ready.insert(self._begun, task)
            self._begun += 1
        else:
            self.ready.append(task)

    def rank(self) -> tuple[float, ...]:
        """Of a task that the current one begins."""
        if self._random is None or self._draw == "steps":
            return ()
        family = self._family if self._draw == "families" else ()
        return (*family, self._random.random())

    def _next(self) -> int:
        """Which of those that are ready goes on."""
        if self._random is None:
            return 0
        if self._draw == "steps":
            return self._random.randrange(len(self.ready))
        return max(range(len(self.ready)), key=lambda index: self.ready[index].rank)

    async def others_begin(self) -> None:
        """For what settles at once (`deep`): what opens together begins before any of it ends."""
        if self._deep:
            await wait(self._past)

    def at(self, instant: int, task: Task, ticket: int) -> None:
        self._count += 1
        heappush(self._heap, (instant, self._count, task, ticket))

    def close(self) -> None:
        """Forget what has not begun."""
        for task in self.ready:
            task.close()
        self.ready.clear()

    def run(self, steps_max: int) -> None:
        """Raises `RuntimeError` after too many steps."""
        while True:
            while self.ready:
                self.steps += 1
                if self.steps > steps_max:
                    raise RuntimeError("never ends")
                self.current = self.ready.pop(self._next())
                self._begun, self._family = 0, self.current.rank
                self.current.step()
            if not self._heap:
                return
            instant = self._heap[0][0]
            self.now = max(self.now, instant)
            while self._heap and self._heap[0][0] == instant:
                _, _, task, ticket = heappop(self._heap)
                task.wake(ticket)
