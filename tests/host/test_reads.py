"""Definitions, histories, lists and views, as clients ask for them."""

from __future__ import annotations

from typing import Any

from heliostat.actors.calls import pack
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.questions import (
    CountRequest,
    DefinitionRequest,
    DefinitionsRequest,
    HistoryPage,
    HistoryRequest,
    answer,
)
from heliostat.engine.journal.protocol import DefinitionRow, ExecutionPage, ExecutionQuery
from tests.host.support import (
    CHAIN,
    HOLD,
    World,
    asked,
    history,
    info_of,
    key_of,
    put,
    row_of,
    start,
    status,
)


class TestDefinitions:
    async def test_same_content_again_is_harmless(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN, CHAIN)
        body = await asked(
            host, host.list_definitions(pack(DefinitionsRequest(namespace="default")))
        )
        rows = answer(body, list[DefinitionRow])
        assert not isinstance(rows, Refusal)
        assert [row.version for row in rows] == ["1"]

    async def test_other_content_under_a_used_version(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        other = row_of(CHAIN.replace("work:b", "work:other"))
        refusal = answer(await asked(host, host.put_definition(pack(other))), DefinitionRow)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "DUPLICATE_ERROR"
        assert "work:other" in refusal.message

    async def test_one_that_no_host_can_run_is_not_stored(self, world: World) -> None:
        from msgspec.structs import replace

        host = world.host()
        broken = replace(row_of(CHAIN), body=b'{"id": "chain"}')
        refusal = answer(await asked(host, host.put_definition(pack(broken))), DefinitionRow)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "INVALID_DEFINITION"
        assert await world.journal.get_definition("default", "chain") is None

    async def test_latest_and_missing(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN, CHAIN.replace('"1"', '"2"'))

        async def get(**fields: Any) -> DefinitionRow | Refusal:
            request = DefinitionRequest(namespace="default", **fields)
            return answer(await asked(host, host.get_definition(pack(request))), DefinitionRow)

        latest = await get(id="chain")
        assert isinstance(latest, DefinitionRow)
        assert latest.version == "2"
        missing = await get(id="chain", version="9")
        assert isinstance(missing, Refusal)
        assert missing.code == "NOT_FOUND"


class TestStatus:
    async def test_of_one_that_runs_names_its_steps(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(host, "chain", ["x"], input={"n": 1})
        view = await status(host, "x")
        assert view.status == "Running"
        assert view.active == (
            {"step": "a", "scope": 1, "visit": 1, "attempt": 1, "phase": "running"},
        )

    async def test_never_tells_what_is_not_durable(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(host, "chain", ["x"], input={"n": 1})
        world.journal.faults = ["unavailable"] * 50
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        await world.clock.until(lambda: world.journal.failed)
        assert (await status(host, "x")).seq == 1
        world.journal.faults = []
        works = host._works
        assert works is not None
        await world.clock.until(lambda: not works.loop.committer.trouble)
        assert (await status(host, "x")).seq == 2


class TestHistory:
    async def test_speaks_of_steps_by_their_ids(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        first, second, *_ = await history(host, "x")
        assert first["type"] == "execution.started"
        assert first["activated"] == [{"scope": 1, "step": "a", "visit": 1, "input": {"n": 1}}]
        assert second["at"] == {"scope": 1, "step": "a", "visit": 1, "attempt": 1}
        assert second["taken"] == [{"from": "a", "to": "b"}]

    async def test_comes_in_pages(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        after: int | None = 0
        seqs = []
        while after is not None:
            request = HistoryRequest(key=key_of("x"), after_seq=after, limit=2)
            page = answer(await asked(host, host.history(pack(request))), HistoryPage)
            assert isinstance(page, HistoryPage)
            seqs += [event["seq"] for event in page.events]
            after = page.next_after_seq
        assert seqs == [1, 2, 3, 4, 5]

    async def test_limit_out_of_bounds(self, world: World) -> None:
        host = world.host()
        request = HistoryRequest(key=key_of("x"), limit=5_000)
        refusal = answer(await asked(host, host.history(pack(request))), HistoryPage)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "INVALID_INPUT"


class TestLists:
    async def test_executions_and_counts(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x", "y"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 2)
        query = ExecutionQuery(namespace="default", definition="chain")
        page = answer(await asked(host, host.list_executions(pack(query))), ExecutionPage)
        assert isinstance(page, ExecutionPage)
        assert {row.key.execution_id for row in page.rows} == {"x", "y"}
        counts = answer(await asked(host, host.count_executions(pack(CountRequest()))), dict)
        assert counts == {"Completed": 2}
