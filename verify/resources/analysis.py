"""The analysis `resources`: how much is taken at once, of how much, and whether all of it fits.

It fails only where an attempt can never run: no node has what it takes, or a semaphore that
executions share has too little. That more is wanted at once than there is makes attempts wait, and
is told as a figure: a semaphore is there to be waited for.

Whatever fits goes on at some time. An attempt asks for all that it takes at once, gets it on one
node or waits holding none of it, and waits for nothing while it runs (`engine/scheduling`). So no
attempts hold what others wait for and wait themselves, in one execution or between any number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from heliostat.engine.authoring.fields import ITEMS_TAG, said_number
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.analyses import Subject
from heliostat.verify.properties.verdict import Act, Fault, Outcome, Section, Verdict
from heliostat.verify.resources.cluster import Cluster
from heliostat.verify.resources.demands import (
    UNITS,
    Resource,
    demand,
    memory,
    needs,
    resources_of,
)
from heliostat.verify.resources.giving import given_back
from heliostat.verify.resources.order import Tangled, taken_in_order
from heliostat.verify.resources.peaks import NotKnown, Peak, Peaks, written
from heliostat.verify.timing.durations import durations, tags_of
from heliostat.verify.timing.words import amount

STEPS_NAMED: Final = 4
"""Steps at a peak that a row names."""

IDLE_MAX: Final = 0.3
"""Up to this part of what there is being wanted, it is worth a word that most of it is idle."""

ITEMS_EXPECTED: Final = 10
"""Items of a list of which nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One resource, as a report tells it."""

    resource: Resource
    capacity: int | None  # in units of `demands`; None: nothing is said of it
    peak: Peak | str  # of all executions side by side; a sentence where it is not known
    busy_ms: float | None  # how long one execution takes all of the capacity, as expected

    @property
    def wanted(self) -> float | None:
        """The peak as a part of the capacity."""
        if isinstance(self.peak, str) or not self.capacity:
            return None
        return self.peak.units / self.capacity


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """What is taken at once; it fails where an attempt can never run."""
    plan, cluster = subject.plan, subject.cluster
    uses = used(subject)
    if not uses:
        return
    faults = tuple(_unfit(plan, cluster)) if cluster is not None else ()
    unknown = next((use.peak for use in uses if isinstance(use.peak, str)), None)
    given, order = given_back(plan), taken_in_order(plan)
    outcome: Outcome = "holds" if unknown is None else "inconclusive"
    if faults:
        outcome = "fails"
    yield Verdict(
        asked="resources",
        outcome=outcome,
        engine="peaks of scopes",
        reason=faults[0].message if faults else unknown or _fits(uses, cluster),
        steps=tuple(dict.fromkeys(each.step for each in faults if each.step is not None)),
        faults=faults,
        section=_section(plan, uses, subject.executions),
        order=None if isinstance(order, Tangled) else order,
        net=None if given is None else given[0],
        certificate=None if given is None else given[1],
    )


def used(subject: Subject) -> list[Use]:
    """All that steps take, with the peak and the capacity of each."""
    plan, executions = subject.plan, subject.executions
    peaks = Peaks(plan, _items(subject), time_max_ms=subject.time_max_ms, now_ms=subject.now_ms)
    busy = _busy(subject)
    found = []
    for resource in resources_of(plan):
        try:
            peak: Peak | str = peaks.of(resource)
        except NotKnown as error:
            peak = f"the bound was reached: {error}"
        if isinstance(peak, Peak) and resource.kind != "semaphore":
            peak = replace(peak.times(executions), run=peak.run)
        capacity = _capacity(plan, subject.cluster, resource)
        taken = busy.get(resource)
        found.append(
            Use(
                resource=resource,
                capacity=capacity,
                peak=peak,
                busy_ms=taken / capacity if taken and capacity else None,
            )
        )
    return found


def _capacity(plan: Plan, cluster: Cluster | None, resource: Resource) -> int | None:
    if resource.kind == "semaphore":
        return plan.semaphores[resource.name] * UNITS
    if cluster is None:
        return None
    if resource.kind == "node":
        return round(cluster.total(resource.name) * UNITS)
    if cluster.semaphores is None:
        return None
    return cluster.semaphores.get(resource.name, 0) * UNITS


def _items(subject: Subject) -> Mapping[str, int]:
    """How many items a list has that is written down, or that a tag speaks of."""
    found = dict[str, int]()
    for id, tags in tags_of(subject.definition).items():
        said = said_number(tags, ITEMS_TAG)
        if said is not None:
            found[id] = said
    return {**found, **written(subject.plan)}


def _busy(subject: Subject) -> Mapping[Resource, float]:
    """Of each resource how much one execution takes for how long, in units times milliseconds.

    Each step counts once, and only where somebody said or measured how long it takes. What a step
    with steps inside holds counts where a tag says how long that is.
    """
    plan, items = subject.plan, _items(subject)
    known = durations(subject.definition, plan, subject.measured)
    found: dict[Resource, float] = {}
    guessed = set[Resource]()
    for step in plan.steps:
        if step.retired:
            continue
        taken = known.get(step.id)
        for resource, units in demand(step).items():
            if taken is None or taken.source == "default":
                guessed.add(resource)
            else:
                times = _times(plan, step, items)
                found[resource] = found.get(resource, 0) + units * taken.expected_ms * times
    return {resource: busy for resource, busy in found.items() if resource not in guessed}


def _times(plan: Plan, step: StepPlan, items: Mapping[str, int]) -> int:
    """Attempts of a step in one execution, as expected: its items, and those around it."""
    times, at = 1, step
    while True:
        if at.foreach is not None:
            times *= items.get(at.id, ITEMS_EXPECTED)
        owner = plan.scopes[at.scope].owner
        if owner is None:
            return times
        at = plan.steps[owner]


# -- what can never run


def _unfit(plan: Plan, cluster: Cluster) -> Iterator[Fault]:
    for step in plan.steps:
        if step.retired:
            continue
        wanted = needs(step.activity.resources) if step.activity is not None else {}
        if wanted and not cluster.holds(wanted):
            yield Fault(
                code="HS530",
                message=f"no attempt can ever run: it takes {_in_words(wanted)} of one node, "
                f"{_most(wanted, cluster)}",
                cure="let it take less, or have a node that has all of it",
                step=step.id,
                field=("resources",),
            )
        for name, count in step.semaphores.items():
            there = 0 if cluster.semaphores is None else cluster.semaphores.get(name, 0)
            if cluster.semaphores is not None and count > there:
                yield Fault(
                    code="HS322",
                    message=f"no attempt can ever run: it takes {count} of the semaphore `{name}`, "
                    f"and the deployment has {there or 'none'}",
                    cure="take less, or give it more in the configuration",
                    step=step.id,
                    field=("uses", name),
                )


def _most(wanted: Mapping[str, float], cluster: Cluster) -> str:
    """Why no node has it."""
    short = {name: cluster.most(name) for name, need in wanted.items() if cluster.most(name) < need}
    if not short:
        return "and no node has all of that"
    return f"and no node has more than {_in_words(short)}"


def _in_words(amounts: Mapping[str, float]) -> str:
    return " and ".join(
        memory(amount) + " memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in amounts.items()
    )


# -- in words


def _fits(uses: Sequence[Use], cluster: Cluster | None) -> str:
    kinds = {use.resource.kind for use in uses}
    told = []
    if kinds - {"semaphore"}:
        told.append("for any number of executions: an attempt has all it takes at once, or waits")
    if "node" in kinds and cluster is not None:
        told.append("each fits on a node by itself")
    if "semaphore" in kinds:
        told.append("permits are given back on every way to an end")
    return "; ".join(told)


def _section(plan: Plan, uses: Sequence[Use], executions: int) -> Section:
    return Section(
        title="Resources",
        summary=tuple(_summary(plan, uses, executions)),
        columns=("resource", "there", "wanted at once", "of it", "where", "taken for"),
        rows=tuple(_row(use) for use in uses),
        value={
            "executions": executions,
            "order": _order(plan),
            "resources": [_value(use) for use in uses],
        },
        notes=(
            *(_reached(use) for use in uses if isinstance(use.peak, Peak) and use.peak.run),
            *_advice(uses),
        ),
    )


def _summary(plan: Plan, uses: Sequence[Use], executions: int) -> Iterator[str]:
    side_by_side = f" by {executions} executions" if executions > 1 else ""
    yield f"wanted at once{side_by_side}: {', '.join(_at_once(use) for use in uses)}"
    order = _order(plan)
    if order is not None and len(order) > 1:
        yield f"semaphores are taken in one order: {', then '.join(' and '.join(n) for n in order)}"
    for use in uses:
        if (use.wanted or 0) > 1 and use.resource.kind != "semaphore":
            yield f"{use.resource}: more is wanted at once than there is, the rest waits"
    busy = [use for use in uses if use.busy_ms is not None]
    if busy:
        most = max(busy, key=lambda use: use.busy_ms or 0)
        yield _bottleneck(most)


def _bottleneck(use: Use) -> str:
    assert use.busy_ms is not None
    if use.resource.kind == "semaphore" or not use.busy_ms:
        return f"bottleneck: {use.resource}, all of it for {amount(use.busy_ms)} of an execution"
    rate = 3_600_000 / use.busy_ms
    told = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return (
        f"bottleneck: {use.resource}, all of it for {amount(use.busy_ms)} of each execution: "
        f"at most {told} executions an hour"
    )


def _at_once(use: Use) -> str:
    there = "" if use.capacity is None else f" of {use.resource.amount(use.capacity)}"
    return f"{use.resource} {_peak(use)}{there}"


def _peak(use: Use) -> str:
    if isinstance(use.peak, str):
        return "not known"
    told = use.resource.amount(use.peak.units)
    if use.peak.more:
        return f"at least {told}"
    return told if use.peak.exact else f"at most {told}"


def _row(use: Use) -> tuple[str, ...]:
    wanted = use.wanted
    return (
        str(use.resource),
        "" if use.capacity is None else use.resource.amount(use.capacity),
        _peak(use),
        "" if wanted is None else f"{wanted:.0%}",
        "" if isinstance(use.peak, str) else _where(use.resource, use.peak),
        "" if use.busy_ms is None else amount(use.busy_ms),
    )


def _where(resource: Resource, peak: Peak) -> str:
    named = [
        f"`{each.step}`" + (f" × {each.count}" if each.count > 1 else "") + " "
        f"({resource.amount(each.units)})"
        for each in peak.holdings[:STEPS_NAMED]
    ]
    more = len(peak.holdings) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)


def _reached(use: Use) -> str:
    assert isinstance(use.peak, Peak)
    acts = ", ".join(f"`{each.step}` {each.act}" for each in use.peak.run)
    return f"The most of {use.resource} is wanted so: {acts}."


def _advice(uses: Sequence[Use]) -> Iterator[str]:
    """What would change with more of something, or nothing with less."""
    busy = [use for use in uses if use.busy_ms]
    if busy:
        first, *rest = sorted(busy, key=lambda use: -(use.busy_ms or 0))
        after = f", up to where {rest[0].resource} is the bottleneck" if rest else ""
        own = first.resource.kind == "semaphore"
        gain = "may shorten an execution" if own else "lets more executions through"
        yield f"More of {first.resource} {gain}{after}."
    for use in uses:
        idle = use.wanted is not None and use.wanted <= IDLE_MAX
        if idle and isinstance(use.peak, Peak) and not use.peak.more:
            yield f"No more than {use.wanted:.0%} of {use.resource} is ever wanted at once."


def _order(plan: Plan) -> list[list[str]] | None:
    """The semaphores of an execution, level by level; None where they have no order."""
    order = taken_in_order(plan)
    if isinstance(order, Tangled):
        return None
    levels: dict[int, list[str]] = {}
    for name, level in sorted(order.levels.items()):
        levels.setdefault(level, []).append(name)
    return [levels[level] for level in sorted(levels)]


def _value(use: Use) -> dict[str, Any]:
    known = None if isinstance(use.peak, str) else use.peak
    return {
        "resource": use.resource.name,
        "kind": use.resource.kind,
        "capacity": None if use.capacity is None else use.capacity / UNITS,
        "peak": None if known is None else known.units / UNITS,
        "exact": known is not None and known.exact,
        "bound": known is not None and not known.more,
        "utilisation": use.wanted,
        "busy_ms": use.busy_ms,
        "steps": []
        if known is None
        else [
            {"step": each.step, "count": each.count, "amount": each.units / UNITS}
            for each in known.holdings
        ],
        "run": [] if known is None else [_act(each) for each in known.run],
    }


def _act(act: Act) -> dict[str, str]:
    return {"step": act.step, "act": act.act}
