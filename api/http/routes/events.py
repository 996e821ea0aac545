"""Publishing events."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from ..errors import json_response
from ..models.tasks import Published, PublishEvent
from ..routing import Ask, Operations, operation

operations = Operations("events")


@operation(
    operations,
    "POST",
    "/events",
    body=PublishEvent,
    answer=Published,
    example={"event_id": "paid-o-1", "message": "the event is kept"},
    status=201,
    errors=(429,),
)
async def publish_event(ask: Ask[Any, PublishEvent]) -> Response:
    """Publish an event.

    For all executions of the namespace that wait for its type, or handle it; they hear of it
    soon. With an `event_id` of your own it is safe to send again.
    """
    body = ask.body
    id = await ask.connection.publish(
        body.event_type,
        body.data,
        id=body.event_id,
        namespace=ask.namespace,
        correlation_id=body.correlation_id,
    )
    return json_response({"event_id": id, "message": "the event is kept"}, 201)
