"""The door beside a deployment: started by `heliostat up`, ended by `down`."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import msgspec

from heliostat.api.serve import proxy
from heliostat.api.serve.ports import free_port
from heliostat.cluster.config import Configuration
from heliostat.cluster.record import DeploymentRecord, HttpRecord
from heliostat.engine.errors import Unreachable

_LOOK_S: Final = 0.1
"""Between two looks at whether the door answers."""
_LEFT_S: Final = 3.0
"""How long the door may take to see that it ends: it looks twice a second."""
_ANSWER_S: Final = 5.0
"""How long it may take for one answer, when it begins to."""


class ServeDoor:
    """`heliostat.cluster.doors.Door`, on Ray Serve."""

    def place(self, configuration: Configuration) -> HttpRecord:
        """Where it is going to be; see `Door`.

        In somebody else's Ray, Serve may run already, and then says where it is when it is asked.
        """
        host, port = configuration.http_host, configuration.http_port
        if configuration.ray_address is None or not port:
            port = free_port(host, port)
        return HttpRecord(host=host, port=port)

    def environment(self, data_dir: Path) -> Mapping[str, str]:
        """What makes Ray Serve use its fast proxy."""
        return proxy.environment(data_dir)

    def forget(self, data_dir: Path) -> None:
        """Remove the fast proxy's folder."""
        proxy.forget(data_dir)

    def warm(self, environment: Mapping[str, str]) -> None:
        """Import what takes long to import. Serve reads its settings when it is imported."""
        os.environ.update(environment)
        importlib.import_module("heliostat.api.serve.app")

    def start(self, configuration: Configuration, record: DeploymentRecord) -> HttpRecord:
        """Open it; see `Door`."""
        http = record.http
        assert http is not None
        import ray
        from ray import serve

        from heliostat.api.serve import foreign
        from heliostat.api.serve.app import application

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        end_at = time.monotonic() + configuration.up_timeout_ms / 1_000
        with _told_late(http, configuration.up_timeout_ms):
            if not record.ray.owned:
                http = foreign.placed(http)
            proxies: list[Any] = []
            if not _is_deployed(http.app):  # again, it would lose what it has in hand
                proxies = _start_serve(http)
                placed = msgspec.structs.replace(configuration, http_host=http.host)
                app = application(placed, node_resource=record.node_resource)
                waits = not record.ray.owned
                serve._run(app, _blocking=waits, name=http.app, route_prefix=http.prefix or "/")
            if record.ray.owned:
                await_answer(http, end_at)
            else:  # of several machines, this one need not have a proxy
                ray.get(proxies, timeout=max(0.0, end_at - time.monotonic()))
        return http

    def stop(self, record: DeploymentRecord) -> None:
        """Close it; see `Door`."""
        http = record.http
        if http is None:
            return
        if record.ray.owned:
            _await_left(http)
            return
        from ray import serve
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        with suppress(RayError, RayServeException, TimeoutError, RuntimeError):  # it may be gone
            serve.delete(http.app)


def _is_deployed(app: str) -> bool:
    """Whether Serve has the application, and looks after it."""
    from ray import serve

    from heliostat.api.serve import foreign

    if foreign.client() is None:
        return False
    found = serve.status().applications.get(app)
    return found is not None and found.status in ("RUNNING", "DEPLOYING", "UNHEALTHY")


def _start_serve(http: HttpRecord) -> list[Any]:
    """Have Serve run; returns before its proxies do.

    Serve's own `start` waits for them before an application can be deployed. Here they come up
    beside the application, which takes as long.

    Returns:
        What can be waited for until they do.
    """
    from ray.serve._private import api
    from ray.serve._private.client import ServeControllerClient
    from ray.serve.config import ControllerOptions
    from ray.serve.context import _get_global_client, _set_global_client

    if _get_global_client(raise_if_no_controller_running=False) is not None:
        return []
    controller, proxies = api._create_controller_and_proxy_refs(
        http_options={"host": http.host, "port": http.port},
        grpc_options=None,
        global_logging_config={"enable_access_log": False, "log_level": "WARNING"},
        global_tracing_config=None,
        controller_options=ControllerOptions(),
        proxy_location="HeadOnly",
    )
    _set_global_client(ServeControllerClient(controller))  # type: ignore[no-untyped-call]
    return proxies


def _await_left(http: HttpRecord) -> None:
    """Return when the door has told those who watch, or when the bound is over."""
    end_at = time.monotonic() + _LEFT_S
    while time.monotonic() < end_at:
        connection = HTTPConnection(*http.reached, timeout=_LEFT_S)
        try:
            connection.request("GET", f"{http.prefix}/health")
            if connection.getresponse().status != 200:
                return
        except (OSError, HTTPException):
            return  # nobody is there who could tell
        finally:
            connection.close()
        time.sleep(_LOOK_S)


def await_answer(http: HttpRecord, end_at: float) -> None:
    """Return when the door answers for the deployment.

    Raises:
        TimeoutError: it did not.
    """
    while True:
        if answers(http, timeout_s=_ANSWER_S):
            return
        if time.monotonic() >= end_at:
            raise TimeoutError("no answer")
        time.sleep(_LOOK_S)


def answers(http: HttpRecord, *, timeout_s: float) -> bool:
    """Whether a process of the door answers, whatever it says of the deployment."""
    connection = HTTPConnection(*http.reached, timeout=timeout_s)
    try:
        connection.request("GET", f"{http.prefix}/api/v1/openapi.json")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _told_late(http: HttpRecord, timeout_ms: int) -> Iterator[None]:
    """What Ray and Serve raise, as errors of ours."""
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    try:
        yield
    except (RayError, RayServeException, TimeoutError, RuntimeError) as error:
        raise Unreachable(
            f"the HTTP door at {http.address} did not answer within {timeout_ms / 1_000:g} s: "
            f"{type(error).__name__}: {error}; leave it out with --no-http"
        ) from error
