"""The scheduler's process on Ray: its parts put together from the deployment's settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heliostat.actors import names
from heliostat.actors.settings import Settings
from heliostat.actors.undrained import DrainedNodes
from heliostat.engine.scheduling.board import Rules
from heliostat.engine.scheduling.nodes import NodeView

from .ray_view import RayView
from .scheduler import Scheduler


class SchedulerProcess(Scheduler):
    """A `Scheduler` that looks at this process's Ray. The constructor does no I/O."""

    def __init__(self, settings: Settings) -> None:
        self._ray = RayView()
        self._drained = DrainedNodes(names.prefix(settings.deployment, settings.generation))
        self._drained_read = False
        super().__init__(
            Rules(
                semaphores=settings.semaphores,
                autoscaling=settings.autoscaling,
                shards=frozenset(map(str, range(settings.shard_count))),
            ),
            look=self._look_at_ray,
            ask_for_nodes=self._tell_ray if settings.autoscaling else None,
        )
        self.begin()

    async def drain_node(self, node: str) -> None:
        await asyncio.to_thread(self._drained.add, node)
        await super().drain_node(node)

    async def _look_at_ray(self) -> Sequence[NodeView]:
        if not self._drained_read:
            for node in await asyncio.to_thread(self._drained.all):
                await super().drain_node(node)
            self._drained_read = True
        return await asyncio.to_thread(self._ray.nodes)

    async def _tell_ray(self, shapes: Sequence[dict[str, float]]) -> None:
        await asyncio.to_thread(self._ray.ask_for_nodes, shapes)
