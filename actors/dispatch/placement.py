"""The `Placement` port: how a host asks for capacity, and hears when it has some.

Two kinds of things need a slot lease: a warm runner (its share of a node's CPUs), and an attempt
that declares resources or takes a semaphore of the deployment. Tiny steps ask nobody.

Behind the port is the deployment's scheduler (`placement_scheduler.py`), or the same rules in this
process (`placement_local.py`), where there is no Ray or no other host. What the words mean is in
`engine/scheduling/protocol.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.plan.plan import Resources
from heliostat.engine.scheduling.protocol import Refused, SlotLease, Waiting, Want

DEFAULT_CPUS = 1.0
"""What a step takes that names resources, but no CPUs: as a Ray task does."""


class Asker(Protocol):
    """Who wants capacity: the pool its runners, the dispatcher its attempts.

    Called on the event loop, never inside a call of `Placement`. After `release(id)` nothing more
    is told of that id.
    """

    def granted(self, leases: Sequence[SlotLease]) -> None:
        """Use them, and `release` each when its use has ended. Told once for each want."""
        ...

    def refused(self, refused: Sequence[Refused]) -> None:
        """These wants can never be granted; they are forgotten here."""
        ...

    def revoked(self, ids: Sequence[str]) -> None:
        """Give these leases back when what uses them ends: others wait. Told once for each."""
        ...


class Placement(Protocol):
    """Capacity wanted and held by one host. Every method is called on the event loop; none blocks.

    - A want is granted once or refused once, or waits; one whose id is wanted or held already
      changes nothing.
    - What is held stays held until `release`, whatever becomes of the scheduler: one that begins
      anew is told of it. Only a host that is silent for long loses its leases, in the scheduler's
      book.
    - While the scheduler does not answer, wants wait; `silent_ms` tells for how long.
    """

    def begin(self) -> None:
        """Tell the scheduler of this host; after `hold` of what was found running, not before."""
        ...

    def want(self, wants: Sequence[Want], asker: Asker) -> None:
        """Ask for capacity; the answer goes to `asker`."""
        ...

    def hold(self, leases: Sequence[SlotLease], asker: Asker) -> None:
        """What runs already, found by a recovery: held from now on, in place of a want with the
        same id, even where there is no room for it."""
        ...

    def serve(self, shard: str, epoch: int) -> None:
        """The executions of this shard are this host's, by its claim at this epoch, and `hold` was
        called for all of theirs that runs: what earlier owners held besides is free."""
        ...

    def release(self, ids: Sequence[str]) -> None:
        """Give leases back, and withdraw wants; unknown ids are ignored."""
        ...

    def dispatched(self, count: int) -> None:
        """So many attempts were sent somewhere, with or without a lease: for figures alone."""
        ...

    def reasons(self) -> Mapping[str, Waiting]:
        """Why wants wait, by id, as last heard; one not named has not been looked at yet."""
        ...

    @property
    def draining(self) -> frozenset[str]:
        """Ray's ids of the nodes that take no new work."""
        ...

    @property
    def silent_ms(self) -> int:
        """For how long the scheduler has not answered; 0 while it does."""
        ...

    async def close(self) -> None:
        """Ask no more; what is held stays in the scheduler's book until it runs out or is adopted
        by the host that goes on."""
        ...


def lease_id(key: ExecutionKey, at: Address) -> str:
    """The id of an attempt's want and lease: the same for every host that will ever own it, so
    that a take-over adopts the lease and does not hold it a second time."""
    return f"{key} {at.scope}.{at.step}.{at.visit}.{at.attempt}"


def needs_of(resources: Resources) -> dict[str, float]:
    """What an attempt takes of a node, in Ray's names; empty where it declares nothing."""
    if not resources.any:
        return {}
    needs: dict[str, float] = dict(resources.custom)
    needs["CPU"] = resources.num_cpus if resources.num_cpus is not None else DEFAULT_CPUS
    if resources.num_gpus:
        needs["GPU"] = resources.num_gpus
    if resources.memory:
        needs["memory"] = resources.memory
    return {name: amount for name, amount in needs.items() if amount}
