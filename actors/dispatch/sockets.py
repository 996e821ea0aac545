"""Where the local lane's sockets lie: one private folder of this user for a deployment and node.

A socket's file name is its runner's; who is behind it is asked of the kernel, never of the name.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from pathlib import Path
from typing import Final

from heliostat.engine.errors import ConfigurationError

PATH_BYTES_MAX: Final = 107
"""Linux's `sun_path`, without its closing zero."""

SUFFIX: Final = ".sock"

_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


def default_folder(deployment: str) -> Path:
    """A short path that every process of this user and node finds again."""
    return Path(tempfile.gettempdir()) / f"heliostat-{os.getuid()}" / deployment[:40]


def private_folder(folder: Path) -> Path:
    """Create the folder for this user alone, or make sure that it is so.

    Raises:
        ConfigurationError: it belongs to somebody else, or its path is too long for sockets.
    """
    longest = len(os.fsencode(folder)) + len("/runner-999999") + len(SUFFIX)
    if longest > PATH_BYTES_MAX:
        raise ConfigurationError(
            f"the socket folder {str(folder)!r} is too long: with a socket's name {longest} bytes, "
            f"at most {PATH_BYTES_MAX}; set socket_dir to a shorter path"
        )
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise ConfigurationError(
            f"the socket folder {str(folder)!r} belongs to user {found.st_uid}, this is "
            f"{os.getuid()}; set socket_dir to a folder of your own"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def socket_path(folder: Path, index: int) -> Path:
    """Where runner `index` listens."""
    return folder / f"runner-{index}{SUFFIX}"


def index_of(path: Path) -> int | None:
    """The counterpart of `socket_path`; None for another file."""
    name = path.name
    number = name.removeprefix("runner-").removesuffix(SUFFIX)
    return int(number) if number.isdigit() and name == f"runner-{number}{SUFFIX}" else None


def peer(connection: socket.socket) -> tuple[int, int]:
    """Pid and user of the process at the other end, as they were when it connected or listened."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid
