"""The launcher: owns a Ray task for each step that asks for resources, and keeps its result.

Ray kills what a dead actor owns, so tasks belong to this detached actor and not to a host. It runs
no user code and reserves nothing. Like a runner it keeps each report until it is acknowledged, and
tells every host that asks. When its process dies its tasks die with it; Ray makes a new one, whose
`life` differs, and hosts take all that the old one had for lost, uncounted.

A plain class; `create_launcher` applies Ray.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from collections import deque
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import ray
from msgspec import Raw
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from heliostat.actors import names
from heliostat.actors.calls import pack, unpack
from heliostat.actors.detached import detached
from heliostat.actors.dispatch.frames import AttemptKey, encode_value
from heliostat.actors.dispatch.leases import UNSCHEDULABLE
from heliostat.actors.dispatch.protocol import (
    Lost,
    Noticed,
    Raised,
    Report,
    Returned,
    Stopped,
    TimedOut,
)
from heliostat.actors.environments import EnvironmentFault, resolved
from heliostat.actors.launching import (
    AcknowledgeLaunched,
    Ask,
    Begun,
    Launch,
    LauncherSettings,
    Made,
    Making,
    News,
    Placed,
    StopLaunched,
    make,
)
from heliostat.engine.kernel.events import Failure
from heliostat.engine.plan.plan import Resources

_log = logging.getLogger(__name__)

CALLS_AT_ONCE: Final = 10_000
"""A call of each host waits here for news; Ray's default of 1,000 would be the bound on hosts."""

ANSWER_MS_MAX: Final = 10_000
"""A host's wait for news ends at the latest then; it asks again."""

NEWS_MAX: Final = 512
"""Reports in one answer."""

NOTICES_MAX: Final = 1_000
"""Lossy notices that wait for one host; older ones are dropped."""

LOOK_S: Final = 5.0
"""Between two looks at whether any host is left."""

RUNTIME_ENV_FAILED: Final = "RuntimeEnvFailed"
"""The type of a failure to make a step's runtime environment; another attempt may succeed."""

OUT_OF_MEMORY: Final = "OutOfMemory"


