"""The queue of a deployment: who waits for capacity and why, as its scheduler sees it."""

from __future__ import annotations

from typing import Final

from heliostat.actors.calls import pack, unpack
from heliostat.actors.scheduler.view import QueueRequest, QueueView
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import NotUp
from heliostat.cluster.deployment import settings_of
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.record import read_record
from heliostat.engine.errors import Unreachable

ANSWER_S: Final = 15.0
"""For the scheduler's answer: one that was just killed is back within it."""


def deployment_queue(configuration: Configuration, *, limit: int = 100) -> QueueView:
    """Ask the scheduler of the deployment that runs.

    Raises:
        NotUp: none does.
        Unreachable: its Ray, or its scheduler, does not answer.
    """
    record = read_record(configuration.data_dir)
    if record is None or not record.ray_lives:
        raise NotUp(
            f"no deployment is up in {configuration.data_dir}; start it with `heliostat up`, or "
            f"name another data directory with --data"
        )
    assert record.ray.address is not None
    with connected(record.ray.address, ours=record.ray.owned):
        import ray
        from ray.exceptions import RayError

        from heliostat.actors.scheduler.handle import find_scheduler

        scheduler = find_scheduler(settings_of(configuration, record))
        if scheduler is None:
            raise Unreachable(
                "the deployment has no scheduler yet; its hosts make one in seconds, ask again"
            )
        try:
            body: bytes = ray.get(
                scheduler.queue.remote(pack(QueueRequest(limit=limit))), timeout=ANSWER_S
            )
        except (RayError, TimeoutError) as error:
            raise Unreachable(
                f"the deployment's scheduler does not answer ({type(error).__name__}); it is "
                f"restarted when it has died, ask again in some seconds"
            ) from error
    return unpack(body, QueueView)
