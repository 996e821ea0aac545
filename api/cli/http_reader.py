"""What commands look at, asked of a deployment's door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heliostat.actors.host.api import ExecutionView, TaskInfo, TaskInfos
from heliostat.api.client.connection import HttpConnection
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client


class HttpReader:
    """See `reach.Reader`, which this is."""

    def __init__(self, client: Client) -> None:
        at = client._ways.blocking
        assert isinstance(at, HttpConnection)
        self._at, self._client = at, client
        self._finish = client._ways.finish
        self.waits_unknown = False

    def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """See `Reader`."""
        return self._finish(self._at.executions(query))

    def view(self, key: ExecutionKey) -> ExecutionView:
        """See `Reader`."""
        return self._finish(self._at.status(key))

    def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """See `Reader`."""
        return self._finish(self._at.variables(key))

    def history(self, key: ExecutionKey, after: int) -> list[dict[str, Any]]:
        """See `Reader`."""
        return self._client.get(key.execution_id, namespace=key.namespace).history(after)

    def tasks(self, query: TaskQuery) -> TaskInfos:
        """See `Reader`."""
        return self._finish(self._at.tasks(query))

    def task(self, key: ExecutionKey, id: str) -> TaskInfo:
        """See `Reader`."""
        return self._finish(self._at.task(key, id))

    def definitions(self, query: DefinitionQuery) -> DefinitionPage:
        """See `Reader`."""
        return self._finish(self._at.definitions_page(query))

    def graph(self, key: ExecutionKey) -> dict[str, Any]:
        """See `Reader`."""
        return self._finish(self._at.graph(key))

    def events(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """See `Reader`."""
        for told in self._client.get(key.execution_id, namespace=key.namespace).follow(after):
            if isinstance(told, dict):
                yield told

    def frames(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """See `Reader`."""
        told = self._at.frames(key, after=after)

        async def following() -> Any:
            return await anext(told, None)

        try:
            while (frame := self._finish(following())) is not None:
                yield frame
        finally:
            self._finish(told.aclose())
