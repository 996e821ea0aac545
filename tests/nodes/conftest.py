"""Several raylets on one machine, each a node to Ray; they listen on the loopback interface only.

The cluster is somebody else's to heliostat, as one of machines would be: it is named by its address
and neither started nor ended by `up` and `down`. All files have one, since making one takes half a
minute.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.victims import command, is_of
from heliostat.cluster.config import Configuration
from heliostat.cluster.deployment import down
from heliostat.cluster.processes import Process, descendants, identify
from heliostat.cluster.ray_environment import prepare_quiet
from tests.cluster.conftest import Place
from tests.cluster.test_many_hosts import until

CPUS = 2
STORE_BYTES = 100_000_000
"""Of each node's object store: the least that Ray takes is 75 MiB."""


class Nodes:
    """A Ray cluster whose nodes come and go."""

    def __init__(self, **head: Any) -> None:
        """Args:
        head: what its first node is started with beside what all are, as Ray names it.
        """
        prepare_quiet()
        os.environ["RAY_AUTH_MODE"] = "disabled"
        from ray._common.utils import get_default_ray_temp_dir

        # How long a starting raylet may take to be known; nine test suites beside it are slow.
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
        self._temp = tempfile.mkdtemp(prefix="hr-")
        # There Ray notes a head's address, and fails where the folder is not; nobody reads it here.
        Path(get_default_ray_temp_dir()).mkdir(parents=True, exist_ok=True)
        self._all: list[Any] = []
        self._made = 0
        self._head = head
        self.begin()

    def begin(self) -> None:
        """A cluster of its head alone, and this process connected to it there."""
        import ray
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()  # type: ignore[no-untyped-call]  # Ray's
        head = self.add(**self._head)
        self.address: str = self._cluster.address
        ray.init(
            address=self.address,
            _node_ip_address=head.node_ip_address,
            log_to_driver=False,
            namespace="heliostat",
        )

    def add(self, resources: dict[str, float] | None = None, **settings: Any) -> Any:
        """One more node; known to the cluster when this returns."""
        self._made += 1
        node = self._cluster.add_node(
            wait=True,
            node_ip_address=f"127.0.0.{1 + self._made}",
            num_cpus=CPUS,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            resources=resources or {},
            temp_dir=self._temp,
            **settings,
        )
        self._all.append(node)
        return node

    def know_each_other(self) -> bool:
        """Whether every node would place work on all. Its raylet hears of one that has just joined
        later than the control store, and until then spreads nothing to it."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def where() -> str:
            return str(ray.get_runtime_context().get_node_id())

        def seen() -> int:
            spread = ray.remote(where).options(num_cpus=0, scheduling_strategy="SPREAD")
            return len(set(ray.get([spread.remote() for _ in range(4)], timeout=60)))

        asked = [
            ray.remote(seen)
            .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False))
            .remote()
            for id in (node.node_id for node in self._all)
        ]
        return set(ray.get(asked, timeout=120)) == {len(self._all)}

    def by_id(self, node_id: str) -> Any:
        """The node that Ray calls so."""
        return next(node for node in self._all if node.node_id == node_id)

    def living(self, node: Any, kind: str = "") -> list[Process]:
        """The processes of a node, those of a kind where it is given; the oldest first."""
        found = [each for each in _processes(node) if not kind or is_of(kind, command(each))]
        return sorted(found, key=lambda each: each.started)

    @property
    def all(self) -> list[Any]:
        """The nodes that live, the head first."""
        return list(self._all)

    @property
    def head_id(self) -> str:
        return str(self._cluster.head_node.node_id)

    def kill(self, node: Any) -> None:
        """As when a machine loses its power: every process of the node at once."""
        for process in _processes(node):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self._all.remove(node)
        if node is not self._cluster.head_node:
            self._cluster.worker_nodes.discard(node)

    def kill_all(self) -> None:
        """The end of the Ray cluster; this process leaves it first."""
        import ray

        ray.shutdown()  # type: ignore[no-untyped-call]  # Ray's
        for node in list(self._all):
            self.kill(node)

    def end(self) -> None:
        """End what is left of it."""
        self.kill_all()
        shutil.rmtree(self._temp, ignore_errors=True)


def _processes(node: Any) -> list[Process]:
    found: list[Process] = []
    for started in node.all_processes.values():
        for info in started:
            process = identify(info.process.pid)
            if process is not None:
                found += [process, *descendants(process)]
    return found


@pytest.fixture(scope="package")
def cluster() -> Iterator[Nodes]:
    """The one of all files here."""
    made = Nodes()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def nodes(cluster: Nodes) -> Nodes:
    """A cluster of a head and one node more, whatever the file before has killed."""
    if len(cluster.all) == 1:
        cluster.add()
    assert len(cluster.all) == 2
    until(cluster.know_each_other)
    return cluster


@pytest.fixture(scope="module")
def deployed(nodes: Nodes, postgres: Any) -> Iterator[Configuration]:
    """What a deployment of two hosts on these nodes is configured by; not up yet."""
    home = Path(tempfile.mkdtemp(prefix="hs-"))
    made = msgspec.structs.replace(
        Place(home).configuration,
        ray_address=nodes.address,
        journal=postgres.url_of(postgres.new_database()),
        hosts=2,
        drain_timeout_ms=1_000,
    )
    try:
        yield made
    finally:
        with suppress(Exception):
            down(msgspec.structs.replace(made, ray_address=nodes.address))
        shutil.rmtree(home, ignore_errors=True)
