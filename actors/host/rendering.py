"""Events as people read them: step ids in place of numbers, edges by their two ends, plain JSON."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import NODEFAULT, Struct, structs, to_builtins

from heliostat.actors.dispatch.protocol import Noticed
from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
    ExecutionEvent,
    Failure,
    HandlerFired,
    Parent,
    TaskFacts,
)
from heliostat.engine.plan.plan import END, Plan
from heliostat.engine.values import to_json


def render(plan: Plan, seq: int, event: ExecutionEvent) -> dict[str, Any]:
    """One event; fields that have their default are left out."""
    told = {"seq": seq, "type": type(event).__struct_config__.tag, **_struct(plan, event)}
    if isinstance(event, HandlerFired):
        told["handler"] = plan.handlers[event.handler].name
    return told


def render_address(plan: Plan, at: Address) -> dict[str, Any]:
    """An attempt's address, with the step's id."""
    return {
        "scope": at.scope,
        "step": plan.steps[at.step].id,
        "visit": at.visit,
        "attempt": at.attempt,
    }


def render_notice(plan: Plan, notice: Noticed, at_ms: int) -> dict[str, Any]:
    """What an attempt told of itself while it runs."""
    told = {"kind": notice.kind, "at_ms": at_ms, **render_address(plan, notice.at)}
    if notice.data is not None:
        told["data"] = to_json(notice.data)
    return told


def placed(plan: Plan, failure: Failure | None) -> Failure | None:
    """A failure with the place of its step in a source, where that is known."""
    number = None if failure is None else plan.step_by_id.get(failure.step or "")
    place = None if number is None else plan.steps[number].place
    if failure is None or place is None:
        return failure
    return structs.replace(failure, place=place)


def _value(plan: Plan, name: str, value: Any) -> Any:
    match value:
        case Address():
            return render_address(plan, value)
        case Parent():  # its address is in the parent's definition
            return to_builtins(value)
        case Failure():
            return _struct(plan, placed(plan, value) or value)
        case Activation() | TaskFacts():
            return _struct(plan, value)
        case tuple() if name == "taken":
            return [_edge(plan, number) for number in value]
        case tuple() if name == "skipped":
            return [plan.steps[number].id for number in value]
        case tuple():
            return [_value(plan, "", item) for item in value]
        case int() if name in ("step", "from_step"):
            return plan.steps[value].id
    return to_json(value)


def _struct(plan: Plan, value: Struct) -> dict[str, Any]:
    told = {}
    for name, default in _fields(type(value)):
        given = getattr(value, name)
        if given != default:
            told[name] = _value(plan, name, given)
    return told


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, Any], ...]:
    """The fields and their defaults; finding them out takes longer than all the rest."""
    return tuple((field.name, _default(field)) for field in structs.fields(kind))


def _default(field: structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is NODEFAULT else factory()


def _edge(plan: Plan, number: int) -> dict[str, Any]:
    edge = plan.edges[number]
    return {
        "from": plan.steps[edge.source].id if edge.source != END else None,
        "to": "end" if edge.target == END else plan.steps[edge.target].id,
    }
