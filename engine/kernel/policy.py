"""What follows an error: retries with back-off, and the clauses of `on_error`."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from heliostat.engine.builtin import NEVER_RETRIED
from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.context import ScopeContext, error_view
from heliostat.engine.kernel.events import Failure
from heliostat.engine.plan.plan import ErrorClause, Retry

REPEATING: Final = frozenset(
    {
        "ExpressionError",
        "SchemaError",
        "NoWayOn",
        "Stuck",
        "DeadlineExceeded",
        "Canceled",
        "RunnerLost",
        "Unschedulable",
    }
)
"""Reserved errors that another attempt would only repeat: retried only where `on` names them."""

COUNTED_LOSSES_MAX: Final = 3
"""Losses while running alone after which a step fails as `RunnerLost`: it kills its runners."""


def names_of(failure: Failure) -> frozenset[str]:
    """The names by which `on`, `never_on` and `error` may call a failure."""
    return frozenset((failure.type, *failure.mro))


def retries(retry: Retry, failure: Failure, failures: int) -> bool:
    """Whether another attempt follows the `failures`-th failed one."""
    if failures >= retry.max_attempts:
        return False
    names = names_of(failure)
    if names.intersection(retry.never_on):
        return False
    if retry.on:
        return bool(names.intersection(retry.on))
    return failure.type not in REPEATING and names.isdisjoint(NEVER_RETRIED)


def backoff_ms(retry: Retry, failures: int, execution_id: str, at: Address) -> int:
    """The pause after the `failures`-th failure: exponential, bounded, with jitter.

    Jitter spreads over the upper half of the pause. It is derived from the address, so that the
    decision stays a function of its arguments.
    """
    exponent = min(failures - 1, 64)
    pause = min(float(retry.max_ms), retry.initial_ms * retry.factor**exponent)
    if retry.jitter:
        seed = f"{execution_id}:{at.scope}:{at.step}:{at.visit}:{at.attempt}"
        pause *= 0.5 + 0.5 * (crc32(seed.encode()) / 0xFFFFFFFF)
    return round(pause)


def matching(
    clauses: tuple[ErrorClause, ...],
    failure: Failure,
    context: ScopeContext,
    *,
    output_allowed: bool = True,
    once_only: bool = False,
    people_allowed: bool = True,
) -> ErrorClause | None:
    """The first clause that fits, or None.

    Args:
        output_allowed: False behind the output, in `assign` or `next`: no other value helps there.
        once_only: of a `foreach` that fails with what an item's own clauses have seen already.
        people_allowed: False where a person was asked and did not answer in time.

    Raises:
        ExpressionError: the `when` of a clause that fits by name has no value.
    """
    if not clauses:
        return None
    names = names_of(failure)
    context.error = error_view(failure)
    for clause in clauses:
        if clause.error is not None and clause.error not in names:
            continue
        if clause.output is not None and not output_allowed:
            continue
        if clause.edge is None and clause.human is None and once_only:
            continue
        if clause.human is not None and not people_allowed:
            continue
        if clause.when is not None and not clause.when.test(context):
            continue
        return clause
    return None


def failure_of(clause: ErrorClause, context: ScopeContext, step: str | None) -> Failure:
    """The failure that a clause's `fail` makes of the one it caught."""
    assert clause.fail is not None
    try:
        kind, message = (str(data.evaluate(context)) for data in clause.fail[:2])
        bases = clause.fail[2].evaluate(context) if len(clause.fail) > 2 else None
    except ExpressionError as error:
        return Failure(type=error.type, message=str(error), mro=error.raised, step=step)
    mro = tuple(name for name in bases or () if isinstance(name, str))
    return Failure(type=kind, message=message, mro=mro, step=step)
