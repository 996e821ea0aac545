"""The application: every route of the door, put together around one way to a deployment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import heliostat
from heliostat.actors.client.proving import Proving
from heliostat.api.live.router import live_routes
from heliostat.api.page.serving import page_routes
from heliostat.engine.errors import HeliostatError

from .document import DESCRIPTION, document
from .door import Door, Way
from .errors import json_response, on_error, on_fault, on_http_exception
from .guards import Guard
from .routes import definitions, events, executions, starting, steering, tasks
from .routes.health import add_health
from .routing import PREFIX

OPERATIONS: Final = tuple(
    part.operations for part in (starting, executions, steering, definitions, tasks, events)
)

OPENAPI_PATH: Final = f"{PREFIX}/openapi.json"


def create_app(
    connection: Callable[[], Way],
    *,
    code_path: Sequence[Path] = (),
    proving: Proving | None = None,
    hosts: Iterable[str] | None = None,
) -> FastAPI:
    """The door to a deployment, as an ASGI application.

    Args:
        connection: gives the way to the deployment, for each request anew; raises `Unreachable`
            while there is none, which is answered as 503.
        code_path: where modules are looked for that definitions name, as runners look.
        proving: how definitions are proved that are registered or validated; None: not at all.
        hosts: names under which the door may be addressed (`guards.LOOPBACK` where it is bound to
            the loopback interface); None: any.
    """
    door = Door(connection, code_path=code_path, proving=proving)

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await door.close()

    app = FastAPI(
        title="heliostat",
        version=heliostat.__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False},  # asked for on each request
        redirect_slashes=False,  # a redirected POST is sent again by few clients
        lifespan=living,
        exception_handlers={
            HeliostatError: on_error,
            HTTPException: on_http_exception,
            Exception: on_fault,
        },
    )
    app.state.door = door
    app.add_middleware(Guard, hosts=None if hosts is None else tuple(hosts))
    for each in OPERATIONS:
        each.add_to(app)
    add_health(app)

    told: list[Response] = []

    async def openapi(_request: Request) -> Response:
        if not told:  # made by the first who asks
            told.append(json_response(document(app, chain.from_iterable(OPERATIONS))))
        return told[0]

    app.add_route(OPENAPI_PATH, openapi, include_in_schema=False)
    app.router.routes.extend(live_routes())
    app.router.routes.extend(page_routes())
    return app
