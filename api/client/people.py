"""The part of a connection over HTTP that is about events, and about people's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliostat.actors.client.task_actions import check_action
from heliostat.actors.client.values import checked_name
from heliostat.actors.host.api import TaskInfo, TaskInfos
from heliostat.engine.errors import Conflict, InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.kernel.stimuli import TaskVerb

from . import reading
from .asking import Asking, page_number
from .reading import told
from .sender import part
from .writing import plain


class PeopleRequests(Asking):
    """See `Connection`, of which this is a part."""

    async def publish(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """See `Connection`."""
        body = {
            "correlation_id": correlation_id,
            "event_type": checked_name(event, "an event's type"),
            "data": plain(data, "the event's data"),
            "event_id": new_id() if id is None else checked_name(id, "an event's id"),
        }
        answer = await self._waited(
            self._sender.ask(
                "POST",
                "/events",
                namespace=namespace or self.namespace,
                body=body,
                repeats_full=True,
            )
        )
        published: str = told(answer.body, dict)["event_id"]
        return published

    async def tasks(self, query: TaskQuery) -> TaskInfos:
        """See `Connection`."""
        asked = {
            "workflow_id": query.execution_id,
            "definition_id": query.definition,
            "status": query.status,
            "assignee": query.person,
            "task_type": query.task_type,
            "page": page_number(query.offset, query.limit) if query.cursor is None else None,
        }
        page = await self._waited(
            self._page("/tasks", query.namespace, asked, query.limit, query.cursor)
        )
        infos = tuple(reading.task(each, query.namespace) for each in page.rows)
        return TaskInfos(tasks=infos, next_cursor=page.next_cursor)

    async def task(self, key: ExecutionKey, task_id: str) -> TaskInfo:
        """See `Connection`."""
        path = f"/tasks/{part(reading.task_id(key, task_id))}"
        body = await self._waited(self._get(path, key.namespace, dict))
        return reading.task(body, key.namespace)

    async def act_on_task(
        self,
        key: ExecutionKey,
        task_id: str,
        verb: TaskVerb,
        user: str,
        *,
        assignees: Sequence[str] = (),
        candidates: Sequence[str] = (),
        data: Any = None,
        error: str = "",
        progress: int | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> TaskInfo:
        """See `Connection`."""
        check_action(verb, task_id, user, assignees, candidates, error, progress)
        body: dict[str, Any] = {}
        match verb:
            case "claim":
                body["assignee"] = user
            case "assign":
                body = {"assignees": list(assignees), "candidates": list(candidates)}
            case "complete":
                body["output"] = plain(data, "the submission")
            case "fail":
                body = {"error": error, "details": plain(data, "`details`")}
            case "progress":
                body = {"progress": progress, "details": plain(data, "`details`")}
        if force:
            body["force"] = True
        path = f"/tasks/{part(reading.task_id(key, task_id))}"
        route = "heartbeat" if verb == "progress" else verb
        try:
            await self._change(f"{path}/{route}", key.namespace, body, request_id, {"X-User": user})
        except InputError as error:
            raise _named_as_given(error) from error
        return await self.task(key, task_id)

    async def heartbeat_task(
        self,
        key: ExecutionKey,
        task_id: str,
        progress: int | None = None,
        details: Any = None,
        *,
        user: str | None = None,
    ) -> TaskInfo:
        """See `Connection`."""
        if user is None:
            user = (await self.task(key, task_id)).claimed_by
        if user is None:
            raise Conflict(f"nobody has claimed task {task_id!r}: claim it, or name the user")
        return await self.act_on_task(
            key, task_id, "progress", user, progress=progress, data=details
        )


def _named_as_given(error: InputError) -> InputError:
    """A refusal of what was submitted: `output` in a request's body, the argument `data` here."""
    head, dot, rest = str(error.details.get("field", "")).partition(".")
    if head != "output":
        return error
    field = f"data{dot}{rest}"
    told = {"field": field, "fields": [{"field": field, "message": error.message}]}
    return InputError(error.message, {**error.details, **told})
