"""Names of things: executions, shards, addresses within an execution, fresh ids.

Pure but for `new_id`, which draws randomness and is for the rim only.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from typing import NamedTuple
from zlib import crc32

from msgspec import Struct

DEFAULT_NAMESPACE = "default"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+@-]{0,199}")
"""What namespaces, execution ids, definition ids and versions look like: safe in paths and logs."""


class ExecutionKey(NamedTuple):
    """Identity of an execution: its id is unique within its namespace."""

    namespace: str
    execution_id: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.execution_id}"


class Address(Struct, frozen=True, array_like=True):
    """One attempt at one visit: `(scope instance, step, visit, attempt)`.

    `scope` is numbered from 1 in its execution, `step` is the number stored with the definition's
    version, `visit` counts from 1 within the scope instance, `attempt` from 1 within the visit.
    """

    scope: int
    step: int
    visit: int
    attempt: int = 1


def shard_of(key: ExecutionKey, shard_count: int) -> str:
    """The shard that owns an execution; the count is fixed when a journal is created."""
    return str(crc32(f"{key.namespace}/{key.execution_id}".encode()) % shard_count)


def idempotency_key(key: ExecutionKey, step_id: str, at: Address) -> str:
    """Names one effect through all attempts at a visit: `namespace/execution:scope:step:visit`."""
    return f"{key.namespace}/{key.execution_id}:{at.scope}:{step_id}:{at.visit}"


def new_id() -> str:
    """A UUIDv7 (RFC 9562): ids made later sort later, so that an index grows at its end."""
    millis = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))
