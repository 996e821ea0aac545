"""What the runners of a crew are there for: the port between `staff.py` and `crew.py`."""

from __future__ import annotations

from typing import Protocol

from .lane import Lane
from .lane_owner import LaneOwner


class Employer(LaneOwner, Protocol):
    """Who has the work. Called on the event loop, and never waits."""

    @property
    def waiting_count(self) -> int:
        """Attempts that no runner has got yet."""
        ...

    def lane_adopted(self, lane: Lane) -> None:
        """A runner has greeted, and named what it holds and runs."""
        ...

    def environment_failed(self, cause: str) -> None:
        """No runner can be made: another try would fail too."""
        ...
