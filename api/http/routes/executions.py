"""What is told of executions: lists, the state of one, its result, history and graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, get_args

from starlette.responses import Response

from heliostat.actors.host.api import Ended, ExecutionView
from heliostat.engine.journal.protocol import ExecutionQuery, TaskQuery
from heliostat.engine.status import TERMINAL, ExecutionStatus, TaskStatus

from .. import rendering
from ..asking import DAY_MS, duration_s, instant_ms, one_of, pair, several
from ..errors import json_response
from ..graph import travelled
from ..models.common import Page
from ..models.executions import (
    Event,
    GetHistory,
    GetResult,
    GetWorkflow,
    Graph,
    ListWorkflows,
    ListWorkflowTasks,
    Metadata,
    MetadataStored,
    Result,
    State,
    Summary,
)
from ..models.tasks import Task
from ..routing import REPEATED, Ask, Operations, operation
from .tasks import told as told_task

operations = Operations("executions")

WAIT_S: Final = 60.0
"""How long a result is waited for: proxies between give up later than that."""

TASKS_MAX: Final = 1_000
"""Human tasks of one execution that are told, the newest; as many attempts at most."""

_ID: Final = {"id": "order-o-1"}

_SUMMARY: Final = {
    "workflow_id": "order-o-1",
    "definition_id": "order",
    "version": "1",
    "status": "Completed",
    "run": 1,
    "created_at": "2026-01-31T12:00:00.000Z",
    "ended_at": "2026-01-31T12:00:01.250Z",
    "parent": None,
    "labels": {"team": "credit"},
    "correlation_id": None,
    "priority": 5,
}


@operation(
    operations,
    "GET",
    "/workflows",
    query=ListWorkflows,
    answer=Page[Summary],
    example={
        "data": [_SUMMARY],
        "meta": {
            "total": 1,
            "page": 1,
            "per_page": 20,
            "total_pages": 1,
            "next_cursor": None,
        },
    },
)
async def list_workflows(ask: Ask[ListWorkflows, Any]) -> Response:
    """List executions, newest first.

    All filters that are given must hold. `total` counts all that fit.
    """
    query = ask.query
    page = await ask.connection.executions(
        ExecutionQuery(
            namespace=ask.namespace,
            definition=query.definition_id,
            version=query.version,
            status=_statuses(query.status, ExecutionStatus),
            created_from_ms=_instant(query.start_date, "start_date"),
            created_before_ms=_instant(query.end_date, "end_date", whole_day=True),
            tags=dict(pair(label, "label") for label in query.label),
            correlation_id=query.correlation_id,
            q=query.q,
            limit=query.per_page,
            offset=query.offset,
            cursor=query.cursor,
            count=True,
        )
    )
    return json_response(
        rendering.page(
            map(rendering.summary, page.rows), query, total=page.total, next_cursor=page.next_cursor
        )
    )


@operation(
    operations,
    "GET",
    "/workflows/{id}",
    query=GetWorkflow,
    answer=State,
    example={
        **_SUMMARY,
        "name": "An order",
        "seq": 9,
        "wake_at": None,
        "failure": None,
        "output": {"packed": 3},
        "violated": [],
        "misfit": None,
        "active": [],
        "total_tasks": 1,
        "completed_tasks": 1,
        "failed_tasks": 0,
        "current_state": None,
        "elapsed_ms": 1_250,
        "steps": {
            "pack": {
                "status": "Completed",
                "visits": 1,
                "attempt": 1,
                "started_at": "2026-01-31T12:00:00.010Z",
                "ended_at": "2026-01-31T12:00:01.250Z",
                "output": {"packed": 3},
            }
        },
    },
    errors=(404,),
    ids=_ID,
)
async def get_workflow(ask: Ask[GetWorkflow, Any]) -> Response:
    """What an execution does now.

    Values that are large, or no JSON, stand as `{"$blob": …}`; the result has them.
    """
    now = await ask.door.now(ask.key)
    known = await ask.door.version(
        ask.namespace, now.view.definition, now.view.version, deleted=True
    )
    told = rendering.state(
        now.view,
        now.steps,
        name=known.name,
        total=len(known.steps),
        now_ms=time.time_ns() // 1_000_000,
    )
    if ask.query.include_tasks:
        told["tasks"] = await _tasks(ask)
    if ask.query.include_variables:
        variables = await ask.connection.variables(ask.key)
        told["variables"] = await ask.connection.received_json(variables)
    return json_response(told)


@operation(
    operations,
    "GET",
    "/workflows/{id}/result",
    query=GetResult,
    answer=Result,
    example={
        "workflow_id": "order-o-1",
        "status": "Completed",
        "output": {"packed": 3},
        "failure": None,
    },
    also={202: ("It has not ended within the time.", Result)},
    errors=(404,),
    ids=_ID,
)
async def get_result(ask: Ask[GetResult, Any]) -> Response:
    """What came of an execution.

    Waits for its end as long as `wait` says, and answers 202 with its status when it has not come
    by then. JSON that lies elsewhere, 16 MiB of it at most, is brought; what is no JSON stands as
    `{"$blob": …}`.
    """
    wait_s = 0.0 if ask.query.wait is None else duration_s(ask.query.wait, "wait", at_most_s=WAIT_S)
    found: ExecutionView | Ended = await ask.connection.status(ask.key)
    if found.status not in TERMINAL and wait_s > 0:
        end = asyncio.wrap_future(await ask.connection.watch(ask.key, run=found.run))
        await asyncio.wait([end], timeout=wait_s)
        if end.done() and not end.cancelled() and end.exception() is None:
            found = end.result()
        else:  # not yet, or it is gone, or its host is: whoever has it now knows
            found = await ask.connection.status(ask.key)
    return json_response(
        {
            "workflow_id": found.key.execution_id,
            "status": found.status,
            "output": await ask.connection.received_json(found.output),
            "failure": rendering.failure(found.failure),
        },
        200 if found.status in TERMINAL else 202,
    )


@operation(
    operations,
    "GET",
    "/workflows/{id}/history",
    query=GetHistory,
    answer=list[Event],
    example=[{"seq": 1, "type": "execution.started", "definition": "order", "version": "1"}],
    errors=(404,),
    ids=_ID,
)
async def get_history(ask: Ask[GetHistory, Any]) -> Response:
    """The recorded events of an execution.

    From the one after `after`, `limit` of them; ask again after the last `seq` for more.
    """
    page = await ask.connection.history(ask.key, after=ask.query.after, limit=ask.query.limit)
    return json_response(page.events)


@operation(
    operations,
    "GET",
    "/workflows/{id}/tasks",
    query=ListWorkflowTasks,
    answer=list[Task],
    example=[],
    errors=(404,),
    ids=_ID,
)
async def list_workflow_tasks(ask: Ask[ListWorkflowTasks, Any]) -> Response:
    """The tasks of an execution.

    Its human tasks, newest first, and then its attempts that are under way or have failed.
    """
    await ask.connection.status(ask.key)  # an execution that is not there has no tasks either
    known = (*get_args(TaskStatus), "Pending", "Running")
    wanted = {one_of(each, known, "status") for each in several(ask.query.status)}
    kind = ask.query.task_type
    return json_response(
        [
            task
            for task in await _tasks(ask)
            if (not wanted or task["status"] in wanted) and kind in (None, task["task_type"])
        ]
    )


@operation(
    operations,
    "GET",
    "/workflows/{id}/graph",
    answer=Graph,
    example={
        "definition_id": "order",
        "version": "1",
        "name": "An order",
        "scopes": [
            {
                "id": 0,
                "parent": None,
                "step": None,
                "name": None,
                "notation": "machine",
                "foreach": False,
            }
        ],
        "nodes": [
            {
                "id": "pack",
                "name": None,
                "type": "activity",
                "scope": 0,
                "container": False,
                "foreach": False,
                "entry": True,
            }
        ],
        "edges": [{"from": "pack", "to": "end", "kind": "next", "scope": 0, "traversed": 1}],
        "steps": {"pack": {"status": "Completed", "visits": 1}},
    },
    errors=(404,),
    ids=_ID,
)
async def get_workflow_graph(ask: Ask[Any, Any]) -> Response:
    """The graph of an execution's version, with what each step does now."""
    now = await ask.door.now(ask.key)
    known = await ask.door.version(
        ask.namespace, now.view.definition, now.view.version, deleted=True
    )
    return json_response({**travelled(known.graph, now.taken), "steps": now.steps})


