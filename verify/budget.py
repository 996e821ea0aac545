"""The time that a whole proof may take, whatever it is made of.

A proof makes a net, reduces it and explores it, some of it twice, and analyses follow. All of them
ask one budget, so that no part has a bound of its own that adds up with the others'.
"""

from __future__ import annotations

from collections.abc import Callable


class OutOfTime(Exception):
    """The time is over, before there is anything to answer with."""

    def __init__(self, limit_ms: int) -> None:
        super().__init__(limit_ms)
        self.limit_ms = limit_ms

    def __str__(self) -> str:
        return f"more than {self.limit_ms} ms"


class Budget:
    """A time from now on, by a clock; without one, without end."""

    def __init__(
        self, time_max_ms: int | None = None, now_ms: Callable[[], float] | None = None
    ) -> None:
        self.time_max_ms = time_max_ms
        self.now_ms = now_ms
        self._end_ms = None if time_max_ms is None or now_ms is None else now_ms() + time_max_ms

    def left_ms(self) -> int | None:
        """What is left, 0 when it is over; None without a bound."""
        if self._end_ms is None or self.now_ms is None:
            return None
        return max(0, round(self._end_ms - self.now_ms()))

    def part_ms(self, parts: int) -> int | None:
        """One of so many equal parts of what is left, at least 1; None without a bound."""
        left_ms = self.left_ms()
        return None if left_ms is None else max(1, left_ms // parts)

    @property
    def over(self) -> bool:
        return self._end_ms is not None and self.now_ms is not None and self.now_ms() > self._end_ms

    def check(self) -> None:
        """Go on only within the time.

        Raises:
            OutOfTime: it is over.
        """
        if self.over:
            raise OutOfTime(self.time_max_ms or 0)


UNBOUNDED = Budget()
