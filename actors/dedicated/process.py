"""The process of a dedicated execution's actor: where its journal and dispatcher are chosen.

And how hosts make such actors (`RayCarriers`).

`CarrierProcess` is what becomes the Ray actor. Its constructor only remembers, as a host's does. A
spare one is made before it is needed: what takes its time, a process and its imports, is over when
an execution comes.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from hashlib import blake2b
from typing import Any, Final

from heliostat.actors import journals, names
from heliostat.actors.calls import pack, unpack
from heliostat.actors.dedicated.carrier import ExecutionCarrier
from heliostat.actors.dedicated.remote_journal import NotAsked, open_remote
from heliostat.actors.dispatch.opening import open_dispatcher
from heliostat.actors.dispatch.protocol import Deliver
from heliostat.actors.host.clock import pause
from heliostat.actors.host.tuning import calm_collector, take_cpu_first
from heliostat.actors.host.works import Parts
from heliostat.actors.settings import Settings
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import Journal

_log = logging.getLogger(__name__)

JOURNAL_S: Final = 60.0
"""How long the host with the journal may take for one call; a host that was killed is back long
before, and says so at once."""

WAITS_MS: Final = 1_000
"""A call of the journal under way for this long is why turns stand still."""

CARRY_S: Final = 5.0
"""How long a spare actor may take to say whether it takes an execution."""


class CarrierProcess(ExecutionCarrier):
    """An `ExecutionCarrier` on Ray, from the deployment's settings and the execution's key."""

    def __init__(self, settings: Settings, name: str, key: ExecutionKey | None) -> None:
        super().__init__(
            key=key,
            tell_guard=_tell_guard,
            leave=self._leave_ray,
            name=name,
            node=platform.node(),
            open_parts=self._open_parts_here,
            bounds=settings.host,
            call_peer=_deliver,
        )
        self._settings = settings
        self._asked_since: dict[int, int] = {}  # calls of the journal under way, and since when
        self._calls = 0
        calm_collector()
        take_cpu_first()
        self.begin()

    async def _open_parts_here(self, deliver: Deliver) -> Parts:
        journal = await self._open_journal()
        try:
            # No runner before a step needs one, and then one that reserves nothing.
            label = blake2b(self.name.encode(), digest_size=6).hexdigest()
            dispatch = open_dispatcher(
                self._settings,
                self.incarnation,
                deliver,
                owner=f"x-{label}",
                runners_min=0,
                runners_max=0,
            )
        except BaseException:
            await journal.close()
            raise
        return Parts(journal=journal, dispatch=dispatch, compile=plan_of)

    async def _open_journal(self) -> Journal:
        settings = self._settings
        if not journals.is_shared(settings.journal):
            return await open_remote(self._ask_host)
        return await journals.open_journal(
            settings.journal,
            settings.journal_path,
            deployment_id=settings.deployment,
            shard_count=settings.shard_count,
        )

    async def _ask_host(self, body: bytes) -> bytes:
        """The door of the one host that writes the journal."""
        host = await asyncio.to_thread(_find, self._settings.host_name(0))
        if host is None:
            raise NotAsked("there is no host now")
        self._calls = call = self._calls + 1
        self._asked_since[call] = self.clock.steady_ms()
        try:
            answered: bytes = await asyncio.wait_for(host.journal.remote(body), JOURNAL_S)
        finally:
            del self._asked_since[call]
        return answered

    def _waits_for(self) -> str | None:
        """A host that is slow, or frozen, holds up this actor; ending it would not mend that."""
        since_ms = min(self._asked_since.values(), default=None)
        waited_ms = 0 if since_ms is None else self.clock.steady_ms() - since_ms
        if waited_ms < WAITS_MS:
            return None
        return f"the host with the journal has not answered for {waited_ms / 1_000:.1f} s"

    async def _leave_ray(self) -> None:
        from heliostat.actors import remote

        await asyncio.to_thread(remote.end_actor, self.name)
        await pause(self.clock, 10_000)  # this process ends meanwhile


class RayCarriers:
    """`Carriers` on the Ray of a host's process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def ensure(self, key: ExecutionKey) -> None:
        settings = self._settings
        name = names.execution_name(settings.deployment, settings.generation, key)
        await asyncio.to_thread(_create, settings, name, key)

    async def carry(self, spare: str, key: ExecutionKey) -> bool:
        actor = await asyncio.to_thread(_find, spare)
        if actor is None:
            return False
        try:
            body: bytes = await asyncio.wait_for(actor.carry.remote(pack(key)), CARRY_S)
        except Exception as error:  # noqa: BLE001 – whatever Ray says: another will carry it
            _log.warning("spare actor %s does not answer: %s", spare, error)
            return False
        return unpack(body, bool)

    async def make_spare(self) -> str:
        settings = self._settings
        name = names.spare_name(settings.deployment, settings.generation, new_id())
        await asyncio.to_thread(_create, settings, name, None)
        return name


async def _deliver(name: str, body: bytes) -> bytes:
    from heliostat.actors import remote

    return await remote.deliver(name, body)


async def _tell_guard(name: str, body: bytes) -> object:
    host = await asyncio.to_thread(_find, name)
    if host is None:
        raise ConnectionError(f"there is no host {name!r} now")
    return await asyncio.wait_for(host.ended.remote(body), CARRY_S)


def _find(name: str) -> Any | None:
    from heliostat.actors import remote

    return remote.find_named(name)


def _create(settings: Settings, name: str, key: ExecutionKey | None) -> Any:
    from heliostat.actors import remote

    return remote.create_carrier(settings, name, key)
