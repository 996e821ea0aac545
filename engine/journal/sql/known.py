"""Executions as a writer remembers them between appends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN_MAX: Final = 20_000
"""Executions remembered, about 600 bytes each: those in motion; others are looked up."""


class Known:
    """An execution as the last append, or a query, left it; `shard` is that shard's number."""

    __slots__ = (
        "awaits",
        "created_at_ms",
        "definition",
        "epoch",
        "last_seq",
        "number",
        "shard",
        "status",
        "tags",
        "version",
    )

    def __init__(self, number: int, epoch: int, last_seq: int, shard: int) -> None:
        self.number = number
        self.epoch = epoch
        self.last_seq = last_seq
        self.shard = shard

    def describe(
        self,
        status: str,
        definition: str,
        version: str,
        tags: Mapping[str, str],
        awaits: tuple[str, ...],
        created_at_ms: int,
    ) -> None:
        """Remember what its row says."""
        self.status = status
        self.definition = definition
        self.version = version
        self.tags = tags
        self.awaits = awaits
        self.created_at_ms = created_at_ms
