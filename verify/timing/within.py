"""The property `within`: that an execution takes so long at most, whatever happens.

It holds where the bound does. It fails where an execution is known that may take longer: the
longest way, each attempt at its most, without a failure or with every new attempt that there may
be. Where only the bound is above it, by loops, by errors, or by what another step cuts short, it is
not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from heliostat.engine.authoring.model import Definition
from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.plan.plan import Plan
from heliostat.verify.properties.verdict import Act, Fault, Verdict
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.drawing import expected
from heliostat.verify.timing.durations import Duration, Measured
from heliostat.verify.timing.limits import limit_of
from heliostat.verify.timing.measured import measurements
from heliostat.verify.timing.rules import pauses_ms
from heliostat.verify.timing.slack import Network
from heliostat.verify.timing.timing import Timing
from heliostat.verify.timing.words import amount, few


@dataclass(frozen=True, slots=True, kw_only=True)
class _Longest:
    """An execution on the longest way, each attempt at its most."""

    ms: float  # 0: none is known
    path: tuple[str, ...]
    how: str


def within(definition: Definition, found: Timing) -> Iterator[Verdict]:
    """The verdicts about the properties of a definition that are of this kind."""
    ground = tuple(measurements(found.durations))
    longest: list[_Longest] | None = None
    for index, declared in enumerate(definition.properties):
        if declared.within is None:
            continue
        if longest is None:
            longest = [_longest(found, retried=False), _longest(found, retried=True)]
        limit, field = parse_duration(declared.within), ("properties", index, "within")
        verdict = _verdict(declared.id, limit, field, found.bounds, _least(found), longest)
        yield replace(verdict, rests_on=ground)


def _least(found: Timing) -> float:
    """What every execution takes that does not fail before; one whose deadline passes ends then."""
    least = found.bounds.total.least
    if found.plan.deadline is None:
        return least
    whole = limit_of(found.plan.deadline, found.plan, None)
    return 0 if whole is None else min(least, whole.least)


def _longest(found: Timing, *, retried: bool) -> _Longest:
    """An execution on the longest way, which ends when the definition's deadline has passed."""
    longest = _longest_way(found, retried=retried)
    whole = limit_of(found.plan.deadline, found.plan, None)
    if whole is None or longest.ms <= whole.least:
        return longest
    return replace(longest, ms=whole.least, path=())


def _longest_way(found: Timing, *, retried: bool) -> _Longest:
    plan, width = found.plan, found.bounds.width
    durations = _at_most(plan, found.durations, retried=retried)
    critical = Network(plan, durations, width).critical()
    # the path does not see what a deadline, or another step, cuts short
    cut = any(
        step.deadline is not None and (step.id not in durations or step.foreach is not None)
        for step in plan.steps
    )
    how = ", where attempts fail and are tried again" if retried else ""
    if critical.exact and not cut:
        return _Longest(ms=critical.total_ms, path=critical.path, how=how)
    drawn = expected(plan, durations, found.tags, width, runs_max=2)
    if drawn is not None and drawn.runs == 1:  # all executions are alike, and this is one
        return _Longest(ms=drawn.mean_ms, path=(), how=how)
    return _Longest(ms=0, path=(), how=how)


def _verdict(
    id: str,
    limit_ms: int,
    field: tuple[str | int, ...],
    bounds: Bounds,
    least_ms: float,
    longest: Sequence[_Longest],
) -> Verdict:
    total, engine = bounds.total, "bounds of scopes"
    if total.most <= limit_ms:
        reason = f"an execution takes {amount(total.most)} at most"
        return Verdict(asked=id, outcome="holds", engine=engine, reason=reason)
    longer = next((each for each in longest if each.ms > limit_ms), None)
    if least_ms > limit_ms:
        reason = f"an execution takes {amount(least_ms)} at least"
    elif longer is not None:
        reason = f"an execution may take {amount(longer.ms)}{longer.how}"
        engine = "longest way"
    else:
        reason = (
            f"nothing bounds {few([*bounds.unbounded])}"
            if total.most == inf
            else f"the bound is {amount(total.most)}, and no execution is known that takes so long"
        )
        fault = Fault(
            code="HS509",
            message=f"not known: {id} ({reason})",
            cure="bound steps by `timeout` or `deadline`, loops by the tag `visits_max`",
            field=field,
            severity="warning",
        )
        return Verdict(
            asked=id, outcome="inconclusive", engine=engine, reason=reason, faults=(fault,)
        )
    return Verdict(
        asked=id,
        outcome="fails",
        engine=engine,
        reason=f"{reason}, and not {amount(limit_ms)}",
        run=tuple(Act(step=step, act="completes") for step in (longer.path if longer else ())),
        faults=(
            Fault(
                code="HS523",
                message=f"property `{id}` does not hold: {reason}",
                cure="bound steps by `timeout` or `deadline`, or declare more time",
                field=field,
            ),
        ),
    )


def _at_most(plan: Plan, durations: Measured, *, retried: bool) -> Measured:
    """Each step at the most of one attempt, or of all that it may have; of one without a bound at
    its least; no longer than its timeout and its deadline."""
    found = {}
    for id, each in durations.items():
        ms: float = each.min_ms if each.max_ms is None else each.max_ms
        if id in plan.step_by_id:
            step = plan.steps[plan.step_by_id[id]]
            if step.timeout_ms is not None:
                ms = min(ms, step.timeout_ms)
            if retried:
                ms = ms * step.retry.max_attempts + pauses_ms(step.retry)
            limit = limit_of(step.deadline, plan, None)
            if limit is not None:
                ms = min(ms, limit.least)
        found[id] = Duration.exactly(round(ms), each.source)
    return found
