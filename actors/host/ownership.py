"""Which shards this host owns: its row among the live hosts, claims, and what it lost.

An owner is an incarnation, one process life. Hosts agree on nothing: each looks at the live owner
rows, computes by rendezvous hashing which shards fall to it, and claims these by raising their
epoch. Two that see different rows may take a shard from each other; every append is checked
against the epoch, so that costs a take-over and never a history. A shard that falls to another
host is kept until that one claims it: nothing is served by nobody.

Not known here: what a claim entails for executions (`takeover.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from heliostat.actors.dedicated.registry import Registry, SeenShard
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock
from heliostat.actors.host.processes import is_running
from heliostat.actors.host.questions import Directory
from heliostat.actors.names import is_dedicated, is_spare
from heliostat.engine.identity import ExecutionKey, dedicated_key, shard_of
from heliostat.engine.journal.protocol import Journal, OwnerRow, ShardRow


class OwnedShard:
    """A shard that this host claimed. The object is the claim: a later claim makes another."""

    __slots__ = ("epoch", "name", "next_position", "prepared", "sent_at_ms", "serving")

    def __init__(self, name: str, epoch: int, next_position: int) -> None:
        self.name, self.epoch, self.next_position = name, epoch, next_position
        self.prepared = False  # what was running is loaded, runners were asked
        self.serving = False  # its executions are in memory; requests are taken
        self.sent_at_ms = 0  # of its latest message; later ones are later, whatever the clock says


class Looked(Struct, frozen=True):
    """What a look at the journal changed."""

    claimed: tuple[OwnedShard, ...]
    lost: tuple[OwnedShard, ...]


class Silence:
    """For how long each owner's beat has not moved, by our own steady clock.

    Other machines' clocks are not compared with ours: only whether the figure moves counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, int]] = {}  # incarnation -> (its beat, when it moved)

    def of(self, owners: Iterable[OwnerRow]) -> dict[str, int]:
        """By incarnation, the milliseconds since its beat was last seen to move."""
        now = self._clock.steady_ms()
        seen = {}
        for owner in owners:
            before = self._seen.get(owner.incarnation)
            moved = before is None or before[0] != owner.beat_at_ms
            seen[owner.incarnation] = (owner.beat_at_ms, now) if moved or not before else before
        self._seen = seen
        return {incarnation: now - moved for incarnation, (_, moved) in seen.items()}


def rendezvous(shard: str, names: Iterable[str]) -> str | None:
    """The name that a shard falls to; adding or removing one moves only that one's shards.

    By name and not by incarnation, so that a restarted host comes back to its shards.
    """
    return max(names, key=lambda name: (_weight(shard, name), name), default=None)


def _weight(shard: str, name: str) -> bytes:
    return blake2b(f"{shard}\0{name}".encode(), digest_size=8).digest()


