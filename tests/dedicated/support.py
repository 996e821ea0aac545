"""A world whose hosts make actors for dedicated executions, in this process and without Ray."""

from __future__ import annotations

from typing import Any

from heliostat.actors import names
from heliostat.actors.calls import pack, unpack
from heliostat.actors.dedicated.carrier import ExecutionCarrier
from heliostat.actors.dedicated.remote_journal import NotAsked, open_remote
from heliostat.actors.dispatch.protocol import Deliver
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.works import Parts
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.identity import ExecutionKey
from tests.host.support import ScriptedDispatch, World, key_of


def dedicated(text: str) -> str:
    """A definition whose executions are dedicated."""
    return text.replace('version: "1"', 'version: "1"\nisolation: dedicated', 1)


def actor_name(id: str) -> str:
    return names.execution_name("d", 1, key_of(id))


class DedicatedWorld(World):
    """`Carriers` is the world itself. Actors reach the journal as bytes, through a host's door."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.made: list[str] = []
        """Names of actors, as often as one was made."""
        self.refuse: list[Exception] = []
        """What the next makings of actors fail with."""
        self.left: list[str] = []
        self.through_a_door = True

    def host(self, name: str = "h0", **changes: Any) -> ExecutionHost:
        return super().host(name, **{"carriers": self, **changes})

    # carriers

    async def ensure(self, key: ExecutionKey) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        name = names.execution_name("d", 1, key)
        if self.actor(name) is None:
            self.carrier(name, key)

    async def carry(self, spare: str, key: ExecutionKey) -> bool:
        actor = self.actor(spare)
        if actor is None:
            raise ConnectionError(f"there is no actor {spare!r}")
        return unpack(await actor.carry(pack(key)), bool)

    async def make_spare(self) -> str:
        name = names.spare_name("d", 1, str(len(self.made)))
        self.carrier(name, None)
        return name

    def actor(self, name: str) -> ExecutionCarrier | None:
        """The living actor with this name."""
        for host in self.hosts:
            if (
                isinstance(host, ExecutionCarrier)
                and host.name == name
                and host.incarnation not in self.dead
                and host.incarnation not in self.left
            ):
                return host
        return None

    def of(self, id: str) -> ExecutionCarrier:
        """The living actor of an execution's own name."""
        actor = self.actor(actor_name(id))
        assert actor is not None, f"no actor carries {id}"
        return actor

    def carrier(self, name: str, key: ExecutionKey | None) -> ExecutionCarrier:
        async def open_parts(deliver: Deliver) -> Parts:
            dispatch = ScriptedDispatch(self.runners, deliver)
            self.dispatches[name] = dispatch
            journal = await open_remote(self._ask_host) if self.through_a_door else self.journal
            return Parts(journal=journal, dispatch=dispatch, compile=plan_of)

        async def leave() -> None:
            self.left.append(actor.incarnation)
            actor.abandon()
            self.dispatches[name].closed = True

        actor = ExecutionCarrier(
            key=key,
            tell_guard=self._tell_guard,
            leave=leave,
            name=name,
            node="n",
            open_parts=open_parts,
            bounds=self.bounds,
            clock=self.clock,
            process_is_running=self._is_running,
            call_peer=self._call_peer,
        )
        actor.begin()
        self.hosts.append(actor)
        self.made.append(name)
        return actor

    def restart(self, actor: ExecutionCarrier) -> ExecutionCarrier:
        """As Ray does with an actor whose process ended: with the arguments it was made with."""
        key = None if names.is_spare(actor.name) else actor._key
        return self.carrier(actor.name, key)

    async def _ask_host(self, body: bytes) -> bytes:
        """The journal, through a host that lives: as where only one process may write."""
        for host in self.hosts:
            if not isinstance(host, ExecutionCarrier) and host.incarnation not in self.dead:
                return await host.journal(body)
        raise NotAsked("no host lives")

    async def _tell_guard(self, name: str, body: bytes) -> object:
        for host in self.hosts:
            if host.name == name and host.incarnation not in self.dead:
                return await host.ended(body)
        raise ConnectionError(f"there is no host {name!r}")
