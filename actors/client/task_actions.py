"""What is asked of a person's task, checked before it is sent, however it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heliostat.engine.errors import InputError
from heliostat.engine.kernel.stimuli import TaskVerb

ERROR_CHARS_MAX: Final = 4_096
"""Of what a person says about a task that failed: it stands in events, rows and lists."""


def check_action(
    verb: TaskVerb,
    task_id: str,
    user: str,
    assignees: Sequence[str],
    candidates: Sequence[str],
    error: str,
    progress: int | None,
) -> None:
    """Raise `InputError`, with the cure, for what no task can be asked."""
    if not user:
        raise InputError(f"say who wants to {verb} task {task_id!r}: `user` is empty")
    if isinstance(assignees, str) or isinstance(candidates, str):
        raise InputError("`assignees` and `candidates` are lists of persons: write ['ann']")
    if verb == "assign" and not assignees and not candidates:
        raise InputError("name those whom the task goes to: `assignees`, `candidates` or both")
    if verb == "fail" and not 1 <= len(error) <= ERROR_CHARS_MAX:
        raise InputError(
            f"`error` has {len(error):,} characters; say what went wrong, in 1 to "
            f"{ERROR_CHARS_MAX:,}"
        )
    if progress is not None and not 0 <= progress <= 100:
        raise InputError(f"`progress` is {progress}; it is between 0 and 100")
