"""Runners as detached Ray actors of this node.

`max_restarts=0`: a runner that Ray restarted would hold nothing and wait for nobody, while its name
stood for the one that died; the pool makes a new one where it wants one. For the same reason hard
node affinity does no harm here: a runner ends with its node. Ray repeats no call either.

Together the runners of a node reserve its CPUs less one (on one CPU, half of it), each its share:
so a nested task always finds a CPU, and Ray's scheduler sees what is in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from heliostat.actors import names
from heliostat.actors.dispatch.factory import RunnerHandle, RunnerNotStarted
from heliostat.actors.dispatch.sockets import index_of, private_folder, socket_path

from .actor import RunnerActor
from .demand import DemandProbe
from .settings import ORPHAN_MS, RunnerSettings

_log = logging.getLogger(__name__)

START_S_MAX: Final = 60.0
"""An actor takes 1.4 s, on a busy machine ten times that; beyond, its node is full."""

LOOK_S: Final = 0.02


def cpu_share(node_cpus: float, runners_max: int) -> float:
    """What one runner reserves, so that all together leave a CPU (of one CPU, half) to others."""
    all_together = node_cpus - 1 if node_cpus > 1 else node_cpus / 2
    share = min(1.0, all_together / max(runners_max, 1))
    return int(share * 10_000) / 10_000  # Ray counts in ten-thousandths


class RayRunnerFactory:
    """Makes the runners of one deployment on the node of this process."""

    def __init__(
        self,
        *,
        deployment: str,
        generation: int,
        folder: Path,
        blobs: Path,
        code: Sequence[str] = (),
        secrets_file: str | None = None,
        orphan_ms: int = ORPHAN_MS,
        runners_max: int = 2,
        first_index: int = 0,
    ) -> None:
        self._deployment, self._generation = deployment, generation
        self._folder, self._blobs, self._code = folder, blobs, tuple(code)
        self._secrets_file, self._orphan_ms = secrets_file, orphan_ms
        self._runners_max = runners_max
        self._first_index = first_index  # so that nodes do not take each other's names
        self._node_id: str = ray.get_runtime_context().get_node_id()
        self._share: float | None = None
        self._probe = DemandProbe()

    async def create(self, index: int, *, reserve: bool) -> RunnerHandle:
        await asyncio.to_thread(private_folder, self._folder)
        path = socket_path(self._folder, index)
        path.unlink(missing_ok=True)
        handle = RunnerHandle(self._name(index), index, path)
        share = await self._cpu_share() if reserve else 0.0
        settings = RunnerSettings(
            name=handle.name,
            deployment=self._deployment,
            socket=str(path),
            blobs=str(self._blobs),
            code=self._code,
            secrets_file=self._secrets_file,
            orphan_ms=self._orphan_ms,
        )
        with self._probe.ours({"CPU": share}):
            await asyncio.to_thread(self._create, handle, settings, share)
            await self._await_socket(handle)
        return handle

    def _create(self, handle: RunnerHandle, settings: RunnerSettings, share: float) -> None:
        try:
            ray.remote(RunnerActor).options(
                name=handle.name,
                namespace=names.NAMESPACE,
                lifetime="detached",
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=1,
                num_cpus=share,
                scheduling_strategy=NodeAffinitySchedulingStrategy(self._node_id, soft=False),
            ).remote(settings)
        except (ValueError, ray.exceptions.RayError) as error:
            raise RunnerNotStarted(f"runner {handle.name} cannot be created: {error}") from error

    async def _await_socket(self, handle: RunnerHandle) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S_MAX
        try:
            while not handle.socket.exists():
                if loop.time() > deadline:
                    raise RunnerNotStarted(
                        f"runner {handle.name} does not listen after {START_S_MAX:g} s: the node "
                        f"has no CPU left, or its process cannot start (see Ray's logs)"
                    )
                await asyncio.sleep(LOOK_S)
        except BaseException:
            await asyncio.to_thread(self._kill, handle)
            raise

    async def _cpu_share(self) -> float:
        if self._share is None:
            nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            here = next(node for node in nodes if node["NodeID"] == self._node_id)
            self._share = cpu_share(here["Resources"].get("CPU", 1.0), self._runners_max)
        return self._share

    async def find(self) -> Sequence[RunnerHandle]:
        if not self._folder.is_dir():
            return []
        found = ((index_of(path), path) for path in sorted(self._folder.iterdir()))
        return [
            RunnerHandle(self._name(index), index, path)
            for index, path in found
            if index is not None
        ]

    async def discard(self, handle: RunnerHandle) -> str | None:
        handle.socket.unlink(missing_ok=True)
        await asyncio.to_thread(self._kill, handle)  # frees the name, where Ray has not noticed yet
        return None

    def _kill(self, handle: RunnerHandle) -> None:
        with contextlib.suppress(ValueError, ray.exceptions.RayError):  # gone already
            ray.kill(ray.get_actor(handle.name, namespace=names.NAMESPACE), no_restart=True)

    async def demand_waits(self) -> bool:
        return await asyncio.to_thread(self._probe.waits)

    async def close(self) -> None:
        """Nothing to let go of: the actors are detached."""

    def _name(self, index: int) -> str:
        return names.runner_name(self._deployment, self._generation, self._first_index + index)