class Ownership:
    """This host's row and its shards. One task looks, the turn loop beats; nothing else writes."""

    def __init__(
        self,
        *,
        journal: Journal,
        name: str,
        incarnation: str,
        pid: int,
        node: str,
        clock: Clock,
        bounds: HostBounds,
        process_is_running: Callable[[OwnerRow], bool] = is_running,
    ) -> None:
        self.incarnation, self.name = incarnation, name
        self.draining = False
        self.shards: dict[str, OwnedShard] = {}
        self._journal, self._clock, self._bounds = journal, clock, bounds
        self._process_is_running = process_is_running
        self._name, self._pid, self._node = name, pid, node
        self._started_at_ms = clock.now_ms()
        self._silence = Silence(clock)
        self._candidates: tuple[str, ...] = ()  # the names of hosts that live and are not drained
        self._elsewhere: dict[str, str] = {}  # shard -> the name of the host it is, or falls to
        self._beat_at: int | None = None
        self._shard_count = journal.info.shard_count
        self.dedicated = Registry()
        self.spares: tuple[OwnerRow, ...] = ()
        """Living actors that began without an execution; some carry one by now."""

    # who owns what, as far as this host knows

    def shard_name(self, key: ExecutionKey) -> str:
        """The shard of an execution; one that nobody has started has a shared one."""
        return (self.dedicated and self.dedicated.shard(key)) or shard_of(key, self._shard_count)

    def start_shard(self, key: ExecutionKey) -> str:
        """The shard whose owner starts an execution with this id, and guards it if it becomes
        dedicated."""
        return shard_of(key, self._shard_count)

    def find(self, shard: str) -> OwnedShard | None:
        """The claim on a shard, serving yet or not."""
        return self.shards.get(shard)

    def owner_elsewhere(self, shard: str) -> str | None:
        """The name of another live host that owns the shard, where one is known.

        Of a dedicated execution it is the actor that carries it, or the host that guards it.
        """
        key = dedicated_key(shard) if self.dedicated else None
        if key is not None:
            return self.dedicated.carrier(shard) or self._elsewhere.get(self.start_shard(key))
        return self._elsewhere.get(shard)

    def directory(self) -> Directory:
        """Who has which shard, as of the last look."""
        own = dict.fromkeys((shard for shard in self.shards if shard.isdecimal()), self._name)
        return Directory(
            shard_count=self._shard_count, shards=self._elsewhere | own, hosts=self._candidates
        )

    @property
    def alone(self) -> bool:
        """Whether every shard is this host's: then nothing happens in the journal without it."""
        return len(self.shards) >= self._shard_count and not self.dedicated.carried

    def holds(self, shard: OwnedShard) -> bool:
        """Whether this very claim still stands, as far as this host knows."""
        return self.shards.get(shard.name) is shard

    def forget(self, shard: OwnedShard) -> None:
        """The claim was lost, or its state is not trusted any more; the next look claims again."""
        if self.holds(shard):
            del self.shards[shard.name]

    # the row

    def row(self) -> OwnerRow:
        return OwnerRow(
            incarnation=self.incarnation,
            name=self._name,
            pid=self._pid,
            node=self._node,
            started_at_ms=self._started_at_ms,
            beat_at_ms=self._clock.now_ms(),
            draining=self.draining,
        )

    async def beat(self) -> None:
        """Move the row, when it is time; called by the turn loop, so that it moves with turns."""
        now = self._clock.steady_ms()
        if self._beat_at is None or now - self._beat_at < self._bounds.beat_ms:
            return
        self._beat_at = now
        await self._journal.beat(
            self.incarnation, at_ms=self._clock.now_ms(), draining=self.draining
        )

    async def leave(self) -> None:
        """Take the row off the list: the others claim at their next look."""
        self._beat_at = None
        self.shards.clear()
        await self._journal.remove_owner(self.incarnation)

    # looking

    async def look(self) -> Looked:
        """See who lives, claim what falls to this host, and notice what others claimed."""
        owners = await self._living()
        candidates = {
            owner.name for owner in owners if not owner.draining and not is_dedicated(owner.name)
        }
        self._candidates = tuple(sorted(candidates))
        self.spares = tuple(owner for owner in owners if is_spare(owner.name))
        names = {owner.incarnation: owner.name for owner in owners}
        claimed: list[OwnedShard] = []
        lost: list[OwnedShard] = []
        elsewhere: dict[str, str] = {}
        dedicated: dict[str, SeenShard] = {}
        for row in await self._journal.shards():
            if not _is_hosted(row, self._shard_count):
                dedicated[row.shard] = _seen(row, names)
                continue
            owned = self.shards.get(row.shard)
            if owned is not None:
                if row.epoch <= owned.epoch:  # a claim in this very turn may be newer
                    continue
                lost.append(owned)
                self.forget(owned)
            falls_to = rendezvous(row.shard, candidates)
            if falls_to == self._name:
                shard = await self._claim(row)
                if shard is not None:
                    claimed.append(shard)
                    continue
            holder = names.get(row.owner or "", falls_to)
            if holder is not None and holder != self._name:
                elsewhere[row.shard] = holder
        self._elsewhere = elsewhere
        self.dedicated.look(dedicated)
        return Looked(tuple(claimed), tuple(lost))

    async def _living(self) -> Sequence[OwnerRow]:
        owners = list(await self._journal.owners())
        silence = self._silence.of(owners)
        living = []
        for owner in owners:
            if owner.incarnation != self.incarnation and self._is_gone(owner, silence):
                await self._journal.remove_owner(owner.incarnation)
            else:
                living.append(owner)
        if all(owner.incarnation != self.incarnation for owner in living):
            # At the beginning, and when somebody took this host for dead.
            await self._journal.register_owner(self.row())
            self._beat_at = self._clock.steady_ms()
            living.append(self.row())
        return living

    def _is_gone(self, owner: OwnerRow, silence: dict[str, int]) -> bool:
        if owner.name == self._name:
            return True  # names are unique: an earlier life of this host
        if owner.node == self._node and not self._process_is_running(owner):
            return True
        return silence[owner.incarnation] >= self._bounds.silent_ms

    async def _claim(self, row: ShardRow) -> OwnedShard | None:
        claim = await self._journal.claim(row.shard, owner=self.incarnation, after_epoch=row.epoch)
        if claim is None:
            return None  # somebody else was quicker; the next look tells who
        shard = OwnedShard(claim.shard, claim.epoch, claim.next_position)
        self.shards[shard.name] = shard
        return shard

    async def renew(self, shard: OwnedShard) -> bool:
        """Raise the epoch of a shard of ours, so that no append in flight can still land.

        The claim goes on with its new epoch and position; False when another host owns it.
        """
        for row in await self._journal.shards():
            if row.shard == shard.name and row.owner == self.incarnation:
                claim = await self._journal.claim(
                    row.shard, owner=self.incarnation, after_epoch=row.epoch
                )
                if claim is not None:
                    shard.epoch, shard.next_position = claim.epoch, claim.next_position
                    return True
        return False


def _seen(row: ShardRow, names: Mapping[str, str]) -> SeenShard:
    name = names.get(row.owner or "")
    return SeenShard(row.epoch, row.owner, name if name and is_dedicated(name) else None)


def _is_hosted(row: ShardRow, shard_count: int) -> bool:
    """Whether hosts share the shard; a dedicated execution is a shard of its own."""
    return row.shard.isdecimal() and int(row.shard) < shard_count
