"""The slot leases of a crew's runners: one wanted at a time, one held by each that reserves.

A lease has its runner's name for an id, so that a host which finds the runner again holds the same
lease. Which runners there shall be, and who leaves, is `staff.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from heliostat.engine.scheduling.protocol import Refused, SlotLease, Want

from .background import Background
from .common import Common
from .lane import Lane

_log = logging.getLogger(__name__)


class LeaseUser(Protocol):
    """Who starts runners; called on the event loop."""

    @property
    def wants_lease(self) -> bool:
        """Whether a lease would be of use now."""
        ...

    def lease_granted(self, index: int, node: str) -> None:
        """A runner with this number may begin on this node."""
        ...

    def lease_refused(self) -> None:
        """No node has room for a runner, ever."""
        ...

    def leases_revoked(self) -> None:
        """Some runners are to leave: see `asked_back_since`."""
        ...


class RunnerLeases:
    """An `Asker` for the runners of one crew."""

    def __init__(self, common: Common, env: str, user: LeaseUser) -> None:
        self._common, self._env, self._user = common, env, user
        self._loop = asyncio.get_running_loop()
        self._wanted: tuple[str, int, float] | None = None  # its id, index, since when
        self._held: dict[int, str] = {}  # ids by the runner's index
        self._asked_back: dict[str, float] = {}  # names of runners that are to leave, since when
        self._pause_until = 0.0
        self._asking = Background()

    # what is wanted

    @property
    def is_wanted(self) -> bool:
        """Whether one is wanted, and neither granted nor refused yet."""
        return self._wanted is not None

    @property
    def waited_s(self) -> float:
        """For how long one has been wanted; 0 where none is."""
        return 0.0 if self._wanted is None else self._loop.time() - self._wanted[2]

    @property
    def pauses(self) -> bool:
        """Whether one was asked back, or refused, a moment ago: nobody asks only to have one."""
        return self._loop.time() < self._pause_until

    def want(self) -> None:
        """Want one for a new runner."""
        index = self._common.take_index()
        id = self._common.factory.name(index, self._env)
        self._wanted = (id, index, self._loop.time())
        self._asking.begin(self._ask(id))

    async def _ask(self, id: str) -> None:
        placement, factory = self._common.placement, self._common.factory
        assert placement is not None
        share = await factory.share()
        if self._wanted is None or self._wanted[0] != id:
            return
        near = (factory.node,) if factory.node else ()
        needs = {"CPU": share}
        placement.want([Want(id=id, kind="runner", needs=needs, env=self._env, near=near)], self)

    def withdraw(self) -> None:
        """Want none."""
        if self._wanted is not None:
            self._drop(self._wanted[0])

    def _drop(self, id: str) -> None:
        assert self._common.placement is not None
        self._common.placement.release([id])
        if self._wanted is not None and self._wanted[0] == id:
            self._common.indexes_taken.discard(self._wanted[1])
            self._wanted = None

    # what the placement tells

    def granted(self, leases: Sequence[SlotLease]) -> None:
        """See `Asker`."""
        for lease in leases:
            wanted = self._wanted
            if wanted is None or wanted[0] != lease.id or not self._user.wants_lease:
                self._drop(lease.id)
                continue
            self._wanted = None
            self._held[wanted[1]] = lease.id
            self._user.lease_granted(wanted[1], lease.node or "")

    def refused(self, refused: Sequence[Refused]) -> None:
        """See `Asker`: no node has room for a runner, ever; one that reserves nothing must do."""
        for each in refused:
            _log.warning("runner %s gets no lease: %s", each.id, each.message)
            self._drop(each.id)
        self._pause()
        self._user.lease_refused()

    def revoked(self, ids: Sequence[str]) -> None:
        """See `Asker`. One that is being made is told when it has greeted."""
        self._pause()
        self.ask_back(ids)
        self._user.leases_revoked()

    def _pause(self) -> None:
        pause_s = self._common.bounds.reserve_again_ms / 1_000
        self._pause_until = self._loop.time() + pause_s

    # what is held

    def has(self, index: int) -> bool:
        """Whether the runner with this number has one."""
        return index in self._held

    def hold(self, lane: Lane) -> None:
        """A runner that was found keeps its lease, which another process of this host got."""
        welcome, index, placement = lane.welcome, lane.handle.index, self._common.placement
        if placement is None or welcome is None or not welcome.cpus or index in self._held:
            return
        id = self._held[index] = lane.handle.name
        needs = {"CPU": welcome.cpus}
        lease = SlotLease(id=id, kind="runner", node=welcome.node, needs=needs, env=self._env)
        placement.hold([lease], self)

    def ask_back(self, names: Iterable[str]) -> None:
        """These runners are to leave; from now on, where they did not know yet."""
        now = self._loop.time()
        for name in names:
            self._asked_back.setdefault(name, now)

    def asked_back_since(self, name: str) -> float | None:
        """Since when a runner is to leave, by the loop's clock; None where it may stay."""
        return self._asked_back.get(name)

    def give_back(self, index: int) -> None:
        """A runner with this number is no more."""
        self._common.indexes_taken.discard(index)
        self._asked_back.pop(self._common.factory.name(index, self._env), None)
        id = self._held.pop(index, None)
        if id is not None and self._common.placement is not None:
            self._common.placement.release([id])

    async def close(self) -> None:
        """Ask no more; what is held stays held."""
        await self._asking.close()
