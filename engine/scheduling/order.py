"""The order in which waiting work is served: priority, fair share, the longest path, arrival.

Who is next, in this order:

1. **The champion.** Whoever has been passed by `PASSED_MAX` grants is *overdue*. `TURN` grants
   after the last champion was served, one of the overdue becomes champion and is first until it is
   served: of the priorities with anybody overdue the one whose turn was longest ago, and of it who
   came first.
2. **Priority**, 10 before 1.
3. **Fair share** among the namespaces of that priority, then among the workflows of the namespace:
   whoever has been given least, where a grant costs what its holder takes away from others (the
   largest of its shares in anything, times seconds). Who had nothing waiting begins at the level of
   those who are served, and cannot save up.
4. **The longest path** that still follows, as an advantage of at most `ADVANTAGE_MS`, over
5. **arrival**.

No starvation, by construction: somebody who waits is overdue after `PASSED_MAX` grants to others.
From then on every priority with anybody overdue gets one champion in ten (there are ten
priorities), and that is the first that came. So with n before it in its priority it is served
within `PASSED_MAX` + 10 × (`TURN` + 1) × (n + 1) grants, whatever arrives meanwhile, under however
many names: rule 1 looks at arrival alone. The price is at most one grant in `TURN` + 1 out of
order, and none while nobody waits long. What a champion lacks is kept for it by the caller, so that
it is served when those who run have ended.

Whether something can be served is the caller's to say, by *lane*: what waits in one lane needs the
same, and when its first does not fit, none of it does. Pure; knows neither time nor nodes.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

PASSED_MAX: Final = 100
"""Grants to others after which somebody is overdue: more than a handful of mixed priorities ever
make, so that these come in plain order; few enough that the least urgent is served the same day."""

TURN: Final = 10
"""One grant in so many may go to the overdue: a tenth of the capacity is the price of no
starvation."""

ADVANTAGE_MS: Final = 60_000
"""What a long path is worth at most: who came a minute earlier is never passed for it."""

SHARES_KEPT: Final = 1_000
"""Of one priority's namespaces, or a namespace's workflows, that have nothing waiting: beyond, what
they were given is forgotten."""

_T = TypeVar("_T")


class Entry(Generic[_T]):
    """Something that waits; made by `FairQueue.push`."""

    __slots__ = (
        "arrived_ms",
        "cost",
        "id",
        "item",
        "lane",
        "namespace",
        "number",
        "passed_from",
        "priority",
        "rank",
        "waits",
        "workflow",
    )

    def __init__(
        self,
        id: Hashable,
        item: _T,
        *,
        priority: int,
        namespace: str,
        workflow: str,
        lane: Hashable,
        arrived_ms: float,
        path_ms: int,
        cost: float,
        number: int,
        passed_from: int,
    ) -> None:
        self.id, self.item, self.lane, self.cost = id, item, lane, cost
        self.priority, self.namespace, self.workflow = priority, namespace, workflow
        self.arrived_ms = arrived_ms
        self.rank = (arrived_ms - min(path_ms, ADVANTAGE_MS), number)  # never changes: no resorting
        self.number, self.passed_from = number, passed_from
        self.waits = True

    def __lt__(self, other: Entry[_T]) -> bool:
        return self.rank < other.rank


class _Lane(Generic[_T]):
    """A heap by rank. What leaves from its middle stays until it surfaces, or until half is so."""

    __slots__ = ("gone", "heap")

    def __init__(self) -> None:
        self.heap: list[Entry[_T]] = []
        self.gone = 0

    def take_out(self, entry: Entry[_T]) -> None:
        heap = self.heap
        if heap[0] is entry:
            heapq.heappop(heap)
            while heap and not heap[0].waits:
                heapq.heappop(heap)
                self.gone -= 1
            return
        self.gone += 1
        if self.gone * 2 > len(heap):
            self.heap = [each for each in heap if each.waits]
            heapq.heapify(self.heap)
            self.gone = 0


class _Workflow(Generic[_T]):
    __slots__ = ("given", "lanes")

    def __init__(self, given: float) -> None:
        self.given = given
        self.lanes: dict[Hashable, _Lane[_T]] = {}  # those with anybody waiting

    def first(self, skip: Container[Hashable]) -> Entry[_T] | None:
        best: Entry[_T] | None = None
        for name, lane in self.lanes.items():
            first = lane.heap[0]
            if name not in skip and (best is None or first.rank < best.rank):
                best = first
        return best


class _Namespace(Generic[_T]):
    __slots__ = ("count", "given", "level", "workflows")

    def __init__(self, given: float) -> None:
        self.given = given
        self.count = 0  # of those who wait
        self.level = 0.0  # of the workflow that was served last
        self.workflows: dict[str, _Workflow[_T]] = {}

    def first(self, skip: Container[Hashable]) -> Entry[_T] | None:
        best: Entry[_T] | None = None
        least = 0.0
        for workflow in self.workflows.values():
            given = workflow.given
            if workflow.lanes and (best is None or given <= least):
                first = workflow.first(skip)
                if first is not None and (best is None or given < least or first < best):
                    best, least = first, given
        return best


class _Priority(Generic[_T]):
    """All that waits with one priority."""

    __slots__ = ("arrivals", "championed", "count", "level", "namespaces")

    def __init__(self) -> None:
        self.count = 0
        self.level = 0.0  # of the namespace that was served last
        self.championed = 0  # when it last had a champion, in champions
        self.namespaces: dict[str, _Namespace[_T]] = {}
        self.arrivals: dict[Hashable, OrderedDict[int, Entry[_T]]] = {}  # by lane and number

    def first(self, skip: Container[Hashable]) -> Entry[_T] | None:
        best: Entry[_T] | None = None
        least = 0.0
        for namespace in self.namespaces.values():
            given = namespace.given
            if namespace.count and (best is None or given <= least):
                first = namespace.first(skip)
                if first is not None and (best is None or given < least or first < best):
                    best, least = first, given
        return best

    def oldest(self, skip: Container[Hashable]) -> Entry[_T] | None:
        best: Entry[_T] | None = None
        for lane, entries in self.arrivals.items():
            first = next(iter(entries.values()))
            if lane not in skip and (best is None or first.number < best.number):
                best = first
        return best


class FairQueue(Generic[_T]):
    """What waits, by id. `first` looks, `grant` serves; a push costs a few dictionary steps."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, Entry[_T]] = {}
        self._priorities: dict[int, _Priority[_T]] = {}
        self._urgent_first: list[int] = []
        self._pushed = 0
        self._granted = 0
        self._champion: Entry[_T] | None = None
        self._champions = 0
        self._turn_from = 0  # grants when the last champion was served

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id: Hashable) -> bool:
        return id in self._entries

    def __iter__(self) -> Iterator[Entry[_T]]:
        """In order of arrival."""
        return iter(self._entries.values())

    def get(self, id: Hashable) -> Entry[_T] | None:
        """The entry, while it waits."""
        return self._entries.get(id)

    @property
    def granted(self) -> int:
        """Grants so far."""
        return self._granted

    def passed(self, entry: Entry[_T]) -> int:
        """Grants to others since it came."""
        return self._granted - entry.passed_from

    def heads(self) -> dict[Hashable, Entry[_T]]:
        """One that waits of each lane."""
        found: dict[Hashable, Entry[_T]] = {}
        for level in self._priorities.values():
            for lane, entries in level.arrivals.items():
                found.setdefault(lane, next(iter(entries.values())))
        return found

    def count(self, lane: Hashable) -> int:
        """How many wait in a lane."""
        levels = self._priorities.values()
        return sum(len(level.arrivals.get(lane, ())) for level in levels)

    def push(
        self,
        id: Hashable,
        item: _T,
        *,
        priority: int,
        namespace: str = "",
        workflow: str = "",
        lane: Hashable = None,
        arrived_ms: float = 0.0,
        path_ms: int = 0,
        cost: float = 1.0,
    ) -> Entry[_T]:
        """Let something wait. `cost` is charged to its namespace and workflow when it is served."""
        assert id not in self._entries, f"{id!r} waits already"
        self._pushed += 1
        entry = Entry(
            id,
            item,
            priority=priority,
            namespace=namespace,
            workflow=workflow,
            lane=lane,
            arrived_ms=arrived_ms,
            path_ms=path_ms,
            cost=cost,
            number=self._pushed,
            passed_from=self._granted,
        )
        self._insert(entry)
        return entry

    def remove(self, id: Hashable) -> _T | None:
        """It waits no more, and was not served; None when it did not wait."""
        entry = self._entries.get(id)
        if entry is None:
            return None
        self._take_out(entry)
        return entry.item

    def first(
        self, skip: Container[Hashable] = (), *, hopeless: Container[Hashable] = ()
    ) -> Entry[_T] | None:
        """Who is next of those whose lane is not in `skip`.

        Args:
            skip: lanes that have no room now. A champion there stays champion.
            hopeless: lanes that cannot be served as things are: nobody there becomes champion.
        """
        champion = self._champion
        if champion is not None and champion.lane in hopeless:
            champion = self._champion = None
        if champion is None and self._granted - self._turn_from >= TURN:
            champion = self._champion = self._elect(hopeless)
        if champion is not None and champion.lane not in skip:
            return champion
        for priority in self._urgent_first:
            found = self._priorities[priority].first(skip)
            if found is not None:
                return found
        return None

    def is_champion(self, entry: Entry[_T]) -> bool:
        """Whether it goes before everybody: what it lacks is to be kept for it."""
        return entry is self._champion

    def grant(self, entry: Entry[_T]) -> _T:
        """Serve it: it leaves the queue, its namespace and workflow are charged."""
        assert entry.waits, f"{entry.id!r} does not wait"
        level = self._priorities[entry.priority]
        namespace = level.namespaces[entry.namespace]
        workflow = namespace.workflows[entry.workflow]
        level.level = max(level.level, namespace.given)
        namespace.level = max(namespace.level, workflow.given)
        if entry is self._champion:
            self._turn_from = self._granted
            self._champions += 1
            level.championed = self._champions
        self._take_out(entry)
        self._granted += 1
        self.charge(entry.priority, entry.namespace, entry.workflow, entry.cost)
        return entry.item

    def charge(self, priority: int, namespace: str, workflow: str, cost: float) -> None:
        """What was granted costs more, as it lasts. Ignored for names that were forgotten."""
        level = self._priorities.get(priority)
        of_namespace = None if level is None else level.namespaces.get(namespace)
        if of_namespace is None:
            return
        of_namespace.given += cost
        of_workflow = of_namespace.workflows.get(workflow)
        if of_workflow is not None:
            of_workflow.given += cost

    def ordered(self, limit: int | None = None) -> list[Entry[_T]]:
        """The order in which all would be served if each fitted and nothing else came.

        Costs as much as serving them: for people, and for naming the first of many.
        """
        copy: FairQueue[_T] = FairQueue()
        copy._granted, copy._turn_from = self._granted, self._turn_from
        copy._champions = self._champions
        originals: dict[Hashable, Entry[_T]] = dict(self._entries)
        for entry in self._entries.values():
            twin = Entry.__new__(Entry)
            for slot in Entry.__slots__:
                setattr(twin, slot, getattr(entry, slot))
            copy._insert(twin)
            if entry is self._champion:
                copy._champion = twin
        for number, level in copy._priorities.items():
            source = self._priorities[number]
            level.level, level.championed = source.level, source.championed
            for name, namespace in level.namespaces.items():
                known = source.namespaces[name]
                namespace.given, namespace.level = known.given, known.level
                for id, workflow in namespace.workflows.items():
                    workflow.given = known.workflows[id].given
        order: list[Entry[_T]] = []
        while len(order) < (len(originals) if limit is None else limit):
            entry_or_none = copy.first()
            if entry_or_none is None:
                break
            copy.grant(entry_or_none)
            order.append(originals[entry_or_none.id])
        return order

    def _insert(self, entry: Entry[_T]) -> None:
        level = self._priorities.get(entry.priority)
        if level is None:
            level = self._priorities[entry.priority] = _Priority()
            self._urgent_first = sorted(self._priorities, reverse=True)
        namespace = level.namespaces.get(entry.namespace)
        if namespace is None:
            _forget_idle(level.namespaces, lambda share: share.count)
            namespace = level.namespaces[entry.namespace] = _Namespace(level.level)
        elif not namespace.count:
            namespace.given = max(namespace.given, level.level)
        workflow = namespace.workflows.get(entry.workflow)
        if workflow is None:
            _forget_idle(namespace.workflows, lambda share: share.lanes)
            workflow = namespace.workflows[entry.workflow] = _Workflow(namespace.level)
        elif not workflow.lanes:
            workflow.given = max(workflow.given, namespace.level)
        level.count += 1
        namespace.count += 1
        lane = workflow.lanes.get(entry.lane)
        if lane is None:
            lane = workflow.lanes[entry.lane] = _Lane()
        heapq.heappush(lane.heap, entry)
        arrivals = level.arrivals.get(entry.lane)
        if arrivals is None:
            arrivals = level.arrivals[entry.lane] = OrderedDict()
        arrivals[entry.number] = entry
        self._entries[entry.id] = entry

    def _take_out(self, entry: Entry[_T]) -> None:
        del self._entries[entry.id]
        entry.waits = False
        level = self._priorities[entry.priority]
        namespace = level.namespaces[entry.namespace]
        level.count -= 1
        namespace.count -= 1
        lanes = namespace.workflows[entry.workflow].lanes
        lane = lanes[entry.lane]
        lane.take_out(entry)
        if not lane.heap:
            del lanes[entry.lane]
        arrivals = level.arrivals[entry.lane]
        del arrivals[entry.number]
        if not arrivals:
            del level.arrivals[entry.lane]
        if entry is self._champion:
            self._champion = None

    def _elect(self, hopeless: Container[Hashable]) -> Entry[_T] | None:
        chosen: Entry[_T] | None = None
        longest_ago = 0
        for level in self._priorities.values():
            if not level.count or (chosen is not None and level.championed >= longest_ago):
                continue
            oldest = level.oldest(hopeless)
            if oldest is not None and self.passed(oldest) >= PASSED_MAX:
                chosen, longest_ago = oldest, level.championed
        return chosen


def _forget_idle(shares: dict[str, Any], waits: Callable[[Any], object]) -> None:
    if len(shares) >= SHARES_KEPT:
        for name in [name for name, share in shares.items() if not waits(share)]:
            del shares[name]
