"""Who holds what: holders, their leases, and which answers they have taken in.

A lease is free when no holder names it any more, or when all that did have been silent for
`TTL_MS`. Two holders may name the same lease for a while: a host that claimed an execution's shard,
and the one that does not know yet that it lost it. Once the later owner says that it serves the
shard, only its word counts there: what the earlier one held, dead or not, is the later one's or
free. With runners it is the same among the lives of one host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from .protocol import Demand, Refused, SlotLease, Want

TTL_MS: Final = 30_000
"""A holder that is silent for this long holds nothing any more. Longer than a host that was killed
takes to come back, or another to adopt what it held: a semaphore must not be given away while the
attempt that took it still runs. Ray accounts for the rest in any case."""

AWAKE_MS: Final = 1_000
"""Silence counts by so much at most between two looks at it: a scheduler that stood still for a
minute has not heard anybody, and nobody is to blame."""


class Held:
    """A lease, and who names it."""

    __slots__ = ("charged_at_ms", "holders", "lease", "revoked", "share")

    def __init__(self, lease: SlotLease, *, share: float, charged_at_ms: int) -> None:
        self.lease, self.share = lease, share
        self.charged_at_ms = charged_at_ms  # its use is paid for until then
        self.holders: set[str] = set()
        self.revoked = False


class Holder:
    """A host's incarnation, as far as the scheduler has heard of it."""

    __slots__ = (
        "answers",
        "granted",
        "id",
        "leases",
        "name",
        "node",
        "refused",
        "silent_ms",
        "steps",
        "told",
        "turn",
        "wants",
        "wants_more",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.name = self.node = ""
        self.turn = self.answers = self.silent_ms = self.steps = self.wants_more = 0
        self.wants: set[str] = set()
        self.leases: set[str] = set()
        self.granted: dict[str, int] = {}  # leases it may not know of: in which answer, 0 in none
        self.refused: dict[str, tuple[Refused, int]] = {}
        self.told: object = None  # what the last answer said besides

    @property
    def untold(self) -> bool:
        """Whether something was decided that no answer has said yet."""
        return 0 in self.granted.values() or any(not n for _, n in self.refused.values())


class Book:
    """Holders by incarnation, leases by id."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        self.leases: dict[str, Held] = {}
        self._owners: dict[str, tuple[int, str]] = {}  # of shards: the highest epoch, and whose
        self.steps_gone = 0  # that holders dispatched which are gone

    def hear(self, demand: Demand, *, life: str) -> Holder | None:
        """Note who speaks, and what it has taken in; None for a demand that comes late."""
        holder = self.holders.get(demand.holder)
        if holder is None:
            holder = self.holders[demand.holder] = Holder(demand.holder)
        elif demand.turn <= holder.turn:
            return None
        holder.turn, holder.silent_ms = demand.turn, 0
        holder.name, holder.node = demand.name, demand.node
        holder.steps, holder.wants_more = demand.steps, demand.wants_more
        seen = demand.seen if demand.life == life else 0
        holder.granted = {id: n for id, n in holder.granted.items() if not 0 < n <= seen}
        holder.refused = {
            id: each for id, each in holder.refused.items() if not 0 < each[1] <= seen
        }
        return holder

    def claim(self, holder: Holder, shards: Mapping[str, int]) -> set[str]:
        """It serves these shards, at these epochs; returns those that another served before, or
        nobody."""
        new = set()
        for shard, epoch in shards.items():
            before = self._owners.get(shard)
            if before is None or epoch > before[0]:
                self._owners[shard] = (epoch, holder.id)
                if before is None or before[1] != holder.id:
                    new.add(shard)
        return new

    def inherit(self, holder: Holder, shards: Collection[str]) -> list[Held]:
        """What others hold of these shards is theirs no more, nor the runners of its own earlier
        lives; returns what is free with that."""
        free = []
        for other in self.others(holder):
            leases = (self.leases[id].lease for id in other.leases)
            gone = [each.id for each in leases if self.is_heir(holder, other, shards, each)]
            free += self._drop(other, gone)
        return free

    def others(self, holder: Holder) -> list[Holder]:
        """All holders but one."""
        return [each for each in self.holders.values() if each is not holder]

    @staticmethod
    def is_heir(
        holder: Holder, other: Holder, shards: Collection[str], of: Want | SlotLease
    ) -> bool:
        """Whether what another wants or holds is the holder's affair, which claimed these shards or
        speaks for the first time."""
        if of.kind == "runner":
            return other.name == holder.name != ""
        return of.shard in shards

    def may_speak(self, holder: Holder, of: Want | SlotLease) -> bool:
        """Whether no later owner of the shard has been heard."""
        owner = self._owners.get(of.shard)
        return owner is None or owner[1] == holder.id

    def add(self, held: Held, holder: Holder) -> None:
        """It names this lease from now on."""
        self.leases.setdefault(held.lease.id, held).holders.add(holder.id)
        holder.leases.add(held.lease.id)

    def unnamed(self, holder: Holder, named: Iterable[str]) -> list[Held]:
        """Leases that it no longer names, and nobody else does: they are free, and forgotten."""
        gone = holder.leases.difference(named, holder.granted)
        return self._drop(holder, gone)

    def age(self, elapsed_ms: int) -> list[Holder]:
        """Holders that have been silent for too long; they are forgotten by `forget`."""
        elapsed_ms = min(elapsed_ms, AWAKE_MS)
        for holder in self.holders.values():
            holder.silent_ms += elapsed_ms
        return [each for each in self.holders.values() if each.silent_ms >= TTL_MS]

    def forget(self, holder: Holder) -> list[Held]:
        """It is gone; returns the leases that are free with it."""
        del self.holders[holder.id]
        self._owners = {
            shard: owner for shard, owner in self._owners.items() if owner[1] != holder.id
        }
        self.steps_gone += holder.steps
        return self._drop(holder, list(holder.leases))

    def of_kind(self, kind: str) -> Iterator[Held]:
        """Leases of runners, or of attempts."""
        return (held for held in self.leases.values() if held.lease.kind == kind)

    def _drop(self, holder: Holder, ids: Iterable[str]) -> list[Held]:
        free = []
        for id in ids:
            holder.leases.discard(id)
            holder.granted.pop(id, None)
            held = self.leases[id]
            held.holders.discard(holder.id)
            if not held.holders:
                free.append(self.leases.pop(id))
        return free
