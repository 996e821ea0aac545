"""What waits at the board."""

from __future__ import annotations

from collections.abc import Hashable

from .protocol import Want


class Wanted:
    """A want that waits."""

    __slots__ = ("arrived_ms", "holder", "want")

    def __init__(self, want: Want, holder: str, arrived_ms: int) -> None:
        self.want, self.holder, self.arrived_ms = want, holder, arrived_ms


def lane_of(want: Want) -> Hashable:
    """Wants of one lane fit alike: the same needs, semaphores and, if any, node."""
    return (tuple(sorted(want.needs.items())), tuple(sorted(want.semaphores.items())), want.node)
