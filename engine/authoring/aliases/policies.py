"""Error policies, read as `retry` and `on_error`.

A step's own policy comes before that of the definition: when its retries are used up, the
definition's policy is what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from ..model import STEP_TYPES
from . import words
from .nodes import Node, Rewriting

POLICIES: Final = (
    "Retry",
    "AlternativePath",
    "CompensatingAction",
    "HumanIntervention",
    "FailWorkflow",
    "ContinueWorkflow",
)
_RETRY: Final[dict[str, str]] = {
    "max_attempts": "max_attempts",
    "backoff_coefficient": "factor",
    "initial_interval_ms": "initial",
    "max_interval_ms": "max",
}
_RETRIED: Final = frozenset({"activity", "script", "service_call", "sub_workflow"})
"""Types of steps that a policy of the whole definition lets be tried again."""


def own(step: Node, rewriting: Rewriting) -> None:
    """Read a step's `error_policy`: one policy, or a list of them, each after the one before."""
    node = step.get("error_policy")
    if node is None:
        return
    rewriting.drop(step, "error_policy")
    for policy in _several(node):
        _take(step, policy, rewriting)
        if words.variant(policy) == ("FailWorkflow", {}):
            rewriting.failing.append(step)


def default(root: Node, rewriting: Rewriting) -> None:
    """Read the definition's `default_error_policy`."""
    node = root.get("default_error_policy")
    if node is None:
        return
    rewriting.drop(root, "default_error_policy")
    steps = [*_all(root)]
    for policy in _several(node):
        name, fields = words.variant(policy) or ("", {})
        if name == "AlternativePath":
            clause: dict[str, Any] = {"next": fields.get("step_id", policy)}
            fails = [step.text("id") for step in rewriting.failing]
            if fails:  # these steps say themselves that they are not caught
                listed = ", ".join(f'"{id}"' for id in fails)
                clause = {"when": f"$.error.step not in [{listed}]", **clause}
            _clause(root, policy, clause, rewriting)
        elif name in ("Retry", "HumanIntervention", "ContinueWorkflow"):
            for step in steps:
                kind, failing = step.text("type"), any(step is f for f in rewriting.failing)
                if kind in (_RETRIED if name == "Retry" else STEP_TYPES) and not failing:
                    _take(step, policy, rewriting, quietly=True)
        else:
            _take(root, policy, rewriting)


def _all(owner: Node) -> Iterator[Node]:
    for step in owner.elements("steps"):
        yield step
        yield from _all(step)
        for branch in step.elements("branches"):
            yield from _all(branch)


def _several(node: Node) -> list[Node]:
    return list(node.value) if isinstance(node.value, list) else [node]


def _take(owner: Node, policy: Node, rewriting: Rewriting, *, quietly: bool = False) -> None:
    """Add what a policy means to a step; `quietly`: what the step says itself stays."""
    name, fields = words.variant(policy) or ("", {})
    match name:
        case "Retry":
            if "retry" in owner.value:
                if not quietly:
                    message = "the step says `retry` already"
                    rewriting.refuse("HS019", policy, message, "keep one of the two")
                return
            rewriting.put(owner, "retry", policy.made(_retry(fields)))
        case "AlternativePath":
            _clause(owner, policy, {"next": fields.get("step_id", policy)}, rewriting)
        case "HumanIntervention":
            point = fields.get("intervention_point_id", policy)
            _clause(owner, policy, {"human": point}, rewriting)
        case "ContinueWorkflow":
            _clause(owner, policy, {"output": None}, rewriting)
        case "FailWorkflow":
            pass  # what happens where nothing is said
        case "CompensatingAction":
            message = "the policy `CompensatingAction` is not built yet"
            cure = "say `on_error` with `next` to a step that undoes it"
            rewriting.refuse("HS012", policy, message, cure)
        case _:
            close = get_close_matches(name, POLICIES, n=1)
            cure = f"did you mean `{close[0]}`?" if close else f"one of: {', '.join(POLICIES)}"
            rewriting.refuse("HS014", policy, "there is no such error policy", cure)


def _clause(owner: Node, policy: Node, clause: dict[str, Any], rewriting: Rewriting) -> None:
    clauses = owner.get("on_error")
    if clauses is None:
        rewriting.put(owner, "on_error", policy.made([clause]))
    elif isinstance(clauses.value, list):
        last = clauses.value[-1] if clauses.value else None
        if last is None or not isinstance(last.value, dict) or {"error", "when"} & set(last.value):
            rewriting.changed = True
            clauses.value.append(policy.made(clause))


def _retry(fields: dict[str, Node]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, node in fields.items():
        value = node.value
        timed = key.endswith("_ms") and isinstance(value, int) and not isinstance(value, bool)
        made[_RETRY.get(key, key)] = node.made(f"{value}ms") if timed else node
    return made
