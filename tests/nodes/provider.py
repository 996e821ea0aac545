"""Machines for Ray's autoscaler: raylets on this one, each with a loopback address of its own.

The autoscaler's process loads this by name, as it does the provider of a cloud; it knows nothing of
heliostat's tests but the address of the cluster, which its configuration says.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from heliostat.cluster.processes import descendants, end, identify

HEAD_TYPE = "head"


class LoopbackProvider(NodeProvider):  # type: ignore[misc]  # Ray's classes have no types
    """Starts and ends raylets; its state is its memory, since it lives as long as the cluster."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self._address: str = provider_config["cluster"]
        tags = {
            TAG_RAY_NODE_KIND: NODE_KIND_HEAD,
            TAG_RAY_USER_NODE_TYPE: HEAD_TYPE,
            TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
        }
        self._tags: dict[str, dict[str, str]] = {provider_config["head"]: tags}
        self._raylets: dict[str, subprocess.Popen[bytes]] = {}

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        return [ip for ip, tags in self._tags.items() if tag_filters.items() <= tags.items()]

    def is_running(self, node_id: str) -> bool:
        return node_id in self._tags

    def is_terminated(self, node_id: str) -> bool:
        return node_id not in self._tags

    def node_tags(self, node_id: str) -> dict[str, str]:
        return dict(self._tags.get(node_id, {}))

    def internal_ip(self, node_id: str) -> str:
        return node_id

    external_ip = internal_ip

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        self._tags[node_id].update(tags)

    def create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, float],
        labels: dict[str, str],
    ) -> None:
        for _ in range(count):
            ip = f"127.0.1.{1 + len(self._raylets)}"
            self._tags[ip] = {**tags, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}
            self._raylets[ip] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                    f"--address={self._address}",
                    f"--node-ip-address={ip}",
                    f"--num-cpus={int(resources['CPU'])}",
                    f"--object-store-memory={node_config['object_store_memory']}",
                ],
                stdin=subprocess.DEVNULL,
            )

    def terminate_node(self, node_id: str) -> None:
        self._tags.pop(node_id)
        raylet = identify(self._raylets[node_id].pid)
        if raylet is not None:
            end([*descendants(raylet), raylet], grace_ms=5_000)


def autoscaling(cluster: str, head: str, cpus: int, store_bytes: int) -> dict[str, Any]:
    """What the head is told: how many nodes there may be, of which kind, and who makes them."""
    nothing: dict[str, list[str]] = {
        name: []
        for name in (
            *("initialization_commands", "setup_commands", "head_setup_commands"),
            *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
            *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
        )
    }
    return {
        "cluster_name": "tests",
        "max_workers": 2,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 1.0,
        "head_node_type": HEAD_TYPE,
        "available_node_types": {
            HEAD_TYPE: {"resources": {"CPU": cpus}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": 2 * cpus},
                "node_config": {"object_store_memory": store_bytes},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "provider": {
            "type": "external",
            "module": "tests.nodes.provider.LoopbackProvider",
            "cluster": cluster,
            "head": head,
            "use_internal_ips": True,
            "disable_node_updaters": True,  # what makes a machine a node, the provider has done
            "disable_launch_config_check": True,
            "foreground_node_launch": True,
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **nothing,
    }
