"""Steps that may be under way at once and touch one variable, so that its value hangs on which of
them is first.

Two that assign it race if both may be open. One that assigns races with one that reads as it ends
if both may be open, and with one that reads as it begins if that may begin while the other is open.
Appending is how side by side is meant: two that append do not race. Nor do two that assign the same
constant, or that only add to a number, for assignments are made one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from heliostat.engine.expressions.ast import Arithmetic, Path
from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.budget import Budget
from heliostat.verify.data.consistent import Consistent, Fact
from heliostat.verify.data.flow import WALKS_MAX
from heliostat.verify.data.happening import place_of
from heliostat.verify.data.places import Location
from heliostat.verify.data.solver import Solver
from heliostat.verify.data.uses import Uses, Write
from heliostat.verify.data.walking import walk
from heliostat.verify.nets.net import Marking, Net
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Act

TOLD_MAX: Final = 5
"""Pairs that are told of one variable."""

Kind = Literal["writes", "reads at its end", "reads at its beginning"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two steps that touch one variable: the first assigns it."""

    location: Location
    first: StepPlan
    second: StepPlan
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Two steps that race, with a run to where both are under way."""

    pair: Pair
    run: tuple[Act, ...]
    case: str


def pairs(uses: Uses) -> list[Pair]:
    """Steps that touch one variable, apart from those that certainly come one after the other."""
    found = dict[tuple[Location, int, int, Kind], Pair]()

    def note(write: Write, other: StepPlan, kind: Kind) -> None:
        key = (write.location, write.step.number, other.number, kind)
        found[key] = Pair(location=write.location, first=write.step, second=other, kind=kind)

    for write in uses.writes:
        for other in uses.writes:
            if write.step.number < other.step.number and _differ(write, other, uses):
                note(write, other.step, "writes")
        for read in uses.reads:
            if read.location != write.location or read.step is None or read.step is write.step:
                continue
            if read.moment == "begins":
                note(write, read.step, "reads at its beginning")
            elif read.moment == "ends" and not _adds_of(uses, read.step, write, read.field):
                note(write, read.step, "reads at its end")
    return [pair for pair in found.values() if _beside(uses, pair.first, pair.second)]


def _differ(write: Write, other: Write, uses: Uses) -> bool:
    """Whether the order of two assignments may matter."""
    if write.location != other.location or (write.appends and other.appends):
        return False
    if write.data.constant and write.data == other.data:
        return False
    return not (_adds(uses, write) and _adds(uses, other))


def _adds(uses: Uses, write: Write) -> bool:
    """Whether it adds something to a number, or takes it away."""
    expression = write.data.expression
    if expression is None or write.appends:
        return False
    node, step = expression.ast, write.step
    if not isinstance(node, Arithmetic) or node.op not in ("+", "-"):
        return False
    if uses.places.type(write.location).kinds != {"number"} or not isinstance(node.left, Path):
        return False
    reads = uses.places.reads
    return reads(node.left, step.scope, step) == {write.location} and write.location not in reads(
        node.right, step.scope, step
    )


def _adds_of(uses: Uses, step: StepPlan, write: Write, field: tuple[str | int, ...]) -> bool:
    """Whether a read is that of an assignment which only adds, as the other does."""
    if field[:1] != ("assign",):
        return False
    mine = [each for each in uses.writes if each.step is step and each.location == write.location]
    return bool(mine) and all(_adds(uses, each) or each.appends for each in [*mine, write])


def _beside(uses: Uses, one: StepPlan, other: StepPlan) -> bool:
    """Whether two steps may be under way at once, as far as the text tells."""
    plan = uses.places.plan
    chains = []
    for step in (one, other):
        chain = [step]
        while (owner := plan.scopes[chain[-1].scope].owner) is not None:
            chain.append(plan.steps[owner])
        chains.append(chain)
    if one in chains[1] or other in chains[0]:
        return False  # one is within the other
    scopes = {step.scope: step for step in chains[0]}
    for step in chains[1]:
        at = scopes.get(step.scope)
        if at is None:
            continue
        if at is step:
            return True  # branches or items of one step
        scope = plan.scopes[step.scope]
        if scope.notation == "dag":
            return not _needs(plan.steps, at, step) and not _needs(plan.steps, step, at)
        splits = any(plan.steps[n].split == "all" for n in scope.steps)
        return splits or bool(plan.handlers)
    return True


def _needs(steps: tuple[StepPlan, ...], one: StepPlan, other: StepPlan) -> bool:
    """Whether a step of a DAG needs another, directly or not."""
    waiting, seen = [one.number], set[int]()
    while waiting:
        number = waiting.pop()
        if number == other.number:
            return True
        if number not in seen:
            seen.add(number)
            waiting += steps[number].needs
    return False


def races(
    uses: Uses, candidates: list[Pair], net: Net, budget: Budget
) -> tuple[list[Race], str | None]:
    """Which of the pairs race; and the bound, if not all runs were looked at."""
    consistent = Consistent(uses.places, net, Solver(budget=budget))
    seen: dict[Pair, list[int]] = {each: [] for each in candidates}
    open = _open(net)
    entering = {each: [*_entering(net, each)] for each in candidates}

    def watch(number: int, marking: Marking, facts: frozenset[Fact]) -> bool:
        for pair, states in seen.items():
            if len(states) == WALKS_MAX:
                continue
            here = [place for place in open.get(pair.first.id, ()) if marking[place]]
            if not here:
                continue
            if pair.kind == "reads at its beginning":
                meets = any(net.enabled(marking, n) for n in entering[pair])
            else:
                meets = any(marking[place] for place in open.get(pair.second.id, ()))
            if meets:
                states.append(number)
        return all(len(states) == WALKS_MAX for states in seen.values())

    explored = consistent.explore(budget=budget, watch=watch)
    found, told, stopped = list[Race](), Counter[Location](), explored.stopped
    solver = Solver(budget=budget)
    for pair, states in seen.items():
        if told[pair.location] == TOLD_MAX:
            continue
        if budget.over:
            return found, stopped or f"more than {budget.time_max_ms} ms"
        for number in states:
            run = explored.run_to(number)
            walked = walk(uses.places, net, run, solver, provided=True, means=consistent.happenings)
            if walked.answer == "taken":
                found.append(Race(pair=pair, run=acts(net, run), case=walked.words))
                told[pair.location] += 1
                break
    return found, stopped


def _open(net: Net) -> dict[str, list[int]]:
    """By step, the places that hold a token while a visit of it is open."""
    found: dict[str, list[int]] = {}
    for place, each in enumerate(net.places):
        at = place_of(net, place)
        if at is not None and at[0] == "step" and each.step is not None:
            found.setdefault(each.step, []).append(place)
    return found


def _entering(net: Net, pair: Pair) -> Iterator[int]:
    """What lets the second of a pair begin and is not done by the first."""
    for number, each in enumerate(net.transitions):
        if each.step in (pair.first.id, pair.second.id) and each.act:
            continue
        inputs = {place for place, _ in each.inputs}
        for place, _ in each.outputs:
            at = place_of(net, place)
            if at is None or at[0] not in ("step", "ready") or place in inputs:
                continue
            if net.places[place].step == pair.second.id:
                yield number
                break
