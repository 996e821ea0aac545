"""Human tasks: their rows, and whose they are.

A list is a walk along an index that has the page's order already, or several of them merged: one
for each wanted status. `task_people` has a row for each person or group that a task concerns.
"""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

import msgspec

from ...identity import ExecutionKey
from ...status import TaskStatus
from ..paging import Cursor, check_query
from ..protocol import TaskPage, TaskQuery, TaskRow
from .bulk import Bulk

_COLUMNS: Final = (
    "tasks.namespace, tasks.execution_id, tasks.task_id, tasks.definition, tasks.step, tasks.name,"
    " tasks.point, tasks.status, tasks.assignees, tasks.candidates, tasks.claimed_by,"
    " tasks.created_at_ms, tasks.deadline_at_ms, tasks.ended_at_ms, tasks.body"
)
"""What `_row_from` reads."""

_PUT: Final = Bulk(
    "INSERT INTO tasks (namespace, execution_id, task_id, definition, step, name, point, status,"
    " assignees, candidates, claimed_by, created_at_ms, deadline_at_ms, ended_at_ms, body)"
    " VALUES {rows} ON CONFLICT (namespace, execution_id, task_id) DO UPDATE SET"
    " definition = excluded.definition, step = excluded.step, name = excluded.name,"
    " point = excluded.point, status = excluded.status, assignees = excluded.assignees,"
    " candidates = excluded.candidates, claimed_by = excluded.claimed_by,"
    " deadline_at_ms = excluded.deadline_at_ms, ended_at_ms = excluded.ended_at_ms,"
    " body = excluded.body",
    columns=15,
)
_FIND: Final = Bulk(
    "SELECT json_group_array(json_array(tasks.namespace, tasks.execution_id, tasks.task_id,"
    " tasks.number, tasks.created_at_ms)) FROM (VALUES {rows}) AS wanted"
    " CROSS JOIN tasks ON namespace = wanted.column1 AND execution_id = wanted.column2"
    " AND task_id = wanted.column3",
    columns=3,
)
_FORGET_PEOPLE: Final = Bulk("DELETE FROM task_people WHERE task IN ({rows})", columns=1)
_ENTER_PEOPLE: Final = Bulk(
    "INSERT INTO task_people (namespace, person, status, created_at_ms, task) VALUES {rows}",
    columns=5,
)

_STATUSES: Final[tuple[TaskStatus, ...]] = get_args(TaskStatus)

_decode_found: Final = msgspec.json.Decoder(list[tuple[str, str, str, int, int]]).decode
_decode_people: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def put_tasks(connection: sqlite3.Connection, rows: Sequence[TaskRow]) -> None:
    """Enter rows, each in place of the one its task has."""
    _PUT.write(connection, list(map(_values, rows)))
    last = {(*row.key, row.task_id): row for row in rows}
    numbers: list[tuple[int]] = []
    people: list[tuple[Any, ...]] = []
    for cursor in _FIND.run(connection, list(last)):
        (text,) = cursor.fetchone()
        for namespace, execution_id, task_id, number, created_at_ms in _decode_found(text):
            row = last[namespace, execution_id, task_id]
            numbers.append((number,))
            people += (
                (namespace, person, row.status, created_at_ms, number) for person in concerned(row)
            )
    _FORGET_PEOPLE.write(connection, numbers)
    _ENTER_PEOPLE.write(connection, people)


def concerned(row: TaskRow) -> Sequence[str]:
    """Whom `TaskQuery.person` finds the task for."""
    claimed_by = () if row.claimed_by is None else (row.claimed_by,)
    return tuple(dict.fromkeys((*row.assignees, *row.candidates, *claimed_by)))


def get_task(connection: sqlite3.Connection, key: ExecutionKey, task_id: str) -> TaskRow | None:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM tasks WHERE namespace = ? AND execution_id = ? AND task_id = ?",
        (*key, task_id),
    ).fetchone()
    return None if found is None else _row_from(found)


def list_tasks(connection: sqlite3.Connection, query: TaskQuery) -> TaskPage:
    begin = check_query(query)
    statuses: Sequence[TaskStatus | None] = tuple(dict.fromkeys(query.status)) or (None,)
    if query.person is not None and query.execution_id is None and not query.status:
        statuses = _STATUSES  # the index of people is in the order of each status
    walks = [_walk(connection, query, begin, status) for status in statuses]
    found = heapq.merge(*walks, key=lambda entry: entry[0], reverse=True)
    page = [entry for entry, _ in zip(found, range(query.limit + 1), strict=False)]
    more = len(page) > query.limit
    page = page[: query.limit]
    return TaskPage(
        rows=tuple(row for _, row in page),
        next_cursor=page[-1][0].encode() if more else None,
    )


def _walk(
    connection: sqlite3.Connection,
    query: TaskQuery,
    begin: Cursor | None,
    status: TaskStatus | None,
) -> Iterator[tuple[Cursor, TaskRow]]:
    table, index = "tasks", "tasks"
    created, number = "tasks.created_at_ms", "tasks.number"
    where: list[str] = []
    values: list[Any] = []
    is_for = "task_people.person = ?"
    if query.execution_id is not None:  # it has few tasks: all are looked at
        table = "tasks INDEXED BY tasks_by_key"
        is_for = (
            "EXISTS (SELECT 1 FROM task_people WHERE task_people.namespace = tasks.namespace"
            " AND task_people.person = ? AND task_people.status = tasks.status"
            " AND task_people.created_at_ms = tasks.created_at_ms"
            " AND task_people.task = tasks.number)"
        )
    elif query.person is not None:
        table = "task_people CROSS JOIN tasks ON tasks.number = task_people.task"
        index = "task_people"
        created, number = "task_people.created_at_ms", "task_people.task"
    for condition, wanted in (
        (f"{index}.namespace = ?", query.namespace),
        (is_for, query.person),
        (f"{index}.status = ?", status),
        ("tasks.execution_id = ?", query.execution_id),
        ("tasks.definition = ?", query.definition),
    ):
        if wanted is not None:
            where.append(condition)
            values.append(wanted)
    if begin is not None:
        where.append(f"({created}, {number}) < (?, ?)")
        values += begin
    found = connection.execute(
        f"SELECT {_COLUMNS}, tasks.number FROM {table}"
        f" WHERE {' AND '.join(where)} ORDER BY {created} DESC, {number} DESC LIMIT ?",
        (*values, query.limit + 1),
    )
    for *columns, task in found:
        row = _row_from(columns)
        yield Cursor(row.created_at_ms, task), row


def _values(row: TaskRow) -> tuple[Any, ...]:
    return (
        *row.key,
        row.task_id,
        row.definition,
        row.step,
        row.name,
        row.point,
        row.status,
        _people_text(row.assignees),
        _people_text(row.candidates),
        row.claimed_by,
        row.created_at_ms,
        row.deadline_at_ms,
        row.ended_at_ms,
        row.body,
    )


def _people_text(people: tuple[str, ...]) -> str | None:
    return msgspec.json.encode(people).decode() if people else None


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
    ) = values
    return TaskRow(
        key=ExecutionKey(namespace, execution_id),
        task_id=task_id,
        definition=definition,
        step=step,
        name=name,
        point=point,
        status=status,
        assignees=() if assignees is None else _decode_people(assignees),
        candidates=() if candidates is None else _decode_people(candidates),
        claimed_by=claimed_by,
        created_at_ms=created_at_ms,
        deadline_at_ms=deadline_at_ms,
        ended_at_ms=ended_at_ms,
        body=body,
    )
