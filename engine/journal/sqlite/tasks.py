"""How the rows of human tasks are written; what they mean and how they are read: `sql/tasks.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..protocol import TaskRow
from ..sql.tasks import PUT_AGAIN, PUT_COLUMNS, concerned, last_of_each, values_of
from .bulk import Bulk

_PUT: Final = Bulk(f"INSERT INTO tasks ({PUT_COLUMNS}) VALUES {{rows}} {PUT_AGAIN}", columns=16)
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

_decode_found: Final = msgspec.json.Decoder(list[tuple[str, str, str, int, int]]).decode


def put_tasks(connection: sqlite3.Connection, rows: Sequence[TaskRow]) -> None:
    """Enter rows, each in place of the one its task has."""
    last = last_of_each(rows)
    _PUT.write(connection, list(map(values_of, last.values())))
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
