"""The task that keeps this host's shards: looks, claims, and prepares what it claimed.

It works beside the turns and touches no execution in memory: what it finds is left to the turn
loop, which drops lost shards and takes prepared ones into service between two turns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.takeover import Recovered, recover
from heliostat.engine.errors import JournalError
from heliostat.engine.journal.protocol import Journal

_log = logging.getLogger(__name__)


class ShardKeeper:
    """Runs `Ownership.look` and what a claim entails, again and again."""

    def __init__(
        self,
        *,
        journal: Journal,
        dispatch: Dispatch,
        plans: PlanStore,
        ownership: Ownership,
        figures: Figures,
        clock: Clock,
        bounds: HostBounds,
        lost: Callable[[Sequence[OwnedShard]], None],
        recovered: Callable[[Sequence[Recovered]], None],
        looked: Callable[[], None],
    ) -> None:
        self._journal, self._dispatch, self._plans = journal, dispatch, plans
        self._ownership, self._figures = ownership, figures
        self._clock, self._bounds = clock, bounds
        self._lost, self._recovered, self._looked = lost, recovered, looked
        self._bell = Doorbell(clock)
        self._stopping = False

    def look_soon(self) -> None:
        """Look without waiting for the next time."""
        self._bell.ring()

    def stop(self) -> None:
        """End after the look that runs now."""
        self._stopping = True
        self._bell.ring()

    async def run(self) -> None:
        """Look until stopped; a failing journal is asked again after a pause."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while not self._stopping:
            try:
                looked = await self._ownership.look()
                if looked.lost:
                    self._lost(looked.lost)
                await self._prepare()
            except JournalError as error:
                self._figures.ownership_trouble = f"{type(error).__name__}: {error}"
                await backoff.wait()
                continue
            except Exception as error:  # noqa: BLE001 – nothing is half done, it is tried again
                _log.exception("taking over shards failed; it is tried again")
                self._figures.fault("taking over shards failed", error)
                await backoff.wait()
                continue
            backoff.reset()
            self._figures.ownership_trouble = None
            self._looked()
            await self._bell.wait(self._bounds.look_ms)

    async def _prepare(self) -> None:
        """Take over what is claimed and not prepared yet, also by a look that broke off."""
        shards = [each for each in self._ownership.shards.values() if not each.prepared]
        if not shards:
            return
        recovered = await recover(
            shards,
            journal=self._journal,
            dispatch=self._dispatch,
            plans=self._plans,
            bounds=self._bounds,
            fault=self._figures.fault,
        )
        for shard in shards:
            shard.prepared = True
        self._recovered(recovered)
        _log.info("claimed shards %s", ", ".join(shard.name for shard in shards))
