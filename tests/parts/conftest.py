"""One bare Ray for the parts of a deployment, each tried as an actor by itself."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from heliostat.actors import names
from heliostat.cluster.ray_environment import prepare_loopback


@pytest.fixture(scope="package")
def own_ray() -> Iterator[None]:
    """A Ray of these files' own, on the loopback only; others on the machine are not touched."""
    assert not ray.is_initialized()
    prepare_loopback()
    temporary = tempfile.mkdtemp(prefix="hr-")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 1024 * 1024,
        _temp_dir=temporary,
    )
    yield
    ray.shutdown()
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture(autouse=True)
def left_alone(own_ray: None) -> Iterator[None]:
    """A test that fails leaves nothing that holds a CPU: it would take the next ones along."""
    yield
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["namespace"] == names.NAMESPACE:
            with contextlib.suppress(ValueError):  # it has just ended
                ray.kill(ray.get_actor(**actor), no_restart=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, for sockets."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
