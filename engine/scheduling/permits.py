"""The deployment's semaphores: what is taken of each, what is kept, and what there is.

Nothing but the owners of shards know who holds a semaphore. So none is given out before those of
all shards have spoken, or have been waited for long enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .book import Book
from .protocol import SlotLease, Want
from .reasons import short_of_semaphore


class Permits:
    """Of all semaphores."""

    def __init__(
        self,
        capacities: Mapping[str, int],
        *,
        shards: Collection[str],
        patience_ms: int,
        now_ms: int,
    ) -> None:
        """Args:
        shards: whose owners must have spoken. patience_ms: for how long that is waited for.
        """
        self._capacities, self._unheard = capacities, set(shards)
        self._known_at_ms = now_ms + patience_ms
        self._taken: dict[str, int] = {}
        self._kept: dict[str, int] = {}

    def heard(self, shards: Iterable[str]) -> None:
        """All that is held for these shards has been said."""
        self._unheard.difference_update(shards)

    def known(self, now_ms: int) -> bool:
        """Whether it is known who holds what."""
        return not self._unheard or now_ms >= self._known_at_ms

    def capacity(self, name: str) -> int:
        """How many there are; 0 of one that there is not."""
        return self._capacities.get(name, 0)

    def book(self, lease: SlotLease, sign: int = 1) -> None:
        """A lease is held from now on; `sign` -1: no more."""
        for name, amount in lease.semaphores.items():
            self._taken[name] = self._taken.get(name, 0) + sign * amount

    def keep(self, want: Want) -> None:
        """What it needs goes to nobody who comes later in the order."""
        for name, amount in want.semaphores.items():
            self._kept[name] = self._kept.get(name, 0) + amount

    def keep_none(self) -> None:
        """A decision begins anew."""
        self._kept = {}

    def table(self) -> Mapping[str, tuple[int, int]]:
        """Of each semaphore what is taken, and the capacity."""
        capacities = self._capacities
        return {name: (self._taken.get(name, 0), capacities[name]) for name in sorted(capacities)}

    def never(self, want: Want) -> str | None:
        """The sentence that says why it can never be satisfied, if so."""
        for name, amount in want.semaphores.items():
            capacity = self._capacities.get(name)
            if capacity is None:
                return (
                    f"semaphore {name} has no capacity in the configuration; add it there, as "
                    f"`semaphores = {{ {name} = {max(amount, 1)} }}`"
                )
            if amount > capacity:
                return (
                    f"the step takes {amount} of semaphore {name}, whose capacity in the "
                    f"configuration is {capacity}; take less, or raise it"
                )
        return None

    def short(self, want: Want, now_ms: int, *, book: Book) -> str | None:
        """The sentence that says why it cannot be satisfied now, if so."""
        if not want.semaphores:
            return None
        if not self.known(now_ms):
            return (
                "the scheduler began a moment ago, and waits for the hosts of all shards to say "
                "which semaphores they hold"
            )
        for name, amount in want.semaphores.items():
            kept, capacity = self._kept.get(name, 0), self._capacities[name]
            if capacity - self._taken.get(name, 0) - kept < amount:
                return short_of_semaphore(name, amount, capacity=capacity, kept=kept, book=book)
        return None
