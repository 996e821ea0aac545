"""How Ray shows its nodes, and how its autoscaler is told what waits. Everything here blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import ray

from heliostat.engine.scheduling.nodes import NodeView

CALL_S: Final = 4
"""Of one call to Ray's GCS."""


class RayView:
    """The cluster that this process is part of."""

    def __init__(self) -> None:
        self._client: Any = None

    def nodes(self) -> list[NodeView]:
        """Every living node, with what is used on it by whomever; raises what Ray raises."""
        from ray.core.generated import autoscaler_pb2

        words: Any = autoscaler_pb2
        reply = words.GetClusterResourceStateReply()
        reply.ParseFromString(self._gcs().get_cluster_resource_state(timeout_s=CALL_S))
        views = []
        for node in reply.cluster_resource_state.node_states:
            if node.status == words.NodeStatus.DEAD:
                continue
            total = dict(node.total_resources)
            available = dict(node.available_resources)
            views.append(
                NodeView(
                    id=node.node_id.hex(),
                    name=node.node_ip_address,
                    total=total,
                    used={
                        name: amount - available.get(name, 0.0)
                        for name, amount in total.items()
                        if amount - available.get(name, 0.0) > 0
                    },
                    draining=node.status == words.NodeStatus.DRAINING,
                )
            )
        return _named_apart(views)

    def ask_for_nodes(self, shapes: Sequence[dict[str, float]]) -> None:
        """Tell Ray's autoscaler that the cluster should have room for all of these at once."""
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=[dict(shape) for shape in shapes])

    def _gcs(self) -> Any:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module

        if self._client is None:
            self._client = GcsClient(address=ray.get_runtime_context().gcs_address)
        return self._client


def _named_apart(views: Sequence[NodeView]) -> list[NodeView]:
    """Nodes on one address are told apart by the beginning of their ids."""
    count: dict[str, int] = {}
    for each in views:
        count[each.name] = count.get(each.name, 0) + 1
    return [
        NodeView(
            id=each.id,
            name=each.name if count[each.name] == 1 else f"{each.name} ({each.id[:6]})",
            total=each.total,
            used=each.used,
            draining=each.draining,
        )
        for each in views
    ]
