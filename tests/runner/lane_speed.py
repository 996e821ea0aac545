"""How fast a lane is: `python -m tests.runner.lane_speed [--calls]`, on an idle machine.

One runner, tiny steps. Alone: one after another, the milliseconds there and back. Many: as fast as
they go, items a second and the host's CPU for each. With `--calls` the runner is an actor of a Ray
started for it, reached by Ray calls as one of another node is.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Assignment, Noticed, Report, StepCode
from heliostat.engine.identity import Address, ExecutionKey

ALONE: Final = 500
MANY: Final = 50_000


class Ears:
    """Counts reports, and acknowledges them as a host does."""

    def __init__(self) -> None:
        self.count, self.goal = 0, 0
        self.pool: RunnerPool | None = None
        self.reached = asyncio.Event()

    def take(self, reports: Sequence[Report]) -> None:
        ends = [(each.key, each.at) for each in reports if not isinstance(each, Noticed)]
        assert self.pool is not None
        self.pool.acknowledge(ends)
        self.count += len(ends)
        if self.count >= self.goal:
            self.reached.set()

    async def hear(self, more: int) -> None:
        self.goal = self.count + more
        self.reached.clear()
        await self.reached.wait()


def attempts(first: int, count: int) -> list[Assignment]:
    code = StepCode(key="tiny", step_id="tiny", target="speed_steps:tiny", code=None)
    return [
        Assignment(
            key=ExecutionKey("default", f"e{first + number}"),
            at=Address(1, 0, 1, 1),
            code=code,
            input={"x": number},
            **({"path_ms": 1_000 * (1 + number % 3)} if "path_ms" in FIELDS else {}),
        )
        for number in range(count)
    ]


FIELDS: Final = Assignment.__struct_fields__


async def measure(factory: Any, again: Any | None) -> None:
    """Alone and many; through `again`, another factory that finds the first one's runner."""
    ears = Ears()

    def open_pool(made: Any, incarnation: str) -> RunnerPool:
        bounds = DispatchBounds(runners_max=1)
        return RunnerPool(
            made, ears.take, deployment="speed", incarnation=incarnation, bounds=bounds
        )

    pool = ears.pool = open_pool(factory, "a")
    pool.start()
    pool.send(attempts(0, 1_000))
    await ears.hear(1_000)
    if again is not None:
        await asyncio.sleep(0.1)
        await pool.close()
        pool = ears.pool = open_pool(again, "b")
        await pool.recover()
        await asyncio.sleep(0.5)
    alone = []
    for number in range(ALONE):
        began = time.perf_counter()
        pool.send(attempts(10_000 + number, 1))
        await ears.hear(1)
        alone.append((time.perf_counter() - began) * 1_000)
    print(
        f"alone: {statistics.median(alone):.3f} ms, p99 {sorted(alone)[int(ALONE * 0.99)]:.3f} ms"
    )
    work = attempts(100_000, MANY)
    began, cpu = time.perf_counter(), time.process_time()
    pool.send(work)
    await ears.hear(MANY)
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"many: {MANY / spent:,.0f} items/s, {cpu / MANY * 1e6:.1f} µs of the host's CPU each")
    await pool.end_runners()
    await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", action="store_true", help="by Ray calls, not over a socket")
    calls = parser.parse_args().calls
    folder = Path(tempfile.mkdtemp(prefix="hs-"))
    source = "def tiny(x=0):\n    return {'x': x + 1}\n"
    (folder / "speed_steps.py").write_text(textwrap.dedent(source))
    try:
        if not calls:
            made = ProcessFactory(
                deployment="speed", folder=folder / "s", blobs=folder / "b", code=[str(folder)]
            )
            asyncio.run(measure(made, None))
            return
        asyncio.run(_with_ray(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _with_ray(folder: Path) -> None:
    import ray

    from heliostat.actors.runner.factory import RayRunnerFactory
    from heliostat.cluster.ray_environment import prepare_loopback

    prepare_loopback()
    temporary = tempfile.mkdtemp(prefix="hr-")
    ray.init(address="local", num_cpus=2, include_dashboard=False, _temp_dir=temporary)
    try:
        factories = [
            RayRunnerFactory(
                deployment="speed",
                generation=1,
                environments=folder / "e",
                folder=folder / sockets,
                blobs=folder / "b",
                code=[str(folder)],
            )
            for sockets in ("s", "t")
        ]
        await measure(*factories)
    finally:
        ray.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
