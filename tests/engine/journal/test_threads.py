"""The threads in which a journal's calls block."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence

from heliostat.engine.journal.threads import Job, ServiceThread


class Large:
    """What a call brought."""


async def test_a_thread_that_waits_holds_nothing_of_what_it_did() -> None:
    def serve(jobs: Sequence[Job[None]]) -> None:
        for job in jobs:
            job.succeed(job.work(None))

    thread = ServiceThread("test", serve)
    brought = await thread.call(lambda _: Large())
    held = weakref.ref(brought)
    del brought
    async with asyncio.timeout(60):  # the thread lets go a moment after its answer
        while held() is not None:
            await asyncio.sleep(0.001)
            gc.collect()
    thread.close()
