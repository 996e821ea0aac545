"""Making a turn durable, whatever the journal says to it.

A turn is held, as it was encoded, until the journal has answered for every shard in it:

- *Unavailable*: nothing was stored. The same appends are offered again after a pause; the states
  that ran ahead stay right, since no one else may write these shards without fencing us.
- *Outcome unknown*: each shard is claimed again first, so that no append still in flight can land
  later; then what is there tells, execution by execution, what was stored.
- *Fenced* shards and *conflicting* executions leave the turn, and only they.
- *Refused as contradictory*: a mistake of ours in one shard. The shards are offered one by one, and
  the one at fault is given up, to be claimed and folded again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.engine.errors import JournalError, JournalUnavailable, OutcomeUnknown
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Append, AppendResult, Journal, ShardBatch

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Outcome(Struct):
    """What of a turn was not stored; all the rest is durable."""

    lost: set[OwnedShard] = set()
    """Fenced by a newer owner, or given up after a contradiction."""
    conflicts: set[ExecutionKey] = set()

    @property
    def whole(self) -> bool:
        return not (self.lost or self.conflicts)


class Stopping(Exception):
    """The host stops while the journal still owes an answer."""


class Committer:
    """Stores turns, one at a time."""

    def __init__(
        self, *, journal: Journal, ownership: Ownership, clock: Clock, bounds: HostBounds
    ) -> None:
        self._journal, self._ownership, self._clock = journal, ownership, clock
        self._bounds = bounds
        self._interrupt = Doorbell(clock)
        self._stopping = False
        self.trouble: str | None = None
        """Why the journal does not take this host's turns, while it does not."""
        self.troubles = 0

    def stop(self) -> None:
        """Do not wait for the journal any more."""
        self._stopping = True
        self._interrupt.ring()

    async def store(self, appends: Mapping[OwnedShard, list[Append]]) -> Outcome:
        """Return when every append is stored or refused; raises `Stopping` when told to stop."""
        outcome = Outcome()
        missing = dict(appends)
        await self._until_answered(lambda: self._store(missing, outcome))
        return outcome

    async def _store(self, missing: dict[OwnedShard, list[Append]], outcome: Outcome) -> None:
        """Store what is missing; what is settled leaves `missing`, also when this raises."""
        try:
            result = await self._journal.append([_batch(*item) for item in missing.items()])
        except JournalUnavailable:
            raise
        except OutcomeUnknown as error:
            _log.warning("the outcome of a commit is unknown, reading what is there: %s", error)
            await self._until_answered(lambda: self._find_out(missing, outcome))
            if missing:
                raise JournalUnavailable(f"not stored after an unknown outcome: {error}") from error
        except JournalError as error:
            await self._store_singly(missing, outcome, error)
        else:
            self._book(missing, result, outcome)

    def _book(
        self, missing: dict[OwnedShard, list[Append]], result: AppendResult, outcome: Outcome
    ) -> None:
        for shard in missing:
            if shard.name in result.fenced:
                outcome.lost.add(shard)
            else:
                shard.next_position = result.next_positions[shard.name]
        outcome.conflicts |= result.conflicts
        missing.clear()

    async def _store_singly(
        self, missing: dict[OwnedShard, list[Append]], outcome: Outcome, error: JournalError
    ) -> None:
        if len(missing) == 1:
            [shard] = missing
            _log.error("shard %s is given up and claimed again: %s", shard.name, error)
            outcome.lost.add(shard)
            missing.clear()
            return
        for shard in list(missing):
            single = {shard: missing[shard]}
            try:
                await self._store(single, outcome)
            finally:
                if not single:
                    del missing[shard]

    async def _find_out(self, missing: dict[OwnedShard, list[Append]], outcome: Outcome) -> None:
        """Take out of `missing` what turns out to be stored, or refused for good."""
        for shard, appends in list(missing.items()):
            if not await self._ownership.renew(shard):
                outcome.lost.add(shard)
                del missing[shard]
                continue
            unstored = []
            for append in appends:
                found = await self._journal.read(
                    append.key, after_seq=append.after_seq, limit=len(append.events) + 1
                )
                if not found:
                    unstored.append(append)
                elif tuple(body for _, body in found) != append.events:
                    outcome.conflicts.add(append.key)
            if unstored:
                missing[shard] = unstored
            else:
                del missing[shard]

    async def _until_answered(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat what the journal cannot answer now; nothing of it has happened."""
        backoff: Backoff | None = None
        while True:
            if self._stopping:
                raise Stopping
            try:
                answer = await attempt()
            except (JournalUnavailable, OutcomeUnknown) as error:
                self.trouble = f"{type(error).__name__}: {error}"
                self.troubles += 1
                if backoff is None:
                    backoff = Backoff(
                        self._clock,
                        first_ms=self._bounds.backoff_ms,
                        max_ms=self._bounds.backoff_max_ms,
                    )
                    _log.warning("the journal does not take this host's turn: %s", error)
                await backoff.wait(self._interrupt)
            else:
                if backoff is not None:
                    _log.warning("the journal answers again after %d failures", backoff.failures)
                    self.trouble = None
                return answer


def _batch(shard: OwnedShard, appends: list[Append]) -> ShardBatch:
    return ShardBatch(
        shard=shard.name,
        epoch=shard.epoch,
        first_position=shard.next_position,
        appends=tuple(appends),
    )
