"""Assignments that share a step with what stands before them.

A step assigns when it completes, and all right sides of one step see the values from before it.
So an assignment joins the step before if it reads nothing that this one assigns, and if control can
come from nowhere else. At most one of a step's right sides may raise, so that errors come in
Python's order, and a failure has one line; and within a `try` none may that joins, since a handler
would miss what was assigned before.
"""

from __future__ import annotations

import json
from typing import Any, Final

from .graph import Scope, Step

_ONLY_ASSIGNS: Final = frozenset({"type", "name", "assign"})

NAME_CHARS_MAX: Final = 80
"""Of what people read of a decision; of longer ones the id says enough."""


def joinable(scope: Scope, assigned: dict[str, Any], *, raises: bool, caught: bool) -> Step | None:
    """The step that may assign this too, if there is one.

    Args:
        raises: a right side may raise.
        caught: an error here would be caught.
    """
    step = scope.steps[-1] if scope.steps else None
    if step is None or step.ways != scope.pending or len(step.ways) != 1:
        return None
    decides = _is_decision(step)
    if step.ways[0].when is not None or (decides and not step.fields.keys() <= _ONLY_ASSIGNS):
        return None
    if raises and (caught or step.raises or not decides):
        return None
    before = step.fields.get("assign", {})
    told = json.dumps(assigned)
    if before.keys() & assigned.keys() or any(_reads(told, name) for name in before):
        return None
    return step


def join(step: Step, assigned: dict[str, Any], name: str | None) -> None:
    """Let a step assign this too."""
    own = f"$.steps.{step.id}.output"
    known = step.fields.setdefault("assign", {})
    known.update({variable: _with_own(value, own) for variable, value in assigned.items()})
    if _is_decision(step) and name is not None and "name" in step.fields:
        joined = f"{step.fields['name']}; {name}"
        if len(joined) <= NAME_CHARS_MAX:
            step.fields["name"] = joined
        else:
            del step.fields["name"]


def _is_decision(step: Step) -> bool:
    return bool(step.fields.get("type") == "decision")  # a body has no type


def _reads(told: str, variable: str) -> bool:
    """Whether a right side names a variable; a longer name is taken for it, which does no harm."""
    return f"$.vars.{variable}" in told


def _with_own(value: Any, own: str) -> Any:
    """A right side in which the step's output is its own."""
    if isinstance(value, str):
        return value.replace(own, "$.output")
    if isinstance(value, dict):
        return {key: _with_own(each, own) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_own(each, own) for each in value]
    return value
