"""Shapes of human tasks, published events and health."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .common import Answer, Identifier, Ignored, Instant, Paging, Request


class ListTasks(Paging):
    """Which tasks; all filters that are given must hold."""

    status: Annotated[
        list[str], Field(description="Repeatable, or several divided by commas.")
    ] = []
    task_type: str | None = None
    assignee: Annotated[
        str | None,
        Field(description="Given to, claimable by or claimed by; of a group `group:<name>`."),
    ] = None
    workflow_id: str | None = None
    definition_id: str | None = None


class Claim(Request):
    """A person takes a task on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"assignee": "ann"}]})

    assignee: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="Who; absent: the person of the request."),
    ] = None
    task_id: Ignored = None


Force = Annotated[bool, Field(description="Although another person has claimed it.")]
People = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=1_000)
]


class Release(Request):
    """A person gives a task back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    force: Force = False
    task_id: Ignored = None


class Complete(Request):
    """A person submits what was asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"output": {"approved": True}}]})

    output: Annotated[
        Any, Field(description="What the task's `form` allows; JSON, of 64 KiB at most.")
    ] = None
    force: Force = False
    task_id: Ignored = None
    completed_by: Ignored = None


class Fail(Request):
    """A person says that it cannot be done."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "unreadable", "details": {"page": 3}}]}
    )

    error: Annotated[
        str, Field(min_length=1, max_length=4_000, description="What the step fails with.")
    ]
    details: Annotated[Any, Field(description="JSON, of 64 KiB at most.")] = None
    force: Force = False
    task_id: Ignored = None
    failed_by: Ignored = None


class Heartbeat(Request):
    """How far somebody is with a task."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"progress": 40}]})

    progress: Annotated[int | None, Field(ge=0, le=100, description="Of 100.")] = None
    details: Annotated[Any, Field(description="JSON, of 64 KiB at most.")] = None
    task_id: Ignored = None


class Assign(Request):
    """A person gives a task to others, of whom at least one is named."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"assignees": ["ann"], "candidates": ["group:credit"]}]}
    )

    assignees: People = []
    candidates: Annotated[
        People, Field(description="Who may claim it; a group is `group:<name>`.")
    ] = []
    task_id: Ignored = None


class Task(Answer):
    """What a person is asked; or, of one execution, an attempt that is under way or has failed."""

    task_id: Annotated[str, Field(examples=["order-o-1~1:check:1:1"])]
    workflow_id: str
    definition_id: str
    step: str
    point: Annotated[str | None, Field(description="The intervention point.")]
    name: str | None
    task_type: Annotated[
        str,
        Field(
            description="`human`; `intervention`, of a failed step; of an attempt `activity` or "
            "`sub_workflow`."
        ),
    ]
    status: Annotated[
        str,
        Field(
            description="Open, Claimed, Completed, Failed, Canceled; of an attempt Pending, "
            "Running, Failed."
        ),
    ]
    assignees: list[str]
    candidates: list[str]
    claimed_by: str | None
    form: Annotated[dict[str, Any] | None, Field(description="A JSON Schema of the output.")]
    input: Any
    created_at: Annotated[Instant | None, Field(description="Null of an attempt.")]
    deadline: Instant | None
    ended_at: Instant | None = None
    level: Annotated[int, Field(description="Escalations so far.")] = 0
    failure: Annotated[
        dict[str, Any] | None, Field(description="Of an intervention: what its step failed with.")
    ] = None
    progress: Annotated[int | None, Field(description="Of 100, as was said last.")] = None
    details: Annotated[Any, Field(description="Likewise.")] = None
    error: Annotated[dict[str, Any] | None, Field(description="What the task failed with.")] = None
    output: Annotated[Any, Field(description="What the step completed with.")] = None
    attempt: Annotated[int | None, Field(description="Which try, from 1.")] = None
    item_index: Annotated[int | None, Field(description="Of a `foreach`, from 0.")] = None
    child: Annotated[str | None, Field(description="The execution that it waits for.")] = None


class TaskDone(Answer):
    """What was done to a task is durable."""

    task_id: str
    status: str
    message: str


class PublishEvent(Request):
    """An event for all executions of the namespace that wait for its type, or handle it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"event_type": "order.paid", "data": {"id": "o-1"}, "event_id": "paid-o-1"}
            ]
        }
    )

    event_type: Identifier
    data: Annotated[Any, Field(description="JSON, of 64 KiB at most.")]
    correlation_id: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    event_id: Annotated[
        Identifier | None,
        Field(description="Drawn when absent. The same id again is the same event."),
    ] = None
    published_by: Ignored = None


class Published(Answer):
    """The event is durable."""

    event_id: str
    message: str


class Component(Answer):
    """How one part of the deployment is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    message: str | None = None
    details: Any = None


class Health(Answer):
    """How the deployment is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    message: str
    components: dict[str, Component]
    timestamp: Instant
