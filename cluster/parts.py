"""The actors of a deployment, as whoever brings it up or down sees them. Needs a connected Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Final

from heliostat.actors import names
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.host.questions import DrainRequest, HostInfo
from heliostat.actors.settings import Settings
from heliostat.cluster.record import DeploymentRecord
from heliostat.engine.errors import Conflict, Unreachable

_LOOK_S: Final = 0.05
_ANSWER_S: Final = 5.0
"""How long one host may take to say what it is doing; it answers without the journal."""
_LAST_S: Final = 1.0
"""What it gets when the bound is nearly over: why it is not ready is worth that much."""
STOP_MS: Final = 10_000
"""How long a host may take to close when it has waited for its attempts."""
_TROUBLE_S: Final = 15.0
"""A host that cannot open its journal for this long will not by itself: the lock of a host that was
just killed, or a commit it left behind, take far less."""


def refuse_copy(settings: Settings) -> None:
    """Raise `Conflict` where the hosts of this deployment run for another data directory.

    A copied directory, or another one on the same shared journal, has the deployment's id and so
    the names of its actors: it would pass for the one that runs, and its `down` would end that.
    """
    from heliostat.actors import remote

    if remote.find_host(settings, 0) is None:
        return
    with calling(settings, timeout_ms=int(_ANSWER_S * 1_000)) as hosts:
        info = hosts.call(settings.host_name(0), "info", None, HostInfo, answer_s=_ANSWER_S)
    if info.data_dir != settings.data_dir:
        raise Conflict(
            f"deployment {settings.deployment} runs in this Ray for the data directory "
            f"{info.data_dir!r}, and {settings.data_dir!r} has the same journal or a copy of it: "
            f"end that one with `heliostat down` there, or bring this one up without --ray-address"
        )


def ensure(settings: Settings) -> None:
    """Create what is missing; returns before it answers."""
    from heliostat.actors import remote
    from heliostat.actors.scheduler.handle import create_scheduler

    for index in range(settings.hosts):
        remote.create_host(settings, index)
    remote.create_supervisor(settings)
    create_scheduler(settings)


def await_hosts(settings: Settings, *, timeout_ms: int) -> None:
    """Return when every host has its journal open and takes starts.

    Raises:
        Unreachable: one did not within the bound, with what it says of itself.
    """
    with calling(settings, timeout_ms=timeout_ms) as hosts:
        for index in range(settings.hosts):
            _await_host(hosts, settings.host_name(index), timeout_ms / 1_000)


def _await_host(hosts: Hosts, host: str, timeout_s: float) -> None:
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
    bound_s = (wait_ms + STOP_MS) / 1_000
    with calling(settings, timeout_ms=int(bound_s * 1_000)) as hosts:
        drained = _drain_carriers(hosts, settings, wait_ms)
        # All at once: shards are not to be taken over by hosts that are next.
        request = DrainRequest(wait_ms=wait_ms)

        def drain_host(index: int) -> HostInfo:
            name = settings.host_name(index)
            return hosts.call(name, "drain", request, HostInfo, answer_s=bound_s)

        if settings.hosts == 1:  # here: at the exit of a process, no thread begins any more
            infos = [drain_host(0)]
        else:
            with ThreadPoolExecutor(settings.hosts) as pool:
                infos = list(pool.map(drain_host, range(settings.hosts)))
    stopped = all(info.state == "stopped" and info.resident == info.idle for info in infos)
    return drained and stopped


def _drain_carriers(hosts: Hosts, settings: Settings, wait_ms: int) -> bool:
    """Those of dedicated executions first: on SQLite they need the host to store what they have."""
    request, drained = DrainRequest(wait_ms=wait_ms), True
    for name in _carriers(settings):
        with suppress(Unreachable):  # it has ended meanwhile, or is made again with the others
            info = hosts.call(name, "drain", request, HostInfo, timeout_s=_ANSWER_S + wait_ms / 1e3)
            drained = drained and info.resident == info.idle
    return drained


def _carriers(settings: Settings) -> list[str]:
    """The names of the actors of dedicated executions, and of spare ones."""
    import ray

    prefix = names.prefix(settings.deployment, settings.generation)
    found = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True)]
    return [name for name in found if name.startswith(f"{prefix}/") and names.is_dedicated(name)]


@contextmanager
def calling(settings: Settings, *, timeout_ms: int) -> Iterator[Hosts]:
    """Calls to the deployment's hosts; what is kept open for them is closed at the end."""
    hosts = Hosts(
        deployment=settings.deployment,
        generation=settings.generation,
        hosts=settings.hosts,
        call_timeout_ms=timeout_ms,
    )
    with closing(hosts):
        yield hosts


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


def pinned_by(record: DeploymentRecord, *, ours: bool) -> str | None:
    """The custom resource that pins actors to a node; None where they may be on any.

    A SQLite journal is a file of this machine's. One on PostgreSQL is reached from all nodes of
    somebody else's Ray, and a Ray of our own has one node.
    """
    if ours:
        return record.node_resource
    if record.journal is not None:
        return None
    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
    return f"node:{address}"
