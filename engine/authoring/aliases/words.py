"""Fields and values under other names, one for one."""

from __future__ import annotations

import re
from typing import Any, Final

from . import policies
from .nodes import Node, Rewriting

TYPES: Final[dict[str, str]] = {
    "Activity": "activity",
    "Decision": "decision",
    "Parallel": "parallel",
    "Wait": "wait",
    "Timer": "timer",
    "Human": "human",
    "SubWorkflow": "sub_workflow",
    "Script": "script",
    "ServiceCall": "service_call",
    "Start": "start",
    "End": "end",
}
"""Types of steps; `start` and `end` are folded away afterwards."""

ACTIONS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "StartWorkflow": ("start", {"workflow_id": "workflow", "input_mapping": "input"}),
    "SignalWorkflow": ("signal", {"execution_id": "execution", "signal_name": "name"}),
    "TriggerStep": ("trigger", {"step_id": "step"}),
    "CancelWorkflow": ("cancel", {"execution_id": "execution"}),
    "PauseWorkflow": ("pause", {"execution_id": "execution"}),
    "ResumeWorkflow": ("resume", {"execution_id": "execution"}),
    "Custom": ("custom", {"action_type": "activity", "parameters": "input"}),
}
"""Actions of handlers, with their fields."""

_COUNT: Final = re.compile(r"N\(\s*([0-9]{1,9})\s*\)")
_RESOURCES: Final = {"cpu": "num_cpus", "cpus": "num_cpus", "gpu": "num_gpus", "gpus": "num_gpus"}
EVERY: Final = "*"
"""The condition that always holds."""


def definition(root: Node, rewriting: Rewriting) -> None:
    """Rename what stands in a definition, in its handlers and in all of its steps."""
    rewriting.rename(root, "entry_step_id", "start")
    rewriting.rename(root, "human_intervention_points", "intervention_points")
    rewriting.rename(root, "event_handlers", "handlers")
    timeout = root.get("timeout")
    if timeout is not None and isinstance(timeout.value, dict):
        rewriting.rename(root, "timeout", "deadline")
    _deadline(root, rewriting)
    for point in root.elements("intervention_points"):
        _deadline(point, rewriting)
    for handler in root.elements("handlers"):
        _handler(handler, rewriting)
    _steps(root, rewriting)


def _steps(owner: Node, rewriting: Rewriting) -> None:
    for step in owner.elements("steps"):
        _step(step, rewriting)
        _steps(step, rewriting)
        for branch in step.elements("branches"):
            if "steps" in branch.value:
                rewriting.rename(branch, "entry_step_id", "start")
                _steps(branch, rewriting)


def _step(step: Node, rewriting: Rewriting) -> None:
    rewriting.rename(step, "step_type", "type")
    _type(step, rewriting)
    kind = step.text("type")
    if "steps" in step.value:
        rewriting.rename(step, "entry_step_id", "start")
    if kind == "timer":
        duration = rewriting.rename(step, "duration_ms", "duration")
        if duration is not None:
            rewriting.put(step, "duration", _milliseconds(duration))
    if kind == "human":
        rewriting.rename(step, "intervention_point_id", "intervention_point")
    strategy = rewriting.rename(step, "completion_strategy", "completion")
    if strategy is not None:
        rewriting.put(step, "completion", _completion(strategy))
    _conditions(step, rewriting)
    _timeout(step, rewriting)
    _deadline(step, rewriting)
    _tags(step, rewriting)
    policies.own(step, rewriting)


def _type(step: Node, rewriting: Rewriting) -> None:
    """`Timer`, or `{Timer: {duration_ms: 5}}`, which holds the step's own fields."""
    node = step.get("type")
    found = variant(node)
    if node is None or found is None or found[0] not in TYPES:
        return
    rewriting.put(step, "type", node.made(TYPES[found[0]]))
    if isinstance(node.value, dict):
        for key, item in found[1].items():
            step.value.setdefault(key, item)


def variant(node: Node | None) -> tuple[str, dict[str, Node]] | None:
    """One of several forms, written `Name`, `{Name: {…}}` or `{type: Name, …}`, with its fields.

    Of `{Name: value}` the only field is called `value`.
    """
    if node is None:
        return None
    if isinstance(node.value, str):
        return node.value, {}
    if not isinstance(node.value, dict):
        return None
    for key in ("type", "strategy"):
        if (name := node.text(key)) is not None:
            return name, {field: item for field, item in node.value.items() if field != key}
    if len(node.value) == 1:
        ((name, inner),) = node.value.items()
        if name[:1].isupper():
            fields = inner.value if isinstance(inner.value, dict) else {"value": inner}
            return name, fields
    return None


