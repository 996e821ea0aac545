"""The human tasks of a journal in dictionaries."""

from __future__ import annotations

from bisect import insort
from collections.abc import Set
from dataclasses import dataclass

from msgspec.structs import replace

from ..identity import ExecutionKey
from .paging import Cursor, page_of
from .protocol import TaskPage, TaskQuery, TaskRow


@dataclass(slots=True)
class _Task:
    row: TaskRow


class MemoryTasks:
    """Tasks by name, and in the order of their creation."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[ExecutionKey, str], _Task] = {}
        self._newest_last: list[tuple[Cursor, _Task]] = []
        self._last_number = 0

    def put(self, row: TaskRow) -> None:
        """Enter a row in place of the one that the task has."""
        task = self._tasks.get((row.key, row.task_id))
        if task is not None:
            task.row = replace(row, created_at_ms=task.row.created_at_ms)
            return
        task = _Task(row)
        self._tasks[row.key, row.task_id] = task
        self._last_number += 1
        cursor = Cursor(row.created_at_ms, self._last_number)
        insort(self._newest_last, (cursor, task), key=lambda entry: entry[0])

    def drop(self, keys: Set[ExecutionKey]) -> None:
        """Delete the tasks of executions."""
        self._tasks = {name: task for name, task in self._tasks.items() if name[0] not in keys}
        self._newest_last = [each for each in self._newest_last if each[1].row.key not in keys]

    def get(self, key: ExecutionKey, task_id: str) -> TaskRow | None:
        """The task as it was put last; None if there is none."""
        task = self._tasks.get((key, task_id))
        return None if task is None else task.row

    def list(self, query: TaskQuery) -> TaskPage:
        """The newest first."""
        found = [
            (cursor, task.row)
            for cursor, task in reversed(self._newest_last)
            if _matches(query, task.row)
        ]
        rows, next_cursor, total = page_of(found, query)
        return TaskPage(rows=rows, next_cursor=next_cursor, total=total)


def _matches(query: TaskQuery, row: TaskRow) -> bool:
    return (
        row.key.namespace == query.namespace
        and (query.execution_id is None or row.key.execution_id == query.execution_id)
        and (query.definition is None or row.definition == query.definition)
        and (not query.status or row.status in query.status)
        and (query.task_type is None or row.task_type == query.task_type)
        and (
            query.person is None
            or query.person in (*row.assignees, *row.candidates, row.claimed_by)
        )
    )
