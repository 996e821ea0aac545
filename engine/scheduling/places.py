"""Places in the queue of attempts, which people are told; counted anew as often as they need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .order import FairQueue
from .wants import Wanted

PLACES_MS: Final = 500
"""Places in a long queue are counted anew that often at most."""

PLACES_AT_ONCE: Final = 100
"""A queue of no more than this is counted whenever somebody asks."""


class Places:
    """Of one queue."""

    def __init__(self, queue: FairQueue[Wanted]) -> None:
        self._queue = queue
        self._places: dict[str, int] = {}
        self._at_ms: int | None = None

    def at(self, now_ms: int) -> Mapping[str, int]:
        """By id, from 1, as of a moment ago."""
        at_ms = self._at_ms
        if at_ms is None or len(self._queue) <= PLACES_AT_ONCE or now_ms - at_ms >= PLACES_MS:
            self._at_ms = now_ms
            ordered = self._queue.ordered()
            self._places = {str(entry.id): place for place, entry in enumerate(ordered, start=1)}
        return self._places
