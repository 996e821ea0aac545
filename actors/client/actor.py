"""`client.actor(id)`: the actor that carries an execution, as a driver's tasks and actors hold it.

A small value: it can be pickled, given to Ray tasks and actors, and used there, in a process of the
same Ray. It knows a key and the hosts' names, and finds out who carries the execution whenever it
is asked something: it follows a shard that moves, and a dedicated execution whose actor is made
again. In the process of the client that gave it, it is that client's, and ends with it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.ray_calls import find_actor
from heliostat.actors.host.api import ExecutionView
from heliostat.actors.host.questions import HostInfo, Located
from heliostat.engine.errors import NotFound
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import BlobStore

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.handle import Handle

_INFO_S: Final = 10.0
"""How long the actor may take to say how it is."""


class Deployment(Struct, frozen=True):
    """All that a process needs to speak to a deployment on the Ray it is connected to."""

    id: str
    generation: int
    hosts: int
    call_timeout_ms: int


Way: TypeAlias = "tuple[Hosts, Client]"
"""How a process reaches a deployment."""

_known: dict[Deployment, Way] = {}
"""Of a process that was handed actors: all those of one deployment share a way. It is never closed,
and ends with the process, as a worker of Ray's does."""

_lock = threading.Lock()


class ExecutionActor:
    """The Ray actor that carries one execution, hosted or dedicated."""

    def __init__(
        self,
        deployment: Deployment,
        blobs: BlobStore,
        key: ExecutionKey,
        way: Way | None = None,
    ) -> None:
        self._deployment, self._blobs, self._key, self._way = deployment, blobs, key, way

    def __reduce__(self) -> tuple[Any, ...]:
        """Without this process's way: another finds its own."""
        return ExecutionActor, (self._deployment, self._blobs, self._key)

    @property
    def id(self) -> str:
        """The execution's id, unique in its namespace."""
        return self._key.execution_id

    @property
    def namespace(self) -> str:
        """The namespace of its id."""
        return self._key.namespace

    def __repr__(self) -> str:
        return f"<actor of execution {self._key}>"

    # the actor

    @property
    def name(self) -> str:
        """The name of the Ray actor that carries the execution now, in Ray's namespace `heliostat`.

        Of a dedicated execution that has ended, and whose actor is gone, it is the host that guards
        it. A moment later it may be another.

        Raises:
            NotFound: there is no such execution.
        """
        found = self._hosts().ask("locate", self._key, Located, key=None)
        if not found.exists:
            raise NotFound("execution", self.id, f"its namespace is {self.namespace!r}")
        return found.carrier

    @property
    def handle(self) -> Any:
        """Ray's own handle of that actor; what it can be asked is `ExecutionHost`'s affair and may
        change, the methods here do not."""
        return find_actor(self.name)

    @property
    def is_dedicated(self) -> bool:
        """Whether the execution has an actor of its own."""
        return self._hosts().ask("locate", self._key, Located, key=None).dedicated

    def info(self) -> HostInfo:
        """How that actor sees itself: its process, its shards, its load, recent faults."""
        return self._hosts().call(self.name, "info", None, HostInfo, timeout_s=_INFO_S)

    async def info_async(self) -> HostInfo:
        """`info`, without blocking the event loop."""
        return await asyncio.to_thread(self.info)

    # the execution: as a `Handle` of a client

    def status(self) -> ExecutionView:
        """What the execution does now; raises `NotFound`."""
        return self._handle().status()

    async def status_async(self) -> ExecutionView:
        """`status`, without blocking the event loop."""
        return await self._handle().status_async()

    def history(self, after: int = 0) -> list[dict[str, Any]]:
        """Every event after `seq` `after`, in order, as JSON objects."""
        return self._handle().history(after)

    async def history_async(self, after: int = 0) -> list[dict[str, Any]]:
        """`history`, without blocking the event loop."""
        return await self._handle().history_async(after)

    def signal(self, name: str, data: Any = None) -> str:
        """Give the execution a signal; its status, once that is durable."""
        return self._handle().signal(name, data)

    async def signal_async(self, name: str, data: Any = None) -> str:
        """`signal`, without blocking the event loop."""
        return await self._handle().signal_async(name, data)

    def cancel(self, reason: str | None = None) -> str:
        """Ask the execution to end; raises `Conflict` where it has."""
        return self._handle().cancel(reason)

    async def cancel_async(self, reason: str | None = None) -> str:
        """`cancel`, without blocking the event loop."""
        return await self._handle().cancel_async(reason)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the output; raises as `Handle.result`.

        In a step, the runner is occupied meanwhile; a `sub_workflow` step is not.
        """
        return self._handle().result(timeout)

    async def result_async(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `result`
        """`result`, without blocking the event loop."""
        return await self._handle().result_async(timeout)

    # helpers

    def _handle(self) -> Handle:
        return self._reached()[1].get(self.id, namespace=self.namespace)

    def _hosts(self) -> Hosts:
        return self._reached()[0]

    def _reached(self) -> Way:
        from heliostat.actors.client.opening import ray_client

        if self._way is not None:
            return self._way
        given = self._deployment
        with _lock:
            known = _known.get(given)
            if known is None:
                hosts = Hosts(
                    deployment=given.id,
                    generation=given.generation,
                    hosts=given.hosts,
                    call_timeout_ms=given.call_timeout_ms,
                )
                known = hosts, ray_client(hosts=hosts, blobs=self._blobs)
                _known[given] = known
            return known


def deployment_of(hosts: Hosts) -> Deployment:
    """What another process needs to speak to the deployment that these hosts are of."""
    _, id, generation, *_ = hosts.names[0].split("/")
    return Deployment(id, int(generation), len(hosts.names), int(hosts.call_timeout_s * 1_000))
