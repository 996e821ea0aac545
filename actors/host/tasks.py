"""Human tasks: from what the kernel says of them to rows, and from rows to what clients see.

A task's id is its address. The row is the searchable part and is written in the commit of the
events that changed the task; what the person is shown lies in the row's body.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from heliostat.actors.calls import pack, unpack
from heliostat.actors.host.api import TaskInfo, TaskInfos, TaskRequest
from heliostat.engine.errors import NotFound
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import Journal, TaskQuery, TaskRow
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.messages import TaskView
from heliostat.engine.values import Value

_TASK_ID: Final = re.compile(r"([1-9]\d{0,17}):(\d{1,18}):([1-9]\d{0,17}):([1-9]\d{0,17})")


class _Body(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal does not look into."""

    level: int = 0
    input: Value = None
    form: dict[str, Any] | None = None
    failure: Failure | None = None
    progress: int | None = None
    details: Value = None
    output: Value = None
    error: Failure | None = None


def task_id(at: Address) -> str:
    """`scope:step:visit:attempt`, the step by its number."""
    return f"{at.scope}:{at.step}:{at.visit}:{at.attempt}"


def task_address(id: str) -> Address:
    """Raises `NotFound` for what is no task's id."""
    parts = _TASK_ID.fullmatch(id)
    if parts is None:
        raise NotFound("task", id[:100], "an id is `scope:step:visit:attempt`, as `tasks` lists it")
    scope, step, visit, attempt = map(int, parts.groups())
    return Address(scope, step, visit, attempt)


def to_task_row(task: TaskView, key: ExecutionKey, definition: str) -> TaskRow:
    """The row of a task as a turn left it."""
    form = None if task.form is None else dict(task.form)
    body = _Body(
        level=task.level,
        input=task.input,
        form=form,
        failure=task.failure,
        progress=task.progress,
        details=task.details,
        output=task.output,
        error=task.error,
    )
    return TaskRow(
        key=key,
        task_id=task_id(task.at),
        definition=definition,
        step=task.step,
        name=task.name,
        point=task.point,
        task_type="human" if task.failure is None else "intervention",
        status=task.status,
        assignees=task.assignees,
        candidates=task.candidates,
        claimed_by=task.claimed_by,
        created_at_ms=task.created_at_ms,
        deadline_at_ms=task.deadline_at_ms,
        ended_at_ms=task.ended_at_ms,
        body=pack(body),
    )


class Tasks:
    """What clients read of human tasks; reads run beside the turns."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def list(self, query: TaskQuery) -> TaskInfos:
        """A page, newest first."""
        page = await self._journal.list_tasks(query)
        return TaskInfos(
            tasks=tuple(map(_info, page.rows)), next_cursor=page.next_cursor, total=page.total
        )

    async def get(self, request: TaskRequest) -> TaskInfo:
        """One task; raises `NotFound`."""
        row = await self._journal.get_task(request.key, request.task_id)
        if row is None:
            raise NotFound("task", request.task_id, f"execution {request.key} has none by this id")
        return _info(row)


def _info(row: TaskRow) -> TaskInfo:
    body = unpack(row.body, _Body) if row.body else _Body()
    return TaskInfo(
        key=row.key,
        task_id=row.task_id,
        definition=row.definition,
        step=row.step,
        name=row.name,
        point=row.point,
        task_type=row.task_type,
        status=row.status,
        assignees=row.assignees,
        candidates=row.candidates,
        claimed_by=row.claimed_by,
        created_at_ms=row.created_at_ms,
        deadline_at_ms=row.deadline_at_ms,
        ended_at_ms=row.ended_at_ms,
        level=body.level,
        input=body.input,
        form=body.form,
        failure=body.failure,
        progress=body.progress,
        details=body.details,
        output=body.output,
        error=body.error,
    )
