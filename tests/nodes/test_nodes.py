"""Nodes that join, die with all that is on them, are drained, and the head itself.

Two hosts on a PostgreSQL journal, on a cluster of several raylets. After each fault every execution
has its end, each step is completed once, and what had its effect twice is explained by its history.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliostat.actors.client.client import Client
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import up
from heliostat.cluster.ray_connection import connect_ray
from heliostat.engine.errors import ExecutionFailed, Unreachable
from tests.cluster.test_many_hosts import CHAIN, Load, infos, serving, until
from tests.nodes.conftest import Nodes

pytestmark = pytest.mark.long

MANY = 600

WHERE = """
id: where
version: "1"
steps:
  - id: each
    type: activity
    activity: "nodes_steps:where"
    foreach: range(0, 3)
    resources: {num_cpus: 0.5, custom: {late: 1}}
output: $.steps.each.output
"""

STEPS = """
import ray


def where():
    return ray.get_runtime_context().get_node_id()
"""


@pytest.fixture(scope="module")
def configuration(deployed: Configuration) -> Configuration:
    """Up, with what the tests start."""
    home = deployed.data_dir.parent
    shutil.copy(Path(__file__).parents[1] / "cluster" / "many_hosts.py", home)
    (home / "nodes_steps.py").write_text(STEPS)
    (home / "chain.yaml").write_text(CHAIN)
    (home / "where.yaml").write_text(WHERE)
    up(deployed)
    with attach(deployed) as client:
        client.register_many([home / "chain.yaml", home / "where.yaml"])
    return deployed


def host_nodes(configuration: Configuration) -> dict[str, str]:
    """Host -> Ray's id of the node that it is on."""
    return {name: info["ray_node"] for name, info in infos(configuration).items()}


def under_way(client: Client, folder: Path) -> Load:
    load = Load(client, folder, MANY)
    until(load.some_ended)
    return load


def test_hosts_are_spread(configuration: Configuration, nodes: Nodes) -> None:
    assert len(set(host_nodes(configuration).values())) == 2


def test_a_node_that_joins_gets_work(configuration: Configuration, nodes: Nodes) -> None:
    with attach(configuration) as client:
        with pytest.raises(ExecutionFailed, match="late"):
            client.start("where").result(60)  # no node could ever run it
        joined = nodes.add({"late": 3})

        def ran_there() -> bool:
            try:
                return client.start("where").result(60) == [joined.node_id] * 3
            except ExecutionFailed:  # the scheduler has not seen the node yet
                return False

        until(ran_there)


def test_a_node_dies_with_a_host_and_running_steps(
    configuration: Configuration, nodes: Nodes, tmp_path: Path
) -> None:
    with attach(configuration) as client:
        load = under_way(client, tmp_path)
        dying = next(id for id in host_nodes(configuration).values() if id != nodes.head_id)
        nodes.kill(nodes.by_id(dying))
        load.check()
    until(lambda: serving(configuration) == 16)
    assert dying not in host_nodes(configuration).values()


def test_one_ray_has_several_addresses(nodes: Nodes) -> None:
    """As on Kubernetes, where workers know the head by the name of a service."""
    port = nodes.address.rpartition(":")[2]
    for address in (nodes.address, f"localhost:{port}"):
        connect_ray(address, ours=False)()
    with pytest.raises(Unreachable, match="this process is connected to the Ray at"):
        connect_ray("localhost:1", ours=False)


def test_a_drained_node_loses_nothing(
    configuration: Configuration, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.add()
    with attach(configuration) as client:
        load = under_way(client, tmp_path)
        leaving = next(iter(host_nodes(configuration).values()))
        client.drain_node(nodes.by_id(leaving).node_ip_address)
        assert load.check() == 0
    assert leaving not in host_nodes(configuration).values()


def test_the_cluster_is_gone_with_its_head_and_up_goes_on(
    configuration: Configuration, nodes: Nodes, tmp_path: Path
) -> None:
    with attach(configuration) as client:
        load = under_way(client, tmp_path)
    nodes.kill_all()
    nodes.begin()
    moved: Any = msgspec.structs.replace(configuration, ray_address=nodes.address)
    up(moved)
    with attach(moved) as client:
        load.client = client
        load.handles = [client.get(handle.id) for handle in load.handles]
        load.check()
