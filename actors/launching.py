"""What hosts and the launcher say to each other, and what runs in the launcher's Ray tasks.

Every call takes and returns `bytes`, so that Ray never pickles a user's object in either of them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch.frames import AttemptKey
from heliostat.actors.dispatch.protocol import (
    Assignment,
    Lost,
    Noticed,
    Raised,
    Returned,
    StepCode,
    Stopped,
    TimedOut,
)
from heliostat.actors.objects.keeper import ObjectsSettings
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore

_T = TypeVar("_T")


class LauncherSettings(Struct, frozen=True, kw_only=True):
    """What a launcher is told when it is made."""

    deployment: str
    name: str  # its own, in Ray's namespace `heliostat`
    blobs: str
    scratch: str  # unpacked code bundles, on every node
    environments: str  # packed directories of runtime environments; every node sees it
    code: tuple[str, ...] = ()
    secrets_file: str | None = None
    objects: ObjectsSettings | None = None
    orphan_ms: int = 600_000
    """Without a host's call for this long it exits, and its tasks with it."""


class Placed(Struct, frozen=True):
    """An attempt, and Ray's id of the node that has room for it (None: wherever Ray likes)."""

    assignment: Assignment
    node: str | None = None

    @property
    def attempt(self) -> AttemptKey:
        return self.assignment.key, self.assignment.at


class Launch(Struct, frozen=True):
    """Attempts to make, in this order. One that is here already is not made twice."""

    incarnation: str
    placed: tuple[Placed, ...]


class StopLaunched(Struct, frozen=True):
    """Attempts to stop, with their graces in milliseconds."""

    attempts: tuple[tuple[ExecutionKey, Address, int], ...]


class AcknowledgeLaunched(Struct, frozen=True):
    """Reports that are durable, or void."""

    attempts: tuple[AttemptKey, ...]


class Ask(Struct, frozen=True):
    """A host's bounded wait for news; `anew` repeats what is held, after a take-over."""

    incarnation: str
    wait_ms: int
    anew: bool = False


class News(Struct, frozen=True, kw_only=True):
    """What happened since the last answer. `life` names the launcher's process life: with another
    one, whatever ran in the life before is lost."""

    life: str
    pid: int = 0
    node: str = ""  # the machine's name
    known: tuple[AttemptKey, ...] | None = None  # held and running, when asked anew
    nodes: tuple[str | None, ...] = ()  # of these, where each runs or is to run
    returned: tuple[Returned, ...] = ()
    raised: tuple[Raised, ...] = ()
    lost: tuple[Lost, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    timed_out: tuple[TimedOut, ...] = ()
    noticed: tuple[Noticed, ...] = ()


class Begun(Struct, frozen=True, kw_only=True):
    """An attempt has its resources and runs, on this node (Ray's id of it)."""

    key: ExecutionKey
    at: Address
    node: str


class Made(Struct, frozen=True):
    """A task's result: the report of its attempt, encoded."""

    returned: bool
    report: Raw


class Making(Struct, frozen=True):
    """A task's argument. `input` is decoded by the attempt."""

    launcher: str  # its name, to be told of progress
    name: str  # the runner's, in reports
    blobs: str
    scratch: str
    code_paths: tuple[str, ...]
    key: ExecutionKey
    at: Address
    code: StepCode
    input: Raw
    secrets_file: str | None = None
    objects: ObjectsSettings | None = None


def make(body: bytes) -> bytes:
    """One attempt in a Ray task's process.

    Ray stops a task by an interrupt of the main thread. It is turned into the attempt's flag, so
    that a step in a task hears of it as one on a runner does.
    """
    from heliostat.actors.runner.current import Current

    making = unpack(body, Making)
    report = _reporter(making.launcher)
    current = Current(making.key, making.at, making.code.step_id, report)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        current.stop()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        report(making.key, making.at, _BEGAN)
        attempts = _attempts(
            making.name,
            making.blobs,
            making.scratch,
            making.code_paths,
            making.secrets_file,
            making.objects,
        )
        ended = attempts.make(making.code, making.input, current)
    finally:
        signal.signal(signal.SIGINT, before)
    return pack(Made(ended.returned, ended.report))


_BEGAN: Final = object()


@lru_cache
def _attempts(
    name: str,
    blobs: str,
    scratch: str,
    code_paths: tuple[str, ...],
    secrets_file: str | None,
    objects: ObjectsSettings | None,
) -> Any:
    """Ray reuses a worker's process for tasks of one kind; so are modules and event loop."""
    from heliostat.actors.objects.shared import SharedBlobs
    from heliostat.actors.runner.attempt import Attempts
    from heliostat.actors.runner.modules import Modules
    from heliostat.actors.runner.secrets import Secrets

    store = SharedBlobs(FileBlobStore(Path(blobs)), objects)
    return Attempts(
        runner=name,
        blobs=store,
        modules=Modules(store, Path(scratch), code_paths),
        secrets=Secrets(Path(secrets_file) if secrets_file else None),
    )


def _reporter(launcher: str) -> Callable[[ExecutionKey, Address, Any], None]:
    """Tells the launcher that an attempt began, and of its progress; lossy, never waits."""
    import ray

    from heliostat.actors import names
    from heliostat.actors.runner.progress import ProgressLimit

    limit = ProgressLimit()
    try:
        handle: Any = ray.get_actor(launcher, namespace=names.NAMESPACE)
    except ValueError:
        handle = None

    def report(key: ExecutionKey, at: Address, progress: Any) -> None:
        if handle is None:
            return
        if progress is _BEGAN:
            node = ray.get_runtime_context().get_node_id()
            handle.began.remote(pack(Begun(key=key, at=at, node=node)))
            return
        data = limit.admit(progress)
        if data is not None:
            handle.progressed.remote(
                pack(Noticed(key=key, at=at, kind="progress", data=data["progress"]))
            )

    return report
