"""What a definition is: the object that YAML, JSON and Python all make.

The models say which fields there are and of which types; what the fields mean together is checked
in `checks/`, what they compile to is in `plan/compile.py`. Steps are a union on `type`; a new step
type is a class here, an entry in the union, and its fields in `checks/slots.py`.

Every field is *expression*, *data* or *constant*; `checks/slots.py` lists those of the first two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Discriminator, Field, PrivateAttr, Tag

from ..identity import DEFAULT_NAMESPACE
from .fields import (
    Alternative,
    Cancels,
    Data,
    DeclaredProperty,
    DurationText,
    Effects,
    ErrorClause,
    Escalation,
    EventName,
    Expect,
    Expression,
    Failing,
    Handler,
    Identifier,
    InterventionPoint,
    ListExpression,
    Model,
    Name,
    Needs,
    Next,
    Publication,
    ResourceNeeds,
    RetryPolicy,
    Rule,
    Semaphores,
    Signalling,
    Tags,
    Target,
    Uses,
    Version,
)
from .source import Source

CONCURRENCY_DEFAULT: Final = 1_000
"""Items of a `foreach` in flight, unless the step says otherwise."""


class CommonFields(Model):
    """What every step may have. A visit passes the fields in the order of this list."""

    id: Name
    name: str | None = None
    description: str | None = None
    needs: Needs | None = None
    join: Rule | None = None
    when: Expression | None = None
    deadline: Data = None
    foreach: ListExpression | None = None
    as_: Annotated[Name | None, Field(alias="as")] = None
    concurrency: int = CONCURRENCY_DEFAULT
    completion: Rule = "all"
    input: Data = None
    on_error: list[ErrorClause] = []
    assign: dict[str, Data] = {}
    publish: list[Publication] = []
    signal: list[Signalling] | EventName | None = None
    """What is sent when the step completes; on a `wait`, a name: the signal waited for."""
    cancels: Cancels = []
    split: Literal["first", "all"] = "first"
    next: Next | None = None
    end: Literal["terminate"] | None = None
    tags: Tags = {}


class RetriedFields(CommonFields):
    """What steps have that can be tried again: an attempt, a child execution, a whole body."""

    uses: Uses = {}
    retry: RetryPolicy = RetryPolicy()


class AttemptFields(RetriedFields):
    """What steps have that make attempts: code runs somewhere, may fail, may be lost."""

    timeout: DurationText | None = None
    grace: DurationText = "10s"
    resources: ResourceNeeds = ResourceNeeds()
    effects: Effects = "at_least_once"


class ActivityStep(AttemptFields):
    """Runs the user's function; `input` maps the names of its parameters."""

    type: Literal["activity"]
    activity: str


class ScriptStep(AttemptFields):
    """Runs a script in a process of its own: `input` as JSON on stdin, the output on stdout."""

    type: Literal["script"]
    language: Literal["python", "shell"]
    source: str
    env: dict[str, Data] = {}


class ServiceCallStep(AttemptFields):
    """Makes one HTTP request; the output is `{status, headers, body}`."""

    type: Literal["service_call"]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    url: Data
    headers: dict[str, Data] = {}
    query: Data = None
    body: Data = None
    expect: Expect = ["2xx"]


class DecisionStep(CommonFields):
    """Computes, assigns and routes; makes no attempt."""

    type: Literal["decision"]
    output: Data = None
    fail: Failing | None = None


class TimerStep(CommonFields):
    """Waits for a duration from its activation, or until an instant."""

    type: Literal["timer"]
    duration: Data = None
    until: Data = None


class WaitStep(CommonFields):
    """Waits for the first of several things: `any`, or one of them written on the step itself."""

    type: Literal["wait"]
    any: list[Alternative] | None = None
    event: EventName | None = None
    timer: Data = None
    where: Expression | None = None


class HumanStep(CommonFields):
    """Asks a person; `input` is what the person is shown, the output what was submitted."""

    type: Literal["human"]
    intervention_point: Name | None = None
    assignees: Data = None
    candidates: Data = None
    form: dict[str, Any] | None = None
    escalate: list[Escalation] | None = None
    """None: as the intervention point says; an empty list: to nobody."""


