"""Lists of executions and their counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from heliostat.engine.errors import InputError
from heliostat.engine.journal.protocol import (
    ExecutionQuery,
    Journal,
)
from tests.conformance.support import Owner, created, key, more, row


class TestVisibility:
    """Rows are listed newest first, page by page, while others are added."""

    async def listed(self, journal: Journal, **query: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = await journal.list_executions(
                ExecutionQuery(**({"namespace": "default"} | query), cursor=cursor)
            )
            found += [each.key.execution_id for each in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                return found
            assert len(page.rows) == query["limit"]

    @pytest.fixture
    async def owner(self, journal: Journal) -> Owner:
        """With seven executions: `e-0` is the oldest, `e-4` to `e-6` are of one instant."""
        owner = await Owner.of(journal)
        statuses = ["Completed", "Running", "Failed", "Waiting", "Running", "Completed", "Failed"]
        for n, status in enumerate(statuses):
            await owner.append(
                created(
                    f"e-{n}",
                    status=status,
                    created_at_ms=min(n, 4) * 10,
                    definition="order" if n % 2 else "pay",
                    version=str(n % 3),
                    tags={"customer": "c" if n < 5 else "d", "odd": str(n % 2)},
                    correlation_id=f"k-{n % 3}" if n < 6 else None,
                )
            )
        return owner

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1_000])
    async def test_newest_first_in_pages(self, journal: Journal, owner: Owner, limit: int) -> None:
        assert await self.listed(journal, limit=limit) == [f"e-{n}" for n in range(6, -1, -1)]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": ("Running",)}, "41"),
            ({"status": ("Completed",)}, "50"),
            ({"status": ("Failed", "Waiting", "Completed", "Failed")}, "65320"),
            ({"definition": "order"}, "531"),
            ({"definition": "pay", "version": "0"}, "60"),
            ({"version": "1"}, "41"),
            ({"created_from_ms": 20}, "65432"),
            ({"created_before_ms": 20}, "10"),
            ({"created_from_ms": 10, "created_before_ms": 40, "status": ("Failed",)}, "2"),
            ({"tags": {"customer": "d"}}, "65"),
            ({"tags": {"customer": "c", "odd": "0"}}, "420"),
            ({"tags": {"odd": "0"}, "status": ("Failed", "Completed")}, "620"),
            ({"tags": {"odd": "0"}, "definition": "order"}, ""),
            ({"tags": {"customer": "nobody"}}, ""),
            ({"correlation_id": "k-1"}, "41"),
            ({"correlation_id": "k-1", "definition": "pay", "status": ("Running",)}, "4"),
            ({"q": "E-3"}, "3"),
            ({"q": "Ord"}, "531"),
            ({"q": "e"}, "6543210"),
            ({"q": "pay", "definition": "order"}, ""),
            ({"q": "e-", "definition": "order", "status": ("Running", "Failed")}, "1"),
            ({"q": "a_"}, ""),
            ({"q": "%"}, ""),
            ({"q": "pay", "status": ("Failed", "Completed"), "tags": {"odd": "0"}}, "620"),
            ({"status": ("Canceled",)}, ""),
            ({"namespace": "empty"}, ""),
        ],
        ids=str,
    )
    async def test_filters(
        self, journal: Journal, owner: Owner, query: Mapping[str, Any], found: str
    ) -> None:
        assert await self.listed(journal, limit=2, **query) == [f"e-{n}" for n in found]
        asked = ExecutionQuery(**({"namespace": "default", "limit": 2, "offset": 1} | query))
        page = await journal.list_executions(replace(asked, count=True))
        assert [each.key.execution_id for each in page.rows] == [f"e-{n}" for n in found[1:3]]
        assert page.total == len(found)
        if page.next_cursor is not None:  # which goes on behind what was left out
            rest = await journal.list_executions(replace(asked, cursor=page.next_cursor, offset=0))
            assert rest.total is None
            assert [e.key.execution_id for e in rest.rows] == [f"e-{n}" for n in found[3:5]]

    @pytest.mark.parametrize("bound", ["IDS_MAX", "DEFINITIONS_MAX"])
    @pytest.mark.parametrize(("q", "found"), [("e", "6543210"), ("r", "531"), ("-3", "3")])
    async def test_a_search_that_finds_more_than_is_collected(
        self, journal: Journal, owner: Owner, bound: str, q: str, found: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(f"heliostat.engine.journal.sql.searching.{bound}", 0)
        assert await self.listed(journal, limit=2, q=q) == [f"e-{n}" for n in found]

    async def test_what_its_start_said_is_fixed(self, journal: Journal, owner: Owner) -> None:
        says = {"parent": "p", "priority": 9, "correlation_id": "k"}
        await owner.append(created("said", **says))
        await owner.append(more("said", 1, b"x", row=row("said", correlation_id="other")))
        stored = await journal.get_row(key("said"))
        assert stored is not None
        assert (stored.parent, stored.priority, stored.correlation_id) == ("p", 9, "k")

    async def test_pages_are_stable_while_executions_are_added(
        self, journal: Journal, owner: Owner
    ) -> None:
        query = ExecutionQuery(namespace="default", limit=3)
        first = await journal.list_executions(query)
        await owner.append(created("newer", created_at_ms=99), created("tied", created_at_ms=40))
        query = ExecutionQuery(namespace="default", limit=9, cursor=first.next_cursor)
        rest = await journal.list_executions(query)
        seen = [each.key.execution_id for each in (*first.rows, *rest.rows)]
        assert seen == [f"e-{n}" for n in range(6, -1, -1)]

    async def test_rows_change_whole(self, journal: Journal, owner: Owner) -> None:
        changed = row(
            "e-1",
            created_at_ms=10,
            status="Failed",
            busy=0,
            run=2,
            ended_at_ms=77,
            definition="moved",
            version="9",
            failure_type="Boom",
            failure_message="it did",
            tags={"customer": "d"},
            correlation_id="k-1",
        )
        await owner.append(more("e-1", 1, b"x", row=changed))
        assert await journal.get_row(key("e-1")) == changed
        assert await self.listed(journal, limit=9, tags={"customer": "c"}) == [
            "e-4",
            "e-3",
            "e-2",
            "e-0",
        ]
        assert await self.listed(journal, limit=9, definition="moved") == ["e-1"]
        assert await self.listed(journal, limit=9, status=("Running",)) == ["e-4"]
        assert await journal.get_row(key("nobody")) is None

    async def test_birth_is_fixed(self, journal: Journal, owner: Owner) -> None:
        await owner.append(more("e-1", 1, b"x", row=row("e-1", created_at_ms=12_345)))
        stored = await journal.get_row(key("e-1"))
        assert stored is not None
        assert stored.created_at_ms == 10

    async def test_counts(self, journal: Journal, owner: Owner) -> None:
        await owner.append(created(key("x", "other"), status="Paused"))
        counts = {"Completed": 2, "Running": 2, "Failed": 2, "Waiting": 1}
        assert await journal.count_executions("default") == counts
        assert await journal.count_executions() == counts | {"Paused": 1}
        assert await journal.count_executions("empty") == {}

    @pytest.mark.parametrize(
        "cursor", ["", "x", "1", "1-", "-1-2", "1-2-3", "٣-1", "9" * 30 + "-1"]
    )
    async def test_cursors_that_no_page_gave_out(self, journal: Journal, cursor: str) -> None:
        with pytest.raises(InputError, match="cursor"):
            await journal.list_executions(ExecutionQuery(namespace="default", cursor=cursor))

    @pytest.mark.parametrize("limit", [0, -1, 1_001])
    async def test_limits(self, journal: Journal, limit: int) -> None:
        with pytest.raises(InputError, match="limit"):
            await journal.list_executions(ExecutionQuery(namespace="default", limit=limit))
