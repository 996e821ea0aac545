"""What one host wants and holds, and what it has heard: the part that every `Placement` shares.

Knows neither who decides nor how to reach it. A demand names at most `WANTS_MAX` wants; the others
wait here, in the same order that the scheduler keeps, and move up as those before them are served.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from heliostat.engine.scheduling.board import WANTS_MAX
from heliostat.engine.scheduling.order import FairQueue
from heliostat.engine.scheduling.protocol import (
    Demand,
    Grants,
    Refused,
    SlotLease,
    Waiting,
    Want,
)

from .placement import Asker


class _Asked:
    __slots__ = ("asker", "since_ms", "want")

    def __init__(self, want: Want, asker: Asker, since_ms: int) -> None:
        self.want, self.asker, self.since_ms = want, asker, since_ms


class _Holding:
    __slots__ = ("asker", "lease", "revoked")

    def __init__(self, lease: SlotLease, asker: Asker) -> None:
        self.lease, self.asker, self.revoked = lease, asker, False


class PlacementBook:
    """Wants and leases of one host, by id. Not bound to a thread but to its event loop."""

    def __init__(
        self,
        *,
        holder: str,
        name: str,
        node: str,
        now_ms: Callable[[], int],
        wants_max: int = WANTS_MAX,
    ) -> None:
        self._holder, self._name, self._node = holder, name, node
        self._now_ms, self._wants_max = now_ms, wants_max
        self._asked: dict[str, _Asked] = {}
        self._named: dict[str, None] = {}  # in the order of naming
        self._urgency: Counter[int] = Counter()  # of what is named
        self._unnamed: FairQueue[str] = FairQueue()
        self._holding: dict[str, _Holding] = {}
        self._shards: dict[str, int] = {}
        self._waiting: dict[str, Waiting] = {}
        self._turn = self._steps = 0
        self._life, self._seen = "", 0
        self.draining: frozenset[str] = frozenset()
        self._granted: list[str] = []  # to be told
        self._refused: dict[str, tuple[Refused, Asker]] = {}
        self._revoked: list[str] = []
        self._telling = False

    # what the host says; each answers whether anything changed

    def want(self, wants: Sequence[Want], asker: Asker) -> bool:
        """Note what is wanted."""
        changed = False
        for want in wants:
            if want.id in self._asked or want.id in self._holding or want.id in self._refused:
                continue
            since_ms = self._now_ms() - want.waited_ms
            self._asked[want.id] = _Asked(want, asker, since_ms)
            if len(self._named) < self._wants_max and not self._unnamed:
                self._name_it(want)
            else:
                self._leave_unnamed(want, since_ms)
            changed = True
        return changed

    def hold(self, leases: Sequence[SlotLease], asker: Asker) -> bool:
        """Note what is held without having been granted here."""
        changed = False
        for lease in leases:
            if lease.id in self._holding:
                continue
            self._forget(lease.id)
            self._holding[lease.id] = _Holding(lease, asker)
            changed = True
        return changed

    def serve(self, shard: str, epoch: int) -> bool:
        """Note whose shard it is from now on."""
        changed = self._shards.get(shard) != epoch
        self._shards[shard] = epoch
        return changed

    def release(self, ids: Sequence[str]) -> bool:
        """Note what is held or wanted no more."""
        changed = False
        for id in ids:
            gone = self._holding.pop(id, None) is not None
            gone = self._forget(id) or gone
            self._refused.pop(id, None)
            changed = changed or gone
        return changed

    def dispatched(self, count: int) -> None:
        """Count attempts."""
        self._steps += count

    @property
    def waits(self) -> bool:
        """Whether anything is wanted."""
        return bool(self._asked)

    def reasons(self) -> Mapping[str, Waiting]:
        """Why wants wait, as last heard."""
        return {id: waiting for id, waiting in self._waiting.items() if id in self._asked}

    # demands and answers

    def demand(self, wait_ms: int = 0) -> Demand:
        """All that is wanted and held now."""
        self._turn += 1
        self._name_more()
        now_ms = self._now_ms()
        return Demand(
            holder=self._holder,
            name=self._name,
            node=self._node,
            turn=self._turn,
            life=self._life,
            seen=self._seen,
            wants=tuple(self._aged(self._asked[id], now_ms) for id in self._named),
            wants_more=len(self._unnamed),
            holds=tuple(holding.lease for holding in self._holding.values()),
            shards=dict(self._shards),
            wait_ms=wait_ms,
            steps=self._steps,
        )

    def take(self, grants: Grants) -> bool:
        """Take in an answer and tell the askers; True when another demand should follow soon."""
        self._life, self._seen = grants.life, grants.answer
        again = False
        for lease in grants.granted:
            again = True  # that it was taken in is news for the scheduler
            asked = self._asked.get(lease.id)
            if asked is None:
                continue  # held already; or withdrawn meanwhile: free, as nobody names it
            self._forget(lease.id)
            self._holding[lease.id] = _Holding(lease, asked.asker)
            self._granted.append(lease.id)
        for refused in grants.refused:
            again = True
            asked = self._asked.get(refused.id)
            if asked is not None:
                self._forget(refused.id)
                self._refused[refused.id] = (refused, asked.asker)
        for id in grants.revoked:
            holding = self._holding.get(id)
            if holding is not None and not holding.revoked:
                holding.revoked = True
                self._revoked.append(id)
        if grants.waiting:
            self._waiting = {waiting.id: waiting for waiting in grants.waiting}
        self.draining = frozenset(grants.draining)
        if (self._granted or self._refused or self._revoked) and not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)
        return again

    def _tell(self) -> None:
        self._telling = False
        granted: dict[Asker, list[SlotLease]] = {}
        refused: dict[Asker, list[Refused]] = {}
        revoked: dict[Asker, list[str]] = {}
        for id in self._granted:
            if (holding := self._holding.get(id)) is not None:
                granted.setdefault(holding.asker, []).append(holding.lease)
        for each, asker in self._refused.values():
            refused.setdefault(asker, []).append(each)
        for id in self._revoked:
            if (holding := self._holding.get(id)) is not None:
                revoked.setdefault(holding.asker, []).append(id)
        self._granted, self._refused, self._revoked = [], {}, []
        for asker, leases in granted.items():
            asker.granted(leases)
        for asker, sentences in refused.items():
            asker.refused(sentences)
        for asker, ids in revoked.items():
            asker.revoked(ids)

    # which wants are named

    def _forget(self, id: str) -> bool:
        asked = self._asked.pop(id, None)
        if asked is None:
            return False
        if id in self._named:
            del self._named[id]
            self._urgency[asked.want.priority] -= 1
        else:
            self._unnamed.remove(id)
        self._waiting.pop(id, None)
        return True

    def _name_it(self, want: Want) -> None:
        self._named[want.id] = None
        self._urgency[want.priority] += 1

    def _leave_unnamed(self, want: Want, since_ms: int) -> None:
        self._unnamed.push(
            want.id,
            want.id,
            priority=want.priority,
            namespace=want.namespace,
            workflow=want.workflow,
            arrived_ms=since_ms,
            path_ms=want.path_ms,
        )

    def _name_more(self) -> None:
        """Those who are next move up, and those who are more urgent than somebody named."""
        while (first := self._unnamed.first()) is not None:
            if len(self._named) >= self._wants_max:
                lowest = min(priority for priority, count in self._urgency.items() if count)
                if first.priority <= lowest:
                    return
                id = next(i for i in reversed(self._named) if self._priority(i) == lowest)
                del self._named[id]
                self._urgency[lowest] -= 1
                asked = self._asked[id]
                self._leave_unnamed(asked.want, asked.since_ms)
            self._unnamed.grant(first)
            self._name_it(self._asked[first.item].want)

    def _priority(self, id: str) -> int:
        return self._asked[id].want.priority

    @staticmethod
    def _aged(asked: _Asked, now_ms: int) -> Want:
        want = asked.want
        return Want(
            id=want.id,
            kind=want.kind,
            namespace=want.namespace,
            workflow=want.workflow,
            execution=want.execution,
            step=want.step,
            shard=want.shard,
            priority=want.priority,
            path_ms=want.path_ms,
            waited_ms=max(0, now_ms - asked.since_ms),
            needs=want.needs,
            semaphores=want.semaphores,
            env=want.env,
            node=want.node,
            near=want.near,
        )
