"""Plain classes made Ray actors: the only place that does so, with every option spelled out.

All of them are detached, named, and restarted by Ray without end (`max_restarts=-1`). Ray repeats
no call (`max_task_retries=0`): a call repeated behind our back would be a second stimulus; clients
repeat on their own, under ids that make it harmless. None reserves CPUs: whatever runs users' code
is elsewhere. Where the deployment has a custom resource, they are pinned to the nodes that offer
it; hard node affinity would strand them when a node comes back under a new id.

Constructors do no I/O, since one that raises on restart is dead for good, and the name with it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import ray

from heliostat.actors import names
from heliostat.actors.dedicated.process import CarrierProcess
from heliostat.actors.host.process import HostProcess
from heliostat.actors.journals import is_shared
from heliostat.actors.settings import Settings, check
from heliostat.actors.supervisor_process import SupervisorProcess
from heliostat.actors.undrained import strategy
from heliostat.actors.wanted import hosts_wanted
from heliostat.engine.identity import ExecutionKey

CALLS_AT_ONCE: Final = 10_000
"""Calls that one actor has open: a waiting start is one, and so is each client's result stream.
Ray's default of 1,000 is silently the bound on clients."""

DELIVER_S: Final = 60.0
"""How long a host may take to make messages durable; then they are offered again."""

PIN: Final = 0.001
"""How much an actor takes of the custom resource that pins it: next to nothing."""


def create_host(settings: Settings, index: int) -> Any:
    """Host `index` of the deployment, created if there is none by its name; returns its handle.

    Returns before the host serves: its first answer comes when its journal is open.
    """
    check(settings)
    name = settings.host_name(index)
    where = strategy(name, share=index if is_shared(settings.journal) else None)
    return _detached(HostProcess, settings, name, CALLS_AT_ONCE, where).remote(settings, index)


def find_host(settings: Settings, index: int) -> Any | None:
    """The handle of a host, also while it restarts; None when there is none."""
    return _find(settings.host_name(index))


def create_carrier(settings: Settings, name: str, key: ExecutionKey | None) -> Any:
    """The actor of a dedicated execution, or a spare one, created if there is none by its name.

    Where the journal is shared, the nodes share them too.
    """
    where = strategy(name, otherwise="SPREAD" if is_shared(settings.journal) else "DEFAULT")
    actor = _detached(CarrierProcess, settings, name, CALLS_AT_ONCE, where)
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
    return _detached(SupervisorProcess, settings, name, 100, strategy(name)).remote(settings)


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


def _detached(cls: type, settings: Settings, name: str, calls: int, where: Any) -> Any:
    pin = {} if settings.node_resource is None else {settings.node_resource: PIN}
    return ray.remote(cls).options(
        name=name,
        namespace=names.NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=calls,
        num_cpus=0,
        resources=pin,
        scheduling_strategy=where,
    )


def _find(name: str) -> Any | None:
    try:
        return ray.get_actor(name, namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None
