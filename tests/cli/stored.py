"""A data directory that a host wrote and left: nothing is up in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from heliostat.actors.host.clock import SystemClock
from heliostat.cluster.config import load_configuration
from heliostat.engine.ids import new_id
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import World, info_of, put, start
from tests.host.test_sqlite import until
from tests.http.conftest import HELLO


def with_journal(data: Path, definition: str = HELLO) -> tuple[Path, str]:
    """The directory, and the id of the execution of `hello` that its journal has."""
    settings = load_configuration({"data_dir": data}, directory=data, environment={})
    id = new_id()

    async def write() -> None:
        settings.journal_path.parent.mkdir(parents=True, exist_ok=True)
        journal = open_sqlite(settings.journal_path)
        world = World(journal=journal, clock=SystemClock())
        host = world.host("h0")
        await put(host, definition)
        await start(host, "hello", [id], input={"name": "ann"})
        await until(lambda: info_of(host).ended == 1)
        await host.drain(b"\x80")
        await journal.close()

    asyncio.run(write())
    return data, id
