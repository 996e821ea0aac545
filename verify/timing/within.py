"""The property `within`: that an execution takes so long at most, whatever happens.

It holds where the bound does. It fails where an execution without a failure may take longer: the
longest way, each step at its most, is told as a run. Where only failures and new attempts, loops,
or ways that `on_error` opens bring the bound above it, it fails too, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from heliostat.engine.authoring.model import Definition
from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.plan.plan import Plan
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import Act, Fault, Verdict
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.durations import Duration, Measured
from heliostat.verify.timing.slack import Critical, Network
from heliostat.verify.timing.words import amount, few


def within(
    definition: Definition, plan: Plan, durations: Measured, bounds: Bounds
) -> Iterator[Verdict]:
    """The verdicts about the properties of a definition that are of this kind."""
    ground = tuple(measurements(durations))
    longest: Critical | None = None
    for index, declared in enumerate(definition.properties):
        if declared.within is None:
            continue
        if longest is None:
            longest = Network(plan, _at_most(plan, durations), bounds.width).critical()
        field = ("properties", index, "within")
        limit = parse_duration(declared.within)
        found = _verdict(declared.id, limit, field, bounds, longest)
        yield replace(found, rests_on=(*found.rests_on, *ground))


def _verdict(
    id: str, limit_ms: int, field: tuple[str | int, ...], bounds: Bounds, longest: Critical
) -> Verdict:
    total = bounds.total
    if total.most <= limit_ms:
        reason = f"an execution takes {amount(total.most)} at most"
        return Verdict(asked=id, outcome="holds", engine="bounds of scopes", reason=reason)
    run_ms = min(longest.total_ms, total.most)
    if run_ms <= limit_ms and total.most == inf:
        reason = f"nothing bounds {few([*bounds.unbounded])}"
        return Verdict(asked=id, outcome="inconclusive", engine="bounds of scopes", reason=reason)
    run: tuple[Act, ...] = ()
    rests_on: tuple[Abstraction, ...] = ()
    if total.least > limit_ms:
        reason = f"an execution takes {amount(total.least)} at least"
    elif run_ms > limit_ms:
        reason = f"an execution may take {amount(run_ms)}"
        run = tuple(Act(step=step, act="completes") for step in longest.path)
    else:
        reason = f"an execution may take up to {amount(total.most)}, by failures or loops"
        rests_on = (
            Abstraction(
                kind="bound",
                step=None,
                text="every attempt takes as long and fails as often as it may, on the longest way",
            ),
        )
    return Verdict(
        asked=id,
        outcome="fails",
        engine="bounds of scopes" if not run else "longest way",
        reason=f"{reason}, and not {amount(limit_ms)}",
        rests_on=rests_on,
        run=run,
        faults=(
            Fault(
                code="HS523",
                message=f"property `{id}` does not hold: {reason}",
                cure="bound steps by `timeout` or `deadline`, or declare more time",
                field=field,
            ),
        ),
    )


def measurements(durations: Measured) -> Iterator[Abstraction]:
    """What verdicts rest on where steps were measured."""
    steps = [id for id, each in durations.items() if each.source == "measured"]
    if steps:
        yield Abstraction(
            kind="measured",
            step=None,
            text=f"what was measured of {few(steps)} stands for all that may come",
        )


def _at_most(plan: Plan, durations: Measured) -> Measured:
    """Each attempt at its most, of one without a bound at its least; no longer than its timeout."""
    found = {}
    for id, each in durations.items():
        ms = each.min_ms if each.max_ms is None else each.max_ms
        timeout = plan.steps[plan.step_by_id[id]].timeout_ms
        found[id] = Duration.exactly(ms if timeout is None else min(ms, timeout), each.source)
    return found
