"""Reads of what nothing has written, and assignments that nothing reads.

A read counts where its expression does not look whether there is anything (`default`, `has`, a
comparison with null). Outputs of scopes and clauses of `on_error` are left out: they are written
for whatever has happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.engine.authoring.scopes import Scope, scopes_of
from heliostat.verify.budget import Budget
from heliostat.verify.data.consistent import Consistent, Fact, written_fact
from heliostat.verify.data.happening import place_of
from heliostat.verify.data.solver import Solver
from heliostat.verify.data.uses import Read, Uses, Write
from heliostat.verify.data.walking import walk
from heliostat.verify.nets.net import Marking, Net
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Act

WALKS_MAX: Final = 5
"""Runs to one read that are gone along until one has a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwritten:
    """A read of what has not been written, with a run that leads there."""

    read: Read
    run: tuple[Act, ...]
    case: str


def suspicious(uses: Uses) -> list[Read]:
    """Reads of what may not have been written by then, as far as the text tells."""
    plan, found = uses.places.plan, []
    for read in uses.reads:
        if read.step is None or read.tested or read.moment not in ("begins", "ends"):
            continue
        match read.location:
            case ("steps", number, "output" | "items") if number != read.step.number:
                found.append(read)
            case ("vars", scope, name):
                initial = plan.scopes[scope].variables[name]
                own = read.moment == "ends" and any(
                    each.step is read.step and each.location == read.location
                    for each in uses.writes
                )
                if initial.constant and initial.value is None and not own:
                    found.append(read)
    scopes = _scopes(uses)
    return [each for each in found if _may_be_first(uses, scopes, each)]


def _scopes(uses: Uses) -> dict[int, Scope]:
    """The scopes as they are written, by their numbers."""
    plan = uses.places.plan
    return {
        plan.steps[plan.step_by_id[scope.steps[0].id]].scope: scope
        for scope in scopes_of(uses.places.definition)
    }


def _may_be_first(uses: Uses, scopes: Mapping[int, Scope], read: Read) -> bool:
    """Whether a way may lead to a read without what it reads, by the graph of the scope."""
    plan = uses.places.plan
    if read.location[0] == "steps":
        number, sources = plan.steps[read.location[1]].scope, [plan.steps[read.location[1]]]
    else:
        number = read.location[1]
        writes = [each for each in uses.writes if each.location == read.location]
        sources = [each.step for each in writes if each.step.scope == number]
    scope, reader = scopes.get(number), read.step
    while reader is not None and reader.scope != number:
        owner = plan.scopes[reader.scope].owner
        reader = None if owner is None else plan.steps[owner]
    sources = [each for each in sources if each.when is None]
    if scope is None or reader is None:
        return True
    if scope.notation == "dag":
        if read.location[0] != "steps":
            return True
        return not sources or reader.join.kind != "all" or _may_skip(uses, sources[0].id)
    if scope.entries:
        return True
    # all that can be come to without one of the sources, or after one has failed
    lost = [
        way.target
        for each in sources
        for way in scope.graph.leaving[each.id]
        if way.kind == "on_error"
    ]
    starts = [scope.first, *(target for target in lost if target is not None)]
    reached = scope.graph.from_any(starts, stop=frozenset(each.id for each in sources))
    return reader.id in reached


def _may_skip(uses: Uses, id: str) -> bool:
    """Whether a step of a DAG may be skipped: something before it has a condition."""
    plan, seen = uses.places.plan, set[int]()
    waiting = [plan.steps[plan.step_by_id[id]]]
    while waiting:
        step = waiting.pop()
        if step.number in seen:
            continue
        seen.add(step.number)
        if step.when is not None or step.join.kind != "all":
            return True
        waiting += [plan.steps[need] for need in step.needs]
    return any(step.cancels for step in plan.steps)


