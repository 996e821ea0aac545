"""How the rows of human tasks are written; what they mean and how they are read: `sql/tasks.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..protocol import TaskRow
from ..sql.tasks import PUT_AGAIN, PUT_COLUMNS, concerned, last_of_each, values_of
from .bulk import Bulk
from .connections import Database

_PUT: Final = Bulk(
    f"INSERT INTO tasks ({PUT_COLUMNS}) SELECT * FROM {{rows}} {PUT_AGAIN}",
    columns="tttttttttttiiibt",
)
_OF_KEYS: Final = (
    "{rows} AS put (namespace, execution_id, task_id%s) JOIN tasks"
    " ON tasks.namespace = put.namespace AND tasks.execution_id = put.execution_id"
    " AND tasks.task_id = put.task_id"
)
_FORGET_PEOPLE: Final = Bulk(
    f"DELETE FROM task_people USING {_OF_KEYS % ''} WHERE task_people.task = tasks.number",
    columns="ttt",
)
_ENTER_PEOPLE: Final = Bulk(
    "INSERT INTO task_people (namespace, person, status, created_at_ms, task)"
    " SELECT tasks.namespace, put.person, tasks.status, tasks.created_at_ms, tasks.number"
    f" FROM {_OF_KEYS % ', person'}",
    columns="tttt",
)


def put_tasks(connection: Database, rows: Sequence[TaskRow]) -> None:
    """Enter rows, each in place of the one its task has."""
    last = last_of_each(rows)
    _PUT.write(connection, list(map(values_of, last.values())))
    _FORGET_PEOPLE.write(connection, list(last))
    people = [(*name, person) for name, row in last.items() for person in concerned(row)]
    _ENTER_PEOPLE.write(connection, people)
