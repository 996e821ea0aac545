"""Fields of one step type, written on another: what is said instead of "there is no such field"."""

from __future__ import annotations

from typing import Final

from .model import STEP_TYPES

_SPECIFIC: Final[dict[tuple[str, str], str]] = {
    **{
        (kind, field): f"a {kind} makes no attempt; remove it"
        for kind in ("decision", "timer", "wait", "human")
        for field in ("retry", "timeout", "grace", "resources", "effects", "uses")
    },
    **{
        (kind, "timeout"): "say `deadline`: it bounds the visit as a whole"
        for kind in ("wait", "human", "sub_workflow", "parallel", "body")
    },
    **{
        (kind, field): "say it on the steps inside: they make the attempts"
        for kind in ("parallel", "body")
        for field in ("grace", "resources", "effects")
    },
    **{
        ("sub_workflow", field): "say it on the steps of that workflow: they make the attempts"
        for field in ("resources", "effects")
    },
    ("activity", "output"): "an activity's output is what its function returns",
    ("script", "output"): "a script's output is the JSON on the last line of its stdout",
    ("service_call", "output"): "the output is `{status, headers, body}`",
    ("timer", "output"): "a timer has no output",
    ("wait", "output"): "the output is `{name, data, at}` of what came",
    ("human", "output"): "the output is what the person submits",
    ("sub_workflow", "output"): "the output is that of the other workflow",
    ("parallel", "output"): "the output is a map of the branches'; each may say its own `output`",
    ("activity", "fail"): "only a decision fails on purpose; the function may raise",
    ("activity", "duration"): "only a timer has a duration; `timeout` bounds an attempt",
    ("wait", "duration"): "say `timer`",
    ("timer", "timer"): "say `duration`, or `until`",
    ("parallel", "steps"): "say `branches: [{name, steps}]`",
    ("parallel", "vars"): "declare them on a branch, or on a body around it",
    ("parallel", "start"): "each branch says its own `start`",
    ("body", "branches"): "only a step of type `parallel` has branches",
}

_STEP_OF: Final[dict[str, str]] = {"body": "a step with `steps`"}


def misplaced(kind: str, field: str) -> str | None:
    """What to do about `field` on a step of type `kind`, if it is a field of some other type."""
    if (kind, field) in _SPECIFIC:
        return _SPECIFIC[kind, field]
    owners = [other for other, model in STEP_TYPES.items() if field in model.model_fields]
    if not owners or kind in owners:
        return None
    if len(owners) > 3:
        return "remove it"
    told = [_STEP_OF.get(owner, f"a step of type `{owner}`") for owner in owners]
    return f"only {' or '.join(told)} has `{field}`"


def guessed(fields: set[str]) -> str | None:
    """The step type that fields speak of, where `type` is missing and only one has them."""
    own = {
        kind: {name for name in model.model_fields if _owners(name) == 1} & fields
        for kind, model in STEP_TYPES.items()
    }
    named = [kind for kind, found in own.items() if found]
    return named[0] if len(named) == 1 else None


def _owners(field: str) -> int:
    return sum(field in model.model_fields for model in STEP_TYPES.values())
