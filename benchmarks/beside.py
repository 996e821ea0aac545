"""W1 and the start of a deployment beside a million finished executions, and beside none.

One Ray for all. A journal is filled, another stays empty; deployments begin on the one and on the
other strictly in turns, and what compares is each on the full one with those before and after it:
so both see the same minutes, and neither ever follows itself.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.chains import chains
from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S
from benchmarks.filling import fill
from heliostat.cluster.ray_connection import start_ray_here
from heliostat.engine.journal.sqlite import open_sqlite

WORKFLOWS = 1_000
WARMING = 200
"""Executions before the first that count: runners start, code is loaded, statements prepared."""
BATCHES = 3
TURNS = 5
"""Deployments on the full journal; on the empty one, one more."""


def finished(count: int) -> dict[str, float]:
    """Medians over the turns, and of the ratios of neighbours."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-bench-"))
    for name in ("empty", "full"):
        asyncio.run(_stored(folder / name, count if name == "full" else 0))
    _, release = start_ray_here(folder, resources={}, dashboard=False)
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    started: dict[str, list[float]] = {"empty": [], "full": []}
    try:
        _turn(folder / "full")  # Ray has its workers, the system its pages
        for name in ("empty", *("full", "empty") * TURNS):
            start_s, rate = _turn(folder / name)
            started[name].append(start_s)
            rates[name].append(rate)
    finally:
        release()
    return {
        "w1_of_empty": _ratio(rates),
        "start_of_empty": _ratio(started),
        "w1_full_per_s": statistics.median(rates["full"]),
        "w1_empty_per_s": statistics.median(rates["empty"]),
        "start_full_s": statistics.median(started["full"]),
        "start_empty_s": statistics.median(started["empty"]),
        "journal_mb": (folder / "full" / "journal").stat().st_size / 1e6,
    }


async def _stored(data_dir: Path, count: int) -> None:
    journal = open_sqlite(data_dir / "journal")
    await fill(journal, count)
    await journal.close()


def _turn(data_dir: Path) -> tuple[float, float]:
    """A deployment's seconds from its begin to its first result, and workflows/s, the median."""
    import heliostat as hs

    begun = time.perf_counter()
    with hs.connect(data_dir) as client:
        definition = client.register(FOLDER / "chain.yaml")
        assert client.start(definition, {"n": 0}).result(timeout=RESULT_TIMEOUT_S) == 3
        start_s = time.perf_counter() - begun
        chains(client, WARMING)
        figures = [chains(client, WORKFLOWS)["workflows_per_s"] for _ in range(BATCHES)]
    return start_s, statistics.median(figures)


def _ratio(of: dict[str, list[float]]) -> float:
    empty = of["empty"]
    neighbours = map(statistics.fmean, itertools.pairwise(empty))
    return statistics.median(
        full / beside for full, beside in zip(of["full"], neighbours, strict=True)
    )
