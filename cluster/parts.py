"""The actors of a deployment, as whoever brings it up or down sees them. Needs a connected Ray."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from heliostat.actors import names
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.host.questions import DrainRequest, HostInfo
from heliostat.actors.settings import Settings
from heliostat.engine.errors import Unreachable

_LOOK_S: Final = 0.05
_ANSWER_S: Final = 5.0
"""How long one host may take to say what it is doing; it answers without the journal."""
_LAST_S: Final = 1.0
"""What it gets when the bound is nearly over: why it is not ready is worth that much."""
_STOP_S: Final = 10.0
"""How long a host may take to close when it has waited for its attempts."""
_TROUBLE_S: Final = 15.0
"""A host that cannot open its journal for this long will not by itself: the lock of a host that was
just killed, or a commit it left behind, take far less."""


def ensure(settings: Settings) -> None:
    """Create what is missing; returns before it answers."""
    from heliostat.actors import remote

    for index in range(settings.hosts):
        remote.create_host(settings, index)
    remote.create_supervisor(settings)


def await_hosts(settings: Settings, *, timeout_ms: int) -> None:
    """Return when every host has its journal open and takes starts.

    Raises:
        Unreachable: one did not within the bound, with what it says of itself.
    """
    for index in range(settings.hosts):
        _await_host(settings, index, timeout_ms / 1_000)


def _await_host(settings: Settings, index: int, timeout_s: float) -> None:
    hosts = hosts_of(settings, timeout_ms=int(timeout_s * 1_000))
    host = settings.host_name(index)
    end_at = time.monotonic() + timeout_s
    troubled_since: float | None = None
    while True:
        left_s = max(end_at - time.monotonic(), _LAST_S)
        info = hosts.call(host, "info", None, HostInfo, timeout_s=left_s, answer_s=_ANSWER_S)
        if info.state == "running" and info.trouble is None:
            return
        now = time.monotonic()
        troubled_since = troubled_since or now
        if now >= end_at or now - troubled_since > _TROUBLE_S:
            raise Unreachable(
                f"host {info.name!r} (process {info.pid}) is {info.state}: "
                f"{info.trouble or 'it takes no starts'}"
            )
        time.sleep(_LOOK_S)


def drain(settings: Settings, *, wait_ms: int) -> bool:
    """Have every host give up its shards; whether every attempt had reported by then."""
    bound_s = wait_ms / 1_000 + _STOP_S
    hosts = hosts_of(settings, timeout_ms=int(bound_s * 1_000))
    drained = True
    for index in range(settings.hosts):
        request = DrainRequest(wait_ms=wait_ms)
        host = settings.host_name(index)
        info = hosts.call(host, "drain", request, HostInfo, answer_s=bound_s)
        drained = drained and info.state == "stopped" and info.resident == info.idle
    return drained


def hosts_of(settings: Settings, *, timeout_ms: int) -> Hosts:
    """Calls to the deployment's hosts."""
    return Hosts(
        deployment=settings.deployment,
        generation=settings.generation,
        hosts=settings.hosts,
        call_timeout_ms=timeout_ms,
    )


def kill(settings: Settings) -> None:
    """End every actor of the deployment, in a Ray that goes on."""
    import ray

    from heliostat.actors import remote

    remote.end(settings)  # first those that would create the others again
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["name"].startswith(f"heliostat/{settings.deployment}/"):
            with suppress(ValueError):  # it has just ended by itself
                found = ray.get_actor(actor["name"], namespace=names.NAMESPACE)
                ray.kill(found, no_restart=True)


def resource_here(name: str, *, ours: bool) -> str:
    """The custom resource that pins actors to this machine's node."""
    if ours:
        return name
    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
    return f"node:{address}"