def find_launcher(settings: LauncherSettings) -> Any | None:
    """The launcher's handle, also while it restarts; None when there is none."""
    try:
        return ray.get_actor(settings.name, namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None


def create_launcher(settings: LauncherSettings, *, node_resource: str | None = None) -> Any:
    """The deployment's launcher, created if there is none by its name; returns its handle."""
    actor = detached(Launcher, settings.name, calls=CALLS_AT_ONCE, pin=node_resource)
    return actor.remote(settings)


class _Task:
    """An attempt that runs, or waits for its resources."""

    __slots__ = ("assignment", "began_at", "node", "owner", "ref", "stopping", "timed_out")

    def __init__(self, placed: Placed) -> None:
        self.assignment = placed.assignment
        self.node = placed.node  # where it is to run; once it has begun, where it does
        self.ref: Any = None
        self.owner: asyncio.Task[None] | None = None
        self.began_at: float | None = None  # monotonic; None: it waits for its resources
        self.stopping = False
        self.timed_out: asyncio.TimerHandle | None = None


class _Host:
    """What one host has not been told yet."""

    __slots__ = ("asked_at", "notices", "reports", "wake")

    def __init__(self) -> None:
        self.reports: deque[Report] = deque()
        self.notices: deque[Noticed] = deque(maxlen=NOTICES_MAX)
        self.wake = asyncio.Event()
        self.asked_at = time.monotonic()


class Launcher:
    """Tasks by attempt, held reports by attempt, hosts by incarnation. Async: one event loop."""

    def __init__(self, settings: LauncherSettings) -> None:
        self._settings = settings
        self._life = uuid4().hex
        self._tasks: dict[AttemptKey, _Task] = {}
        self._held: dict[AttemptKey, Returned | Raised] = {}
        self._hosts: dict[str, _Host] = {}
        self._remote: Any = None
        self._watch: asyncio.Task[None] | None = None
        self._timers: set[asyncio.Task[None]] = set()

    # calls of hosts

    async def launch(self, body: bytes) -> bytes:
        """Make attempts; returns when their tasks are submitted."""
        request = unpack(body, Launch, sealed=True)
        self._host(request.incarnation)
        for placed in request.placed:
            attempt = placed.attempt
            if attempt in self._tasks:
                continue
            if attempt in self._held:
                self._tell(self._held[attempt])
                continue
            task = self._tasks[attempt] = _Task(placed)
            task.owner = asyncio.create_task(self._carry(attempt, task))
        return b""

    async def stop(self, body: bytes) -> bytes:
        """Interrupt attempts, and end their processes when the grace is over."""
        for key, at, grace_ms in unpack(body, StopLaunched).attempts:
            task = self._tasks.get((key, at))
            if task is None:
                if (key, at) not in self._held:
                    self._tell(Stopped(key=key, at=at))
            elif not task.stopping:
                task.stopping = True
                self._spawn(self._cancel(task, grace_ms))
        return b""

    async def acknowledge(self, body: bytes) -> bytes:
        """Forget reports."""
        for attempt in unpack(body, AcknowledgeLaunched).attempts:
            self._held.pop(attempt, None)
        return b""

    async def news(self, body: bytes) -> bytes:
        """Wait, no longer than asked, for something to tell this host."""
        ask = unpack(body, Ask)
        host = self._host(ask.incarnation)
        known: tuple[AttemptKey, ...] | None = None
        nodes: tuple[str | None, ...] = ()
        if ask.anew:
            known = (*self._tasks, *self._held)
            nodes = (*(task.node for task in self._tasks.values()), *(None for _ in self._held))
            host.reports = deque(self._held.values())
        elif not host.reports and not host.notices:
            host.wake.clear()
            try:
                async with asyncio.timeout(min(ask.wait_ms, ANSWER_MS_MAX) / 1_000):
                    await host.wake.wait()
            except TimeoutError:
                pass
        host.asked_at = time.monotonic()
        reports = [host.reports.popleft() for _ in range(min(NEWS_MAX, len(host.reports)))]
        notices = list(host.notices)
        host.notices.clear()
        return pack(
            News(
                pid=os.getpid(),
                node=platform.node(),
                life=self._life,
                known=known,
                nodes=nodes,
                returned=tuple(r for r in reports if isinstance(r, Returned)),
                raised=tuple(r for r in reports if isinstance(r, Raised)),
                lost=tuple(r for r in reports if isinstance(r, Lost)),
                stopped=tuple(r for r in reports if isinstance(r, Stopped)),
                timed_out=tuple(r for r in reports if isinstance(r, TimedOut)),
                noticed=tuple(notices),
            )
        )

    # calls of tasks

    async def began(self, body: bytes) -> None:
        """An attempt has its resources and runs: its timeout counts from here."""
        begun = unpack(body, Begun)
        task = self._tasks.get((begun.key, begun.at))
        if task is None or task.began_at is not None:
            return
        task.began_at, task.node = time.monotonic(), begun.node
        self._notice(Noticed(key=begun.key, at=begun.at, kind="started"))
        timeout_ms = task.assignment.code.timeout_ms
        if timeout_ms is not None:
            task.timed_out = asyncio.get_running_loop().call_later(
                timeout_ms / 1_000, self._tell, TimedOut(key=begun.key, at=begun.at)
            )

    async def progressed(self, body: bytes) -> None:
        """An attempt told of its progress."""
        self._notice(unpack(body, Noticed))

    # tasks

    async def _carry(self, attempt: AttemptKey, task: _Task) -> None:
        """Submit an attempt's Ray task and wait for its end, whatever it is."""
        report: Report
        try:
            resources = task.assignment.code.resources
            environment = await self._environment(resources)
            if task.stopping:
                report = Stopped(key=attempt[0], at=attempt[1])
            else:
                task.ref = self._submit(task, resources, environment)
                report = self._read(await task.ref)
        except Exception as error:  # noqa: BLE001  # whatever Ray raises ends the attempt, told as it is
            report = self._ended_by(task, error)
        if task.stopping and isinstance(report, Raised | Lost):
            report = Stopped(key=attempt[0], at=attempt[1])
        if task.timed_out is not None:
            task.timed_out.cancel()
        self._tasks.pop(attempt, None)
        if isinstance(report, Returned | Raised):
            self._held[attempt] = report
        self._tell(report)

    async def _environment(self, resources: Resources) -> dict[str, Any] | None:
        if not resources.runtime_env:
            return None
        folder = Path(self._settings.environments)
        return await asyncio.to_thread(resolved, resources.runtime_env, folder)

    def _submit(self, task: _Task, resources: Resources, environment: dict[str, Any] | None) -> Any:
        if self._remote is None:
            self._remote = ray.remote(make)
        assignment, settings = task.assignment, self._settings
        where: Any = "DEFAULT"
        if task.node is not None:  # soft: should the node be gone, Ray finds another
            where = NodeAffinitySchedulingStrategy(task.node, soft=True)
        making = Making(
            launcher=settings.name,
            name=f"{settings.name}/{assignment.key}",
            blobs=settings.blobs,
            scratch=settings.scratch,
            code_paths=settings.code,
            key=assignment.key,
            at=assignment.at,
            code=assignment.code,
            input=Raw(encode_value(assignment.input)),
            secrets_file=settings.secrets_file,
            objects=settings.objects,
        )
        return self._remote.options(
            name=f"{assignment.key} {assignment.code.step_id}",
            num_cpus=resources.num_cpus if resources.num_cpus is not None else 1,
            num_gpus=resources.num_gpus or 0,
            memory=resources.memory,
            resources=dict(resources.custom),
            runtime_env=environment,
            scheduling_strategy=where,
            max_retries=0,
            retry_exceptions=False,
        ).remote(pack(making))

    @staticmethod
    def _read(body: bytes) -> Returned | Raised:
        made = unpack(body, Made)
        report = bytes(made.report)
        return unpack(report, Returned) if made.returned else unpack(report, Raised)

    def _ended_by(self, task: _Task, error: Exception) -> Report:
        key, at = task.assignment.key, task.assignment.at
        if isinstance(error, exceptions.OutOfMemoryError):
            return self._raised(task, OUT_OF_MEMORY, str(error))
        if isinstance(error, exceptions.RuntimeEnvSetupError | EnvironmentFault):
            return self._raised(task, RUNTIME_ENV_FAILED, str(error))
        if isinstance(error, exceptions.TaskUnschedulableError):
            return self._raised(task, UNSCHEDULABLE, str(error))
        # A worker that crashed ran this attempt alone. A lost node, a lost object and all that
        # is neither say nothing about it.
        counted = isinstance(error, exceptions.WorkerCrashedError)
        cause = f"its Ray task ended with {type(error).__name__}: {_first_line(error)}"
        return Lost(key=key, at=at, cause=cause, counted=counted)

    @staticmethod
    def _raised(task: _Task, kind: str, message: str) -> Raised:
        assignment = task.assignment
        failure = Failure(
            type=kind,
            message=message,
            mro=(kind,),
            step=assignment.code.step_id,
            attempt=assignment.at.attempt,
        )
        return Raised(
            key=assignment.key,
            at=assignment.at,
            failure=failure,
            started_at_ms=time.time_ns() // 1_000_000,
            elapsed_ms=0,
            runner="launcher",
        )

    async def _cancel(self, task: _Task, grace_ms: int) -> None:
        if task.ref is None:
            return  # not submitted yet: `_carry` looks at the flag
        if grace_ms > 0:
            ray.cancel(task.ref, force=False, recursive=True)
            assert task.owner is not None
            await asyncio.wait([task.owner], timeout=grace_ms / 1_000)
            if task.owner.done():
                return
        ray.cancel(task.ref, force=True, recursive=True)

    def _spawn(self, work: Any) -> None:
        timer = asyncio.create_task(work)
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    # hosts

    def _host(self, incarnation: str) -> _Host:
        host = self._hosts.get(incarnation)
        if host is None:
            host = self._hosts[incarnation] = _Host()
        if self._watch is None:  # not in the constructor, where no loop runs
            self._watch = asyncio.create_task(self._watch_hosts())
        host.asked_at = time.monotonic()
        return host

    def _tell(self, report: Report) -> None:
        if isinstance(report, TimedOut) and (report.key, report.at) not in self._tasks:
            return
        for host in self._hosts.values():
            host.reports.append(report)
            host.wake.set()

    def _notice(self, notice: Noticed) -> None:
        for host in self._hosts.values():
            host.notices.append(notice)
            host.wake.set()

    async def _watch_hosts(self) -> None:
        """Forget hosts that ask no more; without any, exit, and the tasks with this process."""
        orphan_s = self._settings.orphan_ms / 1_000
        last = time.monotonic()
        while True:
            await asyncio.sleep(min(LOOK_S, orphan_s / 4))
            now = time.monotonic()
            self._hosts = {
                incarnation: host
                for incarnation, host in self._hosts.items()
                if now - host.asked_at < max(orphan_s, 6 * ANSWER_MS_MAX / 1_000)
            }
            last = max([last, *(host.asked_at for host in self._hosts.values())])
            if now - last > orphan_s:
                _log.warning("the launcher has no host any more and exits")
                os._exit(0)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:500]
