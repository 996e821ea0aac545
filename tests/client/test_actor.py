"""What `client.actor` gives: a value that other processes can be handed."""

from __future__ import annotations

import pickle
from pathlib import Path

from heliostat.actors.client.actor import Deployment, ExecutionActor, deployment_of
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore


def test_it_survives_the_way_into_another_process(tmp_path: Path) -> None:
    deployment = Deployment("d-1", 1, 2, 30_000)
    actor = ExecutionActor(deployment, FileBlobStore(tmp_path), ExecutionKey("sales", "order-7"))
    there = pickle.loads(pickle.dumps(actor))
    assert (there.id, there.namespace) == ("order-7", "sales")
    assert there._deployment == deployment
    assert repr(there) == "<actor of execution sales/order-7>"


def test_here_it_is_its_clients_and_takes_nothing_of_it_along(tmp_path: Path) -> None:
    """A connection of its own would be closed by nobody."""
    hosts = Hosts(deployment="d-1", generation=1, hosts=1, call_timeout_ms=30_000)
    with ray_client(hosts=hosts, blobs=FileBlobStore(tmp_path)) as client:
        actor = client.actor("order-7")
        assert actor._reached() == (hosts, client)
        there = pickle.loads(pickle.dumps(actor))
        assert there._way is None


def test_a_deployment_is_told_by_the_names_of_its_hosts() -> None:
    hosts = Hosts(deployment="d-1", generation=3, hosts=2, call_timeout_ms=30_000)
    assert deployment_of(hosts) == Deployment("d-1", 3, 2, 30_000)
