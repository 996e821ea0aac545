"""Human tasks: their rows, and whose they are.

A list is a walk along an index that has the page's order already, or several of them merged: one
for each wanted status. `task_people` has a row for each person or group that a task concerns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

from msgspec.structs import replace

from ...identity import ExecutionKey
from ...status import TaskStatus
from ..paging import check_query
from ..protocol import TaskPage, TaskQuery, TaskRow
from .database import Database
from .executions import decode_texts, encode_texts
from .pages import Walk, count_of, page_of

_COLUMNS: Final = (
    "tasks.namespace, tasks.execution_id, tasks.task_id, tasks.definition, tasks.step, tasks.name,"
    " tasks.point, tasks.status, tasks.assignees, tasks.candidates, tasks.claimed_by,"
    " tasks.created_at_ms, tasks.deadline_at_ms, tasks.ended_at_ms, tasks.body, tasks.task_type"
)
"""What `_row_from` reads."""

PUT_COLUMNS: Final = (
    "namespace, execution_id, task_id, definition, step, name, point, status, assignees,"
    " candidates, claimed_by, created_at_ms, deadline_at_ms, ended_at_ms, body, task_type"
)
"""What `values_of` gives a value for."""

PUT_AGAIN: Final = (
    "ON CONFLICT (namespace, execution_id, task_id) DO UPDATE SET"
    " definition = excluded.definition, step = excluded.step, name = excluded.name,"
    " point = excluded.point, status = excluded.status, assignees = excluded.assignees,"
    " candidates = excluded.candidates, claimed_by = excluded.claimed_by,"
    " deadline_at_ms = excluded.deadline_at_ms, ended_at_ms = excluded.ended_at_ms,"
    " body = excluded.body, task_type = excluded.task_type"
)
"""What becomes of a task that has a row: all but the instant of its creation."""

_STATUSES: Final[tuple[TaskStatus, ...]] = get_args(TaskStatus)

TaskName = tuple[str, str, str]
"""A namespace, the id of an execution and that of a task."""


def last_of_each(rows: Sequence[TaskRow]) -> dict[TaskName, TaskRow]:
    """The rows that stay, of some that are put one after the other."""
    last: dict[TaskName, TaskRow] = {}
    for row in rows:
        name = (*row.key, row.task_id)
        before = last.get(name)
        # Of a new task that comes twice, the first row has its instant.
        last[name] = row if before is None else replace(row, created_at_ms=before.created_at_ms)
    return last


def concerned(row: TaskRow) -> Sequence[str]:
    """Whom `TaskQuery.person` finds the task for."""
    claimed_by = () if row.claimed_by is None else (row.claimed_by,)
    return tuple(dict.fromkeys((*row.assignees, *row.candidates, *claimed_by)))


def get_task(connection: Database, key: ExecutionKey, task_id: str) -> TaskRow | None:
    """The task as the last append left it; None if there is none."""
    found = connection.row(
        f"SELECT {_COLUMNS} FROM tasks WHERE namespace = ? AND execution_id = ? AND task_id = ?",
        (*key, task_id),
    )
    return None if found is None else _row_from(found)


def list_tasks(connection: Database, query: TaskQuery) -> TaskPage:
    """A page of tasks, the newest first."""
    begin = check_query(query)
    statuses: Sequence[TaskStatus | None] = tuple(dict.fromkeys(query.status)) or (None,)
    if query.person is not None and query.execution_id is None and not query.status:
        statuses = _STATUSES  # the index of people is in the order of each status
    walks = [_walk(connection, query, status) for status in statuses]
    rows, cursor = page_of(
        connection, walks, _row_from, begin=begin, limit=query.limit, offset=query.offset
    )
    total = count_of(connection, walks) if query.count else None
    return TaskPage(rows=rows, next_cursor=cursor, total=total)


def _walk(connection: Database, query: TaskQuery, status: TaskStatus | None) -> Walk:
    words = connection.dialect
    table, index, in_namespace = "tasks", "tasks", words.in_namespace("tasks")
    created, number = "tasks.created_at_ms", "tasks.number"
    where: list[str] = []
    values: list[Any] = []
    is_for = "task_people.person = ?"
    if query.execution_id is not None:  # it has few tasks: all are looked at
        table, in_namespace = words.by_key("tasks"), "tasks.namespace = ?"
        is_for = (
            "EXISTS (SELECT 1 FROM task_people WHERE task_people.namespace = tasks.namespace"
            " AND task_people.person = ? AND task_people.status = tasks.status"
            " AND task_people.created_at_ms = tasks.created_at_ms"
            " AND task_people.task = tasks.number)"
        )
    elif query.person is not None:
        table = f"task_people {words.join} tasks ON tasks.number = task_people.task"
        index, in_namespace = "task_people", "task_people.namespace = ?"
        created, number = "task_people.created_at_ms", "task_people.task"
    for condition, wanted in (
        (in_namespace, query.namespace),
        (is_for, query.person),
        (f"{index}.status = ?", status),
        ("tasks.execution_id = ?", query.execution_id),
        ("tasks.definition = ?", query.definition),
        ("tasks.task_type = ?", query.task_type),
    ):
        if wanted is not None:
            where.append(condition)
            values.append(wanted)
    return Walk(_COLUMNS, table, where, values, created, number)


def values_of(row: TaskRow) -> tuple[Any, ...]:
    """A value for each of `PUT_COLUMNS`."""
    return (
        *row.key,
        row.task_id,
        row.definition,
        row.step,
        row.name,
        row.point,
        row.status,
        encode_texts(row.assignees),
        encode_texts(row.candidates),
        row.claimed_by,
        row.created_at_ms,
        row.deadline_at_ms,
        row.ended_at_ms,
        row.body,
        row.task_type,
    )


def _row_from(values: Sequence[Any]) -> TaskRow:
    (
        namespace,
        execution_id,
        task_id,
        definition,
        step,
        name,
        point,
        status,
        assignees,
        candidates,
        claimed_by,
        created_at_ms,
        deadline_at_ms,
        ended_at_ms,
        body,
        task_type,
    ) = values
    return TaskRow(
        key=ExecutionKey(namespace, execution_id),
        task_id=task_id,
        definition=definition,
        step=step,
        name=name,
        point=point,
        status=status,
        assignees=() if assignees is None else decode_texts(assignees),
        candidates=() if candidates is None else decode_texts(candidates),
        claimed_by=claimed_by,
        created_at_ms=created_at_ms,
        deadline_at_ms=deadline_at_ms,
        ended_at_ms=ended_at_ms,
        body=body,
        task_type=task_type,
    )
