"""Which host serves an execution, as far as one client knows; asks nobody.

Any host tells its `Directory`: which host has which shard. What is known here may be old: a host
that is asked and does not have the execution names the one that does (`learn`), and one that is
gone makes the client ask another for a new directory. So being wrong costs a call, never an answer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from heliostat.actors.host.questions import Directory
from heliostat.engine.identity import ExecutionKey, shard_of

ALONE_MAX: Final = 10_000
"""Executions remembered that have an actor of their own; of the others only the shard is."""


class Routes:
    """Safe to use from any thread."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._names = tuple(names)
        self._shard_count = 0  # unknown
        self._shards: dict[str, str] = {}
        self._alone: OrderedDict[ExecutionKey, str] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        """Every host that is known, living or not."""
        return self._names

    @property
    def known(self) -> bool:
        """Whether it is known who has which shard; with one host there is nothing to know."""
        return bool(self._shard_count) or len(self._names) == 1

    def of(self, key: ExecutionKey) -> str:
        """Whom to ask about an execution."""
        with self._lock:
            alone = self._alone.get(key)
            if alone is not None:
                return alone
            if not self._shard_count:
                return self._names[0]
            return self._shards.get(shard_of(key, self._shard_count), self._names[0])

    def replace(self, directory: Directory) -> None:
        """A host told who has what."""
        with self._lock:
            told = dict.fromkeys((*directory.hosts, *directory.shards.values()))
            # Those not told of are kept behind them: they may be back when all of these are gone.
            self._names = tuple(dict.fromkeys((*sorted(told), *self._names)))
            self._shard_count, self._shards = directory.shard_count, dict(directory.shards)

    def learn(self, key: ExecutionKey, owner: str) -> None:
        """A host that was asked named the one that has the execution."""
        with self._lock:
            if self._shard_count and owner in self._names:
                self._shards[shard_of(key, self._shard_count)] = owner
                self._alone.pop(key, None)
                return
            self._alone[key] = owner
            self._alone.move_to_end(key)
            if len(self._alone) > ALONE_MAX:
                self._alone.popitem(last=False)

    def gone(self, name: str) -> None:
        """It does not answer: ask the owner of the shard about what it had for itself."""
        with self._lock:
            for key in [key for key, owner in self._alone.items() if owner == name]:
                del self._alone[key]
