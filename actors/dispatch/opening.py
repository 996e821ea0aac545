"""Puts a deployment's dispatcher together from its settings: the only place that chooses parts."""

from __future__ import annotations

import os
from pathlib import Path

from heliostat.actors import names
from heliostat.actors.launcher import create_launcher, find_launcher
from heliostat.actors.launching import LauncherSettings
from heliostat.actors.runner.factory import RayRunnerFactory
from heliostat.actors.settings import Settings

from .bounds import DispatchBounds
from .dispatcher import Dispatcher
from .pool import RunnerPool
from .protocol import Deliver
from .ray_lane import RayLane
from .sockets import default_folder


def open_dispatcher(settings: Settings, incarnation: str, deliver: Deliver) -> Dispatcher:
    """Both lanes on this process's Ray. Call on the host's event loop; nothing waits here.

    The smallest number of runners is started by the first `recover`.
    """
    runners = settings.runners if settings.runners is not None else max(1, _cpus() - 1)
    bounds = DispatchBounds(runners_min=1, runners_max=runners)
    folder = Path(settings.socket_dir) if settings.socket_dir else _folder(settings)
    pool = RunnerPool(
        RayRunnerFactory(
            deployment=settings.deployment,
            generation=settings.generation,
            folder=folder,
            blobs=settings.blobs_path,
            code=settings.code,
            secrets_file=settings.secrets_file,
            orphan_ms=settings.orphan_ms,
            runners_max=bounds.runners_max,
        ),
        deliver,
        deployment=settings.deployment,
        incarnation=incarnation,
        bounds=bounds,
    )
    launcher = launcher_settings(settings)
    lane = RayLane(
        find=lambda: find_launcher(launcher),
        create=lambda: create_launcher(launcher, node_resource=settings.node_resource),
        deliver=deliver,
        incarnation=incarnation,
    )
    return Dispatcher(pool, lane)


def launcher_settings(settings: Settings) -> LauncherSettings:
    """What the deployment's launcher is told."""
    return LauncherSettings(
        deployment=settings.deployment,
        name=names.launcher_name(settings.deployment, settings.generation),
        blobs=str(settings.blobs_path),
        scratch=str(_folder(settings) / "code"),
        code=settings.code,
        secrets_file=settings.secrets_file,
        orphan_ms=settings.orphan_ms,
    )


def _folder(settings: Settings) -> Path:
    """Two deployments have the same id where a data directory was copied, and share nothing."""
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)  # a memory journal did not need it
    return default_folder(f"{settings.deployment[:23]}-{data_dir.stat().st_ino:x}")


def _cpus() -> int:
    return len(os.sched_getaffinity(0))
