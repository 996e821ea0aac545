"""The scheduler's decisions: demands in, grants out. Pure, and without memory that matters.

`take` hears a demand, `look` sees the nodes, `advance` lets time pass, `decide` grants what fits in
the order of `order.py`, `answer` says to a holder what it should know. Everything here can be
rebuilt from the next demands and the next look; until the owners of all shards have spoken no
semaphore is given out, since nothing else knows who holds it.

Attempts come first, and runners get what these leave (`room.py`).

What the champion of the order lacks is kept for it, as for the first that waits once `KEEP_AFTER`
others passed it: a node takes nobody who comes later in the order, until it has room.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from .book import Book, Held, Holder
from .nodes import Node, Nodes, NodeView, in_words
from .order import Entry, FairQueue
from .permits import Permits
from .places import Places
from .protocol import Demand, Grants, Refused, SlotLease, Waiting, Want
from .reasons import Reasons, short_of_nodes, short_of_runner_room
from .room import AskBack, next_runner, node_to_keep
from .wants import Wanted, lane_of

WANTS_MAX: Final = 500
"""Of one holder's demand: what it names beyond is not looked at."""

KEEP_AFTER: Final = 10
"""Grants to others after which room is kept for the first that waits: a few small ones may go
before a large one where that costs it little."""

KEPT_MAX: Final = 2
"""Nodes that are kept at a time, one of them for the champion: what is kept stands idle."""

FIRST_MS: Final = 1_000
"""What a grant costs at least: a second of its share."""


class Rules(Struct, frozen=True, kw_only=True):
    """What a deployment says of its scheduling."""

    semaphores: Mapping[str, int] = {}
    autoscaling: bool = False
    """Whether nodes may join that offer more than those of today: then nothing is refused for
    want of one."""
    shards: frozenset[str] = frozenset()
    """Whose owners must have spoken before a semaphore is given out."""
    patience_ms: int = 30_000
    """That is waited for so long; a host that stays away held nothing that still counts."""


