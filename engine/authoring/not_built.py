"""What the language has and this version does not run yet, each refused by its name.

Kept apart so that building a thing means deleting a line here. The checks ask these tables before
they call a field unknown.
"""

from __future__ import annotations

from typing import Final

STEP_TYPES: Final = frozenset(
    {"parallel", "wait", "human", "sub_workflow", "script", "service_call", "start", "end"}
)
"""Values of `type`."""

DEFINITION_FIELDS: Final[dict[str, str]] = {
    "semaphores": "`semaphores`",
    "handlers": "`handlers` of events",
    "event_handlers": "`event_handlers`",
    "properties": "a list of `properties`",
    "transitions": "a list of `transitions`; say `next` on the steps",
    "human_intervention_points": "`human_intervention_points`",
    "default_error_policy": "`default_error_policy`; say `on_error` on the definition",
}

STEP_FIELDS: Final[dict[str, str]] = {
    "steps": "a body of steps (`steps` on a step)",
    "branches": "`branches` of a parallel step",
    "vars": "`vars` on a body of steps",
    "start": "`start` on a body of steps",
    "cancels": "`cancels`",
    "publish": "`publish`",
    "signal": "`signal`",
    "event": "`event` to wait for",
    "uses": "`uses` of semaphores",
    "undo": "`undo`",
    "conditions": "`conditions`; say `next` with `when`",
    "error_policy": "`error_policy`; say `retry` and `on_error`",
    "step_type": "`step_type`; say `type`",
    "entry_step_id": "`entry_step_id`; say `start`",
    "completion_strategy": "`completion_strategy`; say `completion`",
    "duration_ms": "`duration_ms`; say `duration` with a unit",
}

OTHER_FIELDS: Final[dict[str, dict[str, str]]] = {
    "ErrorClause": {
        "human": "`human` in `on_error`",
        "compensate": "`compensate` in `on_error`",
    },
    "ResourceNeeds": {"runtime_env": "`runtime_env`"},
}
"""By the model that would have the field."""

VALUES: Final[dict[tuple[str, str], str]] = {
    ("isolation", "dedicated"): "`isolation: dedicated`",
}

MISPLACED: Final[dict[tuple[str, str], str]] = {
    **{
        (kind, field): f"a {kind} makes no attempt; remove it"
        for kind in ("decision", "timer")
        for field in ("retry", "timeout", "grace", "resources", "effects")
    },
    ("activity", "output"): "an activity's output is what its function returns",
    ("activity", "fail"): "only a decision fails on purpose; the function may raise",
    ("activity", "duration"): "only a timer has a duration; `timeout` bounds an attempt",
    ("activity", "until"): "only a timer waits until an instant",
    ("timer", "output"): "a timer has no output",
    ("timer", "fail"): "only a decision fails on purpose",
    ("timer", "activity"): "only a step of type `activity` runs a function",
    ("decision", "activity"): "only a step of type `activity` runs a function",
    ("decision", "duration"): "only a timer has a duration",
    ("decision", "until"): "only a timer waits until an instant",
}
"""Fields of one step type, written on another."""

NUMBERED_MS: Final = frozenset({"timeout_ms", "grace_ms", "deadline_ms", "initial_ms", "max_ms"})
"""Fields that people write from habit; here durations are texts with their unit."""
