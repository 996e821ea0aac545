"""Becoming the owner: load what was running, ask the runners what they hold, then serve.

The order matters. The claim comes first: from then on the earlier owner can commit nothing more,
so what is loaded is complete. Runners are asked last: whatever they report from then on comes to
this host, and what they do not name by then nobody runs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.execution import LiveExecution, revive
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.plans import PlanStore
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import Journal, StoredExecution
from heliostat.engine.kernel.stimuli import TakenOver

_log = logging.getLogger(__name__)


class Recovered:
    """A claimed shard, ready to be served by the next turn."""

    __slots__ = ("known", "lives", "shard")

    def __init__(
        self,
        shard: OwnedShard,
        lives: list[LiveExecution],
        known: dict[ExecutionKey, set[Address]],
    ) -> None:
        self.shard, self.lives, self.known = shard, lives, known

    def stimulus(self, live: LiveExecution, *, owner: str, now_ms: int) -> TakenOver:
        """What the kernel is told of the new owner."""
        return TakenOver(
            now_ms=now_ms,
            epoch=self.shard.epoch,
            owner=owner,
            known=frozenset(self.known.get(live.key, ())),
        )


async def recover(
    shards: Sequence[OwnedShard],
    *,
    journal: Journal,
    dispatch: Dispatch,
    plans: PlanStore,
    bounds: HostBounds,
    fault: Callable[[str, BaseException], None],
) -> list[Recovered]:
    """Prepare freshly claimed shards. Raises `JournalError`; nothing is half done then.

    A history that does not fold is reported to `fault` and left in the journal for people.
    """
    loaded = [
        (shard, await _load_busy(shard, journal=journal, plans=plans, bounds=bounds, fault=fault))
        for shard in shards
    ]
    known: defaultdict[ExecutionKey, set[Address]] = defaultdict(set)
    for key, at in await dispatch.recover():
        known[key].add(at)
    return [Recovered(shard, lives, dict(known)) for shard, lives in loaded]


async def _load_busy(
    shard: OwnedShard,
    *,
    journal: Journal,
    plans: PlanStore,
    bounds: HostBounds,
    fault: Callable[[str, BaseException], None],
) -> list[LiveExecution]:
    lives: list[LiveExecution] = []
    after: ExecutionKey | None = None
    while True:
        page = await journal.load_busy(shard.name, after=after, limit=bounds.busy_page)
        for stored in page:
            try:
                lives.append(await _revive(stored, shard, journal, plans))
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 – one history must not stop the others
                fault(f"execution {stored.row.key} cannot be taken over", error)
        if len(page) < bounds.busy_page:
            return lives
        after = page[-1].row.key


async def _revive(
    stored: StoredExecution, shard: OwnedShard, journal: Journal, plans: PlanStore
) -> LiveExecution:
    row = stored.row
    hosted = await plans.get(row.key.namespace, row.definition, row.version)
    return await revive(journal, stored, shard, hosted)
