"""Telling what runs to stop: the commands and messages of a withdrawal, and whom it awaits."""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.engine.identity import Address
from heliostat.engine.kernel.state import ScopeState, Visit
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.withdrawing import within


def stop_all(
    turn: Turn, visits: Iterable[tuple[ScopeState, Visit]]
) -> tuple[tuple[Address, ...], int]:
    """Tell every attempt and child execution of these visits, and within them, to stop.

    Returns:
        The addresses of those whose end must be awaited, and the longest grace among them, in ms.
    """
    withdrawn: list[Address] = []
    longest = 0
    for scope, visit in within(turn.state, visits):
        if visit.phase not in ("running", "child", "stopping"):
            continue
        at = Address(scope.number, visit.step, visit.visit, visit.attempt)
        step = turn.plan.steps[visit.step]
        withdrawn.append(at)
        longest = max(longest, step.grace_ms)
        if visit.phase != "stopping":
            turn.stop(at, visit, step)
    return tuple(withdrawn), longest
