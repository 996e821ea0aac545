"""From what is on the wire to what clients hold. Pure.

What the wire leaves out stays at its default: the shard of an execution is no business of clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from heliostat.actors.client.interface import Version
from heliostat.actors.host.api import ExecutionView, TaskInfo
from heliostat.engine.errors import Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import DefinitionSummary, ExecutionRow
from heliostat.engine.kernel.events import Failure

from .refusals import diagnostic

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def instant_ms(text: str) -> int:
    """An instant in milliseconds since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MS


def instant(ms: int) -> str:
    """The same as text, for queries."""
    return (_EPOCH + ms * _MS).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def version(told: Mapping[str, Any], namespace: str) -> Version:
    """A registered version."""
    registered = told.get("registered_at")
    return Version(
        namespace=namespace,
        id=told["id"],
        version=told["version"],
        content_hash=told.get("content_hash") or "",
        registered_at_ms=0 if registered is None else instant_ms(registered),
        warnings=tuple(diagnostic(each) for each in told.get("warnings", ())),
    )


def summary(told: Mapping[str, Any], namespace: str) -> DefinitionSummary:
    """A definition of a list."""
    return DefinitionSummary(
        namespace=namespace,
        id=told["id"],
        version=told["version"],
        name=told["name"],
        description=told["description"],
        tags=told["tags"],
        steps=told["steps"],
        registered_at_ms=instant_ms(told["registered_at"]),
    )


def row(told: Mapping[str, Any], namespace: str) -> ExecutionRow:
    """An execution of a list."""
    failure = told.get("failure") or {}
    return ExecutionRow(
        key=ExecutionKey(namespace, told["workflow_id"]),
        shard="",
        definition=told["definition_id"],
        version=told["version"],
        status=told["status"],
        run=told["run"],
        created_at_ms=instant_ms(told["created_at"]),
        ended_at_ms=_ms_or_none(told.get("ended_at")),
        failure_type=failure.get("type"),
        failure_message=failure.get("message"),
        tags=told.get("labels") or {},
        parent=told.get("parent"),
        priority=told.get("priority", 5),
        correlation_id=told.get("correlation_id"),
    )


def view(told: Mapping[str, Any], namespace: str) -> ExecutionView:
    """What an execution does now."""
    return ExecutionView(
        key=ExecutionKey(namespace, told["workflow_id"]),
        definition=told["definition_id"],
        version=told["version"],
        status=told["status"],
        run=told["run"],
        seq=told["seq"],
        created_at_ms=instant_ms(told["created_at"]),
        ended_at_ms=_ms_or_none(told["ended_at"]),
        wake_at_ms=_ms_or_none(told["wake_at"]),
        parent=told["parent"],
        priority=told["priority"],
        tags=told["labels"],
        correlation_id=told["correlation_id"],
        failure=failure_of(told["failure"]),
        output=told["output"],
        active=tuple(_without_nulls(each) for each in told["active"]),
    )


def failure_of(told: Mapping[str, Any] | None) -> Failure | None:
    """What something failed with."""
    return None if told is None else msgspec.convert(told, Failure)


def task(told: Mapping[str, Any], namespace: str) -> TaskInfo:
    """A human task."""
    execution_id, _, task_id = told["task_id"].partition("~")
    return TaskInfo(
        key=ExecutionKey(namespace, execution_id),
        task_id=task_id,
        definition=told.get("definition_id") or "",
        step=told["step"],
        name=told["name"],
        point=told.get("point"),
        status=told["status"],
        assignees=tuple(told["assignees"]),
        candidates=tuple(told["candidates"]),
        claimed_by=told["claimed_by"],
        created_at_ms=instant_ms(told["created_at"]),
        deadline_at_ms=_ms_or_none(told["deadline"]),
        ended_at_ms=_ms_or_none(told.get("ended_at")),
        level=told.get("level") or 0,
        input=told["input"],
        form=told["form"],
        failure=failure_of(told.get("error")),
    )


def task_id(key: ExecutionKey, id: str) -> str:
    """A task's id on the wire."""
    return f"{key.execution_id}~{id}"


def told(body: Any, kind: type[Any]) -> Any:
    """The body of an answer, which must be of this kind.

    Raises:
        Unreachable: something else answers here.
    """
    if not isinstance(body, kind):
        raise Unreachable(
            "what answers there is no heliostat deployment, or one of another release"
        )
    return body


def _ms_or_none(text: str | None) -> int | None:
    return None if text is None else instant_ms(text)


def _without_nulls(active: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in active.items() if value is not None}
