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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from heliostat.cluster.processes import descendants, end, identify, is_alive
from heliostat.cluster.ray_holder import HolderAnswer, HolderOrder
from heliostat.cluster.record import RayRecord
from heliostat.engine.errors import Unreachable

_SOCKET_PATH_MAX: Final = 107
"""Of a Unix socket on Linux. Ray adds up to 66 characters to its temporary directory."""
_TEMP_DIR_MAX: Final = _SOCKET_PATH_MAX - 66

_STOP_GRACE_MS: Final = 10_000
"""Ray's own shutdown takes about a second; then its processes are killed."""

_LEFT_GRACE_MS: Final = 500
"""For those that outlived Ray's shutdown: agents and workers, which keep nothing."""

_SESSIONS_KEPT: Final = 3
"""Log folders of earlier starts, for whoever looks for what went wrong."""


def start_ray(
    data_dir: Path,
    *,
    resources: Mapping[str, float],
    dashboard: bool,
    timeout_ms: int,
    starting: Callable[[RayRecord], None],
) -> RayRecord:
    """Start a Ray of our own in the background; it outlives this process.

    Args:
        starting: Is given the holder as soon as it runs, so that it can be found after a crash.

    Raises:
        Unreachable: Ray did not start within the bound, or could not; nothing is left running.
    """
    temp_dir = ray_temp_dir(data_dir)
    log = data_dir / "ray.log"
    answer_from, pipe = os.pipe()
    order = HolderOrder(
        pipe=pipe, temp_dir=str(temp_dir), dashboard=dashboard, resources=dict(resources)
    )
    command = [sys.executable, "-m", "heliostat.cluster.ray_holder"]
    try:
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [*command, msgspec.json.encode(order).decode()],
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
    holder = identify(popen.pid)
    try:
        answer = HolderAnswer(error="it ended at once")
        if holder is not None:
            starting(RayRecord(holder=holder, temp_dir=str(temp_dir)))
            answer = _read_answer(answer_from, timeout_ms=timeout_ms)
    finally:
        os.close(answer_from)
    if answer.error is not None or holder is None:
        if holder is not None:
            end([*descendants(holder), holder], grace_ms=_STOP_GRACE_MS)
        raise Unreachable(f"Ray did not start: {answer.error}; its output is in {log}")
    return RayRecord(
        address=answer.address,
        holder=holder,
        processes=answer.processes,
        dashboard=answer.dashboard,
        temp_dir=str(temp_dir),
    )


def _read_answer(file: int, *, timeout_ms: int) -> HolderAnswer:
    """One JSON text, then the end of the file; the holder writes it at once."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    if not poll.poll(timeout_ms):
        return HolderAnswer(error=f"no answer within {timeout_ms / 1_000:g} s")
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
