"""Becoming the owner: load what was running, ask the runners what they hold, then serve.

The order matters. The claim comes first: from then on the earlier owner can commit nothing more,
so what is loaded is complete. Runners are asked last: whatever they report from then on comes to
this host, and what they do not name by then nobody runs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from heliostat.actors.dispatch.protocol import Dispatch
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.execution import LiveExecution, revive
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.plans import PlanStore
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import Journal, Message
from heliostat.engine.kernel.stimuli import TakenOver

_log = logging.getLogger(__name__)

MESSAGES_PAGE: Final = 1_000
"""Messages read at once."""


class Recovered:
    """A claimed shard, ready to be served by the next turn."""

    __slots__ = ("bus_position", "known", "lives", "messages", "more_messages", "shard")

    def __init__(
        self,
        shard: OwnedShard,
        lives: list[LiveExecution],
        known: dict[ExecutionKey, set[Address]],
        messages: list[Message],
        *,
        more_messages: bool,
        bus_position: int,
    ) -> None:
        self.shard, self.lives, self.known = shard, lives, known
        self.messages = messages
        """Sent by executions of the shard, and not taken yet; the earliest."""
        self.more_messages = more_messages
        self.bus_position = bus_position
        """Up to where the shard's executions have been told of events."""

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
    for key, at in await dispatch.recover([shard.name for shard in shards]):
        known[key].add(at)
    recovered = []
    for shard, lives in loaded:
        messages, more = await _load_messages(shard, journal=journal, bounds=bounds)
        recovered.append(
            Recovered(
                shard,
                lives,
                dict(known),
                messages,
                more_messages=more,
                bus_position=await journal.bus_cursor(shard.name),
            )
        )
    return recovered


async def _load_messages(
    shard: OwnedShard, *, journal: Journal, bounds: HostBounds
) -> tuple[list[Message], bool]:
    """The earliest messages on their way, and whether there are more.

    All are read, so that what the shard sends from now on comes after the latest.
    """
    messages: list[Message] = []
    more = False
    after: Message | None = None
    while True:
        page = await journal.outgoing(shard.name, after=after, limit=MESSAGES_PAGE)
        room = bounds.outbox_messages - len(messages)
        messages += page[:room]
        more |= len(page) > room
        if page:
            after = page[-1]
            shard.sent_at_ms = max(shard.sent_at_ms, after.sent_at_ms)
        if len(page) < MESSAGES_PAGE:
            return messages, more


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
                lives.append(await revive(journal, stored, shard, plans))
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 – one history must not stop the others
                _log.error("execution %s cannot be taken over: %s", stored.row.key, error)
                fault(f"execution {stored.row.key} cannot be taken over", error)
        if len(page) < bounds.busy_page:
            return lives
        after = page[-1].row.key
