"""Slot leases: timed grants of capacity, the interface between pools and whoever owns placement.

A pool asks for slots of a shape and renews them while it uses them; what is not renewed in time
is free again. The scheduler actor will answer these requests for all nodes, by priority, fair share
and fit. `SlotCount` answers them for one node from a plain number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from heliostat.engine.plan.plan import Resources


class SlotRequest(Struct, frozen=True, kw_only=True):
    """How many slots of which shape are wanted, by whom, for how long at a time."""

    holder: str  # an incarnation
    count: int
    ttl_ms: int
    shape: Resources = Resources()
    node: str | None = None  # None: anywhere
    priority: int = 5  # 1–10, 10 is most urgent


class SlotLease(Struct, frozen=True, kw_only=True):
    """A grant of `count` slots on a node until `until_ms`, unless it is renewed before."""

    id: int
    holder: str
    node: str
    count: int
    shape: Resources
    until_ms: int


class Slots(Protocol):
    """Grants capacity. Answers at once: what is not free is not granted, and asked for again."""

    def request(self, request: SlotRequest) -> Sequence[SlotLease]:
        """Leases of at most the count asked for; none when nothing is free."""
        ...

    def renew(self, leases: Sequence[int], *, ttl_ms: int) -> Sequence[int]:
        """Those that go on; a lease that is not named has ended or was taken back."""
        ...

    def release(self, leases: Sequence[int]) -> None:
        """Give slots back; unknown leases have ended already."""
        ...


class SlotHolding:
    """The slots that one pool holds: one for each runner, renewed together."""

    def __init__(self, slots: Slots, *, holder: str, ttl_ms: int) -> None:
        self._slots, self._holder, self._ttl_ms = slots, holder, ttl_ms
        self._leases: dict[int, int] = {}  # by the runner's index

    def take(self, index: int) -> bool:
        """A slot for a runner; False when none is granted now."""
        if index in self._leases:
            return True
        request = SlotRequest(holder=self._holder, count=1, ttl_ms=self._ttl_ms)
        for lease in self._slots.request(request):
            self._leases[index] = lease.id
        return index in self._leases

    def give_back(self, index: int) -> None:
        """The runner is gone."""
        lease = self._leases.pop(index, None)
        if lease is not None:
            self._slots.release([lease])

    def renew(self) -> list[int]:
        """Renew all; returns the runners whose slot was taken back."""
        going_on = set(self._slots.renew(list(self._leases.values()), ttl_ms=self._ttl_ms))
        taken_back = [index for index, lease in self._leases.items() if lease not in going_on]
        for index in taken_back:
            del self._leases[index]
        return taken_back


class SlotCount:
    """So many slots of one node, first come, first served."""

    def __init__(self, node: str, count: int, now_ms: Callable[[], int]) -> None:
        self._node, self._count, self._now_ms = node, count, now_ms
        self._leases: dict[int, SlotLease] = {}
        self._ids = itertools.count(1)

    @property
    def free(self) -> int:
        """Slots that nobody holds now."""
        now_ms = self._now_ms()
        self._leases = {id: held for id, held in self._leases.items() if held.until_ms > now_ms}
        return self._count - sum(held.count for held in self._leases.values())

    def request(self, request: SlotRequest) -> Sequence[SlotLease]:
        if request.node not in (None, self._node) or request.shape.any:
            return []  # steps with resources are placed by Ray, as tasks of the launcher
        count = min(request.count, self.free)
        if count <= 0:
            return []
        lease = SlotLease(
            id=next(self._ids),
            holder=request.holder,
            node=self._node,
            count=count,
            shape=request.shape,
            until_ms=self._now_ms() + request.ttl_ms,
        )
        self._leases[lease.id] = lease
        return [lease]

    def renew(self, leases: Sequence[int], *, ttl_ms: int) -> Sequence[int]:
        now_ms = self._now_ms()
        going_on = []
        for id in leases:
            held = self._leases.get(id)
            if held is None or held.until_ms <= now_ms:
                continue
            going_on.append(id)
            self._leases[id] = SlotLease(
                id=id,
                holder=held.holder,
                node=held.node,
                count=held.count,
                shape=held.shape,
                until_ms=now_ms + ttl_ms,
            )
        return going_on

    def release(self, leases: Sequence[int]) -> None:
        for id in leases:
            self._leases.pop(id, None)
