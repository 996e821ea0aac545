"""Where the local lane's sockets lie: one private folder of this user for a deployment and node.
The runners of all hosts of the node lie there side by side, each below its host's key.

A socket's file name is its runner's; who is behind it is asked of the kernel, never of the name.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from heliostat.engine.errors import ConfigurationError

PATH_BYTES_MAX: Final = 107
"""Linux's `sun_path`, without its closing zero."""

SUFFIX: Final = ".sock"

OWNER_LENGTH_MAX: Final = 16
"""Of a host's key in its runners' names."""

_NAME: Final = re.compile(r"runner-([0-9a-z]{1,16})-(\d+)(?:-([0-9a-f]+))?" + re.escape(SUFFIX))

_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


def default_folder(deployment: str) -> Path:
    """A short path that every process of this user and node finds again."""
    return Path(tempfile.gettempdir()) / f"heliostat-{os.getuid()}" / deployment[:40]


def private_folder(folder: Path) -> Path:
    """Create the folder for this user alone, or make sure that it is so.

    Raises:
        ConfigurationError: it belongs to somebody else, or its path is too long for sockets.
    """
    longest = (
        len(os.fsencode(folder))
        + len(f"/runner-{'9' * OWNER_LENGTH_MAX}-999999-01234567")
        + len(SUFFIX)
    )
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


class SocketName(Struct, frozen=True):
    """What a socket's file name says of its runner."""

    owner: str  # key of the host that made it
    index: int
    env: str = ""  # key of its runtime environment


def socket_path(folder: Path, name: SocketName) -> Path:
    """Where a runner listens."""
    env = f"-{name.env}" if name.env else ""
    return folder / f"runner-{name.owner}-{name.index}{env}{SUFFIX}"


def name_of(path: Path) -> SocketName | None:
    """The counterpart of `socket_path`; None for another file."""
    found = _NAME.fullmatch(path.name)
    return None if found is None else SocketName(found[1], int(found[2]), found[3] or "")


def peer(connection: socket.socket) -> tuple[int, int]:
    """Pid and user of the process at the other end, as they were when it connected or listened."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid
