"""Who may ask at all, while there is no security: programs of this machine, and pages of this door.

A browser sends requests of any page it shows, also to this machine. What a page of elsewhere could
do by that is change something without reading the answer, or, once a name of its own resolves to
this machine, read too. So a request that changes something must not come from another origin, and
where the door is bound to the loopback interface it must be addressed as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .errors import Refused, error_response

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses what comes from a page of another origin.

    Args:
        hosts: names under which the door may be addressed, without ports; None: any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None = None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._fault(scope, Headers(scope=scope))
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await error_response(refused)(scope, receive, send)
        else:
            await WebSocketClose(4403, refused.message)(scope, receive, send)

    def _fault(self, scope: Scope, headers: Headers) -> Refused | None:
        host = headers.get("host", "")
        if self._hosts is not None and host and _name(host) not in self._hosts:
            return Refused(
                "FORBIDDEN",
                f"the request is addressed to {host[:100]!r}, and this door answers on this "
                f"machine only: {', '.join(sorted(self._hosts))}",
            )
        if scope["type"] == "http" and scope["method"] in _READS:
            return None
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site")
        foreign = origin is not None and urlsplit(origin).netloc != host
        if foreign or site in ("cross-site", "same-site"):
            return Refused(
                "FORBIDDEN",
                f"the request comes from a page of {(origin or 'elsewhere')[:100]!r}; pages of "
                f"other origins may not change anything here",
            )
        return None


def _name(host: str) -> str:
    """The host of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
