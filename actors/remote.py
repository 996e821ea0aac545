"""Hosts, actors of dedicated executions, and their supervisor: made, found, called and ended."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import ray

from heliostat.actors import names
from heliostat.actors.dedicated.process import CarrierProcess
from heliostat.actors.detached import detached
from heliostat.actors.host.process import HostProcess
from heliostat.actors.journals import is_shared
from heliostat.actors.settings import Settings, check
from heliostat.actors.supervisor_process import SupervisorProcess
from heliostat.actors.wanted import hosts_wanted
from heliostat.engine.identity import ExecutionKey

CALLS_AT_ONCE: Final = 10_000
"""Calls that one actor has open: a waiting start is one, and so is each client's result stream.
Ray's default of 1,000 is silently the bound on clients."""

DELIVER_S: Final = 60.0
"""How long a host may take to make messages durable; then they are offered again."""


def create_host(settings: Settings, index: int) -> Any:
    """Host `index` of the deployment, created if there is none by its name; returns its handle.

    Returns before the host serves: its first answer comes when its journal is open.
    """
    check(settings)
    name = settings.host_name(index)
    actor = detached(
        HostProcess,
        name,
        calls=CALLS_AT_ONCE,
        pin=settings.node_resource,
        share=index if is_shared(settings.journal) else None,
    )
    return actor.remote(settings, index)


def find_host(settings: Settings, index: int) -> Any | None:
    """The handle of a host, also while it restarts; None when there is none."""
    return _find(settings.host_name(index))


def create_carrier(settings: Settings, name: str, key: ExecutionKey | None) -> Any:
    """The actor of a dedicated execution, or a spare one, created if there is none by its name.

    Where the journal is shared, the nodes share them too.
    """
    actor = detached(
        CarrierProcess,
        name,
        calls=CALLS_AT_ONCE,
        pin=settings.node_resource,
        otherwise="SPREAD" if is_shared(settings.journal) else "DEFAULT",
    )
    return actor.remote(settings, name, key)


def find_named(name: str) -> Any | None:
    """The handle of the actor with this name, also while it restarts; None when there is none."""
    return _find(name)


def end_actor(name: str) -> None:
    """End an actor for good, its name too; harmless where there is none."""
    actor = _find(name)
    if actor is not None:
        ray.kill(actor, no_restart=True)


def restart_actor(name: str) -> bool:
    """End an actor's process; Ray starts another under its name. Tells whether there was one."""
    actor = _find(name)
    if actor is None:
        return False
    ray.kill(actor, no_restart=False)
    return True


async def deliver(host: str, body: bytes) -> bytes:
    """Hand messages to the host with this name; raises what Ray says when it does not answer."""
    actor = await asyncio.to_thread(_find, host)
    if actor is None:
        raise ConnectionError(f"there is no host {host!r} now")
    answered: bytes = await asyncio.wait_for(actor.deliver.remote(body), DELIVER_S)
    return answered


def create_supervisor(settings: Settings) -> Any:
    """The supervisor, created if there is none; returns its handle."""
    name = names.supervisor_name(settings.deployment, settings.generation)
    actor = detached(SupervisorProcess, name, calls=100, pin=settings.node_resource)
    return actor.remote(settings)


def find_supervisor(settings: Settings) -> Any | None:
    """The supervisor's handle, also while it restarts; None when there is none."""
    return _find(names.supervisor_name(settings.deployment, settings.generation))


def end(settings: Settings) -> None:
    """Kill every actor of the deployment's generation for good, in a Ray that goes on.

    The supervisor first and the hosts next: they would recreate the others.
    """
    prefix = names.prefix(settings.deployment, settings.generation)
    order = (
        names.supervisor_name(settings.deployment, settings.generation),
        *(
            settings.host_name(index)
            for index in range(max(settings.hosts, hosts_wanted(settings)))
        ),
    )
    found = {
        each["name"]
        for each in ray.util.list_named_actors(all_namespaces=True)
        if each["namespace"] == names.NAMESPACE and each["name"].startswith(f"{prefix}/")
    }
    for name in sorted(found, key=lambda name: order.index(name) if name in order else len(order)):
        actor = _find(name)
        if actor is not None:
            ray.kill(actor, no_restart=True)


def _find(name: str) -> Any | None:
    try:
        return ray.get_actor(name, namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None
