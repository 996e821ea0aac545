"""What KubeRay's `RayService` names: the deployment itself, and the door before it.

KubeRay gives Serve's configuration to the head when it comes up, and to each head that takes its
place. So the application's builder is where a deployment on Kubernetes is brought up: it does what
`heliostat up` does, which is harmless where it was done before, and only then makes the door.

    import_path: heliostat.api.serve.kuberay:build

It runs in a Ray task of Serve's, in a pod, configured by the pod's environment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ray.serve import Application

from heliostat.api.serve import app
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.deployment import up
from heliostat.cluster.ray_connection import own_address
from heliostat.engine.errors import ConfigurationError, Conflict, JournalError, Unreachable

_log = logging.getLogger(__name__)

PATIENCE_S: Final = 900.0
"""How long the database, the shared folder and the hosts of an earlier head may take: after it the
application has failed for KubeRay, which tells so and tries nothing more by itself."""

PAUSE_S: Final = 5.0

_PASSING: Final = (Conflict, JournalError, Unreachable)
"""No database yet; hosts of a head that has just died, whose heart still seems to beat; a folder
that another pod holds the lock of."""


def build(args: Mapping[str, Any]) -> Application:
    """Bring the deployment up, and make the door.

    Args:
        args: configuration keys that override the pod's environment.

    Raises:
        ConfigurationError: a setting cannot be used, or names no Ray.
        HeliostatError: it did not come up within `PATIENCE_S`; the last reason why.
    """
    bring_up(load_configuration(args))
    return app.build(args)


def bring_up(
    configuration: Configuration,
    *,
    patience_s: float = PATIENCE_S,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """`heliostat up` on this pod's Ray, tried again while what it needs is not there yet."""
    if configuration.ray_address is None:
        raise ConfigurationError(
            f"ray_address is not set: without it heliostat would start a Ray of its own inside of "
            f"this one, at {own_address()}; set HELIOSTAT_RAY_ADDRESS to the head's service, as "
            f"heliostat-head-svc:6379"
        )
    end_at = time.monotonic() + patience_s
    while True:
        try:
            report = up(configuration)
        except _PASSING as error:
            if time.monotonic() >= end_at:
                raise
            _log.warning("the deployment is not up yet, and is tried again: %s", error)
            pause(PAUSE_S)
        else:
            _log.info("deployment %s is up", report.deployment_id)
            return
