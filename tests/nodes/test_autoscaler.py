"""Ray's autoscaler brings a node for a step that none can run, and takes it away again."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import ray

from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import down, up
from heliostat.cluster.queue import deployment_queue
from tests.cluster.conftest import Place
from tests.cluster.test_many_hosts import until
from tests.nodes.conftest import CPUS, STORE_BYTES, Nodes
from tests.nodes.provider import autoscaling
from tests.nodes.test_nodes import STEPS

pytestmark = pytest.mark.long

BOUND_S = 240.0

LARGE = f"""
id: large
version: "1"
steps:
  - id: where
    type: activity
    activity: "nodes_steps:where"
    resources: {{num_cpus: {2 * CPUS}}}
"""


@pytest.fixture
def scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A head that Ray's autoscaler adds nodes to."""
    monkeypatch.setenv("RAY_enable_autoscaler_v2", "0")  # the one that takes any provider
    monkeypatch.setenv("AUTOSCALER_UPDATE_INTERVAL_S", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "autoscaling.json"
    told = autoscaling(f"127.0.0.2:{port}", "127.0.0.2", CPUS, STORE_BYTES)
    file.write_text(json.dumps(told))
    nodes = Nodes(gcs_server_port=port, autoscaling_config=str(file))
    try:
        yield nodes
    finally:
        nodes.end()


@pytest.fixture
def configuration(scaled: Nodes) -> Iterator[Configuration]:
    home = Path(tempfile.mkdtemp(prefix="hs-"))
    (home / "nodes_steps.py").write_text(STEPS)
    (home / "large.yaml").write_text(LARGE)
    made = msgspec.structs.replace(
        Place(home).configuration, ray_address=scaled.address, autoscaling=True
    )
    up(made)
    try:
        yield made
    finally:
        down(made)
        shutil.rmtree(home, ignore_errors=True)


def alive() -> set[str]:
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    return {node["NodeID"] for node in known if node["Alive"]}


def test_a_node_comes_for_a_step_that_none_can_run_and_goes_when_nothing_waits(
    configuration: Configuration, scaled: Nodes
) -> None:
    assert alive() == {scaled.head_id}
    with attach(configuration) as client:
        client.register(configuration.code / "large.yaml")
        handle = client.start("large")
        until(lambda: deployment_queue(configuration).waiting)
        came = handle.result(BOUND_S)
    assert came in alive() - {scaled.head_id}
    until(lambda: alive() == {scaled.head_id})
