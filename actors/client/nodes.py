"""Taking a node out of a deployment: what is on it goes on elsewhere, and nothing new comes to it.

The scheduler is told first and keeps it in Ray's own store: from then on neither runners nor
attempts nor actors are put on the node. Then its hosts give up their shards, which the others claim
at once, and are ended; the supervisor makes them again, elsewhere. Attempts that run there end, and
report to whoever owns their executions by then. Doing it again is harmless, and finishes what an
earlier time did not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

from heliostat.actors import names
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.ray_calls import find_actor, gone
from heliostat.actors.host.questions import DrainRequest, HostInfo
from heliostat.engine.errors import Conflict, HeliostatError, NotFound, Unreachable

STOP_S: Final = 10.0
"""How long a host may take to close when it has waited for its attempts."""

LOOK_S: Final = 0.2


def drain_node(hosts: Hosts, node: str, *, wait_ms: int, timeout_s: float) -> Sequence[str]:
    """Have a node carry nothing of the deployment any more; the names of the hosts that moved.

    Args:
        node: Ray's id of it, how the id begins, or the node's address.
        wait_ms: how long its hosts let attempts report before others take over.
        timeout_s: how long the hosts may take to come back elsewhere.

    Raises:
        NotFound: no node that lives has such an id, or several do.
        Conflict: it is the only node.
        Unreachable: the scheduler does not answer, or a host did not come back in time.
    """
    import ray

    node = _living(node)
    prefix = hosts.names[0].rpartition("/host/")[0]
    try:
        scheduler = find_actor(f"{prefix}/{names.SCHEDULER}")
        ray.get(scheduler.drain_node.remote(node), timeout=STOP_S)
    except gone() as error:
        raise Unreachable(
            f"the scheduler does not answer ({type(error).__name__}); try again"
        ) from error
    moving = [info.name for info in hosts.info() if info.ray_node == node]
    bound_s = wait_ms / 1_000 + STOP_S
    for name in moving:
        try:
            request = DrainRequest(wait_ms=wait_ms)
            hosts.call(name, "drain", request, HostInfo, timeout_s=bound_s, answer_s=bound_s)
        except HeliostatError:
            pass  # it died, or is slow: others take over what it has, which fencing makes safe
        _end(hosts, name)
    end_at = time.monotonic() + timeout_s
    for name in moving:
        _await_elsewhere(hosts, name, node, end_at)
    return moving


def _living(node: str) -> str:
    import ray

    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    addresses: dict[str, str] = {
        each["NodeID"]: each["NodeManagerAddress"] for each in known if each["Alive"]
    }
    ids = list(addresses)
    found = [id for id, address in addresses.items() if id.startswith(node) or address == node]
    if len(found) != 1:
        told = ", ".join(f"{id} at {address}" for id, address in addresses.items())
        raise NotFound(
            "node", node, f"{len(found)} living ones have such an id or address; there are {told}"
        )
    if len(ids) == 1:
        raise Conflict(f"node {found[0]} is the only one: nothing could go on elsewhere")
    return found[0]


def _await_elsewhere(hosts: Hosts, name: str, node: str, end_at: float) -> None:
    while True:
        left_s = max(end_at - time.monotonic(), 0.1)
        info: Any = hosts.call(name, "info", None, HostInfo, timeout_s=left_s)
        if info.state == "running" and info.ray_node != node:
            return
        if time.monotonic() >= end_at:
            raise Unreachable(f"host {name!r} is {info.state} on node {info.ray_node}")
        if info.ray_node == node:
            _end(hosts, name)  # Ray restarted it where it was before the drain was known
        hosts.forget(name)
        time.sleep(LOOK_S)


def _end(hosts: Hosts, name: str) -> None:
    """End a host's actor, so that the supervisor makes another, which avoids drained nodes."""
    import ray

    with contextlib.suppress(*gone()):
        ray.kill(find_actor(name), no_restart=True)
    hosts.forget(name)
