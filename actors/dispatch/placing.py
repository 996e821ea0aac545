"""Which runner gets which attempt: of those with room the one with least ahead, here first.

An attempt that must run alone waits for an empty runner; the one with least ahead of it is kept
free for it (`Lane.reserved`), so that neither it nor the others starve. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .lane import Lane
from .protocol import Assignment
from .waiting import WaitingLine


class Filling:
    """A lane with room, and what it is to get."""

    __slots__ = ("ahead_us", "chosen", "is_remote", "items", "lane", "window_us")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.is_remote, self.window_us = lane.is_remote, lane.window_us
        self.ahead_us, self.items = lane.backlog_us, lane.unfinished
        self.chosen: list[Assignment] = []


def fill(
    lanes: Sequence[Lane],
    waiting: WaitingLine,
    *,
    window_items: int,
    estimate: Callable[[str], int],
) -> list[Filling]:
    """Take from the line what has room, in its order; lanes that get nothing are among them."""
    fillings = [
        Filling(lane) for lane in lanes if not lane.reserved and lane.has_room(0, alone=False)
    ]
    if not fillings:
        return fillings
    fillings.sort(key=lambda filling: filling.is_remote)  # stable: here first
    while (assignment := waiting.peek()) is not None:
        estimate_us = estimate(assignment.code.key)
        best: Filling | None = None
        for filling in fillings:
            if filling.items and (
                filling.ahead_us + estimate_us > filling.window_us or filling.items >= window_items
            ):
                continue
            if best is None:
                best = filling
            elif filling.is_remote and not best.is_remote:
                break
            elif filling.ahead_us < best.ahead_us:
                best = filling
        if best is None:
            break
        waiting.take()
        best.chosen.append(assignment)
        best.items += 1
        best.ahead_us += estimate_us
    return fillings


def empty_one(lanes: Sequence[Lane]) -> Lane | None:
    """One for an attempt that runs alone."""
    return next((lane for lane in lanes if lane.has_room(0, alone=True)), None)


def keep_free(lanes: Sequence[Lane], *, alone: int, others_wait: bool) -> None:
    """Keep as many free as attempts wait to run alone; while others wait, all but one at most."""
    usable = [lane for lane in lanes if not lane.leaving]
    wanted = min(alone, len(usable))
    if others_wait and len(usable) > 1:
        wanted = min(wanted, len(usable) - 1)  # the others go on meanwhile
    for place, lane in enumerate(sorted(usable, key=lambda lane: lane.backlog_us)):
        lane.reserved = place < wanted
