"""Puts a deployment's dispatcher together from its settings: the only place that chooses parts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import ray

from heliostat.actors import journals, names
from heliostat.actors.launcher import create_launcher, find_launcher
from heliostat.actors.launching import LauncherSettings
from heliostat.actors.objects.keeper import ObjectsSettings
from heliostat.actors.runner.factory import RayRunnerFactory
from heliostat.actors.scheduler.handle import create_scheduler, find_scheduler
from heliostat.actors.settings import Settings

from .bounds import DispatchBounds
from .dispatcher import Dispatcher
from .leases import AttemptLeases
from .placement_scheduler import RemoteScheduler, SchedulerPlacement
from .pool import RunnerPool
from .protocol import Deliver
from .ray_lane import RayLane
from .sockets import default_folder


def open_dispatcher(
    settings: Settings,
    incarnation: str,
    deliver: Deliver,
    *,
    host: int = 0,
    owner: str | None = None,
    runners_min: int = 1,
    runners_max: int | None = None,
) -> Dispatcher:
    """Both lanes, and the queue for capacity, on this process's Ray. Call on the host's event
    loop; nothing waits here. The smallest number of runners is started by the first `recover`.

    Args:
        host: the index of the host that runners belong to: names and sockets are its own.
        owner: a short label in its place, of who is no host of the deployment's; no other has it.
        runners_min, runners_max: how many it keeps; absent, one at least, and as many at most as
            the settings say.
    """
    if runners_max is None:
        runners_max = settings.runners if settings.runners is not None else max(1, _cpus() - 1)
    bounds = DispatchBounds(runners_min=runners_min, runners_max=runners_max)
    folder = sockets_folder(settings)
    name = settings.host_name(host) if owner is None else owner
    placement = _open_placement(settings, incarnation, name)
    leases = AttemptLeases(placement, deliver)
    shares_shards = settings.journal not in (journals.SQLITE, journals.MEMORY)
    pool = RunnerPool(
        RayRunnerFactory(
            deployment=settings.deployment,
            generation=settings.generation,
            folder=folder,
            blobs=settings.blobs_path,
            environments=settings.environments_path,
            code=settings.code,
            secrets_file=settings.secrets_file,
            objects=objects_settings(settings),
            orphan_ms=settings.orphan_ms,
            runners_max=bounds.runners_max,
            owner=str(host) if owner is None else owner.replace("-", ""),
        ),
        leases.deliver,
        deployment=settings.deployment,
        incarnation=incarnation,
        bounds=bounds,
        placement=placement,
        shard_count=settings.shard_count if shares_shards and owner is None else 0,
    )
    launcher = launcher_settings(settings)
    lane = RayLane(
        find=lambda: find_launcher(launcher),
        create=lambda: create_launcher(launcher, node_resource=settings.node_resource),
        deliver=leases.deliver,
        incarnation=incarnation,
    )
    return Dispatcher(pool, lane, leases)


def _open_placement(settings: Settings, incarnation: str, name: str) -> SchedulerPlacement:
    async def create() -> RemoteScheduler:
        return RemoteScheduler(await asyncio.to_thread(create_scheduler, settings))

    async def find() -> RemoteScheduler:
        # Made by whoever misses it first: two hosts that do so at once make one, by its name.
        handle = await asyncio.to_thread(find_scheduler, settings)
        return await create() if handle is None else RemoteScheduler(handle)

    node: str = ray.get_runtime_context().get_node_id()
    return SchedulerPlacement(holder=incarnation, name=name, node=node, find=find, create=create)


def launcher_settings(settings: Settings) -> LauncherSettings:
    """What the deployment's launcher is told."""
    return LauncherSettings(
        deployment=settings.deployment,
        name=names.launcher_name(settings.deployment, settings.generation),
        blobs=str(settings.blobs_path),
        scratch=str(_folder(settings) / "code"),
        environments=str(settings.environments_path),
        code=settings.code,
        secrets_file=settings.secrets_file,
        objects=objects_settings(settings),
        orphan_ms=settings.orphan_ms,
    )


def objects_settings(settings: Settings) -> ObjectsSettings | None:
    """Where large values are shared between steps; None where they pass as files only."""
    if settings.objects_bytes == 0:
        return None
    return ObjectsSettings(
        keeper=names.objects_name(settings.deployment, settings.generation),
        bytes=settings.objects_bytes,
        node_resource=settings.node_resource,
    )


def sockets_folder(settings: Settings) -> Path:
    """Where hosts and runners of this node listen."""
    return Path(settings.socket_dir) if settings.socket_dir else _folder(settings)


def _folder(settings: Settings) -> Path:
    """Two deployments have the same id where a data directory was copied, and share nothing."""
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)  # a memory journal did not need it
    return default_folder(f"{settings.deployment[:23]}-{data_dir.stat().st_ino:x}")


def _cpus() -> int:
    return len(os.sched_getaffinity(0))
