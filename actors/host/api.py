"""What clients and hosts say to each other: requests, answers, and the names of the calls.

Every call of an `ExecutionHost` takes and returns the bytes of these (actors/calls.py).
An answer is either the value or a `Refusal`, since a Ray exception would lose the code.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Value


class Refusal(Struct, frozen=True, kw_only=True, tag="refusal"):
    """A request that was not accepted; `code` as in engine/errors.py."""

    code: str
    message: str
    details: dict[str, Any] = {}


class StartRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution to start. The id is drawn by the client before the first send, so that a
    repeated request is the same start."""

    key: ExecutionKey
    definition: str
    version: str | None = None  # None: the one registered last
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None
    tags: dict[str, str] = {}


class StartMany(Struct, frozen=True, kw_only=True):
    """Starts, and the client whose result stream wants their ends (None: nobody)."""

    client: str | None
    starts: tuple[StartRequest, ...]


class Started(Struct, frozen=True, kw_only=True, tag="started"):
    """The start is durable; `existed` when an equal one was there before."""

    key: ExecutionKey
    version: str
    existed: bool = False


class StartAnswers(Struct, frozen=True, kw_only=True):
    """One answer per start, in order."""

    answers: tuple[Started | Refusal, ...]


class Ended(Struct, frozen=True, kw_only=True):
    """An execution's end, as the result streams carry it; readable in the journal before."""

    key: ExecutionKey
    status: ExecutionStatus
    output: Value = None
    failure: Failure | None = None


class Watch(Struct, frozen=True, kw_only=True):
    """Adds executions to a client's result stream; those that ended already come at once."""

    client: str
    keys: tuple[ExecutionKey, ...]


class CancelRequest(Struct, frozen=True, kw_only=True):
    """Ask an execution to end; `message_id` makes a repetition harmless."""

    key: ExecutionKey
    message_id: str
    reason: str | None = None


class ExecutionView(Struct, frozen=True, kw_only=True):
    """What `status` answers."""

    key: ExecutionKey
    definition: str
    version: str
    status: ExecutionStatus
    seq: int
    created_at_ms: int
    ended_at_ms: int | None = None
    wake_at_ms: int | None = None
    failure: Failure | None = None
    output: Value = None
    active: tuple[dict[str, Any], ...] = ()  # step id, scope, visit, attempt, phase; 100 at most
