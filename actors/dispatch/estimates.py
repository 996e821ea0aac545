"""How long steps take, by what they took: for how much to send ahead, never for a decision."""

from __future__ import annotations

from typing import Final

UNKNOWN_US: Final = 5_000
"""A step never seen may take long: one fills the window."""

OVERHEAD_US: Final = 5
"""What a runner spends on a step beside the step itself."""

KNOWN_MAX: Final = 10_000
"""Steps remembered; then all are forgotten, as learning again takes one attempt each."""


class Estimates:
    """Times by step, quick to fall and slow to rise: sending too much ahead is taken back."""

    def __init__(self) -> None:
        self._by_key: dict[str, int] = {}

    def of(self, key: str) -> int:
        """The expected time of one attempt in microseconds."""
        return self._by_key.get(key, UNKNOWN_US)

    def learn(self, key: str, spent_us: int) -> None:
        """An attempt took this long."""
        spent_us += OVERHEAD_US
        known = self._by_key.get(key)
        if known is None:
            if len(self._by_key) >= KNOWN_MAX:
                self._by_key.clear()
            self._by_key[key] = spent_us
        elif spent_us < known:
            self._by_key[key] = (known + spent_us) >> 1
        else:
            self._by_key[key] = known + min(spent_us - known, 9 * known + 9) // 10 + 1
