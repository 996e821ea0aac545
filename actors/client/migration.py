"""What a client does to have executions go on with another version of their definition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Final, get_args

from heliostat.actors.client.interface import Ways
from heliostat.engine.errors import HeliostatError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import ExecutionPage, ExecutionQuery
from heliostat.engine.status import TERMINAL, ExecutionStatus

if TYPE_CHECKING:
    from heliostat.engine.plan.mapping import MigrationCheck

_GOING_ON: Final[tuple[ExecutionStatus, ...]] = tuple(
    status for status in get_args(ExecutionStatus) if status not in TERMINAL
)
_PAGE: Final = 100


class MigrationCalls:
    """The part of a `Client` that is about moving executions; one of them: `Handle.migrate`."""

    _ways: Ways

    def migrate(
        self,
        definition: str,
        version: str | None = None,
        *,
        from_version: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
        namespace: str | None = None,
    ) -> Mapping[str, str | HeliostatError]:
        """Have all executions of a definition that go on go on with another of its versions.

        Args:
            version: which; absent, the one registered last.
            from_version: only those of this version.
            reason: recorded in each history.
            dry_run: only say which would.

        Returns:
            Of each that was found, by id, its status, or why it was not moved: `Unmapped` with the
            `obstacles`, or what `Handle.migrate` raises else. Those at that version are left out.
        """
        ways, at = self._ways, self._ways.blocking
        namespace = namespace or at.namespace
        target = ways.finish(at.definition(definition, version, namespace=namespace)).version
        moved: dict[str, str | HeliostatError] = {}
        for key in self._found(definition, from_version, target, namespace):
            try:
                call = at.migrate(key, target, reason=reason, dry_run=dry_run)
                moved[key.execution_id] = ways.finish(call).status
            except HeliostatError as error:
                moved[key.execution_id] = error
        return moved

    async def migrate_async(
        self,
        definition: str,
        version: str | None = None,
        *,
        from_version: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
        namespace: str | None = None,
    ) -> Mapping[str, str | HeliostatError]:
        """`migrate`, without blocking the event loop."""
        at = self._ways.awaited
        namespace = namespace or at.namespace
        target = (await at.definition(definition, version, namespace=namespace)).version
        moved: dict[str, str | HeliostatError] = {}
        async for key in self._found_async(definition, from_version, target, namespace):
            try:
                accepted = await at.migrate(key, target, reason=reason, dry_run=dry_run)
                moved[key.execution_id] = accepted.status
            except HeliostatError as error:
                moved[key.execution_id] = error
        return moved

    def migration_check(
        self,
        definition: str,
        from_version: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
    ) -> MigrationCheck:
        """Whether all executions of one version could go on with another, wherever they are.

        Decided by the markings that executions can reach, within a bound; by the structure of both
        versions where that is reached first, and then places that no execution ever comes to may
        be among the obstacles. What operators do, as a retry from another step, is not looked at.

        Raises:
            NotFound: there is no such version.
        """
        ways = self._ways
        return ways.finish(
            ways.blocking.migration_check(definition, from_version, version, namespace=namespace)
        )

    async def migration_check_async(
        self,
        definition: str,
        from_version: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
    ) -> MigrationCheck:
        """`migration_check`, without blocking the event loop."""
        return await self._ways.awaited.migration_check(
            definition, from_version, version, namespace=namespace
        )

    # helpers

    def _found(
        self, definition: str, version: str | None, target: str, namespace: str
    ) -> Iterator[ExecutionKey]:
        query: ExecutionQuery | None = _query(definition, version, namespace, None)
        while query is not None:
            page = self._ways.finish(self._ways.blocking.executions(query))
            yield from (row.key for row in page.rows if row.version != target)
            query = _next(query, page)

    async def _found_async(
        self, definition: str, version: str | None, target: str, namespace: str
    ) -> AsyncIterator[ExecutionKey]:
        query: ExecutionQuery | None = _query(definition, version, namespace, None)
        while query is not None:
            page = await self._ways.awaited.executions(query)
            for row in page.rows:
                if row.version != target:
                    yield row.key
            query = _next(query, page)


def _query(
    definition: str, version: str | None, namespace: str, cursor: str | None
) -> ExecutionQuery:
    return ExecutionQuery(
        namespace=namespace,
        definition=definition,
        version=version,
        status=_GOING_ON,
        limit=_PAGE,
        cursor=cursor,
    )


def _next(query: ExecutionQuery, page: ExecutionPage) -> ExecutionQuery | None:
    if page.next_cursor is None or query.definition is None:
        return None
    return _query(query.definition, query.version, query.namespace, page.next_cursor)
