"""What a client does about events and human tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliostat.actors.client.interface import Ways
from heliostat.actors.client.tasks import Task, TaskPage, several
from heliostat.actors.host.api import TaskInfos
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.status import TaskStatus


class PeopleCalls:
    """The part of a `Client` that is about events, and about people and what they are asked."""

    _ways: Ways
    _namespace: str

    def publish(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """Publish an event for all executions that wait for its type, or handle it.

        Args:
            event: its type, as `order.paid`.
            data: JSON, of 64 KiB at most.
            id: the event's; drawn when absent. Publishing the same id again is the same event.
            correlation_id: what it belongs to; conditions read it as `$.event.correlation_id`.

        Returns:
            The event's id, once it is durable; those that wait hear of it soon.

        Raises:
            InputError: the data cannot be sent, or the type or id is no name.
            Overloaded: the hosts take no more events just now.
        """
        ways = self._ways
        publish = ways.blocking.publish
        return ways.finish(
            publish(event, data, id=id, namespace=namespace, correlation_id=correlation_id)
        )

    async def publish_async(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """`publish`, without blocking the event loop."""
        return await self._ways.awaited.publish(
            event, data, id=id, namespace=namespace, correlation_id=correlation_id
        )

    def tasks(
        self,
        *,
        person: str | None = None,
        status: TaskStatus | Sequence[TaskStatus] = (),
        execution_id: str | None = None,
        definition: str | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """A page of human tasks, newest first; `cursor` is the `next_cursor` of the page before.

        Args:
            person: it is given to, may be claimed by, or was claimed by this person; of a group,
                `group:<name>`.
        """
        query = TaskQuery(
            namespace=namespace or self._namespace,
            execution_id=execution_id,
            definition=definition,
            status=several(status),
            person=person,
            limit=limit,
            cursor=cursor,
        )
        return self._page(self._ways.finish(self._ways.blocking.tasks(query)))

    async def tasks_async(
        self,
        *,
        person: str | None = None,
        status: TaskStatus | Sequence[TaskStatus] = (),
        execution_id: str | None = None,
        definition: str | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """`tasks`, without blocking the event loop."""
        query = TaskQuery(
            namespace=namespace or self._namespace,
            execution_id=execution_id,
            definition=definition,
            status=several(status),
            person=person,
            limit=limit,
            cursor=cursor,
        )
        return self._page(await self._ways.awaited.tasks(query))

    def task(self, execution_id: str, task_id: str, *, namespace: str | None = None) -> Task:
        """One human task.

        Raises:
            NotFound: there is no such execution or task.
        """
        key = ExecutionKey(namespace or self._namespace, execution_id)
        return Task(self._ways, self._ways.finish(self._ways.blocking.task(key, task_id)))

    async def task_async(
        self, execution_id: str, task_id: str, *, namespace: str | None = None
    ) -> Task:
        """`task`, without blocking the event loop."""
        key = ExecutionKey(namespace or self._namespace, execution_id)
        return Task(self._ways, await self._ways.awaited.task(key, task_id))

    def _page(self, found: TaskInfos) -> TaskPage:
        return TaskPage((Task(self._ways, info) for info in found.tasks), found.next_cursor)