def unwritten(
    uses: Uses, reads: list[Read], net: Net, budget: Budget
) -> tuple[list[Unwritten], str | None]:
    """Which of the reads come before what they read; and the bound, if not all were looked at."""
    tracked = frozenset(each.location for each in reads)
    consistent = Consistent(uses.places, net, Solver(budget=budget), tracked=tracked)
    begins = _begins(net, reads)
    seen: dict[Read, list[int]] = {each: [] for each in reads}

    def watch(number: int, marking: Marking, facts: frozenset[Fact]) -> bool:
        for place, prefix, read in begins:
            states = seen[read]
            if marking[place] and len(states) < WALKS_MAX:
                key = consistent.key(read.location, prefix)
                if written_fact(key) not in facts:
                    states.append(number)
        return all(len(states) == WALKS_MAX for states in seen.values())

    explored = consistent.explore(budget=budget, watch=watch)
    found = list[Unwritten]()
    solver = Solver(budget=budget)
    for read, states in seen.items():
        if budget.over:
            return found, explored.stopped or f"more than {budget.time_max_ms} ms"
        for number in states:
            run = explored.run_to(number)
            walked = walk(uses.places, net, run, solver, provided=True, means=consistent.happenings)
            if walked.answer == "taken":
                found.append(Unwritten(read=read, run=acts(net, run), case=walked.words))
                break
    return found, explored.stopped


def _begins(net: Net, reads: list[Read]) -> list[tuple[int, str, Read]]:
    """The places at which a visit of a reading step is open, with their prefixes."""
    found = []
    for place, each in enumerate(net.places):
        at = place_of(net, place)
        if at is None or at[0] not in ("step", "ready"):
            continue
        found += [
            (place, at[1], read)
            for read in reads
            if read.step is not None and read.step.id == each.step
        ]
    return found


def dead_writes(uses: Uses) -> Iterator[Write]:
    """Assignments whose value nothing reads, whatever way is taken.

    A variable whose name begins with `_` says by itself that nothing is to.
    """
    reads = uses.reads
    if uses.everything:
        return
    scopes = _scopes(uses)
    for write in uses.writes:
        if write.name.startswith("_"):
            continue
        about = [
            read
            for read in reads
            if read.location == write.location and not _only_itself(read, write)
        ]
        if not _read_later(write, about, uses, scopes):
            yield write


def _read_later(write: Write, about: list[Read], uses: Uses, scopes: dict[int, Scope]) -> bool:
    if not about:
        return False
    declared, scope = write.location[1], scopes.get(write.step.scope)
    plain = declared == write.step.scope and scope is not None and scope.notation != "dag"
    if scope is None or not plain or scope.entries or write.appends:
        return True
    if any(read.moment in ("scope", "error") for read in about):
        return True
    after = ("next", "publish", "signal")
    if any(read.step is write.step and read.field[0] in after for read in about):
        return True
    graph, seen = scope.graph, set[str]()
    waiting = [*graph.successors[write.step.id]]
    if any(len(split) > 1 for split in graph.splits):
        return True
    while waiting:
        id = waiting.pop()
        if id in seen:
            continue
        seen.add(id)
        if any(_within(uses, read, id) for read in about):
            return True
        overwrites = any(
            each.step.id == id
            and each.step.when is None
            and each.location == write.location
            and not each.appends
            for each in uses.writes
        )
        fails_on = any(way.kind == "on_error" for way in graph.leaving[id])
        if not overwrites or fails_on:
            waiting += graph.successors[id]
    return False


def _only_itself(read: Read, write: Write) -> bool:
    """Whether a variable is read to make its own new value, and for nothing else."""
    return (
        read.step is write.step
        and len(read.field) > 1
        and read.field[0] == "assign"
        and read.field[1] == write.name
    )


def _within(uses: Uses, read: Read, id: str) -> bool:
    """Whether a read is of a step, or of one inside it."""
    plan, step = uses.places.plan, read.step
    while step is not None:
        if step.id == id:
            return True
        owner = plan.scopes[step.scope].owner
        step = None if owner is None else plan.steps[owner]
    return False
