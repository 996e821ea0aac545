"""An attempt as its lane keeps it, and what becomes of a dead runner's attempts.

- one unfinished attempt that was not stopped ran alone, and counts as the likely cause;
- of several, none is blamed; all but those certainly not begun are lost;
- where the lane killed the runner to stop an attempt, that one is stopped, and those behind it were
  certainly not begun, as its report would have come before.
"""

from __future__ import annotations

from collections.abc import Sequence

from .frames import AttemptKey
from .protocol import Assignment, Lost, Report, Stopped


class Sent:
    """An attempt at the runner."""

    __slots__ = ("assignment", "estimate_us", "noticed", "stop_at", "timed_out", "timeout_s")

    def __init__(
        self, assignment: Assignment | None, estimate_us: int, timeout_ms: int | None
    ) -> None:
        self.assignment = assignment  # None: another host sent it
        self.estimate_us = estimate_us
        self.timeout_s = None if timeout_ms is None else timeout_ms / 1_000
        self.timed_out = False
        self.noticed = False
        self.stop_at: float | None = None  # when its grace is over


def after_death(
    unfinished: Sequence[tuple[AttemptKey, Sent]],
    *,
    killed: bool,
    head_was_slow: bool,
    cause: str,
) -> tuple[list[Report], list[Assignment]]:
    """What to report of a dead runner's attempts, and which to send elsewhere.

    Args:
        unfinished: sent and without a report, oldest first.
        killed: by its lane, or with its node, so that nobody is to blame.
        head_was_slow: the oldest ran for so long that those behind it have not begun.
        cause: for the losses.
    """
    reports: list[Report] = []
    given_back: list[Assignment] = []
    alone = len(unfinished) == 1
    may_have_begun = True
    for (key, at), sent in unfinished:
        if sent.stop_at is not None:
            reports.append(Stopped(key=key, at=at))
        elif may_have_begun or sent.assignment is None:
            reports.append(Lost(key=key, at=at, cause=cause, counted=alone and not killed))
        else:
            given_back.append(sent.assignment)
        may_have_begun = may_have_begun and not (killed and head_was_slow)
    return reports, given_back
