"""Processes with a way to blobs and objects, as runners and launched tasks have it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import ray

from heliostat.actors.objects.keeper import ObjectsSettings, find_keeper
from heliostat.actors.objects.shared import SharedBlobs
from heliostat.actors.runner.encoding import encode
from heliostat.actors.runner.objects import read
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.values import Reference, decoder

MB: Final = 1_000_000


class Process:
    """A process with a way to blobs, as a runner's and a launched task's."""

    def __init__(self, blobs: str, settings: ObjectsSettings) -> None:
        self._store = SharedBlobs(FileBlobStore(Path(blobs)), settings)
        self._got: Any = None

    def pid(self) -> int:
        return os.getpid()

    def write(self, kind: str, size: int, seed: int = 0) -> Any:
        numbers = np.full(size // 8, float(seed))
        value: Any = {
            "array": lambda: numbers,
            "table": lambda: pa.table({"n": numbers}),
            "frame": lambda: pd.DataFrame({"n": numbers, "m": numbers}),
            "json": lambda: ["x" * 1_000] * (size // 1_000),
        }[kind]()
        packed = encode(value, namespace="default", blobs=self._store).packed
        reference = decoder().decode(packed)
        return reference.blob, reference.encoding, reference.bytes

    def read(self, reference: Any) -> dict[str, Any]:
        """Keeps what it reads; says how it came, and how much memory of its own that took."""
        shared, files = self._store.shared_reads, self._store.file_reads
        self._got = self._store._latest = None
        before, began = private_bytes(), time.perf_counter()
        self._got = read(Reference(*reference), self._store)
        took_s = time.perf_counter() - began
        return {
            "shared": self._store.shared_reads - shared,
            "files": self._store.file_reads - files,
            "private": private_bytes() - before,
            "s": took_s,
        }

    def total(self) -> float:
        if isinstance(self._got, np.ndarray):
            return float(self._got.sum())
        return float(self._got["n"].to_numpy().sum())

    def end(self) -> None:
        os._exit(1)


def private_bytes() -> int:
    """Memory that no other process shares."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")


class Deployment:
    """A keeper and processes that share a folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.settings = ObjectsSettings(keeper=f"heliostat/{folder.name}/1/objects", bytes=150 * MB)
        self._folder = folder
        self.made: list[Any] = []

    def process(self, **options: Any) -> Any:
        made = ray.remote(num_cpus=0)(Process).options(**options)
        actor = made.remote(str(self._folder), self.settings)
        self.made.append(actor)
        return actor

    @property
    def keeper(self) -> Any:
        return find_keeper(self.settings)

    def figures(self) -> dict[str, int]:
        keeper = self.keeper
        found: dict[str, int] = {} if keeper is None else ray.get(keeper.figures.remote())
        return found

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.02)

    def kept(self, process: Any, kind: str, size: int, seed: int = 0) -> Any:
        """A written value whose object the keeper has by now."""
        before = self.figures().get("objects", 0)
        reference = ray.get(process.write.remote(kind, size, seed))
        self.until(lambda: self.figures().get("objects", 0) > before)
        return reference

    def end(self) -> None:
        """Kill them all."""
        for actor in [*self.made, self.keeper]:
            if actor is not None:
                ray.kill(actor)
