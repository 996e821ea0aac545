"""The part of a connection over HTTP that is about definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from heliostat.actors.client.comparing import Comparable, name_of
from heliostat.actors.client.functions import with_children
from heliostat.actors.client.interface import Registered, Registrable, Version
from heliostat.actors.client.pinning import in_order
from heliostat.actors.client.proving import Verification
from heliostat.engine.authoring.changes import Described, Differences, differences
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError, InputError, NotFound
from heliostat.engine.journal.protocol import DefinitionPage, DefinitionQuery, DefinitionRow
from heliostat.engine.plan.mapping import MigrationCheck

from . import reading
from .asking import PAGE, Asking, Page, page_number
from .reading import told
from .refusals import diagnostic, with_cure
from .sender import part
from .writing import Text, text_of

_NO_MODULE: Final = ("HS301", "HS302")
_NOT_SHIPPED: Final = (
    "over HTTP no code is shipped: put the module into the deployment's code folder "
    "(`heliostat up --code DIR`), or register the file within the cluster (`heliostat register "
    "FILE`), which ships what lies beside it"
)


def _registering(verification: Verification | None) -> dict[str, str] | None:
    return None if verification is None else {"verification": verification}


class DefinitionRequests(Asking):
    """See `Connection`, of which this is a part."""

    async def register_many(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """See `Connection`. Nothing is shipped: modules must be where the deployment's runners look
        for them."""
        if functions:
            raise InputError(
                f"over HTTP no code is shipped, and functions are given ({', '.join(functions)}); "
                f"put them into a module in the deployment's code folder (`heliostat up --code`), "
                f"or register within the cluster, with `heliostat.connect()`"
            )
        # All of them first: faults in a file need no deployment.
        asked = list(definitions)
        brought = with_children(asked)
        texts = [text_of(each, namespace=self.namespace, dev=dev) for each in brought]
        registered: dict[str, Version] = {}
        for text in in_order(texts):
            sent = self._register(text, verification)
            registered[text.definition.id] = await self._waited(sent)
        return [registered[text.definition.id] for text in texts[: len(asked)]]

    async def _register(self, text: Text, verification: Verification | None) -> Version:
        namespace = text.definition.namespace
        try:
            answer = await self._sender.ask(
                "POST",
                "/workflow-definitions",
                namespace=namespace,
                query=_registering(verification),
                content=text.content,
                content_type=text.content_type,
                name=text.name,
                repeats_full=True,
            )
        except DefinitionError as error:
            raise with_cure(error, _NO_MODULE, _NOT_SHIPPED) from None
        registered = reading.version(told(answer.body, dict), namespace)
        return structs.replace(registered, existed=answer.status == 200)

    async def validate(
        self, what: Registrable, verification: Verification | None = None
    ) -> Sequence[Diagnostic]:
        """Have a definition checked, and nothing stored; what a proof warns of. Raises as
        `register_many`."""
        text = text_of(what, namespace=self.namespace, dev=False)
        answer = await self._waited(
            self._sender.ask(
                "POST",
                "/workflow-definitions/validate",
                namespace=text.definition.namespace,
                query=_registering(verification),
                content=text.content,
                content_type=text.content_type,
            )
        )
        body = told(answer.body, dict)
        faults = body["errors"]
        if faults:
            error = DefinitionError(text.name, [diagnostic(each) for each in faults])
            raise with_cure(error, _NO_MODULE, _NOT_SHIPPED)
        return [diagnostic(each) for each in body.get("warnings", ())]

    async def definitions(
        self, id: str | None = None, *, namespace: str | None = None, limit: int, offset: int
    ) -> Sequence[Version]:
        """See `Connection`."""
        return await self._waited(self._definitions(namespace or self.namespace, id, limit, offset))

    async def _definitions(
        self, namespace: str, id: str | None, limit: int, offset: int
    ) -> list[Version]:
        if id is not None:
            try:
                path = f"/workflow-definitions/{part(id)}/versions"
                body = await self._get(path, namespace, list)
            except NotFound:
                return []
            return [reading.version(each, namespace) for each in body[offset : offset + limit]]
        found: list[Version] = []
        number = offset // PAGE + 1
        left_out = offset % PAGE
        while len(found) < limit:
            query = {"versions": True, "page": number, "per_page": PAGE}
            body = await self._get("/workflow-definitions", namespace, dict, query)
            rows = body["data"][left_out:]
            found += [reading.version(each, namespace) for each in rows]
            if number >= body["meta"]["total_pages"]:
                break
            number, left_out = number + 1, 0
        return found[:limit]

    async def definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Registered:
        """See `Connection`."""
        namespace = namespace or self.namespace
        known, content = await self._waited(self._described(namespace, id, version))
        return Registered(**structs.asdict(known), content=content)

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """See `Connection`."""
        asked = {
            "filter": query.filter if query.tag is None else "=".join(query.tag),
            "versions": query.versions,
            "page": page_number(query.offset, query.limit) if query.cursor is None else None,
        }
        path = "/workflow-definitions"
        if query.id is not None:
            rows = await self._waited(
                self._get(f"{path}/{part(query.id)}/versions", query.namespace, list)
            )
            page = Page(rows[query.offset : query.offset + query.limit], None, len(rows))
        else:
            page = await self._waited(
                self._page(path, query.namespace, asked, query.limit, query.cursor)
            )
        return DefinitionPage(
            rows=tuple(reading.summary(each, query.namespace) for each in page.rows),
            next_cursor=page.next_cursor,
            total=page.total,
        )

    async def definition_row(
        self,
        id: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
        deleted: bool = False,
    ) -> DefinitionRow:
        """Not over HTTP: raises `InputError`."""
        raise self._within("what is stored of a version")

    async def diff(
        self, before: Comparable, after: Comparable, *, namespace: str | None = None
    ) -> Differences:
        """See `Connection`. Code is compared only where both versions of one definition are
        registered."""
        return await self._waited(self._diff(before, after, namespace or self.namespace))

    async def _diff(self, before: Comparable, after: Comparable, namespace: str) -> Differences:
        one, other = name_of(before), name_of(after)
        if one is not None and other is not None and one.id == other.id:
            body = await self._get(
                f"/workflow-definitions/{part(one.id)}/diff",
                one.namespace or namespace,
                dict,
                {"from": one.version, "to": other.version},
            )
            return msgspec.convert(body, Differences)
        return differences(
            await self._one_side(before, namespace), await self._one_side(after, namespace)
        )

    async def _one_side(self, what: Comparable, namespace: str) -> Described:
        name = name_of(what)
        if name is None:
            assert not isinstance(what, Version)
            return Described(definition=text_of(what, namespace=namespace, dev=False).definition)
        _, content = await self._described(name.namespace or namespace, name.id, name.version)
        return Described(definition=Definition.model_validate(content))

    async def migration_check(
        self,
        id: str,
        from_version: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
    ) -> MigrationCheck:
        """See `Connection`."""
        body = await self._waited(
            self._get(
                f"/workflow-definitions/{part(id)}/migration",
                namespace or self.namespace,
                dict,
                {"from": from_version, "to": version},
            )
        )
        return msgspec.convert(body, MigrationCheck)

    async def delete_definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Sequence[str]:
        """See `Connection`."""
        namespace = namespace or self.namespace
        path = f"/workflow-definitions/{part(id)}"

        async def delete() -> list[str]:
            rows = await self._get(f"{path}/versions", namespace, list)
            there = [each["version"] for each in rows]
            gone = there if version is None else [version]
            query = {"version": version}
            try:
                await self._sender.ask("DELETE", path, namespace=namespace, query=query)
            except NotFound:
                if gone[0] not in there:
                    raise
                # It was deleted by a try whose answer never came.
            return gone

        return await self._waited(delete())

    async def _described(
        self, namespace: str, id: str, version: str | None
    ) -> tuple[Version, dict[str, Any]]:
        path = f"/workflow-definitions/{part(id)}"
        content: dict[str, Any] = await self._get(path, namespace, dict, {"version": version})
        said = content["version"]
        rows = await self._get(f"{path}/versions", namespace, list)
        row = next((each for each in rows if each["version"] == said), content)
        return reading.version(row, namespace), content
