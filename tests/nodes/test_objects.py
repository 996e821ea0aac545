"""Objects on another node: fetched while it lives, read from their files when it is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tests.nodes.conftest import Nodes
from tests.objects.support import MB, Deployment

pytestmark = pytest.mark.long


def test_an_object_crosses_nodes_and_its_file_outlives_the_node(nodes: Nodes) -> None:
    with tempfile.TemporaryDirectory(prefix="hs-") as folder:
        deployment = Deployment(Path(folder))
        other = nodes.add()
        here, there = (
            {"scheduling_strategy": NodeAffinitySchedulingStrategy(id, soft=False)}
            for id in (nodes.head_id, other.node_id)
        )
        # The first to keep something creates the keeper where Ray likes: here, since it can.
        near = deployment.process(**here)
        deployment.kept(near, "array", 2 * MB, 7)
        reader, writer = deployment.process(**here), deployment.process(**there)
        fetched = deployment.kept(writer, "array", 8 * MB, 1)
        left = deployment.kept(writer, "array", 8 * MB, 2)
        found = ray.get(reader.read.remote(fetched))
        assert (found["shared"], found["files"]) == (1, 0)
        assert ray.get(reader.total.remote()) == MB
        nodes.kill(other)
        for reference, total in ((left, 2 * MB), (fetched, MB)):
            deployment.until(lambda reference=reference: _read(reader, reference))
            assert ray.get(reader.total.remote()) == total
        assert ray.get(reader.total.remote()) == MB
        deployment.end()


def _read(reader: object, reference: object) -> bool:
    """Whether it came from its file; never an error, however the node's end is noticed."""
    found = ray.get(reader.read.remote(reference), timeout=60)  # type: ignore[attr-defined]
    return bool(found["files"])
