"""What actors are called in Ray: `heliostat/<deployment>/<generation>/<part>`, in one namespace.

A name is how parts find each other; it is never proof of anything. Who owns a shard is in the
journal, and an actor found by name may be gone a moment later.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.identity import ExecutionKey

NAMESPACE: Final = "heliostat"
"""The Ray namespace of every actor of every deployment."""

NODE_RESOURCE_PREFIX: Final = "heliostat_"
"""A node that a deployment's actors are pinned to offers `heliostat_<deployment>` as a custom
resource; it names the place and not the node, so that a node that comes back gets its actors."""


def host_name(deployment: str, generation: int, index: int) -> str:
    """An execution host; `index` counts from 0."""
    return f"{prefix(deployment, generation)}/host/{index}"


SCHEDULER: Final = "scheduler"


def is_host(name: str) -> bool:
    """Whether it is the name of a host that shards fall to, of whatever deployment."""
    return "/host/" in f"/{name}"


def supervisor_name(deployment: str, generation: int) -> str:
    """The actor that recreates what is missing."""
    return f"{prefix(deployment, generation)}/supervisor"


def launcher_name(deployment: str, generation: int) -> str:
    """The actor that owns the Ray tasks of long and resource-bearing steps."""
    return f"{prefix(deployment, generation)}/launcher"


def scheduler_name(deployment: str, generation: int) -> str:
    """The actor that owns placement."""
    return f"{prefix(deployment, generation)}/{SCHEDULER}"


def objects_name(deployment: str, generation: int) -> str:
    """The actor that knows which of Ray's objects holds which blob."""
    return f"{prefix(deployment, generation)}/objects"


def runner_name(deployment: str, generation: int, owner: str, index: int) -> str:
    """A warm runner; `owner` is the key of the host that made it, `index` counts from 0 there."""
    return f"{prefix(deployment, generation)}/runner/{owner}/{index}"


def execution_name(deployment: str, generation: int, key: ExecutionKey) -> str:
    """The actor of a dedicated execution."""
    return f"{prefix(deployment, generation)}/execution/{key.namespace}/{key.execution_id}"


def spare_name(deployment: str, generation: int, id: str) -> str:
    """An actor that waits for a dedicated execution, or carries one by now."""
    return f"{prefix(deployment, generation)}/spare/{id}"


def is_spare(name: str) -> bool:
    """Whether it is the name of an actor that began as a spare one."""
    return name.rpartition("/")[0].endswith("/spare")


def is_dedicated(name: str) -> bool:
    """Whether it is the name of an actor for one execution, of whatever deployment."""
    return is_spare(name) or "/execution/" in name


def node_resource(deployment: str) -> str:
    """The custom resource that pins a deployment's actors to a node."""
    return f"{NODE_RESOURCE_PREFIX}{deployment}"


def prefix_of(name: str) -> str:
    """The `prefix` of the generation that an actor of this name belongs to."""
    return "/".join(name.split("/")[:3])


def prefix(deployment: str, generation: int) -> str:
    """What the names of all actors of one generation begin with."""
    return f"heliostat/{deployment}/{generation}"
