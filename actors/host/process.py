"""A host's process: the one place where its journal, blobs and dispatcher are chosen.

`HostProcess` is what becomes the Ray actor. Its constructor only remembers; everything that can
fail is opened in the background and tried again, so that the actor lives to tell why.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import platform
import sys
from pathlib import Path

from heliostat.actors.dispatch.opening import open_dispatcher
from heliostat.actors.dispatch.protocol import Deliver
from heliostat.actors.host.clock import pause
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.works import Parts
from heliostat.actors.settings import Settings
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.journal.sqlite import open_sqlite

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
        )
        self._settings = settings
        calm_collector()
        share_the_lock()
        take_cpu_first()
        self.begin()
        self._spawn(self._watch_supervisor(), "supervisor")

    async def _open_parts_here(self, deliver: Deliver) -> Parts:
        journal = await self._open_journal()
        try:
            dispatch = open_dispatcher(self._settings, self.incarnation, deliver)
        except BaseException:
            await journal.close()
            raise
        return Parts(journal=journal, dispatch=dispatch, compile=plan_of)

    async def _open_journal(self) -> Journal:
        settings = self._settings
        if settings.journal == "memory":
            return MemoryJournal(
                deployment_id=settings.deployment, shard_count=settings.shard_count
            )
        return await asyncio.to_thread(
            open_sqlite,
            settings.journal_path,
            deployment_id=settings.deployment,
            shard_count=settings.shard_count,
        )

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


def calm_collector() -> None:
    """Have Python look for cycles of garbage rarely: a turn makes thousands of objects and hardly
    a cycle, and the default looks through them all again and again (a sixth of a host's CPU)."""
    gc.collect()
    gc.freeze()  # modules and their constants
    gc.set_threshold(100_000, 20, 100)


def share_the_lock() -> None:
    """Have the turn loop, while it decides ahead, hand over Python's lock sooner: the journal's
    thread needs it for an instant after each statement of a commit, and with Python's default it
    waits 5 ms each time, so that the two take turns instead of working side by side."""
    sys.setswitchinterval(0.0005)


def take_cpu_first() -> None:
    """Undo the niceness that Ray gives its workers (15), where that is allowed: beside runners that
    are busy, a recovering host must get the CPU. Linux keeps it by thread; new ones inherit it."""
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)
        except (PermissionError, ProcessLookupError):
            return  # without the right to, Ray itself must be told: RAY_worker_niceness=0
