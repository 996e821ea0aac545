"""The Ray of our own that a deployment runs on in the background: starting it, stopping exactly it.

It is one node that listens on the loopback interface only, held by a process of its own
(`ray_holder.py`) with a temporary directory of its own, and outlives the process that started it.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from heliostat.cluster.processes import Process, descendants, end, identify, is_alive, name_of
from heliostat.cluster.ray_holder import CORE, HolderAnswer, HolderOrder
from heliostat.cluster.record import RayRecord
from heliostat.engine.errors import Unreachable

_SOCKET_PATH_MAX: Final = 107
"""Of a Unix socket on Linux. Ray adds up to 66 characters to its temporary directory."""
_TEMP_DIR_MAX: Final = _SOCKET_PATH_MAX - 66

_STOP_GRACE_MS: Final = 10_000
"""Ray's own shutdown takes about a second; then its processes are killed."""

_LEFT_GRACE_MS: Final = 500
"""For those that outlived Ray's shutdown: agents and workers, which keep nothing."""

_STARTS: Final = 2
"""How often Ray is started when it gives up."""

_LOOK_MS: Final = 500
"""Between two looks at whether a Ray that starts is still there."""

_SESSIONS_KEPT: Final = 3
"""Log folders of earlier starts, for whoever looks for what went wrong."""


def start_ray(
    data_dir: Path,
    *,
    resources: Mapping[str, float],
    dashboard: bool,
    environment: Mapping[str, str],
    timeout_ms: int,
    starting: Callable[[RayRecord], None],
) -> RayRecord:
    """Start a Ray of our own in the background; it outlives this process.

    Args:
        environment: For Ray and everything that it starts.
        starting: Is given the holder as soon as it runs, so that it can be found after a crash.

    On a machine without a CPU to spare, Ray gives up while it starts (its raylet waits some seconds
    for its agents), and the process that started it learns of that only when its own patience ends.
    So that is looked for here, and Ray is started once more.

    Raises:
        Unreachable: Ray did not start within the bound, or could not; nothing is left running.
    """
    end_at = time.monotonic() + timeout_ms / 1_000
    temp_dir = ray_temp_dir(data_dir)
    order = HolderOrder(
        pipe=-1,
        temp_dir=str(temp_dir),
        dashboard=dashboard,
        resources=dict(resources),
        environment=dict(environment),
    )
    log = data_dir / "ray.log"
    left = _STARTS
    while True:
        left -= 1
        answer, holder = _start_once(order, log, end_at=end_at, starting=starting)
        if answer.error is None:
            return RayRecord(
                address=answer.address,
                holder=holder,
                processes=answer.processes,
                dashboard=answer.dashboard,
                temp_dir=str(temp_dir),
            )
        if holder is not None:
            end([*descendants(holder), holder], grace_ms=_STOP_GRACE_MS)
        if not answer.gave_up or not left:
            break
    busy = (
        ". On a machine whose CPUs are all busy Ray gives up while it starts: call again when "
        "there is less to do"
        if answer.gave_up
        else ". If the machine is only busy, allow more time by `up_timeout_ms`"
        if answer.late
        else ""
    )
    raise Unreachable(
        f"Ray did not start: {answer.error}; its output is in {log}, its logs are in "
        f"{temp_dir}/session_latest/logs{busy}"
    )


def _start_once(
    order: HolderOrder, log: Path, *, end_at: float, starting: Callable[[RayRecord], None]
) -> tuple[HolderAnswer, Process | None]:
    """A holder, and what it says of its Ray."""
    answer_from, pipe = os.pipe()
    order = msgspec.structs.replace(order, pipe=pipe)
    try:
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [
                    *(sys.executable, "-m", "heliostat.cluster.ray_holder"),
                    msgspec.json.encode(order).decode(),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(pipe,),
                start_new_session=True,  # Ctrl-C in this terminal is not meant for it
                cwd="/",
            )
    finally:
        os.close(pipe)
    popen.returncode = 0  # it is to outlive us: nobody waits for it
    try:
        holder = identify(popen.pid)
        if holder is None:
            return HolderAnswer(error="it ended at once"), None
        starting(RayRecord(holder=holder, temp_dir=order.temp_dir))
        return _read_answer(answer_from, holder, end_at=end_at), holder
    finally:
        os.close(answer_from)


def _read_answer(file: int, holder: Process, *, end_at: float) -> HolderAnswer:
    """One JSON text, then the end of the file; the holder writes it at once."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    core: dict[Process, str] = {}
    begun = time.monotonic()
    while not poll.poll(_LOOK_MS):
        core |= {each: name for each in descendants(holder) if (name := name_of(each)) in CORE}
        gone = [name for each, name in core.items() if not is_alive(each)]
        if gone:
            return HolderAnswer(error=f"its {gone[0]} ended while it started", gave_up=True)
        if time.monotonic() >= end_at:
            return HolderAnswer(error=f"no answer within {end_at - begun:.0f} s", late=True)
    content = b""
    while chunk := os.read(file, 65_536):
        content += chunk
    if not content:
        return HolderAnswer(error="its process ended before it answered")
    return msgspec.json.decode(content, type=HolderAnswer)


def stop_ray(ray: RayRecord) -> int:
    """End exactly the processes of a Ray of ours; returns how many had to be killed."""
    if not ray.owned or ray.holder is None:
        return 0
    holder_lives = is_alive(ray.holder)
    workers = descendants(ray.holder) if holder_lives else ()
    left = {*ray.processes, *workers}
    if holder_lives:
        end([ray.holder], grace_ms=_STOP_GRACE_MS)  # asks Ray's processes to end, itself
    return len(end(left, grace_ms=_LEFT_GRACE_MS))


def ray_temp_dir(data_dir: Path) -> Path:
    """Short enough for Ray's sockets, the same for every start; below `data_dir` if that is."""
    inside = data_dir / "ray"
    if len(str(inside)) > _TEMP_DIR_MAX:
        stat = data_dir.stat()
        inside = Path(tempfile.gettempdir()) / f"heliostat-{stat.st_dev:x}-{stat.st_ino:x}"
    inside.mkdir(mode=0o700, parents=True, exist_ok=True)
    sessions = sorted(inside.glob("session_2*"))
    for old in sessions[: -_SESSIONS_KEPT + 1]:
        shutil.rmtree(old, ignore_errors=True)
    return inside
