"""What the steps of a run wrote down: each effect, and when it was had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from msgspec import Struct


class Effects(Struct, frozen=True):
    """The effects of a run, in the order in which they were had."""

    keys: tuple[str, ...]
    at_s: tuple[float, ...]

    def longest_gap(self, after_s: float, without: Callable[[str], bool]) -> float:
        """The longest time without an effect, from an instant on; not counting some executions."""
        pairs = zip(self.keys, self.at_s, strict=True)
        times = [after_s, *(at for key, at in pairs if at > after_s and not without(key))]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    @property
    def repeated(self) -> int:
        """Effects that were had again."""
        return len(self.keys) - len(set(self.keys))

    def missing(self, count: int, steps: int) -> int:
        """Of `count` executions with so many steps each at least: effects never had."""
        per = Counter(key.rsplit(":", 3)[0] for key in set(self.keys))
        return sum(max(0, steps - had) for had in per.values()) + steps * (count - len(per))


def read(path: Path) -> Effects:
    """All whole lines so far."""
    text = path.read_text() if path.exists() else ""
    lines = [line.split() for line in text.splitlines()]
    pairs = sorted((int(at) / 1e9, key) for key, at in (line for line in lines if len(line) == 2))
    return Effects(tuple(key for _, key in pairs), tuple(at for at, _ in pairs))
