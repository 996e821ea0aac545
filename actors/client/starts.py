"""Starts on their way to the hosts: in bounded batches, each repeated until every item is settled.

A batch whose answer never came is sent again with the same ids, and so are the items that a full
host refused; what had been stored is answered as existing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.refusals import to_error
from heliostat.actors.client.stream import End, ResultStream
from heliostat.actors.host.api import Refusal, StartAnswers, StartMany, StartRequest
from heliostat.engine.errors import HeliostatError, Overloaded
from heliostat.engine.identity import ExecutionKey

BATCH_ITEMS: Final = 1_000
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Of one call: more would only wait in the host's queue, and hold up other clients' calls."""

_PAUSE_MAX_S: Final = 5.0

Accepted: TypeAlias = tuple[ExecutionKey, End]


class Starter:
    """Sends the starts of one client."""

    def __init__(
        self, hosts: Hosts, stream: ResultStream, client_id: str, *, full_timeout_s: float = 30.0
    ) -> None:
        self._hosts, self._stream, self._client_id = hosts, stream, client_id
        self._full_timeout_s = full_timeout_s

    def start(self, requests: Iterable[StartRequest]) -> list[Accepted | HeliostatError]:
        """Per request, in order: the execution and its end to come, or why it was refused."""
        settled: list[Accepted | HeliostatError] = []
        for batch in _batches(requests):
            settled += self._start_batch(batch)
        return settled

    def _start_batch(self, batch: Sequence[StartRequest]) -> list[Accepted | HeliostatError]:
        keys = [request.key for request in batch]
        ends = self._stream.expect(keys)
        refused: dict[ExecutionKey, HeliostatError] = {}
        try:
            self._send(list(batch), refused)
        except BaseException:
            self._stream.drop(keys)  # whether they exist is unknown: `get` finds out
            raise
        self._stream.drop(refused)
        return [refused.get(key) or (key, ends[key]) for key in keys]

    def _send(
        self, waiting: list[StartRequest], refused: dict[ExecutionKey, HeliostatError]
    ) -> None:
        """Until each is accepted or in `refused`."""
        end_at = time.monotonic() + self._full_timeout_s
        pause_s = 0.0
        while waiting:
            full: list[StartRequest] = []
            for host, requests in self._by_host(waiting).items():
                for request, refusal in self._call(host, requests):
                    error = to_error(refusal)
                    if isinstance(error, Overloaded) and time.monotonic() < end_at:
                        full.append(request)
                        pause_s = max(pause_s, error.retry_after_s)
                    else:
                        refused[request.key] = error
            waiting = full
            if waiting:
                time.sleep(min(pause_s, _PAUSE_MAX_S) * random.uniform(0.5, 1.0))
                pause_s *= 2

    def _by_host(self, requests: Sequence[StartRequest]) -> dict[str, list[StartRequest]]:
        by_host: dict[str, list[StartRequest]] = {}
        for request in requests:
            by_host.setdefault(self._hosts.of(request.key), []).append(request)
        return by_host

    def _call(
        self, host: str, requests: Sequence[StartRequest]
    ) -> list[tuple[StartRequest, Refusal]]:
        """One call; those that it refused. What it accepted is confirmed."""
        position = self._stream.position()
        many = StartMany(client=self._client_id, starts=tuple(requests))
        found = self._hosts.call(host, "start_many", many, StartAnswers)
        pairs = list(zip(requests, found.answers, strict=True))
        accepted = [request.key for request, given in pairs if not isinstance(given, Refusal)]
        self._stream.confirm(accepted, position)
        return [(request, given) for request, given in pairs if isinstance(given, Refusal)]


def _batches(requests: Iterable[StartRequest]) -> Iterator[list[StartRequest]]:
    batch: list[StartRequest] = []
    size = 0
    for request in requests:
        inline = min(request.input_bytes, BATCH_BYTES)
        if batch and (len(batch) >= BATCH_ITEMS or size + inline > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(request)
        size += inline
    if batch:
        yield batch
