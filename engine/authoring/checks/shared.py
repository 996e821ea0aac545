"""What the definition declares once: semaphores, intervention points, handlers."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from ..diagnostics import Findings
from ..fields import Action, Escalation, Triggering
from ..model import AttemptFields, Definition, HumanStep, RetriedFields
from ..scopes import Scope
from ..source import Path
from .control_flow import Homes, told
from .refused import refuse

_ACTIONS: Final = ("start", "signal", "trigger", "cancel", "pause", "resume", "custom")


def check(
    definition: Definition, scopes: Sequence[Scope], homes: Homes, findings: Findings
) -> None:
    """Note the faults of what is declared, and of what refers to it."""
    points = _points(definition, findings)
    for scope in scopes:
        for index, step in enumerate(scope.steps):
            path = scope.step_path(index)
            if isinstance(step, RetriedFields):
                _uses(step, path, scope, definition, findings)
            if isinstance(step, HumanStep):
                _escalations(step.escalate or (), path, findings)
                if step.intervention_point is not None:
                    place = (*path, "intervention_point")
                    _point(step.intervention_point, points, place, findings)
            for number, clause in enumerate(step.on_error):
                if clause.human is not None:
                    place = (*path, "on_error", number, "human")
                    _point(clause.human, points, place, findings)
    _handlers(definition, scopes[0], homes, findings)


def _uses(
    step: RetriedFields, path: Path, scope: Scope, definition: Definition, findings: Findings
) -> None:
    for name, count in step.uses.items():
        place = (*path, "uses", name)
        capacity = definition.semaphores.get(name)
        if name not in definition.semaphores:
            close = get_close_matches(name, definition.semaphores, n=1, cutoff=0.5)
            cure = f"did you mean `{close[0]}`?" if close else f"say `semaphores: {{{name}: …}}`"
            message = f"no semaphore `{name}` is declared"
            findings.add("HS219", place, message, cure, at="key")
        elif not isinstance(capacity, int) and not isinstance(step, AttemptFields):
            refuse(findings, "deployment's held around", place, at="key", name=name)
        elif isinstance(capacity, int) and count > capacity:
            fewer = {"capacity": capacity, "count": count}
            refuse(findings, "more than there is", place, at="value", name=name, **fewer)
        elif isinstance(capacity, int) and count + (held := _held_around(scope, name)) > capacity:
            refuse(findings, "held around", place, name=name, capacity=capacity, held=held)


def _held_around(scope: Scope, name: str) -> int:
    """How much of a semaphore the steps hold that a scope is in."""
    owners = (each.owner for each in scope.enclosing)
    return sum(each.uses.get(name, 0) for each in owners if isinstance(each, RetriedFields))


def _points(definition: Definition, findings: Findings) -> dict[str, int]:
    """The intervention points by their ids; each says whom it asks."""
    first: dict[str, int] = {}
    for index, point in enumerate(definition.intervention_points):
        path: Path = ("intervention_points", index)
        if point.id in first:
            message = f'the id "{point.id}" is taken by point {first[point.id] + 1} of the list'
            findings.add("HS208", (*path, "id"), message, "take another")
        first.setdefault(point.id, index)
        if not point.given("assignees") and not point.given("candidates"):
            cure = "say `assignees`, or `candidates` (who may claim it)"
            findings.add("HS010", path, "nobody is asked", cure)
        _escalations(point.escalate, path, findings)
    return first


def _escalations(escalate: Sequence[Escalation], path: Path, findings: Findings) -> None:
    for index, each in enumerate(escalate):
        if not each.given("assignees") and not each.given("candidates"):
            cure = "say `assignees` or `candidates`"
            findings.add("HS010", (*path, "escalate", index), "nobody else is asked", cure)


def _point(id: str, points: dict[str, int], path: Path, findings: Findings) -> None:
    if id in points:
        return
    close = get_close_matches(id, points, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else "declare it under `intervention_points`"
    findings.add("HS220", path, f"there is no intervention point `{id}`", cure)


# -- handlers


def _handlers(definition: Definition, root: Scope, homes: Homes, findings: Findings) -> None:
    first: dict[str, int] = {}
    for index, handler in enumerate(definition.handlers):
        path: Path = ("handlers", index)
        if handler.id is not None:
            if handler.id in first:
                message = f'the id "{handler.id}" is taken by handler {first[handler.id] + 1}'
                findings.add("HS208", (*path, "id"), message, "take another")
            first.setdefault(handler.id, index)
        for number, action in enumerate(handler.actions):
            _action(action, (*path, "actions", number), root, homes, findings)


def _action(action: Action, path: Path, root: Scope, homes: Homes, findings: Findings) -> None:
    said = [kind for kind in _ACTIONS if action.given(kind)]
    if not said:
        cure = f"one of {', '.join(f'`{kind}`' for kind in _ACTIONS)}"
        findings.add("HS010", path, "the action does not say what is done", cure)
    for kind in said[1:]:
        refuse(findings, "two actions in one", (*path, kind), at="key", said=said[0])
    for kind in said:
        if getattr(action, kind) is None:
            message = f"`{kind}` says nothing"
            findings.add("HS013", (*path, kind), message, "for its own execution: {}")
    if action.trigger is not None:
        _trigger(action.trigger, (*path, "trigger"), root, homes, findings)


def _trigger(
    trigger: Triggering, path: Path, root: Scope, homes: Homes, findings: Findings
) -> None:
    if root.notation == "dag":
        refuse(findings, "trigger in a DAG", path, at="key")
    elif trigger.step not in root.by_id:
        place = (*path, "step")
        if (home := homes.get(trigger.step)) is not None:
            refuse(findings, "trigger inside", place, name=trigger.step, where=told(home))
            return
        close = get_close_matches(trigger.step, root.by_id, n=1, cutoff=0.5)
        cure = f"did you mean `{close[0]}`?" if close else None
        findings.add("HS201", place, f'there is no step "{trigger.step}"', cure)
