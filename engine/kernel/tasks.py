"""Human tasks as others see them."""

from __future__ import annotations

from heliostat.engine.kernel.messages import TaskView
from heliostat.engine.kernel.state import ExecutionState, Task, TaskChange
from heliostat.engine.plan.plan import Human, Plan, StepPlan


def human_of(step: StepPlan, task: Task) -> Human:
    """What a task was made from: the step itself, or the clause of its `on_error`."""
    human = step.human if task.clause is None else step.on_error[task.clause].human
    assert human is not None
    return human


def task_views(plan: Plan, state: ExecutionState) -> list[TaskView]:
    """The human tasks that changed since this was last asked, each once, as it is now."""
    if not state.task_changes:
        return []
    changes, state.task_changes = state.task_changes, []
    latest = {(change.at): change for change in changes}
    return [_view(plan, state, change) for change in latest.values()]


def _view(plan: Plan, state: ExecutionState, change: TaskChange) -> TaskView:
    step = plan.steps[change.at.step]
    task = change.task
    human = human_of(step, task)
    ended = change.status in ("Completed", "Canceled", "Failed")
    return TaskView(
        at=change.at,
        step=step.id,
        name=human.name or step.name,
        point=human.point,
        status=change.status,
        assignees=task.assignees,
        candidates=task.candidates,
        claimed_by=task.claimed_by,
        created_at_ms=task.opened_at_ms,
        ended_at_ms=change.at_ms if ended else None,
        deadline_at_ms=task.deadline_at_ms,
        level=task.level,
        input=change.shown,
        form=human.form,
        failure=task.failure,
        progress=task.progress,
        details=task.details,
        output=change.output,
        error=change.error,
    )
