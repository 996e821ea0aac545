"""Whether there is room for the door on this machine."""

from __future__ import annotations

import errno
import socket

from heliostat.engine.errors import ConfigurationError, Conflict


def free_port(host: str, port: int) -> int:
    """The port, when nobody listens there; for 0 one that is free.

    Raises:
        Conflict: somebody listens there.
        ConfigurationError: this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Conflict(
                    f"another program listens on {host}:{port}; name another port with --port N, "
                    f"0 for a free one, or leave HTTP out with --no-http"
                ) from None
            raise ConfigurationError(
                f"http_host = {host!r} cannot be listened on: {error.strerror}"
            ) from error
        found: int = probe.getsockname()[1]
        return found
