"""What actors are called in Ray: `heliostat/<deployment>/<generation>/<part>`, in one namespace.

A name is how parts find each other; it is never proof of anything. Who owns a shard is in the
journal, and an actor found by name may be gone a moment later.
"""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "heliostat"
"""The Ray namespace of every actor of every deployment."""

NODE_RESOURCE_PREFIX: Final = "heliostat_"
"""A node that a deployment's actors are pinned to offers `heliostat_<deployment>` as a custom
resource; it names the place and not the node, so that a node that comes back gets its actors."""


def host_name(deployment: str, generation: int, index: int) -> str:
    """An execution host; `index` counts from 0."""
    return f"{prefix(deployment, generation)}/host/{index}"


def supervisor_name(deployment: str, generation: int) -> str:
    """The actor that recreates what is missing."""
    return f"{prefix(deployment, generation)}/supervisor"


def launcher_name(deployment: str, generation: int) -> str:
    """The actor that owns the Ray tasks of long and resource-bearing steps."""
    return f"{prefix(deployment, generation)}/launcher"


def scheduler_name(deployment: str, generation: int) -> str:
    """The actor that owns placement."""
    return f"{prefix(deployment, generation)}/scheduler"


def runner_name(deployment: str, generation: int, index: int) -> str:
    """A warm runner; `index` counts from 0 in the deployment."""
    return f"{prefix(deployment, generation)}/runner/{index}"


def node_resource(deployment: str) -> str:
    """The custom resource that pins a deployment's actors to a node."""
    return f"{NODE_RESOURCE_PREFIX}{deployment}"


def prefix(deployment: str, generation: int) -> str:
    """What the names of all actors of one generation begin with."""
    return f"heliostat/{deployment}/{generation}"
