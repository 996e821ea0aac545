"""Shapes of executions: how they are started, asked for and steered, and what is told of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from heliostat.engine.status import ExecutionStatus

from .common import Answer, Identifier, Ignored, Instant, Paging, Query, Request

Labels = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=200)], Annotated[str, Field(max_length=1_000)]
    ],
    Field(max_length=64, examples=[{"team": "credit"}]),
]
Reason = Annotated[
    str | None,
    Field(max_length=1_000, description="Is told in the history.", examples=["too late"]),
]

START: Final[dict[str, JsonValue]] = {
    "definition_id": "order",
    "input": {"id": "o-1"},
    "workflow_id": "order-o-1",
    "labels": {"team": "credit"},
}


class StartWorkflow(Request):
    """One execution to start."""

    model_config = ConfigDict(json_schema_extra={"examples": [START]})

    definition_id: Identifier
    version: Annotated[
        Identifier | None, Field(description="Absent: the one registered last.", examples=["1"])
    ] = None
    input: Annotated[Any, Field(description="Any JSON; what is large is stored as a blob.")] = None
    workflow_id: Annotated[
        Identifier | None,
        Field(
            description="The execution's id; drawn when absent. The same id with the same "
            "definition and input is the same start, so that a request that got no answer is "
            "safe to send again."
        ),
    ] = None
    id: Annotated[Identifier | None, Field(description="The same as `workflow_id`.")] = None
    execution_id: Annotated[Identifier | None, Field(description="The same as `workflow_id`.")] = (
        None
    )
    correlation_id: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    priority: Annotated[
        int | None,
        Field(ge=1, le=10, description="10 is most urgent, among what waits for capacity."),
    ] = None
    labels: Labels | None = None
    tags: Annotated[Labels | None, Field(description="The same as `labels`.")] = None
    initiated_by: Ignored = None

    @model_validator(mode="after")
    def _one_of_each(self) -> StartWorkflow:
        ids = {each for each in (self.workflow_id, self.id, self.execution_id) if each is not None}
        if len(ids) > 1:
            raise ValueError("workflow_id, id and execution_id differ; give one of them")
        if self.labels is not None and self.tags is not None and self.labels != self.tags:
            raise ValueError("labels and tags differ; give one of them")
        return self

    @property
    def own_id(self) -> str | None:
        """The execution's id, by whichever name it was given."""
        return self.workflow_id or self.id or self.execution_id

    @property
    def own_labels(self) -> dict[str, str]:
        """The labels, by whichever name they were given."""
        return self.labels or self.tags or {}


class StartBatch(Request):
    """Many executions to start."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [START]}]})

    items: Annotated[list[StartWorkflow], Field(max_length=10_000)]


class Accepted(Answer):
    """What was asked of an execution is durable."""

    workflow_id: str
    status: ExecutionStatus
    message: str


class BatchItem(Answer):
    """What became of one start of a batch."""

    workflow_id: str | None
    code: Annotated[
        int, Field(description="201 started, 200 the same start was there, else refused.")
    ]
    error: dict[str, Any] | None = None


class BatchAnswer(Answer):
    """What became of each start of a batch, in the order given."""

    results: list[BatchItem]
    accepted: int
    refused: int


class ListWorkflows(Paging):
    """Which executions; all filters that are given must hold."""

    status: Annotated[
        list[str], Field(description="Repeatable, or several divided by commas.")
    ] = []
    definition_id: str | None = None
    version: str | None = None
    start_date: Annotated[
        str | None, Field(description="Started at this instant or later; RFC 3339 or a date.")
    ] = None
    end_date: Annotated[
        str | None, Field(description="Started before this instant; of a date, on that day too.")
    ] = None
    label: Annotated[list[str], Field(description="`name=value`; repeatable.")] = []
    correlation_id: str | None = None
    q: Annotated[
        str | None, Field(max_length=200, description="Part of the id or the definition's id.")
    ] = None


class GetWorkflow(Query):
    """What is told beside the state."""

    include_tasks: bool = False
    include_variables: bool = False


class GetResult(Query):
    """How long to wait."""

    wait: Annotated[
        str | None, Field(max_length=20, description="As `30s`; 60 s at most.", examples=["30s"])
    ] = None


class GetHistory(Query):
    """Which part of a history."""

    after: Annotated[int, Field(ge=0, le=2**53, description="The last `seq` that is known.")] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000


class ListWorkflowTasks(Query):
    """Which tasks of an execution."""

    status: Annotated[
        list[str], Field(description="Repeatable, or several divided by commas.")
    ] = []
    task_type: str | None = None


class Cancel(Request):
    """Asks an execution to end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "too late"}]})

    reason: Reason = None
    workflow_id: Ignored = None
    cancelled_by: Ignored = None


class Pause(Request):
    """Asks that nothing new starts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "wait for the auditor"}]})

    reason: Reason = None
    workflow_id: Ignored = None
    paused_by: Ignored = None


class Resume(Request):
    """Goes on after a pause."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    workflow_id: Ignored = None
    resumed_by: Ignored = None


class Migrate(Request):
    """Has an execution go on with another version of its definition."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "3"}]})

    version: Annotated[
        str | None, Field(max_length=200, description="Absent: the one registered last.")
    ] = None
    reason: Reason = None
    dry_run: Annotated[bool, Field(description="Only say whether it would.")] = False
    workflow_id: Ignored = None


class Retry(Request):
    """Has a failed execution go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"from_activity": "pack"}]})

    from_activity: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="A step of the root scope; absent: from where it failed.",
        ),
    ] = None
    workflow_id: Ignored = None
    retried_by: Ignored = None


