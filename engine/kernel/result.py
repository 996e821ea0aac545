"""What a visit completes with, and the event that says so."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Activation, Failure, StepCompleted
from heliostat.engine.kernel.state import Visit
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.plan.plan import EdgeNumber, StepNumber
from heliostat.engine.values import Value


class Result(Struct, frozen=True, kw_only=True):
    """What a visit completes with: a report's facts, or a value that the kernel made."""

    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    collected: bool = False
    holds: bool = False  # `output` has `Held` leaves
    message_id: str | None = None  # of what it came with
    recovered: Failure | None = None
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None
    stdout: str | None = None
    stderr: str | None = None

    @property
    def plain(self) -> bool:
        """Whether there is nothing but an output that an attempt reported."""
        return (
            self.extracts is None
            and not self.collected
            and not self.holds
            and self.message_id is None
            and self.recovered is None
            and self.stdout is None
            and self.stderr is None
        )


NOTHING: Final = Result()

NOTHING_ASSIGNED: Final[dict[str, Value]] = {}


def kept_result(visit: Visit) -> Result:
    """What a visit has that waits, or waited, for the region that it cancels."""
    kept = visit.kept
    assert kept is not None
    return Result(
        output=kept.output,
        output_bytes=kept.output_bytes,
        extracts=kept.extracts,
        collected=kept.collected,
        recovered=kept.recovered,
        started_at_ms=kept.started_at_ms,
        elapsed_ms=kept.elapsed_ms,
        runner=kept.runner,
    )


def completed(
    turn: Turn,
    at: Address,
    result: Result,
    *,
    assigned: dict[str, Value] = NOTHING_ASSIGNED,
    appended: dict[str, Value] = NOTHING_ASSIGNED,
    skipped: tuple[StepNumber, ...] = (),
    taken: tuple[EdgeNumber, ...] = (),
    activated: tuple[Activation, ...] = (),
) -> StepCompleted:
    """The event of a completion. Of the most frequent kind only what it says is passed on: the
    fields that have their defaults would take as long as all the rest."""
    if result.plain and not assigned and not appended and not skipped:
        return StepCompleted(
            at_ms=turn.now_ms,
            at=at,
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            runner=result.runner,
            output=result.output,
            output_bytes=result.output_bytes,
            taken=taken,
            activated=activated,
        )
    return StepCompleted(
        at_ms=turn.now_ms,
        at=at,
        started_at_ms=result.started_at_ms,
        elapsed_ms=result.elapsed_ms,
        runner=result.runner,
        output=result.output,
        output_bytes=result.output_bytes,
        extracts=result.extracts,
        collected=result.collected,
        holds=result.holds,
        message_id=result.message_id,
        recovered=result.recovered,
        stdout=result.stdout,
        stderr=result.stderr,
        assigned=assigned,
        appended=appended,
        skipped=skipped,
        taken=taken,
        activated=activated,
    )
