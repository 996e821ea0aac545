"""Semaphores of an execution: who holds them, and who waits for them.

Fair: those who wait get them in the order of arrival, and nobody overtakes another who waits for
one of the same semaphores. Visits that want the same wait in one queue, so that a release looks at
the heads of the queues only: as many as the plan has kinds of `uses`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from heliostat.engine.kernel.state import ExecutionState, VisitRef

Uses: TypeAlias = tuple[tuple[str, int], ...]


def take(state: ExecutionState, uses: Uses, capacity: Mapping[str, int]) -> bool:
    """Take semaphores if they are free, and nobody waits for one of them."""
    wanted = {name for name, _ in uses}
    if any(queue and wanted & {name for name, _ in other} for other, queue in state.queues.items()):
        return False
    if not _fit(state, uses, capacity):
        return False
    _hold(state, uses)
    return True


def join_queue(state: ExecutionState, uses: Uses, visit: VisitRef) -> None:
    """Wait for semaphores."""
    state.arrivals += 1
    state.queues.setdefault(uses, {})[visit] = state.arrivals


def leave_queue(state: ExecutionState, uses: Uses, visit: VisitRef) -> None:
    """Wait no more."""
    queue = state.queues.get(uses)
    if queue is not None:
        queue.pop(visit, None)
        if not queue:
            del state.queues[uses]


def release(state: ExecutionState, uses: Uses, capacity: Mapping[str, int]) -> list[VisitRef]:
    """Give semaphores back; those who have them now, in order."""
    for name, count in uses:
        state.permits[name] -= count
        if not state.permits[name]:
            del state.permits[name]
    return grant(state, capacity)


def grant(state: ExecutionState, capacity: Mapping[str, int]) -> list[VisitRef]:
    """Give what is free to those who wait; nobody gets any during a pause."""
    granted: list[VisitRef] = []
    while not state.paused:
        found = next(_grantable(state, capacity), None)
        if found is None:
            break
        uses, visit = found
        leave_queue(state, uses, visit)
        _hold(state, uses)
        granted.append(visit)
    return granted


def _grantable(
    state: ExecutionState, capacity: Mapping[str, int]
) -> Iterator[tuple[Uses, VisitRef]]:
    """The heads of the queues that may go, the earliest first."""
    heads = []
    for uses, queue in state.queues.items():
        visit, arrival = next(iter(queue.items()))
        heads.append((arrival, uses, visit))
    passed: set[str] = set()
    for _, uses, visit in sorted(heads):
        names = {name for name, _ in uses}
        if not names & passed and _fit(state, uses, capacity):
            yield uses, visit
        passed |= names


def _fit(state: ExecutionState, uses: Uses, capacity: Mapping[str, int]) -> bool:
    return all(
        state.permits.get(name, 0) + count <= capacity.get(name, count) for name, count in uses
    )


def _hold(state: ExecutionState, uses: Uses) -> None:
    for name, count in uses:
        state.permits[name] = state.permits.get(name, 0) + count
