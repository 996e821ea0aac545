"""Commands: what the kernel wants in flight. They leave a process only after their events' commit.

There is no command for timers: `ExecutionState.wake_at_ms` is the instant of the earliest one, the
host keeps it in the execution's row and answers it with `Woke`.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.values import Value


class RunStep(Struct, frozen=True):
    """Have a runner make this attempt. Repeating it for the same attempt is harmless."""

    at: Address
    input: Value
    alone: bool = False  # an earlier attempt was lost: nothing else may share the runner with it


class StopAttempt(Struct, frozen=True):
    """Set the attempt's `cancelled` flag, and end its runner when the grace is over."""

    at: Address
    grace_ms: int


Command: TypeAlias = RunStep | StopAttempt
