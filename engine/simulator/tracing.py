"""A history in letters: how its steps ended, in order."""

from __future__ import annotations

from collections.abc import Sequence

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import ExecutionEvent, StepCompleted, StepFailed, StepSkipped
from heliostat.engine.plan.plan import Plan


def trace(plan: Plan, events: Sequence[ExecutionEvent]) -> list[str]:
    """The visits that ended: `a` completed, `a!` failed, `a?` was skipped.

    A `foreach` is one visit, told when it is over; its items are not told, the steps in them are.
    What was withdrawn has no end of its own and is left out.
    """
    told: list[str] = []
    items: dict[int, int] = {}  # scopes of items, by number, and the step that they belong to
    for event in events:
        for each in getattr(event, "activated", ()):
            if each.width is not None and each.first_scope is not None:
                scopes = range(each.first_scope, each.first_scope + each.width)
                items.update(dict.fromkeys(scopes, each.step))
        match event:
            case StepCompleted(at=at) if not _is_item(at, items):
                told.append(plan.steps[at.step].id)
            case StepFailed(at=at) if not _is_item(at, items):
                told.append(f"{plan.steps[at.step].id}!")
            case StepSkipped(at=at):
                told.append(f"{plan.steps[at.step].id}?")
            case _:
                pass
    return told


def _is_item(at: Address, items: dict[int, int]) -> bool:
    return items.get(at.scope) == at.step
