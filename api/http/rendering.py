"""From what the deployment says to what goes over the wire. Pure; the shapes are in `models/`.

Values that lie elsewhere stay what `to_json` makes of them, `{"$blob": …}`: a state is small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import to_builtins

from heliostat.actors.host.api import ExecutionView, TaskInfo
from heliostat.actors.host.attempts import AttemptInfo
from heliostat.engine.expressions.time import format_timestamp
from heliostat.engine.journal.protocol import ExecutionRow
from heliostat.engine.kernel.events import Failure
from heliostat.engine.values import to_json

from .models.common import Paging


def instant_or_none(ms: int | None) -> str | None:
    """RFC 3339 of an instant that may not have come yet."""
    return None if ms is None else format_timestamp(ms)


def summary(row: ExecutionRow) -> dict[str, Any]:
    """An execution as lists show it."""
    return {
        "workflow_id": row.key.execution_id,
        "definition_id": row.definition,
        "version": row.version,
        "status": row.status,
        "run": row.run,
        "created_at": format_timestamp(row.created_at_ms),
        "ended_at": instant_or_none(row.ended_at_ms),
        "parent": row.parent,
        "labels": dict(row.tags),
        "correlation_id": row.correlation_id,
        "priority": row.priority,
        "failure": None
        if row.failure_type is None
        else {"type": row.failure_type, "message": row.failure_message},
    }


def state(
    view: ExecutionView,
    steps: Mapping[str, Mapping[str, Any]],
    *,
    name: str | None,
    total: int,
    now_ms: int,
) -> dict[str, Any]:
    """What an execution does now.

    Args:
        steps: what each step does, by its id.
        name: the definition's, for people.
        total: the steps that the definition has.
        now_ms: the instant up to which it has run, where it has not ended.
    """
    statuses = [step["status"] for step in steps.values()]
    until_ms = now_ms if view.ended_at_ms is None else view.ended_at_ms
    return {
        "workflow_id": view.key.execution_id,
        "definition_id": view.definition,
        "version": view.version,
        "name": name,
        "status": view.status,
        "run": view.run,
        "seq": view.seq,
        "created_at": format_timestamp(view.created_at_ms),
        "ended_at": instant_or_none(view.ended_at_ms),
        "wake_at": instant_or_none(view.wake_at_ms),
        "parent": view.parent,
        "labels": view.tags,
        "correlation_id": view.correlation_id,
        "priority": view.priority,
        "failure": failure(view.failure),
        "output": to_json(view.output),
        "violated": list(view.violated),
        "misfit": view.misfit,
        "active": list(view.active),
        "current_state": view.active[0]["step"] if view.active else None,
        "total_tasks": total,
        "completed_tasks": statuses.count("Completed"),
        "failed_tasks": statuses.count("Failed"),
        "elapsed_ms": max(until_ms - view.created_at_ms, 0),
        "steps": dict(steps),
    }


def failure(failed: Failure | None) -> dict[str, Any] | None:
    """What something failed with; fields that say nothing are left out."""
    if failed is None:
        return None
    told: dict[str, Any] = to_builtins(failed)
    return told


def task(info: TaskInfo, input: Any, output: Any) -> dict[str, Any]:
    """A human task.

    Args:
        input: what the person is shown.
        output: what its step completed with.
    """
    return {
        "task_id": task_id(info),
        "workflow_id": info.key.execution_id,
        "definition_id": info.definition,
        "step": info.step,
        "point": info.point,
        "name": info.name,
        "task_type": info.task_type,
        "status": info.status,
        "assignees": list(info.assignees),
        "candidates": list(info.candidates),
        "claimed_by": info.claimed_by,
        "form": info.form,
        "input": input,
        "created_at": format_timestamp(info.created_at_ms),
        "deadline": instant_or_none(info.deadline_at_ms),
        "ended_at": instant_or_none(info.ended_at_ms),
        "level": info.level,
        "failure": failure(info.failure),
        "progress": info.progress,
        "details": to_json(info.details),
        "error": failure(info.error),
        "output": output,
    }


def attempt(info: AttemptInfo) -> dict[str, Any]:
    """An attempt that is under way or has failed, as a task that nobody is asked."""
    return {
        "task_id": task_id(info),
        "workflow_id": info.key.execution_id,
        "definition_id": info.definition,
        "step": info.step,
        "point": None,
        "name": info.name,
        "task_type": info.task_type,
        "status": info.status,
        "assignees": [],
        "candidates": [],
        "claimed_by": None,
        "form": None,
        "input": None,
        "created_at": None,
        "deadline": None,
        "error": failure(info.error),
        "attempt": info.attempt,
        "item_index": info.item_index,
        "child": info.child,
    }


def task_id(info: TaskInfo | AttemptInfo) -> str:
    """A task's id on the wire: alone it says which execution's it is."""
    return f"{info.key.execution_id}~{info.task_id}"


def page(
    rows: Iterable[Any], asked: Paging, *, total: int | None, next_cursor: str | None
) -> dict[str, Any]:
    """A part of a list."""
    counted = total or 0
    return {
        "data": list(rows),
        "meta": {
            "total": counted,
            "page": asked.page,
            "per_page": asked.per_page,
            "total_pages": -(-counted // asked.per_page),
            "next_cursor": next_cursor,
        },
    }
