"""Why no answer came, in the words of whoever asked."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

CURE: Final = (
    "`heliostat status`, where the deployment runs, says whether it is up and at which address"
)

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "the connection is refused, nothing listens on that port",
    errno.EHOSTUNREACH: "no way leads to that host",
    errno.ENETUNREACH: "no way leads to that host",
}


def too_late(error: TimeoutError, *, connect_s: float, answer_s: float) -> str:
    """Of a try that ran into one of its bounds."""
    import aiohttp

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {connect_s:g} s"
    return f"no answer within {answer_s:g} s"


def broken(error: aiohttp.ClientError | OSError) -> str:
    """Of a connection that was not made, or ended before an answer."""
    import aiohttp

    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"no host is found by the name {error.host!r}"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not valid: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS is spoken there ({error.strerror or error}); is it http://?"
        case aiohttp.ClientConnectorError():
            return _BY_ERRNO.get(error.errno or 0) or f"no connection: {error.strerror or error}"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection ended before an answer came"
    return f"{type(error).__name__}: {error}"
