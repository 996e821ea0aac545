"""The keeper: which of Ray's objects holds the bytes of which blob, up to a bound.

It never looks into an object and never fetches one: it holds references, and as long as it does
Ray keeps what they stand for. What was asked for longest ago goes first. It may be killed at any
instant: a new life knows nothing, and steps read blobs until objects are offered again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from heliostat.actors import names
from heliostat.actors.detached import detached

SHARE: Final = 0.2
"""Of a node's object store, where no bound is set: the rest is the users' own, and Ray's."""


class ObjectsSettings(Struct, frozen=True, kw_only=True):
    """Where a deployment's objects are known."""

    keeper: str
    """The actor's name. Whoever first has an object to keep creates it."""
    bytes: int | None = None
    """That all kept objects may take together; None: `SHARE` of a node's object store."""
    node_resource: str | None = None


class ObjectKeeper:
    """References by the name of the blob they stand for; the one used last is last."""

    def __init__(self, bytes_max: int | None) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, tuple[Sequence[Any], int]] = OrderedDict()
        self._bytes = 0
        self._found = self._missed = self._evicted = 0

    def keep(self, name: str, references: Sequence[Any], bytes: int) -> None:
        """Hold the reference in the list, unless there is one for the name, or no room for it."""
        if self._bytes_max is None:
            self._bytes_max = _share_of_a_node()
        if name in self._kept or bytes > self._bytes_max:
            return
        self._kept[name] = (references, bytes)
        self._bytes += bytes
        while self._bytes > self._bytes_max:
            _, (_, freed) = self._kept.popitem(last=False)
            self._bytes -= freed
            self._evicted += 1

    def find(self, name: str) -> Sequence[Any]:
        """A list with the reference, or an empty one."""
        kept = self._kept.get(name)
        if kept is None:
            self._missed += 1
            return ()
        self._kept.move_to_end(name)
        self._found += 1
        return kept[0]

    def forget(self, *names: str) -> None:
        """The objects turned out to be lost, or nobody names their blobs any more."""
        for name in names:
            kept = self._kept.pop(name, None)
            if kept is not None:
                self._bytes -= kept[1]

    def figures(self) -> dict[str, int]:
        """What it holds, and how often it could help."""
        return {
            "objects": len(self._kept),
            "bytes": self._bytes,
            "found": self._found,
            "missed": self._missed,
            "evicted": self._evicted,
        }


def _share_of_a_node() -> int:
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    stores = [node["Resources"].get("object_store_memory", 0.0) for node in nodes]
    return int(SHARE * max(stores, default=0.0))


def find_keeper(settings: ObjectsSettings) -> Any | None:
    """The keeper's handle, also while it restarts; None when there is none."""
    import ray

    try:
        return ray.get_actor(settings.keeper, namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None


def create_keeper(settings: ObjectsSettings) -> Any:
    """The keeper, created if there is none; it outlives whoever created it."""
    actor = detached(ObjectKeeper, settings.keeper, calls=1, pin=settings.node_resource)
    return actor.remote(settings.bytes)
