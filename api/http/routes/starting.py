"""Starting executions: one, or many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from starlette.responses import Response

from heliostat.actors.client.interface import Start
from heliostat.actors.host.api import Started
from heliostat.engine.errors import HeliostatError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id

from ..asking import faults_of, json_of
from ..errors import Refused, body_of, invalid, json_response, status_of
from ..models.executions import Accepted, BatchAnswer, StartBatch, StartWorkflow
from ..routing import Ask, Operations, operation

operations = Operations("executions")

ITEMS_MAX: Final = 10_000
"""Of a batch; its answer names each of them."""

CALL_ITEMS: Final = 1_000
"""Of a batch that go to the hosts at once, and are checked without letting others go first."""

_STARTED: Final = {
    "workflow_id": "order-o-1",
    "status": "Running",
    "message": "started",
}

_IDEMPOTENCY: Final = (
    "Idempotency-Key",
    "The execution's id, where the body has none.",
)


@operation(
    operations,
    "POST",
    "/workflows",
    body=StartWorkflow,
    answer=Accepted,
    example=_STARTED,
    status=201,
    also={200: ("The same start was there already.", Accepted)},
    errors=(404, 409, 429),
    headers=(_IDEMPOTENCY,),
)
async def start_workflow(ask: Ask[Any, StartWorkflow]) -> Response:
    """Start an execution.

    It is durable when this answers. With a `workflow_id` of your own the request is safe to send
    again: the same id with the same definition and input is the same start, and answers 200; with
    another definition or input it is a `DUPLICATE_ERROR`.
    """
    started = await ask.door.start(_start(ask.namespace, ask.body, ask.request_id))
    if started.existed:
        view = await ask.connection.status(started.key)
        return json_response(_accepted(started, view.status), 200)
    return json_response(_accepted(started, "Running"), 201)


@operation(
    operations,
    "POST",
    "/workflows/batch",
    body=StartBatch,
    read_body=False,
    answer=BatchAnswer,
    example={
        "results": [
            {"workflow_id": "order-o-1", "code": 201},
            {
                "workflow_id": "order-o-2",
                "code": 404,
                "error": {
                    "code": "NOT_FOUND",
                    "error": "Not found",
                    "message": "there is no definition 'order'",
                    "details": {"kind": "definition", "name": "order"},
                },
            },
        ],
        "accepted": 1,
        "refused": 1,
    },
    errors=(429,),
)
async def start_workflows(ask: Ask[Any, StartBatch]) -> Response:
    """Start many executions.

    Each item is a start of its own: one that is refused, or not valid, leaves the others as they
    are. At most 10,000 items and 16 MiB. Starts that a full host refused have the code 429.
    """
    items = _items(await json_of(ask.request))
    results: list[dict[str, Any]] = []
    for begin in range(0, len(items), CALL_ITEMS):
        results += await _batch(ask, items[begin : begin + CALL_ITEMS], begin)
        await asyncio.sleep(0)  # a batch of 10,000 holds up nobody else's request
    accepted = sum(result["code"] < 300 for result in results)
    return json_response(
        {"results": results, "accepted": accepted, "refused": len(results) - accepted}
    )


def _items(body: Any) -> Sequence[Any]:
    if not isinstance(body, dict) or not isinstance(items := body.get("items"), list):
        raise invalid([("items", "must be a list of starts")])
    unknown = [name for name in body if name != "items"]
    if unknown:
        raise invalid([(name[:200], "there is no such name; known is `items`") for name in unknown])
    if len(items) > ITEMS_MAX:
        raise Refused(
            "VALIDATION_ERROR",
            f"items: there are {len(items):,}; {ITEMS_MAX:,} are taken at once",
            {"fields": [{"field": "items", "message": f"at most {ITEMS_MAX:,}"}]},
        )
    return items


async def _batch(
    ask: Ask[Any, StartBatch], items: Sequence[Any], begin: int
) -> list[dict[str, Any]]:
    results: list[dict[str, Any] | None] = [None] * len(items)
    starts: dict[ExecutionKey, tuple[int, Start]] = {}
    for index, item in enumerate(items):
        try:
            start = _start(ask.namespace, StartWorkflow.model_validate(item), None)
        except ValidationError as error:
            told = [
                (f"items.{begin + index}.{field}".rstrip("."), text)
                for field, text in faults_of(error, StartWorkflow.model_fields)
            ]
            results[index] = _refused(_id_of(item), invalid(told))
            continue
        if start.key in starts:
            twice = invalid([(f"items.{begin + index}.workflow_id", "stands in the batch twice")])
            results[index] = _refused(start.key.execution_id, twice)
            continue
        starts[start.key] = (index, start)
    if starts:
        answers = await ask.connection.start_each([start for _, start in starts.values()])
        for (index, start), answer in zip(starts.values(), answers, strict=True):
            id = start.key.execution_id
            if isinstance(answer, HeliostatError):
                results[index] = _refused(id, answer)
            else:
                results[index] = {"workflow_id": id, "code": 200 if answer.existed else 201}
    return [result for result in results if result is not None]


def _start(namespace: str, body: StartWorkflow, key: str | None) -> Start:
    return Start(
        key=ExecutionKey(namespace, body.own_id or key or new_id()),
        definition=body.definition_id,
        version=body.version,
        input=body.input,
        tags=body.own_labels,
        priority=body.priority,
        correlation_id=body.correlation_id,
    )


def _accepted(started: Started, status: str) -> dict[str, Any]:
    return {
        "workflow_id": started.key.execution_id,
        "status": status,
        "message": "the same start was there already" if started.existed else "started",
    }


def _refused(id: str | None, error: HeliostatError) -> dict[str, Any]:
    return {"workflow_id": id, "code": status_of(error), "error": body_of(error)}


def _id_of(item: Any) -> str | None:
    """The id that a faulty item gives, to find it again."""
    if not isinstance(item, Mapping):
        return None
    given = item.get("workflow_id") or item.get("id") or item.get("execution_id")
    return given if isinstance(given, str) else None
