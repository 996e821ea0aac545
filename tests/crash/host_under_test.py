"""A host as a plain process: real SQLite, real runners. Starts its executions, ends when they have.

Run as `python -m tests.crash.host_under_test FOLDER COUNT chain|orders`; prints a line when it
serves and one when all have ended, and then ends the runners, which would otherwise outlive it as
they should.

`chain`: executions for themselves. `orders`: each starts a child, tells the ledger by a signal and
the audit by an event what came of it; ledger and audit write down what they hear, and end when they
have heard of all.
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
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import CountRequest, answer
from heliostat.actors.host.works import Parts
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import CHAIN, row_of

DEPLOYMENT = "crash"


ORDER = """
id: order
version: "1"
steps:
  - id: call
    type: sub_workflow
    workflow: chain
    version: latest
    input: {n: $.input.n}
    next: tell
  - id: tell
    type: decision
    signal: [{execution: ledger, name: paid, data: $.steps.call.output}]
    publish: [{event: order.paid, data: $.steps.call.output}]
"""

HEARS = """
id: {id}
version: "1"
vars: {{seen: []}}
output: $.vars.seen
steps:
  - id: hear
    type: wait
    {what}
    assign: {{seen: {{append: $.output.data}}}}
    next:
      - {{when: "len($.vars.seen) < $.input.count", to: hear}}
      - {{to: end}}
"""

DEFINITIONS = {
    "chain": [CHAIN.replace("work:", "crash_work:")],
    "orders": [
        CHAIN.replace("work:", "crash_work:"),
        ORDER,
        HEARS.format(id="ledger", what="signal: paid"),
        HEARS.format(id="audit", what="event: order.paid"),
    ],
}


def starts(story: str, count: int) -> list[list[StartRequest]]:
    """What is started, those that hear before those that tell."""

    def request(id: str, definition: str, input: object) -> StartRequest:
        return StartRequest(key=ExecutionKey("default", id), definition=definition, input=input)

    if story == "chain":
        return [[request(f"x{n}", "chain", {"n": n}) for n in range(count)]]
    return [
        [request(id, id, {"count": count}) for id in ("ledger", "audit")],
        [request(f"x{n}", "order", {"n": n}) for n in range(count)],
    ]


def executions(story: str, count: int) -> int:
    """How many there are in the end."""
    return count if story == "chain" else 2 * count + 2


async def serve(folder: Path, count: int, story: str) -> None:
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
    for text in DEFINITIONS[story]:
        await host.put_definition(pack(row_of(text)))
    print("serves", flush=True)
    for requests in starts(story, count):
        many = StartMany(client=None, starts=tuple(requests))
        answers = answer(await host.start_many(pack(many)), StartAnswers)
        assert not isinstance(answers, Refusal), answers
        assert not any(isinstance(each, Refusal) for each in answers.answers), answers
    print("started", flush=True)
    while True:
        counts = answer(await host.count_executions(pack(CountRequest())), dict)
        if counts == {"Completed": executions(story, count)}:
            break
        await pause(SystemClock(), 50)
    await pools[0].end_runners()
    await host.drain(b"\x80")
    print("all ended", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
