"""The scheduler as a Ray actor: finding it, and making it where it is missing."""

from __future__ import annotations

from typing import Any, Final

import ray

from heliostat.actors import names
from heliostat.actors.settings import Settings
from heliostat.actors.undrained import strategy

CALLS_AT_ONCE: Final = 10_000
"""A call of each host waits, and a second one may come; Ray's default of 1,000 would be the bound
on hosts and dedicated executions."""

PIN: Final = 0.001
"""Of the custom resource that a deployment's actors are pinned by."""


def find_scheduler(settings: Settings) -> Any | None:
    """Its handle, also while it restarts; None when there is none. Blocks for a moment."""
    try:
        return ray.get_actor(name_of(settings), namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None


def create_scheduler(settings: Settings) -> Any:
    """The deployment's scheduler, created if there is none by its name; returns its handle."""
    from .process import SchedulerProcess

    return (
        ray.remote(SchedulerProcess)
        .options(
            name=name_of(settings),
            namespace=names.NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CALLS_AT_ONCE,
            num_cpus=0,
            resources={} if settings.node_resource is None else {settings.node_resource: PIN},
            scheduling_strategy=strategy(name_of(settings)),
        )
        .remote(settings)
    )


def name_of(settings: Settings) -> str:
    """What it is called in Ray."""
    return names.scheduler_name(settings.deployment, settings.generation)
