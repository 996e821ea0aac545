"""Definitions: their versions, lists of them, and which may be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from heliostat.engine.journal.protocol import (
    DefinitionQuery,
    DefinitionRow,
    DefinitionSummary,
    Deletion,
    Journal,
)
from tests.conformance.support import Owner, created, key


def definition(id: str, version: str, **changes: Any) -> DefinitionRow:
    fields: dict[str, Any] = {
        "namespace": "default",
        "id": id,
        "version": version,
        "content_hash": "h",
        "body": b"{}",
        "compiled": b"\0",
        "registered_at_ms": 1,
    }
    return DefinitionRow(**(fields | changes))


class TestDefinitions:
    """A version is immutable; the one registered last comes first."""

    async def test_a_version_is_stored_once(self, journal: Journal) -> None:
        first = definition("order", "1")
        assert await journal.put_definition(first) == first
        other = definition("order", "1", content_hash="other")
        assert await journal.put_definition(other) == first
        assert await journal.get_definition("default", "order", "1") == first

    async def test_latest_and_lists(self, journal: Journal) -> None:
        versions = [definition("order", v) for v in ("1", "10", "2")]
        pay = definition("pay", "1")
        for each in (*versions[:2], pay, versions[2], definition("order", "9", namespace="x")):
            await journal.put_definition(each)
        assert await journal.get_definition("default", "order") == versions[2]
        assert await journal.get_definition("default", "order", "3") is None
        assert await journal.get_definition("default", "nothing") is None
        listed = await journal.list_definitions("default")
        assert listed == [versions[2], pay, versions[1], versions[0]]
        listed = await journal.list_definitions("default", id="order", limit=1, offset=1)
        assert listed == [versions[1]]


class TestListsOfDefinitions:
    """Of each id the version registered last, found by what its definition says."""

    @pytest.fixture
    async def stored(self, journal: Journal) -> None:
        for id, version, body in (
            ("order", "1", {"name": "An ORDER"}),
            ("pay", "1", {"description": "Überweisung, 100 %", "tags": {"team": "money"}}),
            ("order", "2", {"name": "Of goods", "tags": {"team": "shop", "a": "b"}}),
            ("ship", "1", {"steps": [{"id": "each", "steps": [{"id": "x"}, {"id": "y"}]}]}),
        ):
            await journal.put_definition(
                definition(id, version, body=msgspec.json.encode(body), registered_at_ms=7)
            )

    async def listed(self, journal: Journal, **query: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            asked = DefinitionQuery(**({"namespace": "default"} | query), cursor=cursor)
            page = await journal.definitions_page(asked)
            found += [f"{each.id}@{each.version}" for each in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                return found
            assert len(page.rows) == asked.limit

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, "ship@1 order@2 pay@1"),
            ({"versions": True}, "ship@1 order@2 pay@1 order@1"),
            ({"id": "order", "versions": True}, "order@2 order@1"),
            ({"filter": "an order"}, ""),  # an earlier version's name
            ({"filter": "an order", "versions": True}, "order@1"),
            ({"filter": "ÜBER"}, "pay@1"),
            ({"filter": "100 %"}, "pay@1"),
            ({"filter": "_"}, ""),
            ({"filter": "SH"}, "ship@1"),
            ({"tag": ("team", "money")}, "pay@1"),
            ({"tag": ("team", "mon")}, ""),
            ({"tag": ("a", "b"), "filter": "goods"}, "order@2"),
            ({"namespace": "empty"}, ""),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("limit", [1, 100])
    async def test_filters(
        self, journal: Journal, stored: None, query: Mapping[str, Any], found: str, limit: int
    ) -> None:
        assert await self.listed(journal, limit=limit, **query) == found.split()
        asked = DefinitionQuery(**({"namespace": "default"} | query), limit=limit, count=True)
        assert (await journal.definitions_page(asked)).total == len(found.split())

    async def test_a_page_further_on(self, journal: Journal, stored: None) -> None:
        query = DefinitionQuery(namespace="default", limit=1, offset=1)
        page = await journal.definitions_page(query)
        assert [each.id for each in page.rows] == ["order"]
        after = await journal.definitions_page(replace(query, cursor=page.next_cursor, offset=0))
        assert [each.id for each in after.rows] == ["pay"]

    async def test_what_is_shown(self, journal: Journal, stored: None) -> None:
        page = await journal.definitions_page(DefinitionQuery(namespace="default", limit=2))
        ship, order = page.rows
        assert ship.steps == 3
        assert order == DefinitionSummary(
            namespace="default",
            id="order",
            version="2",
            name="Of goods",
            tags={"team": "shop", "a": "b"},
            registered_at_ms=7,
        )


class TestDeletedDefinitions:
    """A deleted version is not found any more but by those who name it, and may come back."""

    async def test_one_version(self, journal: Journal) -> None:
        for version in ("1", "2"):
            await journal.put_definition(definition("order", version))
        deletion = await journal.delete_definition("default", "order", "2", at_ms=5)
        assert deletion == Deletion(versions=("2",))
        latest = await journal.get_definition("default", "order")
        assert latest == definition("order", "1")
        named = await journal.get_definition("default", "order", "2")
        assert named == definition("order", "2", deleted_at_ms=5)
        assert await journal.list_definitions("default") == [latest]
        query = DefinitionQuery(namespace="default", versions=True)
        assert [each.version for each in (await journal.definitions_page(query)).rows] == ["1"]
        assert await journal.delete_definition("default", "order", "2", at_ms=6) == Deletion()

    async def test_all_versions(self, journal: Journal) -> None:
        for version in ("1", "2"):
            await journal.put_definition(definition("order", version))
        deletion = await journal.delete_definition("default", "order", None, at_ms=5)
        assert deletion == Deletion(versions=("1", "2"))
        assert await journal.get_definition("default", "order") is None
        assert await journal.delete_definition("default", "nothing", None, at_ms=6) == Deletion()

    async def test_it_comes_back_with_the_same_content_only(self, journal: Journal) -> None:
        await journal.put_definition(definition("order", "1"))
        await journal.delete_definition("default", "order", "1", at_ms=5)
        other = definition("order", "1", content_hash="other")
        stored = await journal.put_definition(other)
        assert (stored.content_hash, stored.deleted_at_ms) == ("h", 5)
        again = definition("order", "1", registered_at_ms=9)
        assert await journal.put_definition(again) == again
        assert await journal.get_definition("default", "order") == again

    async def test_none_that_an_execution_needs(self, journal: Journal) -> None:
        for version in ("1", "2"):
            await journal.put_definition(definition("order", version))
        owner = await Owner.of(journal)
        await owner.append(
            created("runs", version="1"),
            created("over", version="2", status="Failed"),
            created(key("elsewhere", "other"), version="2"),
        )
        held = Deletion(executions=("runs",))
        assert await journal.delete_definition("default", "order", "1", at_ms=5) == held
        assert await journal.delete_definition("default", "order", None, at_ms=5) == held
        deletion = await journal.delete_definition("default", "order", "2", at_ms=5)
        assert deletion == Deletion(versions=("2",))

    async def test_none_that_another_calls(self, journal: Journal) -> None:
        def calls(id: str, version: str | None = None, pinned: str | None = None) -> DefinitionRow:
            step = {"id": "s", "workflow": "order"} | ({"version": version} if version else {})
            body = {"steps": [{"id": "each", "steps": [step]}]}
            children = {"children": {"s": pinned} if pinned else {}}
            return definition(
                id,
                "7",
                body=msgspec.json.encode(body),
                compiled=msgspec.msgpack.encode(children),
            )

        for version in ("1", "2", "3"):
            await journal.put_definition(definition("order", version))
        await journal.put_definition(calls("says", version="1"))
        await journal.put_definition(calls("pins", pinned="2"))
        await journal.put_definition(calls("any", version="latest"))
        delete = journal.delete_definition
        assert await delete("default", "order", "1", at_ms=5) == Deletion(definitions=("says@7",))
        assert await delete("default", "order", "2", at_ms=5) == Deletion(definitions=("pins@7",))
        assert await delete("default", "order", "3", at_ms=5) == Deletion(versions=("3",))
        held = Deletion(definitions=("says@7", "pins@7", "any@7"))
        assert await delete("default", "order", None, at_ms=5) == held
        for id in ("says", "pins"):
            await delete("default", id, None, at_ms=5)
        assert await delete("default", "order", None, at_ms=5) == Deletion(definitions=("any@7",))
        await delete("default", "any", None, at_ms=5)
        gone = Deletion(versions=("1", "2"))
        assert await delete("default", "order", None, at_ms=5) == gone

    async def test_one_that_calls_itself(self, journal: Journal) -> None:
        body = msgspec.json.encode({"steps": [{"id": "s", "workflow": "order", "version": "1"}]})
        await journal.put_definition(definition("order", "1", body=body))
        deletion = await journal.delete_definition("default", "order", None, at_ms=5)
        assert deletion == Deletion(versions=("1",))
