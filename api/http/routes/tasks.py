"""Human tasks: what people are asked, and what they do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast, get_args

from pydantic import BaseModel
from starlette.responses import Response

from heliostat.actors.host.api import TaskInfo
from heliostat.engine.errors import InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.status import TaskStatus

from .. import rendering
from ..asking import ANONYMOUS, one_of, several, split_task_id
from ..door import Way
from ..errors import json_response
from ..models.common import Page
from ..models.tasks import (
    Assign,
    Claim,
    Complete,
    Fail,
    Heartbeat,
    ListTasks,
    Release,
    Task,
    TaskDone,
)
from ..routing import PERSON, REPEATED, Ask, Decorator, Operations, operation

operations = Operations("tasks")

_Body = TypeVar("_Body", bound=BaseModel)

_ID: Final = {"id": "order-o-1~1:2:1:1"}

TASK: Final = {
    "task_id": "order-o-1~1:2:1:1",
    "workflow_id": "order-o-1",
    "definition_id": "order",
    "step": "check",
    "point": None,
    "name": "Check the order",
    "task_type": "human",
    "status": "Claimed",
    "assignees": [],
    "candidates": ["group:credit"],
    "claimed_by": "ann",
    "form": {"type": "object", "properties": {"approved": {"type": "boolean"}}},
    "input": {"order": "o-1"},
    "created_at": "2026-01-31T12:00:00.000Z",
    "deadline": None,
    "ended_at": None,
    "level": 0,
    "failure": None,
    "progress": 40,
    "details": None,
    "error": None,
    "output": None,
}


async def told(connection: Way, info: TaskInfo) -> dict[str, Any]:
    """A task as it goes over the wire."""
    return rendering.task(
        info,
        await connection.received_json(info.input),
        await connection.received_json(info.output),
    )


def statuses(given: Sequence[str]) -> tuple[TaskStatus, ...]:
    """Those that a query names."""
    known = get_args(TaskStatus)
    return tuple(cast("TaskStatus", one_of(each, known, "status")) for each in several(given))


def _key(ask: Ask[Any, Any]) -> tuple[ExecutionKey, str]:
    execution, task = split_task_id(ask.path("id"))
    return ExecutionKey(ask.namespace, execution), task


@operation(
    operations,
    "GET",
    "/tasks",
    query=ListTasks,
    answer=Page[Task],
    example={
        "data": [TASK],
        "meta": {"total": 1, "page": 1, "per_page": 20, "total_pages": 1, "next_cursor": None},
    },
)
async def list_tasks(ask: Ask[ListTasks, Any]) -> Response:
    """List human tasks, newest first.

    All filters that are given must hold.
    """
    query = ask.query
    page = await ask.connection.tasks(
        TaskQuery(
            namespace=ask.namespace,
            execution_id=query.workflow_id,
            definition=query.definition_id,
            status=statuses(query.status),
            task_type=query.task_type,
            person=query.assignee,
            limit=query.per_page,
            offset=query.offset,
            cursor=query.cursor,
            count=True,
        )
    )
    rows = [await told(ask.connection, info) for info in page.tasks]
    return json_response(
        rendering.page(rows, query, total=page.total, next_cursor=page.next_cursor)
    )


@operation(
    operations,
    "GET",
    "/tasks/{id}",
    answer=Task,
    example=TASK,
    errors=(404,),
    ids=_ID,
)
async def get_task(ask: Ask[Any, Any]) -> Response:
    """One human task."""
    key, id = _key(ask)
    return json_response(await told(ask.connection, await ask.connection.task(key, id)))


async def _act(
    ask: Ask[Any, Any], verb: TaskVerb, user: str, message: str, **more: Any
) -> Response:
    key, id = _key(ask)
    info = await ask.connection.act_on_task(key, id, verb, user, request_id=ask.request_id, **more)
    return json_response(
        {"task_id": rendering.task_id(info), "status": info.status, "message": message}
    )


def _named_as_sent(error: InputError) -> InputError:
    """A refusal of what was submitted, which a host calls `data` and a request's body `output`."""
    head, dot, rest = str(error.details.get("field", "")).partition(".")
    if head != "data":
        return error
    return InputError(error.message, {**error.details, "field": f"output{dot}{rest}"})


