"""The scheduler as a Ray actor: finding it, and making it where it is missing."""

from __future__ import annotations

from typing import Any, Final

import ray

from heliostat.actors import names
from heliostat.actors.detached import detached
from heliostat.actors.settings import Settings

CALLS_AT_ONCE: Final = 10_000
"""A call of each host waits, and a second one may come; Ray's default of 1,000 would be the bound
on hosts and dedicated executions."""


def find_scheduler(settings: Settings) -> Any | None:
    """Its handle, also while it restarts; None when there is none. Blocks for a moment."""
    try:
        return ray.get_actor(name_of(settings), namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None


def create_scheduler(settings: Settings) -> Any:
    """The deployment's scheduler, created if there is none by its name; returns its handle."""
    from .process import SchedulerProcess

    actor = detached(
        SchedulerProcess, name_of(settings), calls=CALLS_AT_ONCE, pin=settings.node_resource
    )
    return actor.remote(settings)


def name_of(settings: Settings) -> str:
    """What it is called in Ray."""
    return names.scheduler_name(settings.deployment, settings.generation)
