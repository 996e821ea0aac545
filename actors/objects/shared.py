"""A blob store whose large objects also lie in Ray's object store, where a node's processes share
them.

What is written goes into its file first, as ever; beside that its bytes are copied into shared
memory by a thread, and the keeper is told. Nothing waits for that. What is read is looked for in
this process, then asked from the keeper, both within bounds, and read from its file where there is
no object, or none in time. Either way it is the same bytes, and what is made of them reads them
where they lie: so tables and arrays are read-only.

The writing process owns the object, as Ray has it: when it ends the object goes, and the next
reader offers the bytes anew.
"""

from __future__ import annotations

import logging
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any, Final, TypeAlias

from heliostat.engine.journal.protocol import BlobStore
from heliostat.engine.values import Encoding, Reference

from .keeper import ObjectsSettings, create_keeper, find_keeper

_log = logging.getLogger(__name__)

Content: TypeAlias = Any
"""Anything with the buffer interface: `bytes` of a file, or a view of shared memory."""

SHARED_BYTES_MIN: Final = 1024 * 1024
"""Asking the keeper and Ray takes 2 ms; a file of this size that the system has in memory is read
in a third of that. Above it the copies that each process would hold begin to count."""

FIND_S: Final = 0.5
"""How long the keeper may take to answer; a busy machine's takes 20 ms."""

GET_S: Final = 1.0
GET_BYTES_PER_S: Final = 100_000_000
"""How long an object may take to arrive, with its size: from another node, or from Ray's disk."""

REST_S: Final = 5.0
"""After a failure neither keeper nor objects are asked for so long: each step would wait."""

KEEPER_LOOK_S: Final = 1.0
"""Between two looks for a keeper that does not exist; there is none before the first object."""

WAITING_MAX: Final = 4
"""Objects to be copied; further ones are left out, so that they do not pile up in memory."""


class SharedBlobs:
    """Keeps the `BlobStore` contract of the store below it, and adds `put_shared` and `view`."""

    def __init__(self, blobs: BlobStore, settings: ObjectsSettings | None) -> None:
        self._blobs, self._settings = blobs, settings
        self._latest: tuple[str, Content] | None = None
        self._keeper: Any = None
        self._looked_at = self._rests_until = float("-inf")
        self._waiting: Queue[tuple[str, bytes]] = Queue(WAITING_MAX)
        self._copying: threading.Thread | None = None
        self.shared_reads = self.file_reads = 0
        """Of objects large enough to be shared."""

    # as the store below

    def put(self, namespace: str, content: bytes) -> str:
        return self._blobs.put(namespace, content)

    def get(self, name: str) -> bytes:
        return self._blobs.get(name)

    def exists(self, name: str) -> bool:
        return self._blobs.exists(name)

    def aged(self, *, older_than_s: float) -> Iterator[Sequence[str]]:
        return self._blobs.aged(older_than_s=older_than_s)

    def delete(self, names: Sequence[str], *, older_than_s: float) -> int:
        """As the store below; what is gone there is given up as an object too."""
        count = self._blobs.delete(names, older_than_s=older_than_s)
        keeper = self._the_keeper() if count else None
        if keeper is not None:
            keeper.forget.remote(*(name for name in names if not self._blobs.exists(name)))
        return count

    # shared

    def put_shared(self, namespace: str, content: bytes) -> str:
        """Store; in time the bytes are in shared memory too."""
        name = self._blobs.put(namespace, content)
        self._offer(name, content)
        return name

    def view(self, reference: Reference) -> Content:
        """The bytes that a reference stands for, read-only.

        Raises:
            NotFound: the blob is gone.
        """
        name = reference.blob
        if not _is_shared(reference.encoding, reference.bytes):
            return self._blobs.get(name)
        if self._latest is not None and self._latest[0] == name:
            return self._latest[1]
        content = self._find(reference)
        if content is not None:
            self.shared_reads += 1
            self._latest = (name, content)
            return content
        self.file_reads += 1
        read = self._blobs.get(name)
        self._offer(name, read)
        return read

    def _find(self, reference: Reference) -> Content | None:
        keeper = self._the_keeper()
        if keeper is None:
            return None
        import ray

        try:
            found = ray.get(keeper.find.remote(reference.blob), timeout=FIND_S)
        except ray.exceptions.RayError as error:
            self._rest("the keeper of objects does not answer", error)
            return None
        if not found:
            return None
        try:
            content = ray.get(found[0], timeout=GET_S + reference.bytes / GET_BYTES_PER_S)
        except ray.exceptions.ObjectLostError as error:  # its node, or its owner, is gone
            _log.info("the object of %s is lost: %s", reference.blob, type(error).__name__)
            keeper.forget.remote(reference.blob)
            return None
        except ray.exceptions.RayError as error:
            self._rest(f"the object of {reference.blob} does not come", error)
            return None
        return content

    def _the_keeper(self) -> Any | None:
        now = time.monotonic()
        if self._settings is None or now < self._rests_until or not _in_ray():
            return None
        if self._keeper is None and now - self._looked_at >= KEEPER_LOOK_S:
            self._looked_at = now
            self._keeper = find_keeper(self._settings)
        return self._keeper

    def _rest(self, what: str, error: Exception) -> None:
        _log.warning("%s (%s); blobs are read instead", what, type(error).__name__)
        self._rests_until = time.monotonic() + REST_S
        self._keeper = None

    # the thread that copies

    def _offer(self, name: str, content: bytes) -> None:
        if self._settings is None or len(content) < SHARED_BYTES_MIN or not _in_ray():
            return
        try:
            self._waiting.put_nowait((name, content))
        except Full:
            return
        if self._copying is None:
            self._copying = threading.Thread(
                target=self._copy_forever, name="heliostat-objects", daemon=True
            )
            self._copying.start()

    def _copy_forever(self) -> None:
        while True:
            name, content = self._waiting.get()
            try:
                self._copy(name, content)
            except Exception as error:  # noqa: BLE001  # a cache: whatever Ray raises costs a file read
                _log.warning("%s is not shared: %s", name, error)
                time.sleep(REST_S)
                self._forget_waiting()

    def _copy(self, name: str, content: bytes) -> None:
        assert self._settings is not None
        import ray

        if self._keeper is None:
            self._keeper = create_keeper(self._settings)
        # Out of band: Ray copies the bytes once, and readers get a view of them.
        reference = ray.put(pickle.PickleBuffer(content))
        self._keeper.keep.remote(name, [reference], len(content))

    def _forget_waiting(self) -> None:
        try:
            while True:
                self._waiting.get_nowait()
        except Empty:
            pass


def _is_shared(encoding: Encoding, size: int) -> bool:
    return encoding != "json" and size >= SHARED_BYTES_MIN


def _in_ray() -> bool:
    """Whether this process is part of a Ray; a runner may be a plain process."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()