@operation(
    operations,
    "GET",
    "/workflows/{id}/metadata",
    answer=dict[str, str],
    example={"ticket": "T-7"},
    errors=(404,),
    ids=_ID,
)
async def get_metadata(ask: Ask[Any, Any]) -> Response:
    """What people noted about an execution."""
    return json_response(await ask.connection.metadata(ask.key))


@operation(
    operations,
    "PUT",
    "/workflows/{id}/metadata",
    body=Metadata,
    answer=MetadataStored,
    example={"workflow_id": "order-o-1", "message": "1 text is kept"},
    errors=(404, 409, 429),
    headers=(REPEATED,),
    ids=_ID,
)
async def put_metadata(ask: Ask[Any, Metadata]) -> Response:
    """Note something about an execution, in place of what was noted."""
    texts = ask.body.metadata
    await ask.connection.set_metadata(ask.key, texts, request_id=ask.request_id)
    message = "1 text is kept" if len(texts) == 1 else f"{len(texts)} texts are kept"
    return json_response({"workflow_id": ask.key.execution_id, "message": message})


async def _tasks(ask: Ask[Any, Any]) -> list[dict[str, Any]]:
    query = TaskQuery(namespace=ask.namespace, execution_id=ask.key.execution_id, limit=TASKS_MAX)
    page = await ask.connection.tasks(query)
    attempts = await ask.connection.attempts(ask.key)
    return [
        *[await told_task(ask.connection, info) for info in page.tasks],
        *map(rendering.attempt, attempts),
    ]


def _statuses(given: Sequence[str], known: Any) -> tuple[Any, ...]:
    return tuple(one_of(each, get_args(known), "status") for each in several(given))


def _instant(text: str | None, field: str, *, whole_day: bool = False) -> int | None:
    """An instant; of a date its first, or where the whole day is meant the next day's."""
    if text is None:
        return None
    return instant_ms(text, field) + (DAY_MS if whole_day and len(text) == 10 else 0)
