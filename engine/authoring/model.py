"""What a definition is: the object that YAML, JSON and Python all make.

The models say which fields there are and of which types; what the fields mean together is checked
in `checks/`, what they compile to is in `plan/compile.py`. Steps are a union on `type`; a new step
type is a class here, an entry in the union, and its fields in `checks/slots.py`.

Every field is *expression*, *data* or *constant*; `checks/slots.py` lists those of the first two.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, PrivateAttr

from ..identity import DEFAULT_NAMESPACE
from .fields import (
    Data,
    DurationText,
    Effects,
    ErrorClause,
    Expression,
    Failing,
    Identifier,
    ListExpression,
    Model,
    Name,
    Needs,
    Next,
    ResourceNeeds,
    RetryPolicy,
    Rule,
    Tags,
    Target,
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
    split: Literal["first", "all"] = "first"
    next: Next | None = None
    end: Literal["terminate"] | None = None
    tags: Tags = {}


class AttemptFields(CommonFields):
    """What steps have that make attempts: code runs somewhere, may fail, may be lost."""

    retry: RetryPolicy = RetryPolicy()
    timeout: DurationText | None = None
    grace: DurationText = "10s"
    resources: ResourceNeeds = ResourceNeeds()
    effects: Effects = "at_least_once"


class ActivityStep(AttemptFields):
    """Runs the user's function; `input` maps the names of its parameters."""

    type: Literal["activity"]
    activity: str


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


Step: TypeAlias = Annotated[
    ActivityStep | DecisionStep | TimerStep,
    Field(discriminator="type"),
]
STEP_TYPES: Final[dict[str, type[CommonFields]]] = {
    "activity": ActivityStep,
    "decision": DecisionStep,
    "timer": TimerStep,
}


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
    isolation: Literal["hosted"] = "hosted"
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
