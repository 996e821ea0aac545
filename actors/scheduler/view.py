"""What people are shown of the queue: who waits and why, who holds what, and how it is going."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from heliostat.engine.scheduling.board import Board
from heliostat.engine.scheduling.protocol import SlotLease, WantKind
from heliostat.engine.scheduling.wants import Wanted

SHOWN_MAX: Final = 1_000
"""Wants, and leases, in one view: beyond, nobody reads and the scheduler has better to do."""


class QueueRequest(Struct, frozen=True, kw_only=True):
    """How much of the queue is wanted."""

    limit: int = 100


class QueuedWant(Struct, frozen=True, kw_only=True):
    """Somebody who waits."""

    place: int  # in the queue of attempts, from 1; 0 for a runner
    kind: WantKind
    namespace: str
    execution: str
    workflow: str
    step: str
    priority: int
    waited_ms: int
    needs: Mapping[str, float]
    semaphores: Mapping[str, int]
    reason: str
    host: str


class HeldLease(Struct, frozen=True, kw_only=True):
    """Somebody who has what was asked for."""

    kind: WantKind
    node: str | None
    namespace: str
    execution: str
    workflow: str
    step: str
    priority: int
    needs: Mapping[str, float]
    semaphores: Mapping[str, int]
    host: str
    revoked: bool


class NodeLoad(Struct, frozen=True, kw_only=True):
    """A node, and what of it is used."""

    id: str
    name: str
    total: Mapping[str, float]
    held: Mapping[str, float]  # by leases
    others: Mapping[str, float]  # by what is not ours
    draining: bool
    kept_for: str | None  # who waits for room on it


class SemaphoreLoad(Struct, frozen=True, kw_only=True):
    """A semaphore of the deployment."""

    name: str
    taken: int
    capacity: int


class QueueView(Struct, frozen=True, kw_only=True):
    """The queue at one instant. `steps` is how many attempts hosts have dispatched since they
    began, `asked` how many of them asked here: the others went to a warm runner at once."""

    waiting: tuple[QueuedWant, ...]
    waiting_count: int
    held: tuple[HeldLease, ...]
    held_count: int
    nodes: tuple[NodeLoad, ...]
    semaphores: tuple[SemaphoreLoad, ...]
    steps: int
    asked: int
    granted: int
    refused: int


def view(board: Board, *, now_ms: int, limit: int) -> QueueView:
    """The board for people, in the order of service."""
    limit = max(1, min(limit, SHOWN_MAX))
    waiting = [
        _queued(board, str(entry.id), entry.item, place=place, now_ms=now_ms)
        for place, entry in enumerate(board.queue.ordered(limit), start=1)
    ]
    waiting += [
        _queued(board, id, wanted, place=0, now_ms=now_ms)
        for id, wanted in list(board.runner_wants.items())[: limit - len(waiting)]
    ]
    holders = board.book.holders
    held = [
        _held(
            each.lease,
            host=", ".join(sorted(holders[id].name for id in each.holders)),
            revoked=each.revoked,
        )
        for each in list(board.book.leases.values())[:limit]
    ]
    return QueueView(
        waiting=tuple(waiting),
        waiting_count=len(board.queue) + len(board.runner_wants),
        held=tuple(held),
        held_count=len(board.book.leases),
        nodes=tuple(
            NodeLoad(
                id=node.id,
                name=node.name,
                total=node.total,
                held={name: amount for name, amount in node.held.items() if amount > 0},
                others={name: amount for name, amount in node.others.items() if amount > 0},
                draining=node.draining,
                kept_for=str(board.kept[node.id].id) if node.id in board.kept else None,
            )
            for node in board.nodes
        ),
        semaphores=tuple(
            SemaphoreLoad(name=name, taken=taken, capacity=capacity)
            for name, (taken, capacity) in board.permits.items()
        ),
        steps=board.book.steps_gone + sum(holder.steps for holder in holders.values()),
        asked=board.asked,
        granted=board.granted,
        refused=board.refused,
    )


def _queued(board: Board, id: str, wanted: Wanted, *, place: int, now_ms: int) -> QueuedWant:
    want = wanted.want
    return QueuedWant(
        place=place,
        kind=want.kind,
        namespace=want.namespace,
        execution=want.execution,
        workflow=want.workflow,
        step=want.step,
        priority=want.priority,
        waited_ms=max(0, now_ms - wanted.arrived_ms),
        needs=want.needs,
        semaphores=want.semaphores,
        reason=board.reason(id) or "",
        host=board.book.holders[wanted.holder].name,
    )


def _held(lease: SlotLease, *, host: str, revoked: bool) -> HeldLease:
    return HeldLease(
        kind=lease.kind,
        node=lease.node,
        namespace=lease.namespace,
        execution=lease.execution,
        workflow=lease.workflow,
        step=lease.step,
        priority=lease.priority,
        needs=lease.needs,
        semaphores=lease.semaphores,
        host=host,
        revoked=revoked,
    )
