"""What a reader asks for, and how errors of following are told by either door."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field
from starlette.requests import HTTPConnection

from heliostat.api.http.asking import checked, namespace_of, query_of
from heliostat.api.http.models import common
from heliostat.engine.identity import ExecutionKey

from .hub import Hub

SEQ_MAX: Final = 2**53
"""The largest integer that every reader of JSON can hold."""


class LiveQuery(common.Query):
    """From where on events are told."""

    after: int | None = Field(
        default=None,
        ge=0,
        le=SEQ_MAX,
        description="The last event that the reader has; absent: only what follows the state.",
        examples=[0],
    )


def asked(connection: HTTPConnection) -> tuple[ExecutionKey, int | None]:
    """The execution, and the last event that the reader has.

    Raises:
        HeliostatError: with all that is wrong with it.
    """
    namespace = namespace_of(connection)
    query = query_of(connection, LiveQuery)
    id = checked(str(connection.path_params["id"]), "id")
    return ExecutionKey(namespace, id), query.after


def hub_of(connection: HTTPConnection) -> Hub:
    """The application's hub."""
    door: Any = connection.app.state.door
    hub: Hub = door.hub
    return hub
