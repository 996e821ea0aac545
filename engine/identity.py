"""Names of things: executions, shards, addresses within an execution."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
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


DEDICATED_PREFIX: Final = "execution:"
"""How the shard of a dedicated execution begins; the others are numbers."""


def dedicated_shard(key: ExecutionKey) -> str:
    """The shard of an execution that has one of its own."""
    return f"{DEDICATED_PREFIX}{key}"


def dedicated_key(shard: str) -> ExecutionKey | None:
    """The one execution of a shard; None for a shard that many share."""
    if not shard.startswith(DEDICATED_PREFIX):
        return None
    namespace, _, execution_id = shard.removeprefix(DEDICATED_PREFIX).partition("/")
    return ExecutionKey(namespace, execution_id)


def idempotency_key(key: ExecutionKey, step_id: str, at: Address) -> str:
    """Names one effect through all attempts at a visit: `namespace/execution:scope:step:visit`."""
    return f"{key.namespace}/{key.execution_id}:{at.scope}:{step_id}:{at.visit}"