class SubWorkflowStep(RetriedFields):
    """Runs another workflow as an execution of its own; the output is the child's."""

    type: Literal["sub_workflow"]
    workflow: Identifier
    version: Version | None = None
    """None: the version registered last when the parent is registered; `latest`: when it starts."""
    detached: bool = False
    grace: DurationText = "10s"


class ParallelStep(RetriedFields):
    """Opens a scope per branch, all at once."""

    type: Literal["parallel"]
    branches: Annotated[list[Branch], Field(min_length=1)]


class BodyStep(RetriedFields):
    """A step with steps of its own and no type: it opens a scope each time it is visited."""

    type: Literal["body"] = "body"
    """Never written; says in a union which one this is."""
    start: Target | None = None
    vars: dict[Name, Data] = {}
    steps: Annotated[list[Step], Field(min_length=1)]
    output: Data = None


class Branch(Model):
    """One of the scopes that a `parallel` step opens; its output goes by its name."""

    name: Name
    description: str | None = None
    start: Target | None = None
    vars: dict[Name, Data] = {}
    steps: Annotated[list[Step], Field(min_length=1)]
    output: Data = None


def _kind_of(step: Any) -> str | None:
    """Which class of the union a step is: a body has no `type`, but `steps`."""
    if isinstance(step, CommonFields):
        return str(step.type)  # type: ignore[attr-defined]  # each class of the union has it
    if not isinstance(step, Mapping):
        return None
    kind = step.get("type", "body" if "steps" in step else None)
    return kind if isinstance(kind, str) else None


Step: TypeAlias = Annotated[
    Annotated[ActivityStep, Tag("activity")]
    | Annotated[ScriptStep, Tag("script")]
    | Annotated[ServiceCallStep, Tag("service_call")]
    | Annotated[DecisionStep, Tag("decision")]
    | Annotated[TimerStep, Tag("timer")]
    | Annotated[WaitStep, Tag("wait")]
    | Annotated[HumanStep, Tag("human")]
    | Annotated[SubWorkflowStep, Tag("sub_workflow")]
    | Annotated[ParallelStep, Tag("parallel")]
    | Annotated[BodyStep, Tag("body")],
    Discriminator(_kind_of),
]
STEP_TYPES: Final[dict[str, type[CommonFields]]] = {
    "activity": ActivityStep,
    "script": ScriptStep,
    "service_call": ServiceCallStep,
    "decision": DecisionStep,
    "timer": TimerStep,
    "wait": WaitStep,
    "human": HumanStep,
    "sub_workflow": SubWorkflowStep,
    "parallel": ParallelStep,
    "body": BodyStep,
}
"""By `type`; a body is never written with one."""

BodyStep.model_rebuild()
ParallelStep.model_rebuild()
Branch.model_rebuild()


class Definition(Model):
    """A workflow, as its author wrote it; immutable."""

    id: Identifier
    version: Version
    name: str | None = None
    description: str | None = None
    namespace: Identifier = DEFAULT_NAMESPACE
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    vars: dict[Name, Data] = {}
    start: Target | None = None
    steps: Annotated[list[Step], Field(min_length=1)]
    output: Data = None
    on_error: list[ErrorClause] = []
    deadline: Data = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    semaphores: Semaphores = {}
    handlers: list[Handler] = []
    intervention_points: list[InterventionPoint] = []
    properties: list[DeclaredProperty] = []
    isolation: Literal["hosted", "dedicated"] = "hosted"
    tags: Tags = {}
    metadata: dict[str, Any] = {}

    _source: Source | None = PrivateAttr(default=None)

    @property
    def source(self) -> Source | None:
        """The text this was read from, for diagnostics made later; no part of the content."""
        return self._source

    def with_source(self, source: Source) -> Definition:
        """This definition, remembering the text it was read from."""
        self._source = source
        return self

    def __eq__(self, other: object) -> bool:
        """Equal in content; where it was read from is no part of that."""
        if not isinstance(other, Definition):
            return NotImplemented
        return dict(self) == dict(other) and self.model_fields_set == other.model_fields_set
