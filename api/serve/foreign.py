"""The door in a Ray that somebody else started: Serve may run there already, with other
applications, and with whatever proxy its environment asked for."""

from __future__ import annotations

import os
from typing import Final

import msgspec
import ray
from ray.exceptions import RayActorError
from ray.serve._private.client import ServeControllerClient
from ray.serve.context import _get_global_client

from heliostat.api.serve import proxy
from heliostat.api.serve.ports import free_port
from heliostat.cluster.record import HttpRecord
from heliostat.engine.errors import Unreachable

PREFIX: Final = "/heliostat"
"""Of the door's paths, where another application has the root."""

_TOLD_S: Final = 60.0
"""How long a worker of that Ray may take to come up and say what its environment is."""


def placed(http: HttpRecord) -> HttpRecord:
    """Where the door can be there, and whether it is slower than it could be.

    Raises:
        Conflict: another program listens where Serve, which does not run yet, would.
    """
    found = client()
    if found is None:
        free_port(http.host, http.port)
    else:
        options = found.http_config
        if options.host is None:
            raise Unreachable(
                "Ray Serve runs in this Ray without HTTP; leave it out with --no-http"
            )
        prefix = PREFIX if _root_is_taken(found, http.app) else ""
        http = msgspec.structs.replace(http, host=options.host, port=options.port, prefix=prefix)
    return msgspec.structs.replace(http, slower=_slower())


def client() -> ServeControllerClient | None:
    """Serve in the connected Ray; None while it does not run."""
    try:
        return _get_global_client(raise_if_no_controller_running=False)
    except RayActorError:  # it is being started again
        return None


def _root_is_taken(serve: ServeControllerClient, app: str) -> bool:
    """Whether another application has it."""
    told = serve.get_serve_details()["applications"]
    return any(each["route_prefix"] == "/" for name, each in told.items() if name != app)


def _slower() -> str | None:
    """What the proxy there costs, and how to get the fast one."""
    names = sorted(proxy.FAST)

    @ray.remote(num_cpus=0)
    def told() -> list[str | None]:
        return [os.environ.get(name) for name in names]

    found = ray.get(told.remote(), timeout=_TOLD_S)
    if found == [proxy.FAST[name] for name in names]:
        return None
    settings = " ".join(f"{name}={value}" for name, value in sorted(proxy.FAST.items()))
    return (
        f"HTTP takes about ten times as long here as it could: this Ray was started without Ray "
        f"Serve's fast proxy. Start it with {settings} in the environment of every node"
    )
