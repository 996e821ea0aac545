"""What a holder of capacity and the scheduler say to each other: whole states, never deltas.

A holder (an execution host) says all that it wants and all that it holds, again and again; the
scheduler answers with what it grants. So either may die at any instant: a scheduler that begins
anew learns from the next demands what is held, and a holder that falls silent has its slot leases
run out. A lease is permission to use capacity that Ray, too, accounts for; being wrong about it
costs time, never a history.

Amounts are in Ray's own names and units: `CPU`, `GPU`, `memory` (bytes), custom resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

PRIORITY: Final = 5
"""Of 1–10, 10 is most urgent: what an execution has that names none."""

WantKind = Literal["attempt", "runner"]


class Want(Struct, frozen=True, kw_only=True):
    """Capacity asked for: one attempt with resources or semaphores, or one warm runner."""

    id: str  # drawn by the holder, unique in the deployment; the lease has the same
    kind: WantKind
    namespace: str = ""
    workflow: str = ""  # the definition's id: what fair share is among, below the namespace
    execution: str = ""  # `namespace/id`, for people
    step: str = ""  # for people
    shard: str = ""  # the execution's
    priority: int = PRIORITY
    path_ms: int = 0
    """Length of the longest path that still follows, the step itself included."""
    waited_ms: int = 0  # since the holder wanted it; clocks of machines are not compared
    needs: Mapping[str, float] = {}
    semaphores: Mapping[str, int] = {}
    """Of the deployment; names and capacities are in its configuration."""
    env: str = ""  # key of the runtime environment; "" is the deployment's own
    node: str | None = None  # Ray's node id, where no other will do
    near: tuple[str, ...] = ()  # nodes that have its data, or the holder; preferred, best first


class SlotLease(Struct, frozen=True, kw_only=True):
    """Capacity granted: the want's `needs` on a node, and its semaphores."""

    id: str
    kind: WantKind
    node: str | None = None  # Ray's node id; None where the want needs no node (semaphores alone)
    namespace: str = ""
    workflow: str = ""
    execution: str = ""
    step: str = ""
    shard: str = ""
    priority: int = PRIORITY
    needs: Mapping[str, float] = {}
    semaphores: Mapping[str, int] = {}
    env: str = ""


class Demand(Struct, frozen=True, kw_only=True):
    """All that one holder wants and holds now; what it held and does not name is free."""

    holder: str  # an incarnation
    name: str = ""  # the host's, for people
    node: str = ""  # Ray's id of the holder's node
    turn: int  # rises with every demand of the holder; an older one that comes late is ignored
    life: str = ""  # of the scheduler that `seen` counts for
    seen: int = 0  # the latest answer it took in: what was granted after is held, named or not
    wants: tuple[Want, ...] = ()  # the first of them by its own order, a bounded number
    wants_more: int = 0  # not named
    holds: tuple[SlotLease, ...] = ()
    shards: Mapping[str, int] = {}
    """Shards that it serves, by the epoch of its claim: it has found out what runs of them and
    names it. So of the executions of a shard only the word of the latest owner counts; a claim
    that was lost meanwhile may stay here, as another's epoch is higher."""
    wait_ms: int = 0
    """How long the answer may wait for something to tell; a later demand ends the wait."""
    steps: int = 0
    """Attempts that the holder has dispatched since it began, with or without a lease: a figure."""


class Refused(Struct, frozen=True, kw_only=True):
    """A want that can never be satisfied, with the sentence for the user."""

    id: str
    message: str


class Waiting(Struct, frozen=True, kw_only=True):
    """A want that cannot be satisfied now, and why."""

    id: str
    reason: str
    place: int  # in the whole queue, from 1


class Grants(Struct, frozen=True, kw_only=True):
    """The answer to a demand."""

    life: str  # the scheduler's process life
    answer: int  # counts answers to this holder in this life; `Demand.seen` names it
    granted: tuple[SlotLease, ...] = ()
    refused: tuple[Refused, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    revoked: tuple[str, ...] = ()
    """Leases to give back when what uses them ends: others wait, or the node is drained."""
    draining: tuple[str, ...] = ()
    """Ray's ids of nodes that take no new work."""
    pid: int = 0  # of the scheduler
    machine: str = ""  # the name of the machine that it runs on
