"""The background process that a deployment's Ray lives and ends with.

It starts Ray in itself by the public `ray.init`, tells the starter how by one line on a pipe, and
then waits to be told to stop. Everything that Ray started ends with it, by Ray's shutdown on
SIGTERM and by the kernel (parent-death signals) when it is killed: stopping a deployment's Ray is
ending this one process, and no other Ray on the machine is touched. The other way round it ends
when Ray's core processes do, so that a living holder means a living Ray.

Run as `python -m heliostat.cluster.ray_holder ORDER`, ORDER being a `HolderOrder` as JSON.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from heliostat.cluster.processes import Process, descendants, identify, name_of
from heliostat.cluster.ray_environment import prepare_loopback

CORE: frozenset[str] = frozenset({"gcs_server", "raylet"})
"""Without these two there is no Ray; the others it can lose."""


class HolderOrder(Struct, frozen=True, kw_only=True):
    """What the starter asks for."""

    pipe: int  # an inherited file descriptor to answer on
    temp_dir: str
    dashboard: bool
    resources: dict[str, float]
    environment: dict[str, str] = {}  # for Ray and everything that it starts


class HolderAnswer(Struct, frozen=True, kw_only=True):
    """What became of it: an address, or an error."""

    address: str | None = None
    dashboard: str | None = None
    processes: tuple[Process, ...] = ()
    error: str | None = None
    gave_up: bool = False  # said by the starter: Ray began, and ended by itself
    late: bool = False  # said by the starter: it waited for as long as it may


def main() -> None:
    """Start Ray, answer, wait for the end of either side."""
    order = msgspec.json.decode(sys.argv[1], type=HolderOrder)
    answer = _start(order)
    with os.fdopen(order.pipe, "wb") as pipe:
        pipe.write(msgspec.json.encode(answer))
    if answer.error is not None:
        sys.exit(1)
    if not _told_to_stop(answer.processes):
        os._exit(1)  # Ray's own shutdown would wait for what is gone; the kernel ends the rest
    import ray

    ray.shutdown()


def _start(order: HolderOrder) -> HolderAnswer:
    prepare_loopback()
    os.environ.update(order.environment)
    import ray

    try:
        context: Any = ray.init(
            address="local",
            include_dashboard=order.dashboard,
            log_to_driver=False,
            resources=order.resources,
            _temp_dir=order.temp_dir,
        )
    except Exception as error:  # noqa: BLE001 - a process's outer edge: the starter reports it
        return HolderAnswer(error=f"{type(error).__name__}: {error}")
    me = identify(os.getpid())
    assert me is not None
    return HolderAnswer(
        address=context.address_info["gcs_address"],
        dashboard=context.address_info["webui_url"] or None,
        processes=tuple(descendants(me)),
    )


def _told_to_stop(processes: Sequence[Process]) -> bool:
    """Wait for a signal, then True; or for the end of one of Ray's core processes, then False."""
    signaled, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # replaces Ray's, which exits at once
    signal.set_wakeup_fd(wake)
    poll = select.poll()
    poll.register(signaled, select.POLLIN)
    for process in processes:
        if name_of(process) in CORE:
            try:
                poll.register(os.pidfd_open(process.pid), select.POLLIN)
            except (ProcessLookupError, FileNotFoundError):
                return False
    return any(file == signaled for file, _ in poll.poll())


if __name__ == "__main__":
    main()
