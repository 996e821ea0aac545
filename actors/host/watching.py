"""Who watches which executions: one entry for each, since a sleeper is watched for weeks.

Almost every execution is watched by one client, so all that a client watches alone share one tuple,
and a namespace is one text however many calls brought it: some 250 bytes an execution, the half of
which is its id.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from heliostat.engine.identity import ExecutionKey

C = TypeVar("C", bound=Hashable)


class Watchers(Generic[C]):
    """Executions with those who watch them."""

    def __init__(self) -> None:
        self._of: dict[ExecutionKey, tuple[C, ...]] = {}
        self._alone: dict[C, tuple[C]] = {}
        self._counts: dict[C, int] = {}

    def __iter__(self) -> Iterator[ExecutionKey]:
        return iter(self._of)

    def count(self, client: C) -> int:
        """How many executions a client watches."""
        return self._counts.get(client, 0)

    def of(self, key: ExecutionKey) -> tuple[C, ...]:
        """Those who watch an execution."""
        return self._of.get(key, ())

    def add(self, client: C, key: ExecutionKey) -> None:
        """Watching twice is watching."""
        others = self._of.get(key)
        if others is None:
            key = ExecutionKey(sys.intern(key.namespace), key.execution_id)
            self._of[key] = self._alone.setdefault(client, (client,))
        elif client not in others:
            self._of[key] = (*others, client)
        else:
            return
        self._counts[client] = self.count(client) + 1

    def remove(self, client: C, key: ExecutionKey) -> None:
        """One client watches an execution no more."""
        clients = self.of(key)
        if client in clients:
            self._keep(key, tuple(each for each in clients if each is not client))
            self._subtract(client)

    def take(self, key: ExecutionKey) -> tuple[C, ...]:
        """Those who watched an execution; nobody does from here on."""
        clients = self._of.pop(key, ())
        for client in clients:
            self._subtract(client)
        return clients

    def take_all(self, is_meant: Callable[[ExecutionKey], bool]) -> set[C]:
        """Those who watched any such execution; nobody does from here on."""
        keys = [key for key in self._of if is_meant(key)]
        return {client for key in keys for client in self.take(key)}

    def forget(self, clients: set[C]) -> None:
        """These watch nothing any more."""
        if not any(self.count(client) for client in clients):
            return
        for key, those in list(self._of.items()):
            if not clients.isdisjoint(those):
                self._keep(key, tuple(each for each in those if each not in clients))
        for client in clients:
            self._alone.pop(client, None)
            self._counts.pop(client, None)

    def _keep(self, key: ExecutionKey, clients: tuple[C, ...]) -> None:
        if not clients:
            del self._of[key]
        else:
            self._of[key] = (
                self._alone.setdefault(clients[0], clients[:1]) if len(clients) == 1 else clients
            )

    def _subtract(self, client: C) -> None:
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]
            self._alone.pop(client, None)
