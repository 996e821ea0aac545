"""`ExecutionHost`: what clients call, and the life of one host.

A plain class that has never heard of Ray; `actors/remote.py` makes it an actor. Its constructor
does no I/O and cannot fail: an actor whose constructor raises is dead for good. `begin` starts the
task that opens the journal, again and again until it can, claims shards and turns; nothing of that
waits for a first call.

Every call takes and returns bytes (`api.py`, `questions.py`), answers refusals as values, and
waits for nothing but its own commit or read; until the journal is open, for that, within a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dedicated.carriers import Carriers
from heliostat.actors.dispatch.protocol import Deliver, Report
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.calls import HostCalls, closing
from heliostat.actors.host.clock import Backoff, Clock, Doorbell, SystemClock, pause
from heliostat.actors.host.describing import described
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.peers import CallPeer
from heliostat.actors.host.processes import is_running
from heliostat.actors.host.questions import DrainRequest
from heliostat.actors.host.works import IsRunning, Parts, Works
from heliostat.engine.errors import JournalError
from heliostat.engine.ids import new_id

_log = logging.getLogger(__name__)

OpenParts: TypeAlias = Callable[[Deliver], Awaitable[Parts]]
"""Opens journal and dispatcher; may raise, and is then called again after a pause."""


class ExecutionHost(HostCalls):
    """Carries the executions of the shards it claimed: gather, decide, commit, then act."""

    def __init__(
        self,
        *,
        name: str,
        node: str,
        open_parts: OpenParts,
        bounds: HostBounds | None = None,
        clock: Clock | None = None,
        process_is_running: IsRunning = is_running,
        call_peer: CallPeer | None = None,
        own: Callable[..., Ownership] = Ownership,
        carriers: Carriers | None = None,
        spares: int = 0,
    ) -> None:
        """Args:
        own: what it may own; a host shares the deployment's shards with the others.
        carriers: makes the actors of dedicated executions; None: it carries what it owns itself.
        spares: how many such actors wait for an execution.
        """
        super().__init__(name=name, bounds=bounds or HostBounds(), clock=clock or SystemClock())
        self.node = node
        self.ray_node = ""  # Ray's id of its node, where it is on Ray
        self.data_dir = ""  # where it has one
        self.incarnation = new_id()
        self.figures = Figures(self.bounds)
        self._call_peer = call_peer
        self._own, self._carriers, self._spares = own, carriers, spares
        self._open_parts = open_parts
        self._process_is_running = process_is_running
        self._early: list[Report] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._began_at_ms = self.clock.steady_ms()

    def begin(self) -> None:
        """Open, claim and turn in the background; on the event loop's thread."""
        if not self._tasks:
            self._spawn(self._keep(self._open, "open"), "open")

    # life

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}:{name}")
        self._tasks.append(task)

    async def _open(self) -> None:
        parts = await self._opened_parts()
        works = Works(
            parts,
            name=self.name,
            node=self.node,
            incarnation=self.incarnation,
            figures=self.figures,
            clock=self.clock,
            bounds=self.bounds,
            process_is_running=self._process_is_running,
            call_peer=self._call_peer,
            own=self._own,
            carriers=self._carriers,
            spares=self._spares,
        )
        self._works, self._opening_trouble, self._state = works, None, "running"
        self._opened.set()
        early, self._early = self._early, []
        works.intake.deliver(early)
        self._spawn(self._keep(works.loop.keeper.run, "own"), "own")
        self._spawn(self._keep(works.loop.run, "turns"), "turns")
        self._spawn(self._keep(works.desk.compare_forever, "compare"), "compare")
        self._spawn(self._keep(works.loop.residents.load_forever, "load"), "load")
        self._spawn(self._keep(works.outbox.run, "messages"), "messages")
        self._spawn(self._keep(works.pump.run, "events"), "events")
        if works.guard is not None:
            self._spawn(self._keep(works.guard.run, "dedicated"), "dedicated")
        self._spawn(self._keep(works.retention.run, "retention"), "retention")

    async def _opened_parts(self) -> Parts:
        backoff = Backoff(
            self.clock, first_ms=self.bounds.backoff_ms, max_ms=self.bounds.backoff_max_ms
        )
        while True:
            try:
                return await self._open_parts(self._deliver)
            except Exception as error:  # noqa: BLE001 – whatever it is, `info` tells it
                self._opening_trouble = f"{type(error).__name__}: {error}"
                _log.warning("host %s cannot open its parts: %s", self.name, error)
                await backoff.wait()

    async def _keep(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Run one of the host's tasks; a fault of ours is recorded, and the task goes on."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 – the outer edge of all of its tasks
                _log.exception("host %s: its task %r broke and is started again", self.name, name)
                self.figures.fault(f"task {name!r} broke", error)
                await pause(self.clock, self.bounds.backoff_max_ms)

    def _deliver(self, reports: Sequence[Report]) -> None:
        if self._works is None:
            self._early.extend(reports)
        else:
            self._works.intake.deliver(reports)

    async def drain(self, body: bytes) -> bytes:
        """Take no more starts, finish what gathered, give up the shards, close; then `info`.

        What runs at runners goes on there and is found by the next owner.
        """
        request = unpack(body, DrainRequest)
        works = self._works
        if works is None:  # nothing was opened: there is nothing to finish
            self._state = "stopped"
            self.abandon()
            return self._info()
        if self._state != "running":
            return self._info()
        self._state = "draining"
        works.ownership.draining = True
        until_ms = self.clock.steady_ms() + request.wait_ms
        step = Doorbell(self.clock)
        while not self._quiet(works) and self.clock.steady_ms() < until_ms:
            await step.wait(min(20, request.wait_ms))
        await self._stop(works)
        return self._info()

    def _quiet(self, works: Works) -> bool:
        return not (
            works.desk.unanswered
            or works.intake.waiting
            or any(live.state.busy for live in works.loop.residents.all.values())
        )

    async def _stop(self, works: Works) -> None:
        if works.guard is not None:
            await works.guard.close()
        works.loop.stop()
        turns = [task for task in self._tasks if task.get_name().endswith((":turns", ":own"))]
        others = [task for task in self._tasks if task not in turns]
        await asyncio.wait(turns, timeout=self.bounds.backoff_max_ms / 1000)
        for task in [*turns, *others]:
            task.cancel()
        await asyncio.gather(*turns, *others, return_exceptions=True)
        works.streams.close()
        works.followers.close()
        works.feeds.close()
        works.peers.close()
        works.loop.refuse_all(closing())
        try:
            await works.pump.save()
            await works.ownership.leave()
        except JournalError as error:  # the next owner sees that the process is gone
            _log.warning("host %s could not take its row off the list: %s", self.name, error)
        await works.dispatch.close()
        await works.journal.close()
        self._state = "stopped"

    def abandon(self) -> None:
        """End as a killed process does: at once, nothing finished, nothing released."""
        for task in self._tasks:
            task.cancel()

    async def info(self) -> bytes:
        """This host as it sees itself; answered without the journal, always at once."""
        return self._info()

    def _waits_for(self) -> str | None:
        """What turns wait for just now that is no fault of this process."""
        return None

    def _info(self) -> bytes:
        return pack(
            described(
                self,
                state=self._state,
                works=self._works,
                trouble=self._opening_trouble,
                waits_for=self._waits_for(),
                began_at_ms=self._began_at_ms,
            )
        )
