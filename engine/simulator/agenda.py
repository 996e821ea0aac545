"""Virtual time: what happens when, and in which order what happens at the same instant."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from heliostat.engine.expressions.time import INSTANT_MS_MAX

Action = Callable[[], None]


class Agenda:
    """A clock that jumps to the next thing on it. Ties are drawn from the seed."""

    def __init__(self, random: Random, now_ms: int) -> None:
        self.now_ms = now_ms
        self._random = random
        self._entries: list[tuple[int, float, int, Action]] = []
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_over(self) -> bool:
        """Whether the next thing on it lies beyond the year 9999, where instants have no names."""
        return bool(self._entries) and self._entries[0][0] > INSTANT_MS_MAX

    def later(self, at_ms: int, action: Action) -> None:
        """Have something happen at an instant; one that has passed means at once."""
        self._count += 1
        heappush(self._entries, (at_ms, self._random.random(), self._count, action))

    def happen(self) -> None:
        """Let the next thing happen, and often what else happens at the same instant."""
        at_ms, _, _, action = heappop(self._entries)
        self.now_ms = max(self.now_ms, at_ms)
        action()
        while self._entries and self._entries[0][0] <= self.now_ms and self._random.random() < 0.5:
            heappop(self._entries)[3]()
