"""What people do with human tasks. As in `steering.py`, a request's id makes a repetition known."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    AttemptFailed,
    Failure,
    RetryDue,
    TaskAssigned,
    TaskClaimed,
    TaskFailed,
    TaskProgressed,
    TaskReleased,
)
from heliostat.engine.kernel.flow import complete, fail, give_up
from heliostat.engine.kernel.result import Result
from heliostat.engine.kernel.state import Task
from heliostat.engine.kernel.stimuli import (
    TaskAction,
)
from heliostat.engine.kernel.tasks import human_of
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.values import Value

TASK_PROGRESS_MAX: Final = 1_000
"""How often it may be said of a task how far it is: each time is an event of the history."""

_WAITING: Final = frozenset(("timer", "wait", "human"))
"""Steps that make no attempt which could be made again."""

_FIELD: Final = re.compile(r"at `([^`]*)`: ")
"""How a form's verdict names a place within what was submitted."""

TASK_FAILED: Final = "TaskFailed"
"""The type of what a step fails with when a person gives its task up."""


def on_task(turn: Turn, stimulus: TaskAction) -> None:
    """A person does something with a human task."""
    state, at = turn.state, stimulus.at
    if turn.knows(stimulus.message_id):
        return
    visit = state.visit_at(at)
    if visit is None or visit.attempt != at.attempt or visit.phase != "human":
        turn.refuse("CONFLICT", "the task is not open: it has ended, or is held by a pause")
        return
    task = visit.task
    assert task is not None
    if stimulus.verb == "progress" and task.claimed_by is None:
        turn.refuse("CONFLICT", "nobody has claimed the task: there is no work to tell of")
        return
    other = task.claimed_by is not None and task.claimed_by != stimulus.user
    if other and not stimulus.force and stimulus.verb != "assign":
        turn.refuse("CONFLICT", f"the task is claimed by {task.claimed_by!r}")
        return
    if stimulus.verb == "claim":
        turn.emit(
            TaskClaimed(
                at_ms=turn.now_ms, at=at, user=stimulus.user, message_id=stimulus.message_id
            )
        )
    elif stimulus.verb == "release":
        if task.claimed_by is None:
            turn.refuse("CONFLICT", "nobody has claimed the task")
            return
        turn.emit(
            TaskReleased(
                at_ms=turn.now_ms, at=at, user=stimulus.user, message_id=stimulus.message_id
            )
        )
    elif stimulus.verb == "assign":
        turn.emit(
            TaskAssigned(
                at_ms=turn.now_ms,
                at=at,
                assignees=stimulus.assignees,
                candidates=stimulus.candidates,
                user=stimulus.user,
                message_id=stimulus.message_id,
            )
        )
    elif stimulus.verb == "progress":
        _progress_task(turn, at, task, stimulus)
    elif stimulus.verb == "fail":
        _fail_task(turn, at, task, stimulus)
    else:
        _complete_task(turn, at, task, stimulus)


def _progress_task(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    if (task.progress, task.details) == (stimulus.progress, stimulus.data) and task.said:
        return  # it is recorded so already: a sign of life need not be
    if task.said >= TASK_PROGRESS_MAX:
        turn.refuse(
            "OVERLOADED", f"the task was said to progress {TASK_PROGRESS_MAX} times already"
        )
        return
    turn.emit(
        TaskProgressed(
            at_ms=turn.now_ms,
            at=at,
            user=stimulus.user,
            progress=stimulus.progress,
            details=stimulus.data,
            message_id=stimulus.message_id,
        )
    )


def _fail_task(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    """The step fails with what a person says.

    Of a task that decides about a failed step, the step fails as it had, with those words beside.
    """
    decided = task.failure
    if decided is None:
        failure = Failure(type=TASK_FAILED, message=stimulus.error, details=stimulus.data)
    else:
        message = f"{decided.message} ({stimulus.user}: {stimulus.error})"
        failure = msgspec.structs.replace(decided, message=message, details=stimulus.data)
    turn.emit(
        TaskFailed(
            at_ms=turn.now_ms,
            at=at,
            user=stimulus.user,
            failure=failure,
            message_id=stimulus.message_id,
        )
    )
    if task.clause is None:
        fail(turn, at, failure)
    else:
        give_up(turn, at, failure)


def _complete_task(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    _, _, step = turn.locate(at)
    human = human_of(step, task)
    if task.clause is not None:
        _resolve_failure(turn, at, task, stimulus)
        return
    problem = None if human.validate is None else human.validate(stimulus.data)
    if problem is not None:
        field = _FIELD.match(problem)
        turn.refuse(
            "INVALID_INPUT",
            f"the form does not allow this: {problem}",
            "data" if field is None else f"data.{field[1]}",
        )
        return
    data = stimulus.data
    output: dict[str, Value] = dict(data) if isinstance(data, dict) else {"data": data}
    output["completed_by"] = stimulus.user
    complete(turn, at, Result(output=output, message_id=stimulus.message_id))


def _resolve_failure(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    """A person says how a failed step goes on: `{resolution: retry | complete | fail}`."""
    _, _, step = turn.locate(at)
    data = stimulus.data if isinstance(stimulus.data, dict) else {}
    resolution, failure = data.get("resolution"), task.failure
    assert failure is not None
    repeatable = step.foreach is None and step.kind not in _WAITING
    if resolution == "retry" and repeatable:
        turn.emit(
            AttemptFailed(
                at_ms=turn.now_ms,
                at=at,
                failure=failure,
                retry_at_ms=turn.now_ms,
                message_id=stimulus.message_id,
            )
        )
        again = Address(at.scope, at.step, at.visit, at.attempt + 1)
        turn.emit(RetryDue(at_ms=turn.now_ms, at=again))
    elif resolution == "complete":
        result = Result(
            output=data.get("output"), recovered=failure, message_id=stimulus.message_id
        )
        complete(turn, at, result)
    elif resolution == "fail":
        give_up(turn, at, failure, Result(message_id=stimulus.message_id))
    elif resolution == "retry":
        why = "runs over a list" if step.foreach is not None else f"is a {step.kind}"
        turn.refuse(
            "INVALID_INPUT",
            f"step {step.id!r} {why}, and is not tried again; say {{resolution: complete, "
            f"output: …}} or {{resolution: fail}}",
        )
    else:
        turn.refuse(
            "INVALID_INPUT",
            "say how the step goes on: {resolution: retry}, {resolution: complete, output: …} "
            "or {resolution: fail}",
        )
