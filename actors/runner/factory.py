"""Runners as detached Ray actors, on this node or another.

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
from heliostat.actors.dispatch.factory import (
    EnvironmentNotMade,
    RunnerHandle,
    RunnerNotStarted,
    RunnerSpec,
)
from heliostat.actors.dispatch.ray_calls import RayTransport
from heliostat.actors.dispatch.sockets import SocketName, name_of, private_folder, socket_path
from heliostat.actors.dispatch.transport import Transport
from heliostat.actors.dispatch.unix import UnixTransport
from heliostat.actors.environments import EnvironmentFault, resolved
from heliostat.actors.objects.keeper import ObjectsSettings

from .actor import RunnerActor
from .demand import DemandProbe
from .settings import ORPHAN_MS, RunnerSettings

_log = logging.getLogger(__name__)

START_S_MAX: Final = 60.0
"""An actor takes 1.4 s, on a busy machine ten times that; beyond, its node is full."""

LOOK_S: Final = 0.02

CONCURRENCY_GROUPS: Final = {"push": 1, "frames": 32}
"""Threads of a runner's actor: one takes bytes, and each host of another node that is connected has
one for what it is told. Threads that wait cost some kilobytes."""

_REMOTE: Final[Any] = ray.remote(concurrency_groups=CONCURRENCY_GROUPS)  # type: ignore[call-overload]  # for tasks, too

NODE_LENGTH: Final = 8
"""Of a node's id in the name of its sockets' folder: paths of sockets are short. Several nodes may
share a machine."""


def cpu_share(node_cpus: float, runners_max: int) -> float:
    """What one runner reserves, so that all together leave a CPU (of one CPU, half) to others."""
    all_together = node_cpus - 1 if node_cpus > 1 else node_cpus / 2
    share = min(1.0, all_together / max(runners_max, 1))
    return int(share * 10_000) / 10_000  # Ray counts in ten-thousandths


class RayRunnerFactory:
    """Makes the runners of one host, and finds those of all hosts of the deployment."""

    def __init__(
        self,
        *,
        deployment: str,
        generation: int,
        folder: Path,
        blobs: Path,
        environments: Path,
        owner: str = "0",
        code: Sequence[str] = (),
        secrets_file: str | None = None,
        objects: ObjectsSettings | None = None,
        orphan_ms: int = ORPHAN_MS,
        runners_max: int = 2,
    ) -> None:
        """Args:
        folder: where the sockets of every node's runners lie, each node's in one of its own.
        environments: where packed directories of runtime environments lie, for every node.
        owner: the host's key, at most 16 letters and digits; no other host has it.
        """
        self._deployment, self._generation = deployment, generation
        self._folders, self._blobs, self._code = folder, blobs, tuple(code)
        self._owner, self._objects = owner, objects
        self._environments = environments
        self._secrets_file, self._orphan_ms = secrets_file, orphan_ms
        self._runners_max = runners_max
        self._node_id: str = ray.get_runtime_context().get_node_id()
        self._share: float | None = None
        self._probe = DemandProbe()

    def name(self, index: int, env: str = "") -> str:
        return self._name(SocketName(self._owner, index, env))

    def _name(self, name: SocketName) -> str:
        made = names.runner_name(self._deployment, self._generation, name.owner, name.index)
        return f"{made}/{name.env}" if name.env else made

    @property
    def node(self) -> str:
        """Ray's id of this process's node."""
        return self._node_id

    def _folder(self, node: str) -> Path:
        return self._folders / node[:NODE_LENGTH]

    async def create(self, spec: RunnerSpec) -> RunnerHandle:
        node = spec.node or self._node_id
        here = node == self._node_id
        name = SocketName(self._owner, spec.index, spec.env)
        path = socket_path(self._folder(node), name)
        if here:
            await asyncio.to_thread(private_folder, path.parent)
            path.unlink(missing_ok=True)
        handle = RunnerHandle(
            name=self._name(name), index=spec.index, socket=path if here else None, env=spec.env
        )
        settings = RunnerSettings(
            name=handle.name,
            deployment=self._deployment,
            socket=str(path),
            blobs=str(self._blobs),
            node=node,
            cpus=spec.cpus,
            code=self._code,
            secrets_file=self._secrets_file,
            scratch=str(self._folders / "code"),
            objects=self._objects,
            orphan_ms=self._orphan_ms,
        )
        with self._probe.ours({"CPU": spec.cpus}):
            actor = await asyncio.to_thread(self._create, handle, settings, spec)
            try:
                await self._await_runner(handle, actor, path if here else None)
            except BaseException:
                await asyncio.to_thread(self._kill, handle)
                raise
        return handle

    def _create(self, handle: RunnerHandle, settings: RunnerSettings, spec: RunnerSpec) -> Any:
        try:
            environment = spec.runtime_env and resolved(spec.runtime_env, self._environments)
            return (
                _REMOTE(RunnerActor)
                .options(
                    name=handle.name,
                    namespace=names.NAMESPACE,
                    lifetime="detached",
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=1,
                    num_cpus=spec.cpus,
                    runtime_env=environment,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(settings.node, soft=False),
                )
                .remote(settings)
            )
        except EnvironmentFault as error:
            raise EnvironmentNotMade(str(error)) from error
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise EnvironmentNotMade(_first_line(error)) from error
        except (ValueError, TypeError, ray.exceptions.RayError) as error:
            kind = RunnerNotStarted if spec.runtime_env is None else EnvironmentNotMade
            raise kind(f"runner {handle.name} cannot be created: {error}") from error

    async def _await_runner(self, handle: RunnerHandle, actor: Any, path: Path | None) -> None:
        """Return when it can be connected: here its socket's file says so, elsewhere an answer."""
        answered = asyncio.ensure_future(_answer(actor))
        deadline = asyncio.get_running_loop().time() + START_S_MAX
        try:
            while not answered.done() and not _exists(path):
                if asyncio.get_running_loop().time() > deadline:
                    raise RunnerNotStarted(
                        f"runner {handle.name} does not answer after {START_S_MAX:g} s: the node "
                        f"has no CPU left, or its process cannot start (see Ray's logs)"
                    )
                await asyncio.wait([answered], timeout=LOOK_S)
            if answered.done():
                answered.result()
            while path is not None and not _exists(path):  # its thread binds at this moment
                if asyncio.get_running_loop().time() > deadline:
                    raise RunnerNotStarted(f"runner {handle.name} does not listen at {path}")
                await asyncio.sleep(LOOK_S)
        except ray.exceptions.RayError as error:
            text = str(error)
            if isinstance(error, ray.exceptions.RuntimeEnvSetupError) or "untime env" in text:
                raise EnvironmentNotMade(_first_line(error)) from error
            raise RunnerNotStarted(
                f"runner {handle.name} ended before it answered: {_first_line(error)}"
            ) from error
        finally:
            answered.cancel()

    async def share(self) -> float:
        if self._share is None:
            nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            here = next(node for node in nodes if node["NodeID"] == self._node_id)
            self._share = cpu_share(here["Resources"].get("CPU", 1.0), self._runners_max)
        return self._share

    async def find(self) -> Sequence[RunnerHandle]:
        found: dict[str, RunnerHandle] = {}
        folder = self._folder(self._node_id)
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                name = name_of(path)
                if name is not None:
                    handle = self._handle(name, path)
                    found[handle.name] = handle
        for actor in await asyncio.to_thread(self._actors):
            name = self._parsed(actor)
            if name is None or actor in found:
                continue
            if name.owner == self._owner or not await asyncio.to_thread(_is_starting, actor):
                found[actor] = self._handle(name, None)
        # A dedicated execution's runners concern nobody else, nor others' runners it.
        mine = self._owner.isdigit()
        return [
            each
            for each in found.values()
            if each.feeds or (mine and _owner_of(each.name).isdigit())
        ]

    def _handle(self, name: SocketName, path: Path | None) -> RunnerHandle:
        return RunnerHandle(
            name=self._name(name),
            index=name.index,
            socket=path,
            env=name.env,
            feeds=name.owner == self._owner,
        )

    def _actors(self) -> list[str]:
        """Names of the deployment's runners, on whatever node."""
        every = ray.util.list_named_actors(all_namespaces=True)
        prefix = f"{names.prefix(self._deployment, self._generation)}/runner/"
        return sorted(
            each["name"]
            for each in every
            if each["namespace"] == names.NAMESPACE and each["name"].startswith(prefix)
        )

    def _parsed(self, actor: str) -> SocketName | None:
        parts = actor.removeprefix(names.prefix(self._deployment, self._generation)).split("/")
        if len(parts) not in (4, 5) or not parts[3].isdigit():
            return None
        return SocketName(parts[2], int(parts[3]), parts[4] if len(parts) == 5 else "")

    def connect(self, handle: RunnerHandle) -> Transport:
        if handle.socket is not None:
            return UnixTransport(handle.name, handle.socket)
        return RayTransport(handle.name)

    async def discard(self, handle: RunnerHandle) -> str | None:
        if handle.socket is not None:
            handle.socket.unlink(missing_ok=True)
        await asyncio.to_thread(self._kill, handle)  # frees the name, where Ray has not noticed yet
        return None

    def _kill(self, handle: RunnerHandle) -> None:
        with contextlib.suppress(ValueError, ray.exceptions.RayError):  # gone already
            ray.kill(ray.get_actor(handle.name, namespace=names.NAMESPACE), no_restart=True)

    async def node_count(self) -> int:
        nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
        return sum(bool(node["Alive"]) for node in nodes)

    async def demand_waits(self) -> bool:
        return await asyncio.to_thread(self._probe.waits)

    async def close(self) -> None:
        """Nothing to let go of: the actors are detached."""


def _is_starting(actor: str) -> bool:
    """Whether another host's runner is not there yet: it holds nothing, and does not answer."""
    try:
        id = ray.get_actor(actor, namespace=names.NAMESPACE)._actor_id.hex()
        state: Any = ray._private.state.actors(id)
        return state["State"] in ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
    except Exception:  # noqa: BLE001 – private to Ray: greeting it tells
        return False


def _owner_of(name: str) -> str:
    return name.partition("/runner/")[2].partition("/")[0]


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


async def _answer(actor: Any) -> None:
    await actor.describe.remote()


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(lines)[:600] if lines else type(error).__name__
