"""The routes at which executions are watched; the application has a hub at `state.door.hub`."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Route, WebSocketRoute

from heliostat.api.http.routing import PREFIX

from .socket import execution_socket
from .sse import execution_events

SOCKET_PATH: Final = f"{PREFIX}/ws/executions/{{id}}"
EVENTS_PATH: Final = f"{PREFIX}/workflows/{{id}}/events"


def live_routes() -> list[BaseRoute]:
    """The socket and the stream of an execution."""
    return [
        WebSocketRoute(SOCKET_PATH, execution_socket),
        Route(EVENTS_PATH, execution_events, methods=["GET"]),
    ]
