"""The contract of `Journal` for human tasks, and for executions that end and go on again."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.errors import InputError, JournalError
from heliostat.engine.journal.protocol import (
    ExecutionQuery,
    Journal,
    TaskQuery,
    TaskRow,
)
from tests.conformance.support import Owner, created, event, key, message, more, row, task


async def listed(journal: Journal, **query: Any) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = await journal.list_tasks(
            TaskQuery(**({"namespace": "default", "limit": 2} | query), cursor=cursor)
        )
        found += [each.task_id for each in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.rows) == query.get("limit", 2)


class TestTasks:
    """A row replaces that of the same task; it is part of the atomic unit."""

    async def test_a_row_is_read_as_it_was_written(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        full = task(
            "1:2:3:1",
            name="Approve äß",
            point="refused",
            task_type="intervention",
            status="Claimed",
            assignees=("ann", "bob"),
            candidates=("group:clerks", "ann"),
            claimed_by="ann",
            deadline_at_ms=9,
            ended_at_ms=8,
            body=b"\x80\0form",
        )
        await owner.append(created("a"), more("a", 1, b"2", tasks=(full, task("bare"))))
        assert await journal.get_task(key("a"), "1:2:3:1") == full
        assert await journal.get_task(key("a"), "bare") == task("bare")
        assert await journal.get_task(key("a"), "none") is None
        assert await journal.get_task(key("b"), "bare") is None
        page = await journal.list_tasks(TaskQuery(namespace="default"))
        assert page.rows == (task("bare"), full)

    async def test_a_later_row_replaces_it_whole_but_for_its_birth(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        first = task("t", assignees=("ann",), candidates=("group:clerks",), deadline_at_ms=9)
        await owner.append(created("a"), more("a", 1, b"2", tasks=(first, task("other"))))
        later: dict[str, Any] = {
            "definition": "moved",
            "step": "check",
            "name": "Check",
            "point": "p",
            "status": "Completed",
            "claimed_by": "bob",
            "ended_at_ms": 7,
            "body": b"new",
        }
        await owner.append(
            more("a", 2, b"3", tasks=(task("t", **later, created_at_ms=5),)),
        )
        assert await journal.get_task(key("a"), "t") == task("t", **later)
        assert await listed(journal) == ["other", "t"]
        assert await listed(journal, person="ann") == []
        assert await listed(journal, person="bob") == ["t"]
        assert await listed(journal, status=("Open",)) == ["other"]

    async def test_the_last_of_a_batch_counts(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(
            created("a"),
            more("a", 1, b"2", tasks=(task("t", assignees=("ann",)),)),
            more("a", 2, b"3", tasks=(task("t", claimed_by="bob", created_at_ms=4),)),
        )
        assert await journal.get_task(key("a"), "t") == task("t", claimed_by="bob")
        assert await listed(journal, person="ann") == []
        assert await listed(journal, person="bob") == ["t"]

    async def test_with_its_events_or_not_at_all(self, journal: Journal) -> None:
        old = await Owner.of(journal)
        await old.append(created("a"), created("b"))
        await old.append(
            more("a", 7, b"late", tasks=(task("t"),)),
            more("b", 1, b"2", tasks=(task("t", of="b"),)),
        )
        await Owner.of(journal)
        fenced = more("b", 2, b"3", tasks=(task("u", of="b"),))
        assert (await old.append(fenced)).fenced
        assert await journal.get_task(key("a"), "t") is None
        assert await journal.get_task(key("b"), "t") == task("t", of="b")
        assert await journal.get_task(key("b"), "u") is None

    async def test_of_another_execution_is_a_mistake(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        with pytest.raises(JournalError, match="carries task 't' of default/b"):
            await owner.append(more("a", 1, b"2", tasks=(task("t", of="b"),)))
        assert await journal.get_task(key("b"), "t") is None

    async def test_survives(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(created("a"), more("a", 1, b"2", tasks=(task("t", assignees=("ann",)),)))
        owner.journal = journal = await backend.reopen(journal)
        claimed = task("t", assignees=("ann",), status="Claimed", claimed_by="ann")
        await owner.append(more("a", 2, b"3", tasks=(claimed,)))
        assert await journal.get_task(key("a"), "t") == claimed
        assert await listed(journal, person="ann") == ["t"]
        await journal.close()

    async def test_closed_journal_refuses(self, backend: Any) -> None:
        journal = backend.open()
        await journal.close()
        for call in (
            journal.get_task(key("a"), "t"),
            journal.list_tasks(TaskQuery(namespace="default")),
        ):
            with pytest.raises(JournalError, match="closed"):
                await call


class TestTaskLists:
    """Newest first, page by page, by every filter that is given."""

    @pytest.fixture
    async def owner(self, journal: Journal) -> Owner:
        """With seven tasks of two executions: `t0` is the oldest, `t4` to `t6` of one instant."""
        owner = await Owner.of(journal)
        await owner.append(created("a"), created("b"))
        statuses = ["Completed", "Open", "Failed", "Claimed", "Open", "Canceled", "Open"]
        rows = [
            task(
                f"t{n}",
                of="ab"[n % 2],
                status=status,
                created_at_ms=min(n, 4) * 10,
                definition="order" if n < 3 else "pay",
                assignees=("ann",) if n % 3 == 0 else (),
                candidates=("group:clerks", "bob") if n % 3 == 1 else (),
                claimed_by="ann" if n == 1 else None,
                task_type="intervention" if n in (2, 6) else "human",
            )
            for n, status in enumerate(statuses)
        ]
        for n, each in enumerate(rows):
            await owner.append(more(each.key.execution_id, 1 + n // 2, b"x", tasks=(each,)))
        return owner

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1_000])
    async def test_newest_first_in_pages(self, journal: Journal, owner: Owner, limit: int) -> None:
        assert await listed(journal, limit=limit) == [f"t{n}" for n in range(6, -1, -1)]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": ("Open",)}, "641"),
            ({"status": ("Canceled", "Claimed", "Failed", "Failed")}, "532"),
            ({"execution_id": "a"}, "6420"),
            ({"execution_id": "b", "status": ("Open", "Claimed")}, "31"),
            ({"execution_id": "nobody"}, ""),
            ({"definition": "order"}, "210"),
            ({"definition": "pay", "status": ("Open",)}, "64"),
            ({"person": "ann"}, "6310"),
            ({"person": "ann", "status": ("Open", "Completed")}, "610"),
            ({"person": "ann", "execution_id": "a", "definition": "pay"}, "6"),
            ({"person": "group:clerks"}, "41"),
            ({"person": "bob", "status": ("Open",)}, "41"),
            ({"person": "clerks"}, ""),
            ({"person": "ann", "status": ("Failed",)}, ""),
            ({"task_type": "intervention"}, "62"),
            ({"task_type": "human", "person": "ann", "status": ("Open", "Claimed")}, "31"),
            ({"task_type": "robot"}, ""),
            ({"namespace": "empty"}, ""),
            ({"namespace": "empty", "person": "ann"}, ""),
        ],
        ids=str,
    )
    async def test_filters(
        self, journal: Journal, owner: Owner, query: dict[str, Any], found: str
    ) -> None:
        assert await listed(journal, **query) == [f"t{n}" for n in found]
        asked = TaskQuery(**({"namespace": "default", "limit": 2, "offset": 1} | query), count=True)
        page = await journal.list_tasks(asked)
        assert [each.task_id for each in page.rows] == [f"t{n}" for n in found[1:3]]
        assert page.total == len(found)

    async def test_pages_are_stable_while_tasks_are_added_and_change(
        self, journal: Journal, owner: Owner
    ) -> None:
        first = await journal.list_tasks(TaskQuery(namespace="default", limit=3))
        changed = task("t2", status="Claimed", created_at_ms=99)
        await owner.append(
            more(
                "a",
                5,
                b"x",
                tasks=(task("new", created_at_ms=99), task("tied", created_at_ms=40), changed),
            )
        )
        rest = await journal.list_tasks(
            TaskQuery(namespace="default", limit=9, cursor=first.next_cursor)
        )
        seen = [each.task_id for each in (*first.rows, *rest.rows)]
        assert seen == [f"t{n}" for n in range(6, -1, -1)]

    @pytest.mark.parametrize("wrong", [{"cursor": "x"}, {"limit": 0}, {"limit": 1_001}], ids=str)
    async def test_wrong_pages(self, journal: Journal, wrong: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=next(iter(wrong))):
            await journal.list_tasks(TaskQuery(namespace="default", **wrong))

    async def test_many_in_one_commit(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        rows = [task(f"t{n:03}", assignees=("ann", "bob")) for n in range(300)]
        await owner.append(created("a"), more("a", 1, b"2", tasks=tuple(rows)))
        ended: list[TaskRow] = [
            task(each.task_id, status="Completed", assignees=("ann",)) for each in rows[:299]
        ]
        await owner.append(more("a", 2, b"3", tasks=tuple(ended)))
        assert await listed(journal, person="bob") == ["t299"]
        assert len(await listed(journal, person="ann", limit=1_000)) == 300


class TestGoingOnAfterTheEnd:
    """A terminal status may be left again: nothing that was true of the end stays."""

    async def test_a_retry_restores_everything(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", tags={"k": "v"}), created("b"))
        failed = row(
            "a",
            status="Failed",
            busy=0,
            ended_at_ms=9,
            failure_type="Boom",
            failure_message="it did",
            tags={"k": "v"},
        )
        await owner.append(more("a", 1, b"failed", row=failed))
        assert await self.listed(journal, "Failed") == ["a"]
        again = row("a", run=2, busy=2, wake_at_ms=50, tags={"k": "v"}, awaits=("paid",))
        result = await owner.append(
            more(
                "a",
                2,
                b"retried",
                row=again,
                sent=(message("m"),),
                published=(event("e"),),
                tasks=(task("t"),),
            )
        )
        assert not result.conflicts
        assert await journal.get_row(key("a")) == again
        assert await journal.count_executions() == {"Running": 2}
        assert await self.listed(journal, "Failed") == []
        assert await self.listed(journal, "Running") == ["b", "a"]
        assert await journal.due("0", until_ms=50, limit=9) == [(50, key("a"))]
        busy = await journal.load_busy("0", after=None, limit=9)
        assert [each.row.key.execution_id for each in busy] == ["a", "b"]
        assert await journal.outgoing("0") == [message("m")]

    async def test_a_new_owner_takes_it_over(self, journal: Journal) -> None:
        await (await Owner.of(journal)).append(created("a", status="Failed", busy=0))
        owner = await Owner.of(journal)
        await owner.append(more("a", 1, b"retried", row=row("a")))
        (loaded,) = await journal.load_busy("0", after=None, limit=9)
        assert loaded.events == (b"started", b"retried")
        assert await journal.count_executions() == {"Running": 1}

    async def test_paused_executions_are_listed(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(*(created(id) for id in "abc"))
        await owner.append(*(more(id, 1, b"2", row=row(id, status="Paused")) for id in "ac"))
        assert await self.listed(journal, "Paused") == ["c", "a"]
        assert await journal.count_executions() == {"Running": 1, "Paused": 2}
        await owner.append(more("c", 2, b"3", row=row("c", status="Waiting")))
        assert await self.listed(journal, "Paused") == ["a"]

    async def listed(self, journal: Journal, *status: Any) -> list[str]:
        query = ExecutionQuery(namespace="default", status=status)
        page = await journal.list_executions(query)
        return [each.key.execution_id for each in page.rows]
