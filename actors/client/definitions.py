"""What a client does with definitions: registers versions, and reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heliostat.actors.client.interface import Registered, Registrable, Version, Ways

if TYPE_CHECKING:
    from heliostat.actors.client.comparing import Comparable
    from heliostat.actors.client.proving import Verification
    from heliostat.engine.authoring.changes import Differences


class DefinitionCalls:
    """The part of a `Client` that is about definitions."""

    _ways: Ways

    def register(
        self,
        definition: Registrable,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Version:
        """Check a definition and register it as a version; the same content again is harmless.

        Of a file, the modules that lie beside it are shipped and pinned to the version. A
        `sub_workflow` step without `version` is pinned to the one registered last.

        Args:
            definition: a path, a definition's text, or a definition.
            functions: functions to ship by value, by the names that activities say.
            dev: register as `<version>+<hash>`, so that edits need no new version number.
            verification: what to do with what a proof finds: `error` refuses it, `warn` answers it
                as the version's `warnings`, `off` proves nothing; absent, as configured.

        Raises:
            DefinitionError: with every fault, its place and its cure; also where it calls a
                workflow that is not registered: see `register_many`.
            Duplicate: the version is registered with other content; the message has the difference.
        """
        return self.register_many(
            [definition], functions=functions, dev=dev, verification=verification
        )[0]

    async def register_async(
        self,
        definition: Registrable,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Version:
        """`register`, without blocking the event loop."""
        versions = await self.register_many_async(
            [definition], functions=functions, dev=dev, verification=verification
        )
        return versions[0]

    def register_many(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """Register definitions that call each other; a version per definition, in order.

        Each is registered after those that its `sub_workflow` steps call, and pinned to them. When
        one is refused, those before it stay registered; doing it again is harmless.

        Raises:
            As `register`.
        """
        register = self._ways.blocking.register_many(
            definitions, functions=functions, dev=dev, verification=verification
        )
        return self._ways.finish(register)

    async def register_many_async(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """`register_many`, without blocking the event loop."""
        return await self._ways.awaited.register_many(
            definitions, functions=functions, dev=dev, verification=verification
        )

    def definitions(
        self,
        id: str | None = None,
        *,
        namespace: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Version]:
        """Registered versions, the one registered last first; so many, after `offset` of them."""
        ways = self._ways
        return ways.finish(
            ways.blocking.definitions(id, namespace=namespace, limit=limit, offset=offset)
        )

    async def definitions_async(
        self,
        id: str | None = None,
        *,
        namespace: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Version]:
        """`definitions`, without blocking the event loop."""
        return await self._ways.awaited.definitions(
            id, namespace=namespace, limit=limit, offset=offset
        )

    def definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Registered:
        """One version with its content; absent, the one registered last.

        Raises:
            NotFound: there is no such definition or version.
        """
        ways = self._ways
        return ways.finish(ways.blocking.definition(id, version, namespace=namespace))

    def diff(
        self, before: Comparable, after: Comparable, *, namespace: str | None = None
    ) -> Differences:
        """What changed between two versions, in the terms of definitions; false if nothing did.

        Steps are known by the scopes around them and their ids.

        Args:
            before: a file, a definition's text, a definition; a `Version`, or a registered one as
                `id@version` (`id`: the one registered last).
            after: likewise.
            namespace: of registered ones.

        Raises:
            DefinitionError: with every fault of a definition that is given.
            NotFound: there is no such version.
        """
        ways = self._ways
        return ways.finish(ways.blocking.diff(before, after, namespace=namespace))

    async def diff_async(
        self, before: Comparable, after: Comparable, *, namespace: str | None = None
    ) -> Differences:
        """`diff`, without blocking the event loop."""
        return await self._ways.awaited.diff(before, after, namespace=namespace)

    def delete_definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Sequence[str]:
        """Delete a version, absent all of them; which versions were deleted.

        A deleted version is not listed, not the latest, and nothing starts with it. Its histories
        stay readable. Registering the same content again brings it back; under its version number
        no other content can be registered.

        Raises:
            NotFound: there is none, or it is deleted already.
            Dependency: an execution of it goes on, or another definition calls it.
        """
        ways = self._ways
        return ways.finish(ways.blocking.delete_definition(id, version, namespace=namespace))

    async def delete_definition_async(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Sequence[str]:
        """`delete_definition`, without blocking the event loop."""
        return await self._ways.awaited.delete_definition(id, version, namespace=namespace)

    async def definition_async(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Registered:
        """`definition`, without blocking the event loop."""
        return await self._ways.awaited.definition(id, version, namespace=namespace)