def _milliseconds(node: Node) -> Node:
    whole = isinstance(node.value, int) and not isinstance(node.value, bool)
    return node.made(f"{node.value}ms") if whole else node


def _completion(node: Node) -> Node:
    if isinstance(node.value, str):
        counted = _COUNT.fullmatch(node.value)
        return node.made({"at_least": int(counted[1])} if counted else node.value.lower())
    found = variant(node)
    if found is not None and found[0] == "N" and "value" in found[1]:
        return node.made({"at_least": found[1]["value"]})
    return node


def _conditions(step: Node, rewriting: Rewriting) -> None:
    """`conditions: [{condition, transition_to}]` of a decision."""
    if rewriting.rename(step, "conditions", "next") is None:
        return
    for clause in step.elements("next"):
        rewriting.rename(clause, "condition", "when")
        rewriting.rename(clause, "transition_to", "to")
        if clause.text("when") == EVERY:
            rewriting.drop(clause, "when")


def _timeout(step: Node, rewriting: Rewriting) -> None:
    node = step.get("timeout")
    found = variant(node) if node is not None and isinstance(node.value, dict) else None
    if node is not None and found is not None and found[0] == "DurationMs":
        value = next(iter(found[1].values()), node)
        rewriting.put(step, "timeout", _milliseconds(value))


def _deadline(owner: Node, rewriting: Rewriting) -> None:
    """The forms that a deadline has elsewhere, all of them mappings."""
    node = owner.get("deadline")
    found = variant(node) if node is not None and isinstance(node.value, dict) else None
    if node is None or found is None:
        return
    name, fields = found
    value = next(iter(fields.values()), node)
    made: Any
    match name:
        case "DurationMs":
            made = _milliseconds(value)
        case "AbsoluteTime" | "Absolute":
            made = value
        case "Relative":
            made = value.made(f"{value.value}h") if isinstance(value.value, int) else value
        case "BusinessDays":
            named = {"days": "business_days", "value": "business_days", "calendar_id": "calendar"}
            made = node.made({named.get(key, key): item for key, item in fields.items()})
        case _:
            return
    rewriting.put(owner, "deadline", made)


def _tags(step: Node, rewriting: Rewriting) -> None:
    """`uses.X` and `resource.X`; a tag `duration_ms` is an estimate and stays a tag."""
    tags = step.get("tags")
    if tags is None or not isinstance(tags.value, dict):
        return
    for tag in [*tags.value]:
        prefix, _, name = tag.partition(".")
        if not name or prefix not in ("uses", "resource"):
            continue
        node = tags.value[tag]
        rewriting.drop(tags, tag)
        number = _number(node.value)
        if prefix == "uses":
            whole = number is not None and number == int(number)
            _within(step, node, "uses").value[name] = node.made(int(number or 0)) if whole else node
        elif name == "memory":
            _within(step, node, "resources").value["memory"] = node
        else:
            needs = _within(step, node, "resources")
            name = _RESOURCES.get(name, name)
            if name not in ("num_cpus", "num_gpus"):
                needs = _within(needs, node, "custom")
            needs.value[name] = node.made(number) if number is not None else node
    if not tags.value:
        rewriting.drop(step, "tags")


def _within(owner: Node, origin: Node, key: str) -> Node:
    node: Node = owner.value.setdefault(key, origin.made({}))
    return node if isinstance(node.value, dict) else origin.made({})


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _handler(handler: Node, rewriting: Rewriting) -> None:
    rewriting.rename(handler, "event_type", "event")
    rewriting.rename(handler, "condition", "where")
    if handler.text("where") == EVERY:
        rewriting.drop(handler, "where")
    actions = handler.get("actions")
    if actions is None or not isinstance(actions.value, list):
        return
    for index, action in enumerate(actions.value):
        found = variant(action)
        if found is None or found[0] not in ACTIONS:
            continue
        kind, names = ACTIONS[found[0]]
        rewriting.changed = True
        fields = {names.get(key, key): item for key, item in found[1].items()}
        actions.value[index] = action.made({kind: fields})
