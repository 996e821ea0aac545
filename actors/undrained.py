"""Where Ray may put an actor of a deployment: never on a node that an operator drains.

Whoever makes an actor asks here just before. That is no lock: a node that is drained a moment later
may still get one. `heliostat node drain`, done again, moves it.
"""

from __future__ import annotations

from typing import Any, Final

from heliostat.actors import names

NODE_LABEL: Final = "ray.io/node-id"
"""The label by which Ray names each node."""


class DrainedNodes:
    """Which nodes an operator drains, kept in Ray's own store: it lives as long as the nodes do,
    and a scheduler that begins anew reads it. Everything here blocks for a moment."""

    def __init__(self, prefix: str) -> None:
        """Args:
        prefix: what the names of the deployment's actors begin with.
        """
        self._prefix = f"{prefix}/draining/"

    def add(self, node: str) -> None:
        """A node drains from now on."""
        from ray.experimental import internal_kv

        internal_kv._internal_kv_put(self._prefix + node, b"1", namespace=names.NAMESPACE.encode())

    def all(self) -> list[str]:
        """Ids of the nodes, also of those that have left."""
        from ray.experimental import internal_kv

        keys = internal_kv._internal_kv_list(self._prefix, namespace=names.NAMESPACE.encode())
        return [key.decode().removeprefix(self._prefix) for key in keys]


def strategy(actor: str, *, otherwise: str = "DEFAULT", share: int | None = None) -> Any:
    """Ray's scheduling strategy for the actor of this name; `otherwise` where nothing is drained.

    Hard where nodes are drained: should all of them be, the actor waits for another one.

    Args:
        share: to which of the nodes it rather goes while none is drained, counted round; in place
            of `otherwise`. Ray's SPREAD counts at each node by itself, and may put two actors on
            one of two nodes.

    Ray heeds none of these for an actor that reserves nothing.
    """
    import ray
    from ray.util.scheduling_strategies import (
        NodeAffinitySchedulingStrategy,
        NodeLabelSchedulingStrategy,
        NotIn,
    )

    drained = DrainedNodes(names.prefix_of(actor)).all()
    if drained:
        others = NotIn(*drained)  # type: ignore[no-untyped-call]  # Ray's
        return NodeLabelSchedulingStrategy(hard={NODE_LABEL: others})
    if share is None:
        return otherwise
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    living = sorted(node["NodeID"] for node in known if node["Alive"])
    return NodeAffinitySchedulingStrategy(living[share % len(living)], soft=True)
