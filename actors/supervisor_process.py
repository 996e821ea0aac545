"""The supervisor's process: its parts put together from the deployment's settings."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heliostat.actors.calls import unpack
from heliostat.actors.dispatch.frozen import is_stopped
from heliostat.actors.host import processes
from heliostat.actors.host.questions import HostInfo
from heliostat.actors.journals import JournalReader, open_reader
from heliostat.actors.names import scheduler_name
from heliostat.actors.settings import Settings
from heliostat.actors.supervisor import Duty, Supervisor
from heliostat.actors.supervisor_stopped import attend, parts_of
from heliostat.actors.wanted import hosts_wanted
from heliostat.engine.errors import JournalError
from heliostat.engine.journal.protocol import OwnerRow


class SupervisorProcess(Supervisor):
    """A `Supervisor` on Ray, reading owner rows beside the host that writes them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: JournalReader | None = None
        super().__init__(
            duties=_Duties(settings),
            owners=self._read_owners,
            ask=self._ask_host,
            kill=_kill,
            is_stopped=_is_stopped,
            bounds=settings.supervisor,
        )
        self.begin()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run())
            tasks.create_task(attend(parts_of(self._settings)))

    async def _read_owners(self) -> Sequence[OwnerRow]:
        if self._reader is None:
            self._reader = await open_reader(self._settings.journal, self._settings.journal_path)
        if self._reader is None:
            return ()  # no host has opened it yet, or it lives in the host
        try:
            return await self._reader.owners()
        except JournalError:
            # A file may have been replaced under us: open it again at the next look.
            reader, self._reader = self._reader, None
            await reader.close()
            raise

    async def _ask_host(self, name: str) -> HostInfo | None:
        from ray.exceptions import RayError

        from heliostat.actors import remote

        host = await asyncio.to_thread(remote.find_named, name)
        if host is None:
            return None
        try:
            body = await asyncio.wait_for(
                host.info.remote(), self._settings.supervisor.answer_ms / 1000
            )
        except (TimeoutError, RayError):
            return None
        return unpack(body, HostInfo)


def _is_stopped(owner: OwnerRow) -> bool:
    """Whether its process is known to be stopped; of another machine's nothing is known."""
    return owner.node == platform.node() and is_stopped(owner.pid)


async def _kill(owner: OwnerRow) -> bool:
    """SIGKILL where the process is on this machine, else by Ray; which restarts the actor."""
    if owner.node == platform.node():
        return processes.kill(owner)
    from heliostat.actors import remote

    return await asyncio.to_thread(remote.restart_actor, owner.name)


class _Duties:
    """The actors that must exist now: as many hosts as are wanted, and the scheduler."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __iter__(self) -> Iterator[Duty]:
        for index in range(hosts_wanted(self._settings)):
            yield _HostDuty(self._settings, index)
        yield _SchedulerDuty(self._settings)


@dataclass(frozen=True, slots=True)
class _HostDuty:
    settings: Settings
    index: int

    @property
    def name(self) -> str:
        return self.settings.host_name(self.index)

    def exists(self) -> bool:
        from heliostat.actors import remote

        return remote.find_host(self.settings, self.index) is not None

    def create(self) -> None:
        from heliostat.actors import remote

        remote.create_host(self.settings, self.index)


@dataclass(frozen=True, slots=True)
class _SchedulerDuty:
    settings: Settings

    @property
    def name(self) -> str:
        return scheduler_name(self.settings.deployment, self.settings.generation)

    def exists(self) -> bool:
        from heliostat.actors.scheduler.handle import find_scheduler

        return find_scheduler(self.settings) is not None

    def create(self) -> None:
        from heliostat.actors.scheduler.handle import create_scheduler

        create_scheduler(self.settings)
