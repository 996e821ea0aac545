"""The door in a Ray, and on a Serve, that somebody else started."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from heliostat.api.serve.ports import free_port
from heliostat.cluster.ray_environment import LOOPBACK
from heliostat.cluster.ray_node import start_ray, stop_ray
from heliostat.cluster.record import RayRecord
from tests.cluster.conftest import BOUND_S
from tests.serve.conftest import API, Served

pytestmark = pytest.mark.long

THEIRS = """\
import sys

import ray
from fastapi import FastAPI
from ray import serve

ray.init(address=sys.argv[1], log_to_driver=False)
app = FastAPI()


@app.get("/theirs")
def theirs() -> str:
    return "theirs"


deployment = serve.deployment(ray_actor_options={"num_cpus": 0})(serve.ingress(app)())
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
serve.run(deployment.bind(), name="theirs", route_prefix="/")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ray(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayRecord]:
    """A Ray whose environment says nothing of Serve; whoever connects knows that it is on the
    loopback interface, or Ray would look for it on another."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    (home / "ray").mkdir()
    record = start_ray(
        home / "ray",
        resources={},
        dashboard=False,
        environment={},
        timeout_ms=120_000,
        starting=lambda _: None,
    )
    yield record
    stop_ray(record)


def test_it_opens_beside_other_applications_and_leaves_them_be(ray: RayRecord, home: Path) -> None:
    assert ray.address is not None
    port = free_port("127.0.0.1", 0)
    (home / "theirs.py").write_text(THEIRS)
    subprocess.run(
        [sys.executable, home / "theirs.py", ray.address, str(port)],
        check=True,
        timeout=BOUND_S,
        cwd=home,
        capture_output=True,
    )
    place = Served(home)
    ran = place.cli("up", "--ray-address", ray.address, "--format", "json")
    assert ran.code == 0, ran.err
    try:
        assert ran.json["http"] == f"http://127.0.0.1:{port}/heliostat"
        assert "RAY_SERVE_ENABLE_HA_PROXY=1" in ran.json["slower"]
        place.register()
        with place.client() as http:
            id = http.post("/workflows", json={"definition_id": "greet", "input": {"n": 3}}).json()
            told = http.get(f"/workflows/{id['workflow_id']}/result", params={"wait": "30s"}).json()
            assert told["output"] == 3
        again = place.cli("up", "--ray-address", ray.address, "--format", "json")
        assert (again.code, again.json["http"]) == (0, ran.json["http"]), again.err
        status = place.cli("status", "--format", "json")
        assert status.json["http"]["health"] == "healthy"
    finally:
        down = place.cli("down")
    assert down.code == 0, down.err
    assert httpx.get(f"http://127.0.0.1:{port}/theirs", timeout=30).json() == "theirs"
    gone = httpx.get(f"http://127.0.0.1:{port}/heliostat{API}/health", timeout=30)
    assert gone.status_code == 404