class Signal(Request):
    """Gives an execution a signal."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"signal_name": "go", "signal_data": {"amount": 3}}]}
    )

    signal_name: Annotated[str, Field(min_length=1, max_length=200)]
    signal_data: Annotated[Any, Field(description="JSON, of 64 KiB at most.")] = None
    workflow_id: Ignored = None
    signaled_by: Ignored = None


class Failure(Answer):
    """What an execution failed with."""

    type: str
    message: str
    step: str | None = None
    place: Annotated[
        str | None,
        Field(description="`file:line:column` of the step in the function that was compiled."),
    ] = None


class Summary(Answer):
    """An execution, as lists show it."""

    workflow_id: str
    definition_id: str
    version: str
    status: ExecutionStatus
    run: Annotated[int, Field(description="Counts from 1; a retry begins another.")]
    created_at: Instant
    ended_at: Instant | None
    parent: Annotated[
        str | None, Field(description="The execution whose step started it and waits for it.")
    ] = None
    labels: dict[str, str] = {}
    correlation_id: str | None = None
    priority: int = 5
    failure: Annotated[
        dict[str, Any] | None, Field(description="What it failed with: `type`, `message`, …")
    ] = None


class Active(Answer):
    """A visit of a step that goes on."""

    step: str
    scope: int
    visit: int
    attempt: int
    phase: str
    child: Annotated[str | None, Field(description="The execution that it waits for.")] = None
    task_id: Annotated[str | None, Field(description="The human task that it waits for.")] = None
    waiting: Annotated[str | None, Field(description="Why it has no capacity yet.")] = None


class Items(Answer):
    """How far a `foreach` is."""

    total: int
    active: int
    completed: int
    failed: int
    canceled: int


class Step(Answer):
    """What a step does now, over all its visits."""

    status: str
    visits: int
    attempt: int | None = None
    phase: str | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    items: Items | None = None
    error: dict[str, Any] | None = None
    output: Any = None
    output_bytes: int | None = None


class State(Summary):
    """What an execution does now."""

    name: str | None
    seq: Annotated[int, Field(description="Of the last event that this state has seen.")]
    wake_at: Instant | None
    output: Any
    violated: Annotated[list[str], Field(description="Declared properties that it has broken.")]
    misfit: Annotated[
        str | None,
        Field(description="The event that its definition does not allow: it does not go on."),
    ]
    active: Annotated[list[Active], Field(description="100 at most.")]
    total_tasks: Annotated[int, Field(description="Steps of the definition.")]
    completed_tasks: int
    failed_tasks: int
    current_state: Annotated[
        str | None, Field(description="The step that is active, the first where there are several.")
    ]
    elapsed_ms: int
    steps: dict[str, Step]
    tasks: Annotated[list[dict[str, Any]] | None, Field(description="With `include_tasks`.")] = None
    variables: Annotated[dict[str, Any] | None, Field(description="With `include_variables`.")] = (
        None
    )


class Result(Answer):
    """What came of an execution."""

    workflow_id: str
    status: ExecutionStatus
    output: Any
    failure: dict[str, Any] | None


class Metadata(Request):
    """Texts that are kept with an execution; replaces those that are there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"metadata": {"ticket": "T-7"}}]})

    metadata: dict[
        Annotated[str, Field(min_length=1, max_length=200)],
        Annotated[str, Field(max_length=4_096)],
    ]
    workflow_id: Ignored = None
    updated_by: Ignored = None


class MetadataStored(Answer):
    """The metadata is durable."""

    workflow_id: str
    message: str


class Event(Answer):
    """A recorded event; what else it has depends on its type."""

    model_config = ConfigDict(extra="allow")

    seq: int
    type: str


class GraphScope(Answer):
    """A scope of a definition: the root, a body, a branch, a handler's own action."""

    id: int
    parent: int | None
    step: Annotated[str | None, Field(description="The step that opens it.")]
    name: Annotated[str | None, Field(description="Of a branch.")]
    notation: Literal["dag", "machine"]
    foreach: Annotated[bool, Field(description="It is opened once for each item.")]


class GraphNode(Answer):
    """A step."""

    id: str
    name: str | None
    type: str
    scope: int
    container: Annotated[bool, Field(description="It opens scopes of its own.")]
    foreach: bool
    entry: Annotated[bool, Field(description="A scope may begin here.")]
    place: Annotated[
        str | None,
        Field(description="`file:line:column` in the function that was compiled, if it was one."),
    ] = None
    description: str | None = None


class GraphEdge(Answer):
    """A way from one step to another of its scope."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[str, Field(alias="from")]
    to: Annotated[str, Field(description="A step's id, or `end`.")]
    kind: Literal["next", "need", "error", "else"]
    scope: int
    label: Annotated[str | None, Field(description="The condition.")] = None
    traversed: Annotated[int | None, Field(description="How often it was taken.")] = None


class Graph(Answer):
    """A definition as a graph, for drawing."""

    definition_id: str
    version: str
    name: str | None
    scopes: list[GraphScope]
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    steps: Annotated[
        dict[str, Step] | None, Field(description="Of an execution: what each step does now.")
    ] = None
