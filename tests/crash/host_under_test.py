"""A host as a plain process: real SQLite, real runners. Starts its executions, ends when they have.

Run as `python -m tests.crash.host_under_test FOLDER COUNT`; prints a line when it serves and one
when all have ended, and then ends the runners, which would otherwise outlive it as they should.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from heliostat.actors.calls import pack
from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.dispatcher import Dispatcher
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Deliver
from heliostat.actors.host.api import Refusal, StartAnswers, StartMany, StartRequest
from heliostat.actors.host.clock import SystemClock, pause
from heliostat.actors.host.host import ExecutionHost, Parts
from heliostat.actors.host.questions import CountRequest, answer
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import DefinitionRow
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import CHAIN, row_of

DEPLOYMENT = "crash"


def definition() -> DefinitionRow:
    return row_of(CHAIN.replace("work:", "crash_work:"))


async def serve(folder: Path, count: int) -> None:
    pools: list[RunnerPool] = []

    async def open_parts(deliver: Deliver) -> Parts:
        journal = open_sqlite(folder / "journal", deployment_id=DEPLOYMENT)
        pool = RunnerPool(
            ProcessFactory(
                deployment=DEPLOYMENT,
                folder=folder / "sockets",
                blobs=folder / "blobs",
                code=[str(folder)],
                orphan_ms=60_000,
            ),
            deliver,
            deployment=DEPLOYMENT,
            incarnation=host.incarnation,
            bounds=DispatchBounds(runners_max=2),
        )
        pools.append(pool)
        return Parts(journal=journal, dispatch=Dispatcher(pool), compile=plan_of)

    host = ExecutionHost(name="host/0", node="here", open_parts=open_parts)
    host.begin()
    await host.put_definition(pack(definition()))
    print("serves", flush=True)
    many = StartMany(
        client=None,
        starts=tuple(
            StartRequest(key=ExecutionKey("default", f"x{n}"), definition="chain", input={"n": n})
            for n in range(count)
        ),
    )
    answers = answer(await host.start_many(pack(many)), StartAnswers)
    assert not isinstance(answers, Refusal), answers
    assert not any(isinstance(each, Refusal) for each in answers.answers), answers
    print("started", flush=True)
    while True:
        counts = answer(await host.count_executions(pack(CountRequest())), dict)
        if counts == {"Completed": count}:
            break
        await pause(SystemClock(), 50)
    await pools[0].end_runners()
    await host.drain(b"\x80")
    print("all ended", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
