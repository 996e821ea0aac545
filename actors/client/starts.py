"""Starts on their way to the hosts: in bounded batches, each repeated until every item is settled.

A batch goes to the hosts that have its executions, each its part. One whose answer never came is
sent again with the same ids, and so are the items that a full host refused; what had been stored is
answered as existing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from heliostat.actors.client.hosts import ANSWER_S, Hosts, Moved, Tries, error_of
from heliostat.actors.client.interface import End
from heliostat.actors.client.stream import ResultStream
from heliostat.actors.host.api import Refusal, StartAnswers, Started, StartMany, StartRequest
from heliostat.engine.errors import HeliostatError, Overloaded, Unreachable
from heliostat.engine.identity import ExecutionKey

BATCH_ITEMS: Final = 1_000
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Of one call: more would only wait in the host's queue, and hold up other clients' calls."""

_PAUSE_MAX_S: Final = 5.0

_CALLS_AT_ONCE: Final = 8
"""Hosts that are sent starts at the same time; with more, one waits for another."""

_Placed: TypeAlias = "tuple[int, StartRequest]"
"""A request, and its place in the batch: the same execution may be named twice."""

_Answers: TypeAlias = "list[Started | Refusal]"

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
            settled += self._start_watched(batch)
        return settled

    def start_each(
        self, requests: Iterable[StartRequest], *, full_timeout_s: float
    ) -> list[Started | HeliostatError]:
        """Per request, in order, what became of it; nobody is told of the ends."""
        settled: list[Started | HeliostatError] = []
        for batch in _batches(requests):
            settled += self._send(batch, watched=False, full_timeout_s=full_timeout_s)
        return settled

    def _start_watched(self, batch: Sequence[StartRequest]) -> list[Accepted | HeliostatError]:
        keys = [request.key for request in batch]
        ends = self._stream.expect(keys)
        try:
            answers = self._send(batch, watched=True, full_timeout_s=self._full_timeout_s)
        except BaseException:
            self._stream.drop(keys)  # whether they exist is unknown: `get` finds out
            raise
        refused = {
            key: answer
            for key, answer in zip(keys, answers, strict=True)
            if isinstance(answer, HeliostatError)
        }
        self._stream.drop(refused)
        return [refused.get(key) or (key, ends[key]) for key in keys]

    def _send(
        self, batch: Sequence[StartRequest], *, watched: bool, full_timeout_s: float
    ) -> list[Started | HeliostatError]:
        """Until each is answered, by whichever host has it by then."""
        settled: dict[int, Started | HeliostatError] = {}
        waiting: list[_Placed] = list(enumerate(batch))
        end_at = time.monotonic() + full_timeout_s
        tries = Tries(self._hosts, "start_many")
        pause_s = 0.0
        while waiting:
            full: list[_Placed] = []
            again: list[_Placed] = []
            for host, placed, found in self._answers(self._by_host(waiting), tries, watched):
                if isinstance(found, Unreachable):
                    again += placed
                    tries.again(host, found)
                    continue
                for (place, request), given in zip(placed, found, strict=True):
                    if not isinstance(given, Refusal):
                        settled[place] = given
                        continue
                    error = error_of(given)
                    if isinstance(error, Moved):
                        self._hosts.learn(request.key, error.owner)
                        again.append((place, request))
                    elif isinstance(error, Overloaded) and time.monotonic() < end_at:
                        full.append((place, request))
                        pause_s = max(pause_s, error.retry_after_s)
                    else:
                        settled[place] = error
            waiting = full + again
            if again and not full:
                tries.moved()
            elif full:
                time.sleep(min(pause_s, _PAUSE_MAX_S) * random.uniform(0.5, 1.0))
                pause_s *= 2
        return [settled[place] for place in range(len(batch))]

    def _by_host(self, placed: Sequence[_Placed]) -> dict[str, list[_Placed]]:
        by_host: dict[str, list[_Placed]] = {}
        for each in placed:
            by_host.setdefault(self._hosts.of(each[1].key), []).append(each)
        return by_host

    def _answers(
        self, by_host: Mapping[str, list[_Placed]], tries: Tries, watched: bool
    ) -> Iterator[tuple[str, list[_Placed], _Answers | Unreachable]]:
        """What each host said, all of them asked at the same time."""
        bound_s = min(tries.left_s, ANSWER_S)
        if len(by_host) == 1:
            ((host, placed),) = by_host.items()
            yield host, placed, self._call(host, placed, bound_s, watched)
            return
        with ThreadPoolExecutor(min(len(by_host), _CALLS_AT_ONCE)) as pool:
            calls = [
                (host, placed, pool.submit(self._call, host, placed, bound_s, watched))
                for host, placed in by_host.items()
            ]
            for host, placed, call in calls:
                yield host, placed, call.result()

    def _call(
        self, host: str, placed: Sequence[_Placed], bound_s: float, watched: bool
    ) -> _Answers | Unreachable:
        """One call; what is watched and accepted is confirmed."""
        position = self._stream.position() if watched else {}
        many = StartMany(
            client=self._client_id if watched else None,
            starts=tuple(request for _, request in placed),
        )
        try:
            found = self._hosts.once(host, "start_many", many, StartAnswers, bound_s)
        except Unreachable as error:
            return error
        if watched:
            accepted = [
                request.key
                for (_, request), given in zip(placed, found.answers, strict=True)
                if not isinstance(given, Refusal)
            ]
            self._stream.confirm(host, accepted, position)
        return list(found.answers)


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