def _example(status: str, message: str) -> dict[str, Any]:
    return {"task_id": "order-o-1~1:2:1:1", "status": status, "message": message}


def _done(
    action: str, body: type[_Body], status: str, message: str, *, body_optional: bool = False
) -> Decorator[Any, _Body]:
    """What a person does with a task, with the status and the words of an answer."""
    return operation(
        operations,
        "POST",
        f"/tasks/{{id}}/{action}",
        body=body,
        body_optional=body_optional,
        answer=TaskDone,
        example=_example(status, message),
        errors=(404, 409, 429),
        headers=(PERSON, REPEATED),
        ids=_ID,
    )


@_done("claim", Claim, "Claimed", "ann works at it", body_optional=True)
async def claim_task(ask: Ask[Any, Claim]) -> Response:
    """Take a task on.

    Of two who claim it at once one gets it, and the other is told `INVALID_STATE`. Claiming what
    one has claimed oneself is harmless.
    """
    user = ask.body.assignee or ask.person
    return await _act(ask, "claim", user, f"{user} works at it")


@_done("release", Release, "Open", "somebody else may claim it", body_optional=True)
async def release_task(ask: Ask[Any, Release]) -> Response:
    """Give a task back.

    `INVALID_STATE` where another person has claimed it.
    """
    return await _act(
        ask, "release", ask.person, "somebody else may claim it", force=ask.body.force
    )


@_done("complete", Complete, "Completed", "the step goes on", body_optional=True)
async def complete_task(ask: Ask[Any, Complete]) -> Response:
    """Submit what a task asks for.

    The step completes with it. A `VALIDATION_ERROR` says what of it the task's form does not
    allow. Where a person decides about a failed step, the output is `{"resolution": "retry"}`,
    `{"resolution": "complete", "output": …}` or `{"resolution": "fail"}`.
    """
    try:
        return await _act(
            ask,
            "complete",
            ask.person,
            "the step goes on",
            data=ask.body.output,
            force=ask.body.force,
        )
    except InputError as error:
        raise _named_as_sent(error) from error


@_done("assign", Assign, "Open", "it is theirs now")
async def assign_task(ask: Ask[Any, Assign]) -> Response:
    """Give a task to others, in place of those it was given to."""
    return await _act(
        ask,
        "assign",
        ask.person,
        "it is theirs now",
        assignees=ask.body.assignees,
        candidates=ask.body.candidates,
    )


@_done("fail", Fail, "Failed", "the step fails")
async def fail_task(ask: Ask[Any, Fail]) -> Response:
    """Say that a task cannot be done.

    Its step fails with `error` and `details`, and what the definition says of errors follows.
    """
    body = ask.body
    return await _act(
        ask,
        "fail",
        ask.person,
        "the step fails",
        error=body.error,
        data=body.details,
        force=body.force,
    )


@operation(
    operations,
    "POST",
    "/tasks/{id}/heartbeat",
    body=Heartbeat,
    body_optional=True,
    answer=TaskDone,
    example=_example("Claimed", "it is noted"),
    errors=(404, 409, 429),
    headers=(PERSON,),
    ids=_ID,
)
async def report_on_task(ask: Ask[Any, Heartbeat]) -> Response:
    """Say how far one is with a task.

    `INVALID_STATE` where nobody has claimed it, or it has ended. Without `X-User` it is said for
    whoever has claimed it.
    """
    key, id = _key(ask)
    user = None if ask.person == ANONYMOUS else ask.person
    info = await ask.connection.heartbeat_task(
        key, id, ask.body.progress, ask.body.details, user=user
    )
    return json_response(
        {"task_id": rendering.task_id(info), "status": info.status, "message": "it is noted"}
    )
