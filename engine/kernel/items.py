"""When a `foreach`, or a parallel step, is over: the rule over what its items have come to."""

from __future__ import annotations

from heliostat.engine.plan.plan import Completion, StepPlan


def completion_of(step: StepPlan) -> Completion:
    """The rule of a step's items or branches."""
    return step.completion if step.foreach is None else step.foreach.completion


def outcome_of(step: StepPlan, width: int, completed: int, failed: int) -> bool | None:
    """Whether it has completed (True), failed (False), or goes on (None)."""
    completion = completion_of(step)
    match completion.kind:
        case "all":
            return False if failed else True if completed == width else None
        case "all_done":
            return True if completed + failed == width else None
        case "any" | "at_least":
            if completed >= completion.count:
                return True
            return False if width - failed < completion.count else None
