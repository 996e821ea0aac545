"""How the deployment is, for people, load balancers and probes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from heliostat.engine.errors import HeliostatError
from heliostat.engine.expressions.time import format_timestamp

from ..door import Door
from ..errors import json_response
from ..models.tasks import Health

ANSWER_S: Final = 3.0
"""How long hosts may take to say how they are, before the door says that they do not."""

MOVED_MS: Final = 10_000
"""A host whose turns have not moved for so long is frozen, or its journal is."""

_EXAMPLE: Final = {
    "status": "healthy",
    "message": "all is well",
    "components": {
        "hosts": {"status": "healthy", "message": "1 of 1 serve", "details": None},
        "journal": {"status": "healthy", "message": None, "details": None},
    },
    "timestamp": "2026-01-31T12:00:00.000Z",
}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "It serves; `degraded` where a part of it does not.",
        "content": {"application/json": {"example": _EXAMPLE}},
    },
    503: {"description": "It does not serve.", "model": Health},
}


async def health(request: Request) -> Response:
    """How the deployment is.

    `healthy` and `degraded` answer 200, `unhealthy` 503, each with the same body.
    """
    door: Door = request.app.state.door
    told = await look(door, getattr(request.app.state, "hosts_wanted", None))
    return json_response(told, 503 if told["status"] == "unhealthy" else 200)


async def look(door: Door, hosts_wanted: Callable[[], int] | None = None) -> dict[str, Any]:
    """How everything is; what does not answer is told, not raised.

    Args:
        hosts_wanted: how many there should be, where that is known: then there is a scheduler too.
    """
    try:
        async with asyncio.timeout(ANSWER_S + 1):
            info = await door.connection().info(ANSWER_S)
    except (HeliostatError, TimeoutError) as error:
        why = str(error) or f"no host has answered for {ANSWER_S:g} s"
        hosts = {"status": "unhealthy", "message": why, "details": None}
        return _told("unhealthy", why, {"hosts": hosts})
    found: list[dict[str, Any]] = info["hosts"]
    serving = [host for host in found if _serves(host)]
    count = len(found) if hosts_wanted is None else max(len(found), hosts_wanted())
    troubles = sorted({host["trouble"] for host in found if host["trouble"]})
    parts: dict[str, dict[str, Any]] = {
        "hosts": {
            "status": _status(len(serving), count),
            "message": f"{len(serving)} of {count} serve",
            "details": [
                {"name": host["name"], "state": host["state"], "moved_ms_ago": host["moved_ms_ago"]}
                for host in found
            ],
        },
        "journal": {
            "status": "healthy" if not troubles else _status(len(serving), len(found)),
            "message": "; ".join(troubles) or None,
            "details": None,
        },
    }
    if hosts_wanted is not None or info.get("scheduler") is not None:
        parts["scheduler"] = _scheduler(info.get("scheduler"))
    statuses = {part["status"] for part in parts.values()}
    if "unhealthy" in statuses:
        return _told("unhealthy", "it does not serve", parts)
    if "degraded" in statuses:
        return _told("degraded", "a part of it does not serve", parts)
    return _told("healthy", "all is well", parts)


def _scheduler(told: dict[str, Any] | None) -> dict[str, Any]:
    """Without it only steps with resources wait, and new runners."""
    if told is None:
        why = "it does not answer; what needs no capacity goes on"
        return {"status": "degraded", "message": why, "details": None}
    trouble = told.get("trouble")
    return {
        "status": "healthy" if trouble is None else "degraded",
        "message": trouble,
        "details": {"held": told.get("held"), "waiting": told.get("waiting")},
    }


def _serves(host: dict[str, Any]) -> bool:
    return (
        host["state"] == "running" and host["trouble"] is None and host["moved_ms_ago"] < MOVED_MS
    )


def _status(serving: int, known: int) -> str:
    if not serving:
        return "unhealthy"
    return "healthy" if serving == known else "degraded"


def _told(status: str, message: str, components: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": status,
        "message": message,
        "components": components,
        "timestamp": format_timestamp(time.time_ns() // 1_000_000),
    }


def add_health(app: FastAPI) -> None:
    """The three addresses at which probes look for it."""
    for path, id in (
        ("/health", "health"),
        ("/api/v1/health", "health_of_api"),
        ("/api/v1/system/health", "health_of_system"),
    ):
        app.add_api_route(
            path,
            health,
            methods=["GET"],
            response_model=Health,
            responses=_ANSWERS,
            operation_id=id,
            tags=["system"],
        )
        app.add_api_route(path, health, methods=["HEAD"], include_in_schema=False)
