"""Tables from step to step of a deployment whose object store is far too small for them.

    python -m benchmarks.spilling [--count 40] [--bytes 5000000] [--rounds 2] [--json FILE]

Question: what becomes of values that pass by Ray's object store when it is full, and what does
that cost? An execution makes all its tables, then doubles each, then adds each up: twice `count`
tables, five times what the store holds, are named by its history at once. Three deployments take
turns on one Ray: the usual one, whose keeper lets go of what was read longest ago; one that may
keep more than the store holds, so that Ray writes objects to disk; one without objects, where
every table is read from its file. Every sum is checked. Nothing may be lost.

Caveats: files are read from the system's cache, as they are right after they were written; the
disk's `fsync` for each table is in all three, and is most of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S
from heliostat.actors import names
from heliostat.cluster.ray_environment import prepare_loopback

MB = 1_000_000
STORE_BYTES = 80 * MB
"""About the least that Ray takes."""
RUNNERS = 2
WAYS: dict[str, int | None] = {"let go": None, "spilled": 100 * STORE_BYTES, "files": 0}
"""`objects_bytes` of each deployment."""


def sum_of(n: int, size: int) -> float:
    """What the steps make of the n-th table: exact, as its numbers are small."""
    rows = size // 8
    return 2.0 * (n * rows + rows * (rows - 1) // 2)


def measure(temporary: Path, way: str, count: int, size: int) -> dict[str, Any]:
    """One execution on a deployment of its own."""
    import heliostat as hs

    folder = Path(tempfile.mkdtemp(prefix="heliostat-bench-"))
    with hs.connect(folder, runners=RUNNERS, objects_bytes=WAYS[way]) as client:
        definition = client.register(FOLDER / "tables.yaml")
        warm = client.start(definition, {"count": RUNNERS, "bytes": size})
        warm.result(timeout=RESULT_TIMEOUT_S)
        begun = time.perf_counter()
        sums = client.start(definition, {"count": count, "bytes": size}).result(
            timeout=RESULT_TIMEOUT_S
        )
        seconds = time.perf_counter() - begun
        figures = keeper_figures()
        spilled = (
            spilled_bytes(temporary) if figures else 0
        )  # without a keeper nobody's but the last
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "way": way,
        "seconds": round(seconds, 1),
        "wrong": sum(got != sum_of(n, size) for n, got in enumerate(sums)),
        "tables_mb": round(2 * count * size / MB),
        "found": figures.get("found", 0),
        "missed": figures.get("missed", 0),
        "evicted": figures.get("evicted", 0),
        "kept_mb": round(figures.get("bytes", 0) / MB),
        "spilled_mb": round(spilled / MB),
        "load": round(os.getloadavg()[0], 1),
    }


def keeper_figures() -> dict[str, int]:
    """Of the only keeper there is; empty without one."""
    for each in ray.util.list_named_actors(all_namespaces=True):
        if each["namespace"] == names.NAMESPACE and each["name"].endswith("/objects"):
            keeper = ray.get_actor(each["name"], namespace=names.NAMESPACE)
            found: dict[str, int] = ray.get(keeper.figures.remote())
            return found
    return {}


def spilled_bytes(temporary: Path) -> int:
    """What Ray has on disk of objects for which its store has no room."""
    files = (path for path in temporary.rglob("ray_spilled_objects*/**/*") if path.is_file())
    return sum(path.stat().st_size for path in files)


@contextmanager
def small_ray() -> Iterator[Path]:
    """A Ray with a small object store; its folder."""
    prepare_loopback()
    temporary = Path(tempfile.mkdtemp(prefix="hr-"))
    ray.init(
        address="local",
        num_cpus=RUNNERS + 1,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=STORE_BYTES,
        _temp_dir=str(temporary),
    )
    try:
        yield temporary
    finally:
        ray.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spilling", description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="tables, each twice (default 40)")
    parser.add_argument("--bytes", type=int, default=5 * MB, help="of each (default 5,000,000)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way (default 2)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    figures = []
    with small_ray() as temporary:
        for _ in range(options.rounds):
            for way in WAYS:
                figures.append(measure(temporary, way, options.count, options.bytes))
                print(figures[-1], flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if any(each["wrong"] for each in figures):
        raise SystemExit("a table was lost or wrong")


if __name__ == "__main__":
    main()
