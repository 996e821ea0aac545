"""The Ray Serve application: replicas that each run the HTTP application with one client.

`build` is what deployment files name (`import_path: heliostat.api.serve.app:build`); `heliostat up`
makes the same application by `application`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from heliostat.actors.detached import PIN
from heliostat.actors.host.tuning import calm_collector, take_cpu_first
from heliostat.api.http import guards
from heliostat.api.http.app import create_app
from heliostat.api.http.door import Door
from heliostat.api.serve.attached import Attached
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.connect import code_path, proving
from heliostat.cluster.record import HttpRecord, read_record

_log = logging.getLogger(__name__)

DEPLOYMENT: Final = "door"
"""What Serve calls the one deployment of the application."""

ONGOING_MAX: Final = 10_000
"""Requests that a replica has open: each live socket is one, and a start waits for those that it
shares a call with, so the bound must not be what makes requests queue."""

GRACEFUL_S: Final = 10.0
"""How long a replica that is asked to end lets its requests finish."""

LOOK_S: Final = 0.5
"""Between two looks at the record of the deployment: a file of a few kilobytes."""


class Replica:
    """One process of the door."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._attached = Attached(configuration)
        self._following: asyncio.Task[None] | None = None
        calm_collector()
        take_cpu_first()  # as a host: who asks shall be answered while steps are busy
        record = read_record(configuration.data_dir)
        if record is not None and record.ray.owned:
            _keep_inside()

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, made where it runs."""
        await asyncio.to_thread(self._attached.look)
        configuration, host = self._configuration, self._configuration.http_host
        app = create_app(
            self._attached.way,
            code_path=code_path(configuration),
            proving=proving(configuration),
            hosts=guards.LOOPBACK if HttpRecord(host=host, port=0).here_only else None,
        )
        app.state.hosts_wanted = self._attached.hosts_wanted
        self._following = asyncio.create_task(self._follow(app.state.door), name="heliostat-door")
        return app

    async def check_health(self) -> None:
        """Serve replaces a replica that does not answer this; the deployment has its own health."""

    async def _follow(self, door: Door) -> None:
        """Keep to the deployment that the record names, and tell live readers when this ends."""
        told = False
        while True:
            try:
                await asyncio.to_thread(self._attached.look)
                if not told and (self._attached.leaving or _serve_ends_this()):
                    told = True
                    await door.hub.close()
                    self._attached.left = self._attached.leaving
            except Exception:  # noqa: BLE001 - the loop must live, else the door stays closed
                _log.exception("the record of the deployment cannot be followed")
            await asyncio.sleep(LOOK_S)


def _keep_inside() -> None:
    """Have the server for calls between Serve's deployments listen on the loopback interface.

    Serve starts one in each replica, on all interfaces, and what it is sent is unpickled: whoever
    reached it could run anything. On a Ray of our own, which is one machine, only that machine may.
    """
    replica: Any = importlib.import_module("ray.serve._private.replica")
    on_all = replica.add_port_to_grpc_server

    def here(server: Any, address: str) -> int:
        port: int = on_all(server, address.replace("[::]", "127.0.0.1"))
        return port

    replica.add_port_to_grpc_server = here


def _serve_ends_this() -> bool:
    """Whether Serve has asked this replica to end.

    Serve tells a deployment only when all its requests have ended, and a live socket is one that
    does not end by itself: what Serve's own object in this process knows is looked up there.
    """
    from ray._private.worker import global_worker

    return any(
        getattr(getattr(actor, "_replica_impl", None), "_shutting_down", False)
        for actor in global_worker.actors.values()
    )


_Deployment: Final = serve.deployment(
    name=DEPLOYMENT,
    max_ongoing_requests=ONGOING_MAX,
    graceful_shutdown_timeout_s=GRACEFUL_S,
    graceful_shutdown_wait_loop_s=0.1,
    health_check_period_s=5,
    health_check_timeout_s=10,
)(serve.ingress()(Replica))


def application(configuration: Configuration, *, node_resource: str | None) -> Application:
    """The door of the deployment in a data directory.

    Args:
        node_resource: the custom resource of the nodes that have the data directory; None: all do.
    """
    # The replicas attach by the record, so they need no journal; and its URL may hold a password,
    # which would be stored with Serve's own state.
    configuration = msgspec.structs.replace(configuration, journal=None)
    options: dict[str, Any] = {
        # No CPUs: those are the steps'. A replica mostly waits for hosts.
        "num_cpus": 0,
        "resources": {} if node_resource is None else {node_resource: PIN},
    }
    return _scaled(configuration).options(ray_actor_options=options).bind(configuration)


def _scaled(configuration: Configuration) -> serve.Deployment:
    least, most = configuration.http_replicas, configuration.http_replicas_max
    if most is None or most <= least:
        return _Deployment.options(num_replicas=least)
    return _Deployment.options(
        autoscaling_config={
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": 200,
        }
    )


def build(args: Mapping[str, Any]) -> Application:
    """The application, for deployment files: everything is configured as for `heliostat up`.

    Args:
        args: configuration keys that override the environment and `heliostat.toml`.
    """
    configuration = load_configuration(args)
    return application(configuration, node_resource=None)