class Board:
    """All that waits and all that is held, in one deployment."""

    def __init__(self, rules: Rules, *, life: str, now_ms: int) -> None:
        self._rules, self.life = rules, life
        self._now_ms = now_ms
        self.nodes = Nodes()
        self.book = Book()
        self.queue: FairQueue[Wanted] = FairQueue()
        self._runners: dict[str, Wanted] = {}
        self._permits = Permits(
            rules.semaphores, shards=rules.shards, patience_ms=rules.patience_ms, now_ms=now_ms
        )
        self._reasons = Reasons()
        self._kept: dict[str, Entry[Wanted]] = {}  # nodes, for whom
        self._places = Places(self.queue)
        self._changed = True
        self.asked = self.granted = self.refused = self.revoked = 0

    # what comes in

    def take(self, demand: Demand, now_ms: int) -> bool:
        """Take in a demand; False when it comes late and says nothing new."""
        is_new = demand.holder not in self.book.holders
        holder = self.book.hear(demand, life=self.life)
        if holder is None:
            return False
        may_speak = self.book.may_speak
        claimed = self.book.claim(holder, demand.shards)
        if claimed:
            self._permits.heard(claimed)
            self._changed = True  # who waits for a semaphore may have waited for this
        for lease in demand.holds:
            if may_speak(holder, lease):
                self._adopt(lease, holder, now_ms)
        free = self.book.unnamed(holder, [lease.id for lease in demand.holds])
        inherits = bool(claimed) or is_new
        if inherits:
            free += self.book.inherit(holder, claimed)
        for held in free:
            self._free(held)
        wants = [want for want in demand.wants[:WANTS_MAX] if may_speak(holder, want)]
        for id in holder.wants.difference(want.id for want in wants):
            self._withdraw(id)
        for want in wants:
            self._want(want, holder, now_ms)
        if inherits:  # after its own, which take over the places of these
            self._withdraw_of_others(holder, claimed)
        return True

    def look(self, views: Sequence[NodeView], now_ms: int) -> None:
        """Take in what Ray shows of the cluster."""
        for node in self.nodes.look(views, now_ms):
            for held in self.book.leases.values():
                if held.lease.node == node.id:
                    node.book(held.lease)
        self._changed = True

    def drain(self, node: str) -> None:
        """A node takes no new work; the runners on it are asked back."""
        self.nodes.drain(node)
        self._changed = True

    def advance(self, now_ms: int) -> None:
        """Let time pass: silent holders lose their leases, what lasts is charged."""
        elapsed_ms = now_ms - self._now_ms
        if self._runners or not self._permits.known(self._now_ms):
            self._changed = True  # what they wait for comes with time
        self._now_ms = now_ms
        for holder in self.book.age(elapsed_ms):
            for id in list(holder.wants):
                self._withdraw(id)
            for held in self.book.forget(holder):
                self._free(held)
        for held in self.book.of_kind("attempt"):
            lasted_ms = now_ms - held.charged_at_ms
            if lasted_ms > 0:
                lease = held.lease
                held.charged_at_ms = now_ms
                self.queue.charge(
                    lease.priority, lease.namespace, lease.workflow, held.share * lasted_ms / 1_000
                )

    # what goes out

    def decide(self, now_ms: int) -> None:
        """Grant what fits; cheap when nothing has changed."""
        if not self._changed:
            return
        self._changed = False
        hopeless = self._hopeless()
        blocked = self._grant_attempts(hopeless, now_ms)
        ask_back = AskBack(self.nodes, self.book, self.queue, self._kept)
        ask_back.for_attempts(blocked, now_ms)
        self.revoked += ask_back.revoked
        while found := next_runner(self._runners, self.nodes, self.book, self._kept, now_ms):
            wanted = self._runners.pop(found[0])
            self._grant(wanted.want, wanted.holder, found[1], now_ms)

    def has_news(self, holder_id: str) -> bool:
        """Whether an answer would say something that no answer has said."""
        holder = self.book.holders.get(holder_id)
        return holder is not None and (holder.untold or holder.told != self._besides(holder))

    def answer(self, holder_id: str, now_ms: int, *, reasons: bool = True) -> Grants:
        """What the holder should know now.

        Args:
            reasons: say of every want that waits, why; costly where many do.
        """
        holder = self.book.holders.get(holder_id)
        if holder is None:  # silent for too long, and forgotten meanwhile
            return Grants(life=self.life, answer=0)
        holder.answers += 1
        holder.granted = {id: n or holder.answers for id, n in holder.granted.items()}
        holder.refused = {
            id: (refused, n or holder.answers) for id, (refused, n) in holder.refused.items()
        }
        holder.told = besides = self._besides(holder)
        return Grants(
            life=self.life,
            answer=holder.answers,
            granted=tuple(self.book.leases[id].lease for id in holder.granted),
            refused=tuple(refused for refused, _ in holder.refused.values()),
            waiting=self._waiting(holder, now_ms) if reasons else (),
            revoked=besides[0],
            draining=besides[1],
        )

    def _besides(self, holder: Holder) -> tuple[tuple[str, ...], tuple[str, ...]]:
        revoked = tuple(sorted(id for id in holder.leases if self.book.leases[id].revoked))
        return revoked, self.nodes.draining

    def _waiting(self, holder: Holder, now_ms: int) -> tuple[Waiting, ...]:
        places = self.places(now_ms)
        waiting = []
        for id in holder.wants:
            entry = self.queue.get(id)
            reason = self.reason(id)
            if reason is not None:
                place = 0 if entry is None else places.get(id, 0)
                waiting.append(Waiting(id=id, reason=reason, place=place))
        return tuple(waiting)

    def places(self, now_ms: int) -> Mapping[str, int]:
        """Places in the queue of attempts by id, from 1, as of a moment ago."""
        return self._places.at(now_ms)

    def reason(self, id: str) -> str | None:
        """Why an attempt or a runner waits, in words; None when it does not."""
        runner = self._runners.get(id)
        if runner is not None:
            return short_of_runner_room(runner.want, nodes=self.nodes)
        entry = self.queue.get(id)
        if entry is None:
            return None
        return self._reasons.get(entry.lane) or short_of_nodes(
            entry.item.want, nodes=self.nodes, book=self.book, kept=self._kept
        )

    @property
    def runner_wants(self) -> Mapping[str, Wanted]:
        """Runners that wait, by id."""
        return self._runners

    @property
    def kept(self) -> Mapping[str, Entry[Wanted]]:
        """Nodes that are kept, and for whom."""
        return self._kept

    @property
    def permits(self) -> Mapping[str, tuple[int, int]]:
        """Of each semaphore what is taken, and the capacity."""
        return self._permits.table()

    # bookkeeping

    def _want(self, want: Want, holder: Holder, now_ms: int) -> None:
        if want.id in self.book.leases or want.id in holder.refused:
            return  # the answer that says so is on its way
        entry = self.queue.get(want.id)
        known = self._runners.get(want.id) if entry is None else entry.item
        holder.wants.add(want.id)
        if known is not None:
            if known.holder != holder.id:  # of a host that lost it, and does not know yet
                self.book.holders[known.holder].wants.discard(want.id)
                known.holder = holder.id
            return
        self._changed = True
        arrived_ms = now_ms - want.waited_ms
        wanted = Wanted(want, holder.id, arrived_ms)
        if want.kind == "runner":
            self._runners[want.id] = wanted
            return
        self.asked += 1
        self.queue.push(
            want.id,
            wanted,
            priority=want.priority,
            namespace=want.namespace,
            workflow=want.workflow,
            lane=lane_of(want),
            arrived_ms=arrived_ms,
            path_ms=want.path_ms,
            cost=self._share(want) * FIRST_MS / 1_000,
        )

    def _withdraw(self, id: str) -> None:
        wanted = self._runners.pop(id, None) or self.queue.remove(id)
        if wanted is not None:
            self.book.holders[wanted.holder].wants.discard(id)
            self._changed = True  # room may have been kept for it

    def _withdraw_of_others(self, heir: Holder, shards: Collection[str]) -> None:
        """What others wanted of these shards, nobody wants any more; nor the runners of the heir's
        own earlier lives."""
        for other in self.book.others(heir):
            for id in list(other.wants):
                entry = self.queue.get(id)
                wanted = self._runners.get(id) if entry is None else entry.item
                if wanted is not None and self.book.is_heir(heir, other, shards, wanted.want):
                    self._withdraw(id)

    def _adopt(self, lease: SlotLease, holder: Holder, now_ms: int) -> None:
        held = self.book.leases.get(lease.id)
        if held is not None and holder.id in held.holders:
            return
        if held is None:
            held = Held(lease, share=self._share(lease), charged_at_ms=now_ms)
            self._book(held)
        self._withdraw(lease.id)
        self.book.add(held, holder)

    def _grant(self, want: Want, holder_id: str, node: str | None, now_ms: int) -> None:
        lease = SlotLease(
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
            env=want.env,
        )
        holder = self.book.holders[holder_id]
        held = Held(lease, share=self._share(lease), charged_at_ms=now_ms + FIRST_MS)
        self._book(held)
        self.book.add(held, holder)
        holder.wants.discard(lease.id)
        holder.granted[lease.id] = 0

    def _book(self, held: Held) -> None:
        node = self.nodes.get(held.lease.node)
        if node is not None:
            node.book(held.lease)
        self._permits.book(held.lease)

    def _free(self, held: Held) -> None:
        self._changed = True
        node = self.nodes.get(held.lease.node)
        if node is not None:
            node.book(held.lease, -1)
        self._permits.book(held.lease, -1)

    def _share(self, of: Want | SlotLease) -> float:
        """The largest part of anything that it takes away from others."""
        share = self.nodes.share(of.needs)
        for name, amount in of.semaphores.items():
            share = max(share, amount / max(self._permits.capacity(name), 1))
        return share

    # the decision

    def _hopeless(self) -> set[Hashable]:
        """Lanes that no node of today's can serve; what will never be served is refused."""
        hopeless: set[Hashable] = set()
        self._reasons.clear()
        for lane, entry in self.queue.heads().items():
            want = entry.item.want
            never = self._permits.never(want)
            later: str | None = None
            if never is None and want.needs:
                if not self.nodes.looked:
                    later = "the cluster's nodes have not been looked at yet"
                elif not self.nodes.ever(want.needs, pinned=want.node):
                    later = self._later(want)
                    never = None if later else self.nodes.misfit(want.needs)
            if never is not None:
                self._refuse(lane, never)
            elif later is not None:
                self._reasons.set(lane, later)
                hopeless.add(lane)
        return hopeless

    def _later(self, want: Want) -> str | None:
        """Why it is worth waiting for a node."""
        if self._rules.autoscaling:
            return f"no node has {in_words(want.needs)} yet; the autoscaler was asked for one"
        return self.nodes.may_come_back(want.needs, pinned=want.node)

    def _refuse(self, lane: Hashable, message: str) -> None:
        for entry in [each for each in self.queue if each.lane == lane]:
            id = entry.item.want.id
            holder = self.book.holders[entry.item.holder]
            self._withdraw(id)
            self.refused += 1
            holder.refused[id] = (Refused(id=id, message=message), 0)

    def _grant_attempts(self, hopeless: set[Hashable], now_ms: int) -> list[Entry[Wanted]]:
        """Grant in order; returns the first that found no room on a node, of each lane."""
        kept_before, self._kept = self._kept, {}
        self._permits.keep_none()
        skip = set(hopeless)
        blocked: list[Entry[Wanted]] = []
        while (entry := self.queue.first(skip, hopeless=hopeless)) is not None:
            want = entry.item.want
            short = self._permits.short(want, self._now_ms, book=self.book)
            node: Node | None = None
            if want.needs and short is None:
                node = self.nodes.best(
                    want.needs, pinned=want.node, near=want.near, kept=self._kept
                )
            if short is None and (node is not None or not want.needs):
                self.queue.grant(entry)
                self.granted += 1
                self._grant(want, entry.item.holder, node.id if node else None, now_ms)
                continue
            skip.add(entry.lane)
            if short is None:
                blocked.append(entry)
            else:
                self._reasons.set(entry.lane, short)
            if self.queue.is_champion(entry) or (
                self.queue.passed(entry) >= KEEP_AFTER and len(self._kept) < KEPT_MAX
            ):
                self._keep(entry, on_node=short is None, before=kept_before)
        return blocked

    def _keep(
        self, entry: Entry[Wanted], *, on_node: bool, before: Mapping[str, Entry[Wanted]]
    ) -> None:
        """What it lacks goes to nobody who comes later in the order."""
        want = entry.item.want
        self._permits.keep(want)
        if not on_node:
            return
        chosen = node_to_keep(entry, self.nodes, self._kept, before)
        if chosen is not None:
            self._kept[chosen.id] = entry

    # for Ray's autoscaler

    def wanted_shapes(self, limit: int) -> list[dict[str, float]]:
        """What the cluster should have room for, all at once: what attempts hold, and as much of
        what waits as `limit` allows; empty while nothing waits."""
        waiting = [dict(e.item.want.needs) for e in self.queue if e.item.want.needs]
        if not waiting:
            return []
        held = [dict(h.lease.needs) for h in self.book.of_kind("attempt") if h.lease.needs]
        return (held + waiting)[:limit]
