"""Many starts: in bounded requests, each item repeated until it is settled.

A request whose answer never came is sent again with the same ids, and so are the items that a full
host refused; what had been stored is answered as existing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from heliostat.actors.client.interface import Start
from heliostat.actors.host.api import Started
from heliostat.engine.errors import HeliostatError, InputError

from .reading import told
from .refusals import error_of
from .sender import Sender
from .writing import plain

ITEMS_MAX: Final = 1_000
BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one request: the door takes more, and others then wait for it."""

ONE_BYTES_MAX: Final = 15 * 1024 * 1024
"""Of one start: what the door takes, less what stands around it."""

_PAUSE_S: Final = 0.2
_PAUSE_MAX_S: Final = 5.0


async def started_each(
    sender: Sender, starts: Sequence[Start], *, full_timeout_s: float
) -> list[Started | HeliostatError]:
    """Start executions, which may be in several namespaces; what became of each, in order."""
    settled: dict[int, Started | HeliostatError] = {}
    by_namespace: dict[str, list[tuple[int, bytes]]] = {}
    for place, start in enumerate(starts):
        try:
            item = _item(start)
        except HeliostatError as error:
            settled[place] = error
        else:
            by_namespace.setdefault(start.key.namespace, []).append((place, item))
    for namespace, items in by_namespace.items():
        for batch in _batches(items):
            settled |= await _settled(sender, namespace, starts, batch, full_timeout_s)
    return [settled[place] for place in range(len(starts))]


async def _settled(
    sender: Sender,
    namespace: str,
    starts: Sequence[Start],
    batch: Sequence[tuple[int, bytes]],
    full_timeout_s: float,
) -> dict[int, Started | HeliostatError]:
    settled: dict[int, Started | HeliostatError] = {}
    waiting = list(batch)
    end_at = time.monotonic() + full_timeout_s
    pause_s = _PAUSE_S
    while waiting:
        answers = await _sent(sender, namespace, [item for _, item in waiting])
        again: list[tuple[int, bytes]] = []
        for (place, item), answer in zip(waiting, answers, strict=True):
            code = answer["code"]
            if code in (200, 201):
                settled[place] = Started(
                    key=starts[place].key,
                    version=answer.get("version") or starts[place].version or "",
                    existed=code == 200,
                )
            elif code in (429, 503) and time.monotonic() < end_at:
                again.append((place, item))
            else:
                settled[place] = error_of(answer["error"], code)
        waiting = again
        if again:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
    return settled


async def _sent(
    sender: Sender, namespace: str, items: Sequence[bytes]
) -> Sequence[Mapping[str, Any]]:
    """What the door says of each."""
    if len(items) == 1:  # it gathers single starts of all its callers
        status, body = await sender.ask(
            "POST",
            "/workflows",
            namespace=namespace,
            content=items[0],
            accepted=(200, 201, 400, 404, 409, 413, 429),
        )
        return [{"code": status, "error": body}]
    _, body = await sender.ask(
        "POST",
        "/workflows/batch",
        namespace=namespace,
        content=b'{"items":[' + b",".join(items) + b"]}",
        repeats_full=True,
    )
    results: Sequence[Mapping[str, Any]] = told(body, dict)["results"]
    return results


def _item(start: Start) -> bytes:
    body: dict[str, Any] = {
        "workflow_id": start.key.execution_id,
        "definition_id": start.definition,
        "input": plain(start.input, "the input"),
    }
    if start.version is not None:
        body["version"] = start.version
    if start.tags:
        body["labels"] = dict(start.tags)
    if start.priority is not None:
        if not 1 <= start.priority <= 10:
            raise InputError(f"priority is {start.priority}; it must be from 1 to 10")
        body["priority"] = start.priority
    if start.correlation_id is not None:
        body["correlation_id"] = start.correlation_id
    try:
        item = msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise InputError(f"a text of the start cannot be sent: {error.reason}") from error
    if len(item) > ONE_BYTES_MAX:
        raise InputError(
            f"the input has {len(item):,} bytes as JSON, and {ONE_BYTES_MAX:,} travel over HTTP; "
            f"put the data where steps find it, and send where that is"
        )
    return item


def _batches(items: Sequence[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    batch: list[tuple[int, bytes]] = []
    size = 0
    for place, item in items:
        if batch and (len(batch) >= ITEMS_MAX or size + len(item) > BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append((place, item))
        size += len(item)
    if batch:
        yield batch
