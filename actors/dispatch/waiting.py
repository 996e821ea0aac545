"""What waits in a host for a runner, in the order in which it is to be sent.

The order is the scheduler's (`engine/scheduling/order.py`): priority, fair share among namespaces
and workflows, the longest path that follows, arrival; and nobody starves. It is kept among *kinds*,
steps alike in all of these, each of which is a queue of its own: so an attempt costs a dictionary
step, and a choice is made once for up to `RUN` attempts of a kind.

What a runner gave back goes first, as it was chosen before. Not known here: who has room.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.scheduling.order import Entry, FairQueue

from .frames import AttemptKey
from .protocol import Assignment

RUN: Final = 16
"""Attempts of one kind that follow each other: a choice costs about ten times what an attempt does,
and tiny steps are over before another order could be felt."""

_Kind: TypeAlias = tuple[int, str, str, int]  # priority, namespace, workflow, path
_Queue: TypeAlias = deque[tuple[AttemptKey, float]]  # in order of arrival, and when that was


class WaitingLine:
    """Attempts by key, and who is next. Every method is called on the event loop.

    An attempt is in one dictionary and in the queue of its kind, for hashing its key is most of
    what it costs. One that waits no more stays in its queue until it surfaces.
    """

    def __init__(self) -> None:
        self._waiting: dict[AttemptKey, Assignment] = {}
        self._first: OrderedDict[AttemptKey, Assignment] = OrderedDict()  # given back
        self._kinds: dict[_Kind, _Queue] = {}
        self._order: FairQueue[_Kind] = FairQueue()
        self._run: _Queue | None = None  # of the kind that was chosen
        self._run_kind: _Kind | None = None
        self._run_left = 0  # how many more it may have
        self._next: Assignment | None = None  # as `peek` found it

    def __len__(self) -> int:
        return len(self._first) + len(self._waiting)

    def __contains__(self, attempt: AttemptKey) -> bool:
        return attempt in self._waiting or (bool(self._first) and attempt in self._first)

    def __iter__(self) -> Iterator[AttemptKey]:
        yield from self._first
        yield from self._waiting

    def add(self, attempt: AttemptKey, assignment: Assignment, arrived_ms: float) -> None:
        """Let it wait; one that waits already keeps its place."""
        if self._waiting.setdefault(attempt, assignment) is not assignment:
            return
        if self._first and attempt in self._first:
            del self._waiting[attempt]
            return
        kind = (
            assignment.priority,
            assignment.key.namespace,
            assignment.workflow,
            assignment.path_ms,
        )
        queue = self._kinds.get(kind)
        if queue is None:
            queue = self._kinds[kind] = deque()
            self._enter(kind, arrived_ms)
            if not self._first:
                self._next = None
        queue.append((attempt, arrived_ms))

    def put_back(self, attempt: AttemptKey, assignment: Assignment) -> None:
        """It was sent and not begun: it goes before everything."""
        self._first[attempt] = assignment
        self._first.move_to_end(attempt, last=False)
        self._next = assignment

    def remove(self, attempt: AttemptKey) -> bool:
        """It waits no more; whether it did."""
        self._next = None
        if self._first.pop(attempt, None) is not None:
            return True
        return self._waiting.pop(attempt, None) is not None

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Those of such executions wait no more."""
        for attempt in [attempt for attempt in self if is_lost(attempt[0])]:
            self.remove(attempt)

    def peek(self) -> Assignment | None:
        """Who is next; it stays until it is taken."""
        found = self._next
        if found is None:
            found = self._next = next(iter(self._first.values())) if self._first else self._choose()
        return found

    def take(self) -> Assignment:
        """The one that `peek` named last, which nothing has changed since."""
        found = self._next
        assert found is not None, "nobody was named"
        self._next = None
        if self._first:
            return self._first.popitem(last=False)[1]
        assert self._run is not None
        attempt, _ = self._run.popleft()
        del self._waiting[attempt]
        self._run_left -= 1
        return found

    def _choose(self) -> Assignment | None:
        """Who is first of the kind whose turn it is."""
        while True:
            if self._run is None or self._run_left <= 0:
                entry: Entry[_Kind] | None = self._order.first()
                if entry is None:
                    return None
                # Charged for the whole run; the next head of the kind enters with it.
                self._run_kind = kind = self._order.grant(entry)
                self._run, self._run_left = self._kinds[kind], RUN
                if not self._surface(self._run):
                    continue
                self._enter(kind, self._run[0][1])
            elif not self._surface(self._run):
                continue
            return self._waiting[self._run[0][0]]

    def _surface(self, queue: _Queue) -> bool:
        """Drop what waits no more from its front; an empty one leaves the order."""
        waiting = self._waiting
        while queue:
            if queue[0][0] in waiting:
                return True
            queue.popleft()
        assert self._run_kind is not None
        del self._kinds[self._run_kind]
        self._order.remove(self._run_kind)
        self._run = self._run_kind = None
        return False

    def _enter(self, kind: _Kind, arrived_ms: float) -> None:
        priority, namespace, workflow, path_ms = kind
        self._order.push(
            kind,
            kind,
            priority=priority,
            namespace=namespace,
            workflow=workflow,
            arrived_ms=arrived_ms,
            path_ms=path_ms,
        )
