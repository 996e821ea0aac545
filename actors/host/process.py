"""A host's process: the one place where its journal, blobs and dispatcher are chosen.

`HostProcess` is what becomes the Ray actor. Its constructor only remembers; everything that can
fail is opened in the background and tried again, so that the actor lives to tell why.
"""

from __future__ import annotations

import asyncio
import logging
import platform

import ray

from heliostat.actors.dedicated.process import RayCarriers
from heliostat.actors.dispatch.opening import objects_settings, open_dispatcher, sockets_folder
from heliostat.actors.dispatch.protocol import Deliver
from heliostat.actors.host.clock import pause
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.local_calls import LocalCalls
from heliostat.actors.host.tuning import calm_collector, share_the_lock, take_cpu_first
from heliostat.actors.host.works import Parts
from heliostat.actors.journals import open_journal
from heliostat.actors.objects.shared import SharedBlobs
from heliostat.actors.settings import Settings
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.errors import ConfigurationError
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.protocol import Journal

_log = logging.getLogger(__name__)

SUPERVISOR_LOOK_MS = 5_000
"""Between two looks of a host whether the supervisor exists: the one that recreates the others has
nobody else."""


class HostProcess(ExecutionHost):
    """An `ExecutionHost` on Ray, from the deployment's settings alone."""

    def __init__(self, settings: Settings, index: int) -> None:
        super().__init__(
            name=settings.host_name(index),
            node=platform.node(),
            open_parts=self._open_parts_here,
            bounds=settings.host,
            call_peer=self._call_host,
            carriers=RayCarriers(settings),
            spares=settings.dedicated_spares,
        )
        self._settings, self._index = settings, index
        self.ray_node = ray.get_runtime_context().get_node_id()
        self.data_dir = settings.data_dir
        calm_collector()
        share_the_lock()
        take_cpu_first()
        self.begin()
        self._spawn(self._listen(), "local calls")
        self._spawn(self._watch_supervisor(), "supervisor")

    async def _open_parts_here(self, deliver: Deliver) -> Parts:
        journal = await self._open_journal()
        try:
            dispatch = open_dispatcher(self._settings, self.incarnation, deliver, host=self._index)
        except BaseException:
            await journal.close()
            raise
        return Parts(
            journal=journal,
            dispatch=dispatch,
            compile=plan_of,
            blobs=SharedBlobs(
                FileBlobStore(self._settings.blobs_path), objects_settings(self._settings)
            ),
        )

    async def _open_journal(self) -> Journal:
        settings = self._settings
        return await open_journal(
            settings.journal,
            settings.journal_path,
            deployment_id=settings.deployment,
            shard_count=settings.shard_count,
        )

    async def _listen(self) -> None:
        """Clients of this machine need no Ray to call; without a socket they call by Ray."""
        settings = self._settings
        local = LocalCalls(self, sockets_folder(settings), str(self._index))
        try:
            await local.open()
        except (OSError, ConfigurationError) as error:
            _log.warning("clients of this machine call by Ray: %s", error)

    async def _call_host(self, name: str, body: bytes) -> bytes:
        from heliostat.actors import remote

        return await remote.deliver(name, body)

    async def _watch_supervisor(self) -> None:
        from heliostat.actors import remote

        while True:
            await pause(self.clock, SUPERVISOR_LOOK_MS)
            if self._state in ("draining", "stopped"):
                return  # whoever ends the deployment ends the supervisor too
            try:
                if await asyncio.to_thread(remote.find_supervisor, self._settings) is None:
                    _log.warning("the supervisor is missing and is created again")
                    await asyncio.to_thread(remote.create_supervisor, self._settings)
            except Exception as error:  # noqa: BLE001 – Ray may be going down; the next look tells
                _log.warning("cannot look for the supervisor: %s", error)
