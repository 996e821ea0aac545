"""What a broken way to the journal means; that the way keeps the port's promises is shown by the
conformance suite, in which it is a backend."""

from __future__ import annotations

import pytest

from heliostat.actors.dedicated.remote_journal import JournalDoor, NotAsked, open_remote
from heliostat.engine.errors import JournalError, JournalUnavailable, OutcomeUnknown
from heliostat.engine.journal.memory import MemoryJournal


class Way:
    """Calls a door; what `fault` says happens to the next call."""

    def __init__(self) -> None:
        self.near = MemoryJournal(deployment_id="d-1", shard_count=4)
        self.door = JournalDoor(self.near)
        self.fault = ""

    async def __call__(self, body: bytes) -> bytes:
        fault, self.fault = self.fault, ""
        if fault == "not asked":
            raise NotAsked("there is no such actor")
        answered = await self.door.answer(body)
        if fault == "answer lost":
            raise ConnectionError("the process ended")
        return answered


async def test_what_a_journal_knows_about_itself_is_asked_once_at_the_opening() -> None:
    way = Way()
    journal = await open_remote(way)
    assert journal.info == way.near.info
    way.fault = "not asked"
    with pytest.raises(JournalUnavailable, match="no such actor"):
        await open_remote(way)


async def test_an_append_that_surely_did_not_leave_is_unavailable_and_nothing_is_stored() -> None:
    way = Way()
    journal = await open_remote(way)
    way.fault = "not asked"
    with pytest.raises(JournalUnavailable):
        await journal.append([])


async def test_an_append_whose_answer_is_lost_has_an_unknown_outcome() -> None:
    way = Way()
    journal = await open_remote(way)
    way.fault = "answer lost"
    with pytest.raises(OutcomeUnknown):
        await journal.append([])


async def test_a_claim_whose_answer_is_lost_is_found_by_looking() -> None:
    way = Way()
    journal = await open_remote(way)
    way.fault = "answer lost"
    with pytest.raises(JournalUnavailable):
        await journal.claim("execution:default/a", owner="me", after_epoch=0)
    rows = {row.shard: row for row in await journal.shards()}
    assert rows["execution:default/a"].owner == "me"


async def test_a_way_that_is_closed_is_no_way_and_the_journal_stays_open() -> None:
    way = Way()
    journal = await open_remote(way)
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.owners()
    assert await way.near.owners() == []
