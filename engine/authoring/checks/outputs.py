"""What is known of a step's output before it runs, and of the events that come."""

from __future__ import annotations

from typing import Final

from ...expressions import Type, type_from_schema
from ...expressions.types import (
    ARRAY,
    JSON,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Schema,
    array_type,
    object_type,
    union,
)
from ...values import Json
from ..model import (
    ActivityStep,
    BodyStep,
    DecisionStep,
    HumanStep,
    ParallelStep,
    ServiceCallStep,
    Step,
    TimerStep,
    WaitStep,
)

EVENT: Final = object_type(
    {
        "id": STRING,
        "kind": STRING,
        "name": STRING,
        "data": JSON,
        "at": STRING,
        "correlation_id": union(STRING, NULL),
    }
)
"""`$.event`: an event, or a signal where a `wait` looks at one."""

_WAITED: Final = object_type({"name": STRING, "data": JSON, "at": STRING})
_ANSWER: Final = object_type({"status": NUMBER, "headers": OBJECT, "body": JSON})


def output_type(step: Step, returned: Schema | None = None) -> Type:
    """The type of `$.steps.<id>.output`; a list of the items' with `foreach`.

    Args:
        returned: the schema of what the step's function returns, where that is known.
    """
    clauses = step.on_error
    replaced = any(clause.given("output") or clause.human is not None for clause in clauses)
    single = JSON if replaced else _single(step, returned)
    if step.foreach is None:
        return single
    return ARRAY if single == JSON else array_type(union(single, NULL))


def _single(step: Step, returned: Schema | None) -> Type:
    match step:
        case DecisionStep() | BodyStep():
            return _written(step.output)
        case ParallelStep():
            # a branch that has not completed is absent, and reads as null
            fields = {branch.name: union(_written(branch.output), NULL) for branch in step.branches}
            return object_type(fields)
        case WaitStep():
            return _WAITED
        case ServiceCallStep():
            return _ANSWER
        case HumanStep(form=form) if form is not None:
            return _submitted(form)
        case TimerStep():
            return NULL
        case ActivityStep() if returned is not None:
            return type_from_schema(returned)
    return JSON


def _written(output: Json) -> Type:
    """Of an `output` that is written as a mapping, its keys."""
    return object_type(dict.fromkeys(output, JSON)) if isinstance(output, dict) else JSON


def _submitted(form: dict[str, Json]) -> Type:
    """What a form allows, with the person who submitted it."""
    found = type_from_schema(form)
    if found.kinds != OBJECT.kinds:
        return JSON
    return Type(OBJECT.kinds, {**found.fields, "completed_by": STRING}, found.closed)
