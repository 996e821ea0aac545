"""The supervisor's process: its parts put together from the deployment's settings."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from heliostat.actors.calls import unpack
from heliostat.actors.host import processes
from heliostat.actors.host.questions import HostInfo
from heliostat.actors.settings import Settings
from heliostat.actors.supervisor import Supervisor
from heliostat.engine.errors import JournalError
from heliostat.engine.journal.protocol import OwnerRow
from heliostat.engine.journal.sqlite import SqliteReader, open_sqlite_readonly


class SupervisorProcess(Supervisor):
    """A `Supervisor` on Ray, reading owner rows beside the host that writes them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: SqliteReader | None = None
        super().__init__(
            duties=[_HostDuty(settings, index) for index in range(settings.hosts)],
            owners=self._read_owners,
            ask=self._ask_host,
            kill=_kill_here,
            bounds=settings.supervisor,
        )
        self.begin()

    async def _read_owners(self) -> Sequence[OwnerRow]:
        if self._settings.journal == "memory":
            return ()  # it lives in the host
        if self._reader is None:
            if not self._settings.journal_path.exists():
                return ()  # no host has opened it yet
            self._reader = await asyncio.to_thread(
                open_sqlite_readonly, self._settings.journal_path
            )
        try:
            return await self._reader.owners()
        except JournalError:
            # The file may have been replaced under us: open it again at the next look.
            reader, self._reader = self._reader, None
            await reader.close()
            raise

    async def _ask_host(self, name: str) -> HostInfo | None:
        for index in range(self._settings.hosts):
            if self._settings.host_name(index) == name:
                return await _info(self._settings, index)
        return None


async def _info(settings: Settings, index: int) -> HostInfo | None:
    from ray.exceptions import RayError

    from heliostat.actors import remote

    host = await asyncio.to_thread(remote.find_host, settings, index)
    if host is None:
        return None
    answer_s = settings.supervisor.answer_ms / 1000
    try:
        body = await asyncio.wait_for(host.info.remote(), answer_s)
    except (TimeoutError, RayError):
        return None
    return unpack(body, HostInfo)


async def _kill_here(owner: OwnerRow) -> bool:
    """SIGKILL, where the process is on this machine; Ray restarts the actor."""
    return owner.node == platform.node() and processes.kill(owner)


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
