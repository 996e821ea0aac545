"""Stands in for the haproxy program that Ray Serve starts: narrows its configuration, becomes it.

Ray Serve writes the configuration, and offers no settings for what does not fit a door without
security on a machine that others use too. So in the file that is started with:

- The statistics pages, which Serve binds to all interfaces under fixed ports, move to sockets in
  the proxy's own folder: nothing is reachable from elsewhere, and two deployments on one machine do
  not collide. The administration socket is for this user only.
- A read that a replica was lost over is made again by another one. Nothing else is: whoever asked
  knows whether it may be repeated.
- What the proxy answers by itself (no replica is there, or it was lost while it answered) has the
  shape of every other error of the door.
- It takes as many connections as this user may have files open; haproxy would not start else.
- haproxy ends with the process that started it. One that was left behind would hold the port, and
  its successor would find it taken.

Run as `python -m heliostat.api.serve.haproxy HAPROXY ARGUMENT…`; knows nothing of Ray.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1

MESSAGE: Final = (
    "no process of the door answers; whether the request was carried out is not known where it "
    "was cut off: repeat it, a start under the same workflow_id"
)
BODY: Final = json.dumps(
    {"code": "UNREACHABLE", "error": "Unreachable", "message": MESSAGE, "details": {}}
)
ERROR_FILE: Final = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n"
    "Retry-After: 1\r\n"
    "Cache-Control: no-store\r\n"
    "Connection: close\r\n"
    "\r\n"
    f"{BODY}"
)


_ONLY_READS: Final = "http-request disable-l7-retry if !METH_GET"
"""GET and HEAD; what was never sent, since no connection was made, is tried again in any case."""

CONNECTIONS_MAX: Final = 20_000
"""Most of them are live sockets."""

_FILES_EACH: Final = 2.5
"""In, out, and pipes for a quarter of them: what haproxy itself reckons, or it does not start."""

_FILES_KEPT: Final = 200
"""Of those that may be open, for anything but connections."""


def main() -> None:
    """Narrow the configuration that the arguments name, then be haproxy."""
    program, *arguments = sys.argv[1:]
    _end_with_parent()
    if "-f" in arguments:
        narrow(Path(arguments[arguments.index("-f") + 1]))
    os.execv(program, [program, *arguments])


def narrow(path: Path) -> None:
    """Rewrite a configuration in place; readers see the old or the new one, whole."""
    folder = path.parent
    error_file = folder / "503.http"
    error_file.write_text(ERROR_FILE, encoding="ascii", newline="")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    text = path.read_text(encoding="utf-8")
    narrowed = narrowed_text(text, folder=folder, error_file=error_file, files=files)
    unfinished = path.with_suffix(".narrowed")
    unfinished.write_text(narrowed, encoding="utf-8")
    unfinished.replace(path)


def narrowed_text(text: str, *, folder: Path, error_file: Path, files: int) -> str:
    """The configuration as this door wants it.

    Args:
        files: how many files the user may have open.
    """
    if files == resource.RLIM_INFINITY:
        files = 10 * CONNECTIONS_MAX
    connections = max(50, min(CONNECTIONS_MAX, int((files - _FILES_KEPT) / _FILES_EACH)))
    for pattern, replacement in (
        # Of the three places that bind a port, only the door's own names an address.
        (r"^(\s*)bind :\d+$", rf"\1bind {folder / 'm.sock'} mode 600"),
        (r"^(\s*)bind \*:\d+(?=\n\s*stats enable)", rf"\1bind {folder / 's.sock'} mode 600"),
        (r"^(\s*retry-on) .*$", r"\1 conn-failure empty-response"),
        (r"^frontend http_frontend$", rf"\g<0>\n    {_ONLY_READS}"),
        (r" mode 666 level admin", " mode 600 level admin"),
        (r"^(\s*)maxconn \d+$", rf"\1maxconn {connections}"),
        (r"^(\s*errorfile 50\d) .*$", rf"\1 {error_file}"),
        # Serve answers 404 in plain text for as long as no application has been deployed.
        (
            r"^(backend default_backend\n\s*)http-request return .*$",
            r"\1http-request return status 503 default-errorfiles",
        ),
    ):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def _end_with_parent() -> None:
    """Have the kernel end this process, also after it became haproxy, when its parent ends."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before it could be asked for
        sys.exit(1)


if __name__ == "__main__":
    main()
