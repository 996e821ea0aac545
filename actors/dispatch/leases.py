"""Attempts that need capacity: they wait for a slot lease, run with it, and give it back.

An attempt that declares resources, or takes a semaphore of the deployment, is wanted at the
`Placement` port first. Once granted it goes to a lane; its lease is released when its end is
reported, whatever that is. What waits here was given to nobody: told to stop it is over at once,
and when its execution is another host's it is dropped.

Every method is called on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.scheduling.protocol import Refused, SlotLease, Want

from .frames import AttemptKey
from .placement import Placement, lease_id, needs_of
from .protocol import Assignment, Deliver, Noticed, Raised, Report, Stopped, TimedOut

UNSCHEDULABLE: Final = "Unschedulable"
"""The type of the failure of an attempt whose needs can never be satisfied."""

Start: TypeAlias = Callable[[Sequence[tuple[Assignment, SlotLease]]], None]

_NOT_HEARD: Final = "the scheduler has not been heard yet"

_NO_END: Final = frozenset({TimedOut, Noticed})
"""Reports after which an attempt still runs."""


class AttemptLeases:
    """An `Asker` for attempts, between the dispatcher and the lanes' reports."""

    def __init__(self, placement: Placement, deliver: Deliver) -> None:
        """Args:
        deliver: where reports go on to.
        """
        self.placement, self._deliver = placement, deliver
        self.start: Start
        """Makes attempts that have their leases, in the order given; set by the dispatcher."""
        self._waiting: dict[str, Assignment] = {}  # by the want's id, in order of arrival
        self._held: dict[AttemptKey, str] = {}  # ids of leases of those that run

    # the dispatcher's calls

    def want(self, assignments: Sequence[Assignment]) -> None:
        """Have these made when there is room; those that wait or run already change nothing."""
        wants = []
        for assignment in assignments:
            id = lease_id(assignment.key, assignment.at)
            if id not in self._waiting and (assignment.key, assignment.at) not in self._held:
                self._waiting[id] = assignment
                wants.append(_want(id, assignment))
        if wants:
            self.placement.want(wants, self)

    def hold(self, shard: str, epoch: int, found: Sequence[tuple[Assignment, str | None]]) -> None:
        """Of a shard that is ours now these were found running, on these nodes, and no others:
        their capacity is taken, whoever granted it."""
        leases = []
        for assignment, node in found:
            attempt = (assignment.key, assignment.at)
            if attempt not in self._held:
                id = self._held[attempt] = lease_id(*attempt)
                leases.append(_lease(_want(id, assignment), node))
        if leases:
            self.placement.hold(leases, self)
        self.placement.serve(shard, epoch)

    def waits(self, attempt: AttemptKey) -> bool:
        """Whether it has been given to nobody yet."""
        return lease_id(*attempt) in self._waiting

    @property
    def waiting(self) -> frozenset[AttemptKey]:
        """All that have been given to nobody yet."""
        return frozenset((each.key, each.at) for each in self._waiting.values())

    def stop(self, attempts: Sequence[AttemptKey]) -> None:
        """Those that wait are over at once; others are not known here."""
        ids = [id for id in (lease_id(*each) for each in attempts) if id in self._waiting]
        over = [self._waiting.pop(id) for id in ids]
        if over:
            self.placement.release(ids)
            stopped = [Stopped(key=each.key, at=each.at) for each in over]
            asyncio.get_running_loop().call_soon(self._deliver, stopped)

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Drop what waits for executions that are another host's now; nothing is told of it."""
        ids = [id for id, each in self._waiting.items() if is_lost(each.key)]
        for id in ids:
            del self._waiting[id]
        if ids:
            self.placement.release(ids)

    def reasons(self, attempts: Sequence[AttemptKey]) -> Mapping[AttemptKey, str]:
        """Why some of these attempts wait for capacity; the others do not."""
        ids = {each: id for each in attempts if (id := lease_id(*each)) in self._waiting}
        if not ids:
            return {}
        told = self.placement.reasons()
        return {
            attempt: told[id].reason if id in told else _NOT_HEARD for attempt, id in ids.items()
        }

    # what lanes report

    def deliver(self, reports: Sequence[Report]) -> None:
        """Pass reports on; an attempt's lease goes with its end."""
        if self._held:
            ended = [
                id
                for report in reports
                if type(report) not in _NO_END
                and (id := self._held.pop((report.key, report.at), None)) is not None
            ]
            if ended:
                self.placement.release(ended)
        self._deliver(reports)

    # what the placement tells

    def granted(self, leases: Sequence[SlotLease]) -> None:
        """These may run."""
        start, gone = [], []
        for lease in leases:
            assignment = self._waiting.pop(lease.id, None)
            if assignment is None:
                gone.append(lease.id)  # stopped, or forgotten, while the grant was on its way
                continue
            self._held[assignment.key, assignment.at] = lease.id
            start.append((assignment, lease))
        if gone:
            self.placement.release(gone)
        if start:
            self.start(start)

    def refused(self, refused: Sequence[Refused]) -> None:
        """These can never run: they fail at once."""
        reports: list[Report] = []
        for each in refused:
            assignment = self._waiting.pop(each.id, None)
            if assignment is not None:
                reports.append(_unschedulable(assignment, each.message))
        if reports:
            self._deliver(reports)

    def revoked(self, ids: Sequence[str]) -> None:
        """An attempt gives its lease back when it ends, as it does anyway."""


def _want(id: str, assignment: Assignment) -> Want:
    return Want(
        id=id,
        kind="attempt",
        namespace=assignment.key.namespace,
        workflow=assignment.workflow,
        execution=str(assignment.key),
        step=assignment.code.step_id,
        shard=assignment.shard,
        priority=assignment.priority,
        path_ms=assignment.path_ms,
        needs=needs_of(assignment.code.resources),
        semaphores=assignment.semaphores,
    )


def _lease(want: Want, node: str | None) -> SlotLease:
    return SlotLease(
        id=want.id,
        kind=want.kind,
        node=node,
        namespace=want.namespace,
        workflow=want.workflow,
        execution=want.execution,
        step=want.step,
        shard=want.shard,
        priority=want.priority,
        needs=want.needs,
        semaphores=want.semaphores,
    )


def _unschedulable(assignment: Assignment, message: str) -> Raised:
    failure = Failure(
        type=UNSCHEDULABLE,
        message=message,
        mro=(UNSCHEDULABLE,),
        step=assignment.code.step_id,
        attempt=assignment.at.attempt,
    )
    return Raised(
        key=assignment.key,
        at=assignment.at,
        failure=failure,
        started_at_ms=time.time_ns() // 1_000_000,
        elapsed_ms=0,
        runner="scheduler",
    )
