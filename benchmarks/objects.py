"""A table from step to step: by Ray's object store, and by its file.

Question: what does a step wait for until it has the table that the step before returned, and how
much memory of its own does that take? Two processes as runners have them, below hosts: the first
writes, the second reads; both ways in the same run. Then a chain of steps passes more than the
object store holds, so that Ray spills or the keeper lets go.

    python -m benchmarks.objects [--json FILE]

Caveats: files are read from the system's cache, as they are right after they were written; from a
file system that nodes share they come over the network.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from heliostat.actors.objects.keeper import ObjectsSettings, find_keeper
from heliostat.actors.objects.shared import SharedBlobs
from heliostat.actors.runner.encoding import encode
from heliostat.actors.runner.objects import read
from heliostat.cluster.ray_environment import prepare_loopback
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.values import Reference, decoder

MB = 1_000_000
SIZES = (2 * MB, 8 * MB, 25 * MB, 100 * MB)
TIMES = 5
STORE_BYTES = 600 * MB
SMALL_STORE_BYTES = 80 * MB
CHAIN = 80
"""Steps of the chain, each with a table of 5 MB: 400 MB through a store of 80."""


class Process:
    """A runner's way to its blobs."""

    def __init__(self, blobs: str, settings: ObjectsSettings | None) -> None:
        self._store = SharedBlobs(FileBlobStore(Path(blobs)), settings)
        self._got: Any = None

    def write(self, size: int, seed: int) -> tuple[Any, float]:
        table = pa.table({"n": np.full(size // 8, float(seed))})
        began = time.perf_counter()
        packed = encode(table, namespace="default", blobs=self._store).packed
        took_s = time.perf_counter() - began
        reference = decoder().decode(packed)
        return (reference.blob, reference.encoding, reference.bytes), took_s

    def read(self, reference: Any) -> dict[str, Any]:
        self._got = self._store._latest = None
        shared, before = self._store.shared_reads, _private_bytes()
        began, cpu = time.perf_counter(), time.process_time()
        self._got = read(Reference(*reference), self._store)
        return {
            "ms": (time.perf_counter() - began) * 1e3,
            "cpu_ms": (time.process_time() - cpu) * 1e3,
            "private_mb": max(0.0, (_private_bytes() - before) / MB),
            "shared": self._store.shared_reads - shared,
        }

    def next(self, reference: Any, size: int, seed: int) -> tuple[Any, dict[str, Any]]:
        """A step of the chain: reads the table before, and writes one of its own."""
        told = self.read(reference)
        assert self._got["n"][0].as_py() == float(seed - 1)
        return self.write(size, seed)[0], told


def _private_bytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("Private_Dirty:")]
    return int(line.split()[1]) * 1024


def _median(reads: list[dict[str, Any]]) -> dict[str, float]:
    names = ("ms", "cpu_ms", "private_mb")
    middle = {name: sorted(each[name] for each in reads)[len(reads) // 2] for name in names}
    return {name: round(value, 2) for name, value in middle.items()}


class Deployment:
    """A Ray of its own, and processes that share a folder of blobs."""

    def __init__(self, store_bytes: int, bytes_max: int | None) -> None:
        prepare_loopback()
        self._temporary = tempfile.mkdtemp(prefix="hr-")
        self._folder = tempfile.mkdtemp(prefix="hb-")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=store_bytes,
            _temp_dir=self._temporary,
        )
        self.settings = ObjectsSettings(keeper="heliostat/bench/1/objects", bytes=bytes_max)

    def process(self, *, shares: bool = True) -> Any:
        settings = self.settings if shares else None
        return ray.remote(num_cpus=0)(Process).remote(self._folder, settings)

    def figures(self) -> dict[str, int]:
        keeper = find_keeper(self.settings)
        found: dict[str, int] = {} if keeper is None else ray.get(keeper.figures.remote())
        return found

    def kept(self) -> int:
        """Objects that were offered so far."""
        figures = self.figures()
        return figures.get("objects", 0) + figures.get("evicted", 0)

    def until_kept(self, count: int) -> None:
        end = time.monotonic() + 60
        while self.kept() < count:
            assert time.monotonic() < end, "nothing is offered"
            time.sleep(0.02)

    def close(self) -> None:
        ray.shutdown()
        shutil.rmtree(self._temporary, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def both_ways() -> dict[str, Any]:
    """Medians by size: written, read as a shared object, read from its file."""
    deployment = Deployment(STORE_BYTES, 2 * SIZES[-1])
    writer, reader = deployment.process(), deployment.process()
    file_writer, file_reader = (deployment.process(shares=False) for _ in range(2))
    result, seed = {}, 0
    for size in SIZES:
        written, file_written, shared, files = [], [], [], []
        for _ in range(TIMES):
            seed += 2
            before = deployment.kept()
            reference, took_s = ray.get(writer.write.remote(size, seed))
            written.append(took_s * 1e3)
            deployment.until_kept(before + 1)
            told = ray.get(reader.read.remote(reference))
            assert told["shared"] == 1
            shared.append(told)
            other, took_s = ray.get(file_writer.write.remote(size, seed + 1))
            file_written.append(took_s * 1e3)
            files.append(ray.get(file_reader.read.remote(other)))
        by_object, by_file = _median(shared), _median(files)
        result[f"{size // MB} MB"] = {
            "written_ms": round(sorted(written)[TIMES // 2], 1),
            "written_without_objects_ms": round(sorted(file_written)[TIMES // 2], 1),
            "read_by_object": by_object,
            "read_by_file": by_file,
            "file_to_object": round(by_file["ms"] / by_object["ms"], 2),
        }
    deployment.close()
    return result


def small_store(bytes_max: int | None) -> dict[str, Any]:
    """A chain whose tables together are five times what the store holds."""
    deployment = Deployment(SMALL_STORE_BYTES, bytes_max)
    steps = [deployment.process() for _ in range(2)]
    size = 400 * MB // CHAIN
    reference, _ = ray.get(steps[0].write.remote(size, 0))
    references, reads, began = [reference], [], time.perf_counter()
    for seed in range(1, CHAIN):
        reference, told = ray.get(steps[seed % 2].next.remote(reference, size, seed))
        references.append(reference)
        reads.append(told)
    took_s = time.perf_counter() - began
    again = [ray.get(steps[n % 2].read.remote(each)) for n, each in enumerate(references)]
    figures = deployment.figures()
    spilled = sum(
        path.stat().st_size
        for path in Path(deployment._temporary).rglob("*")
        if "spill" in str(path) and path.is_file()
    )
    deployment.close()
    return {
        "steps_s": round(took_s, 2),
        "read_by_object": sum(each["shared"] for each in reads),
        "read_by_file": sum(not each["shared"] for each in reads),
        "all_again_by_object": sum(each["shared"] for each in again),
        "all_again_by_file": sum(not each["shared"] for each in again),
        "read_ms_max": round(max(each["ms"] for each in reads + again), 1),
        "evicted": figures.get("evicted", 0),
        "spilled_mb": round(spilled / MB, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there too")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for name, measured in (
        ("both_ways", both_ways),
        ("chain_bound_by_the_keeper", lambda: small_store(None)),
        ("chain_that_spills", lambda: small_store(1_000 * MB)),
    ):
        result[name] = measured()
        print(name, result[name], flush=True)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
