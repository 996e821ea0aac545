"""Ids that the kernel derives, so that a decision made again makes the same ones."""

from __future__ import annotations

import hashlib
from typing import Final

from heliostat.engine.identity import Address

CHILD_CHARS_MAX: Final = 160
"""Of a child's id: its own children's ids are longer, and 200 are allowed."""


def child_id(execution_id: str, at: Address) -> str:
    """The id of the execution that an attempt at a `sub_workflow` step starts.

    Readable while it is short; of a long one the middle is a hash of the whole.
    """
    name = f"{execution_id}.{at.scope}-{at.step}-{at.visit}-{at.attempt}"
    if len(name) <= CHILD_CHARS_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{name[:100]}.{digest}"


def wait_key(kind: str, name: str) -> str:
    """Under what the state finds the open waits for an `event` or a `signal`."""
    return f"{kind}:{name}"
