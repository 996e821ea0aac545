"""The Kubernetes manifest's application on a real Ray, driven as KubeRay's operator drives it.

A head is started with the environment of `configuration.yaml`, and Serve's configuration is put to
its dashboard. Then the head is lost with all that it had, another one takes its name, and gets the
same configuration: what was started goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from heliostat.api.serve.kuberay import bring_up
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.processes import descendants, end, identify
from heliostat.engine.errors import ConfigurationError
from tests.deploy.manifests import resources

BOUND_S = 150.0
MANIFEST = resources()["rayservice.yaml", "RayService", "heliostat"]["spec"]
ENVIRONMENT = resources()["configuration.yaml", "ConfigMap", "heliostat"]["data"]

SLOW = """
id: slow
version: "1"
steps:
  - {id: first, type: decision, output: {word: $.input.word}, next: pause}
  - {id: pause, type: wait, signal: go, next: last}
  - {id: last, type: decision, output: "${ upper($.steps.first.output.word) }"}
"""


def test_without_the_heads_name_it_is_refused() -> None:
    """Else heliostat would start a Ray inside of Ray."""
    with pytest.raises(ConfigurationError, match="HELIOSTAT_RAY_ADDRESS to the head's service"):
        bring_up(load_configuration(environment={}))
    assert Configuration().ray_address is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def asked(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(found: Callable[[], Any], what: Callable[[], str]) -> Any:
    end_at = time.monotonic() + BOUND_S
    while time.monotonic() < end_at:
        with suppress(OSError):
            if (value := found()) is not None:
                return value
        time.sleep(0.1)
    raise AssertionError(what())


class Head:
    """What KubeRay makes of a head's pod: a Ray with this environment, under one name."""

    def __init__(self, home: Path) -> None:
        self.gcs, self.dashboard, self.http = free_port(), free_port(), free_port()
        self.home = home
        self.log = home / "ray.log"

    @contextmanager
    def running(self) -> Iterator[None]:
        kept = {name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"}
        environment = {
            **kept,
            **ENVIRONMENT,
            # another name than Ray has for itself, as in pods
            "HELIOSTAT_RAY_ADDRESS": f"localhost:{self.gcs}",
            "HELIOSTAT_DATA_DIR": str(self.home / "data"),
            "HELIOSTAT_CODE": str(self.home),
            "HELIOSTAT_HOSTS": "1",
            "HELIOSTAT_RUNNERS": "1",
            "HELIOSTAT_HTTP_REPLICAS": "1",
            "HELIOSTAT_HTTP_HOST": "127.0.0.1",
            "HELIOSTAT_HTTP_PORT": str(self.http),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "disabled",
            "RAY_raylet_start_wait_time_s": "120",
        }
        command = [
            Path(sys.executable).with_name("ray"), "start", "--head", "--block",
            f"--port={self.gcs}", "--node-ip-address=127.0.0.1", "--include-dashboard=true",
            "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}",
            f"--temp-dir={self.home / 'ray'}", "--num-cpus=1", "--disable-usage-stats",
            "--object-store-memory=100000000",
        ]  # fmt: skip
        with self.log.open("a") as log:
            started = subprocess.Popen(
                command, env=environment, cwd=self.home, stdout=log, stderr=log
            )
        head = identify(started.pid)
        assert head is not None
        try:
            yield
        finally:
            # all at once, as when a pod is gone
            end([head, *descendants(head)], grace_ms=0)
            started.wait()

    def serve(self) -> None:
        """Give it Serve's configuration until it takes it, and wait for the door."""
        config = YAML(typ="safe", pure=True).load(MANIFEST["serveConfigV2"])
        config["http_options"] = {"host": "127.0.0.1", "port": self.http}
        url = f"http://127.0.0.1:{self.dashboard}/api/serve/applications/"
        until(lambda: True if asked("PUT", url, config)[0] == 200 else None, self.log.read_text)
        until(self.healthy, lambda: f"{asked('GET', url)}\n{self.log.read_text()}")

    def healthy(self) -> Any:
        code, told = self.ask("GET", "/health")
        return told if code == 200 else None

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return asked(method, f"http://127.0.0.1:{self.http}{path}", body)


@pytest.fixture
def home() -> Iterator[Path]:
    """Short, for Ray's sockets are below it."""
    folder = Path(tempfile.mkdtemp(prefix="hk-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.long
@pytest.mark.timeout(600)  # Ray and Serve start twice, each with a bound of its own
def test_the_application_brings_the_deployment_up_and_back(home: Path) -> None:
    head = Head(home)
    definition = YAML(typ="safe", pure=True).load(SLOW)
    with head.running():
        head.serve()
        code, told = head.ask("POST", "/api/v1/workflow-definitions", definition)
        assert code == 201, told
        start = {"definition_id": "slow", "workflow_id": "one", "input": {"word": "on"}}
        code, told = head.ask("POST", "/api/v1/workflows", start)
        assert code == 201, told
    with head.running():
        head.serve()
        code, told = head.ask("POST", "/api/v1/workflows/one/signal", {"signal_name": "go"})
        assert code == 200, told
        code, told = head.ask("GET", "/api/v1/workflows/one/result?wait=60s")
        assert (code, told["output"]) == (200, "ON")
