"""What a lane tells of its runner, to the pool that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from .frames import AttemptKey
from .protocol import Assignment, Report

if TYPE_CHECKING:
    from .lane import Lane


class LaneOwner(Protocol):
    """What a lane tells of; called on the event loop, and never waits."""

    def lane_reported(self, lane: Lane, reports: Sequence[Report]) -> None: ...

    def lane_gave_back(self, lane: Lane, assignments: Sequence[Assignment]) -> None:
        """Not begun, and to be sent elsewhere, before what came later.

        `lane_has_room` or `lane_ended` follows at once.
        """
        ...

    def lane_disowned(self, lane: Lane, attempts: Sequence[AttemptKey]) -> None:
        """Not begun, and another host's by now: it has them made."""
        ...

    def lane_has_room(self, lane: Lane) -> None: ...

    def lane_ended(self, lane: Lane) -> None:
        """The runner is dead; everything it owed was told before."""
        ...
