"""Conditions of one step: is there a case in which none holds, and can each of them hold?

Looked at is what the step can read, whatever run leads there: types, schemas, what is assigned.
That no case is found is therefore a proof; a case that is found may be one that no run comes to,
which `consistent` looks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal

from heliostat.engine.expressions import ExpressionError
from heliostat.engine.plan.plan import Edge, StepPlan
from heliostat.engine.values import Json
from heliostat.verify.data.cases import (
    completed,
    found_case,
    has_value,
    in_a_sentence,
    told,
    truths,
)
from heliostat.verify.data.notes import NO_FORMULA
from heliostat.verify.data.places import INPUT, Places
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.store import Store
from heliostat.verify.nets.parts import Abstraction

Finding = Literal["gap", "gap in kind", "dead", "never", "no value", "overlap", "unknown"]


OVERLAPS_MAX: Final = 6
"""Conditions of one step of which each two are asked whether they hold at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What was found out about the conditions of one step."""

    step: StepPlan
    finding: Finding
    edge: Edge | None = None  # never taken, without a value, or taken first where two may be
    other: Edge | None = None  # that holds too
    case: str = ""  # in words
    witness: dict[str, Json] = field(default_factory=dict)
    rests_on: tuple[Abstraction, ...] = ()


def guards(places: Places, solver: Solver, *, overlaps: bool = False) -> Iterator[Guarded]:
    """All that is wrong, or not known, with the conditions of each step.

    Args:
        overlaps: tell of conditions that hold at once, too, which is no fault.
    """
    for step in places.plan.steps:
        if step.retired or not conditional(step):
            continue
        if solver.over:
            if may_have_no_way(step):
                yield Guarded(step=step, finding="unknown")
        else:
            yield from _Step(places, solver, step, overlaps=overlaps).findings()


def conditional(step: StepPlan) -> bool:
    """Whether conditions of a step decide anything."""
    return step.when is not None or any(edge.when is not None for edge in step.routes)


def may_have_no_way(step: StepPlan) -> bool:
    """Whether a step has conditions and no default."""
    return bool(step.routes) and all(edge.when is not None for edge in step.routes)


class _Step:
    def __init__(self, places: Places, solver: Solver, step: StepPlan, *, overlaps: bool) -> None:
        self._places, self._solver, self._step = places, solver, step
        self._overlaps = overlaps

    def findings(self) -> Iterator[Guarded]:
        step, solver = self._step, self._solver
        if step.when is not None:
            store = Store(self._places, solver, f"{step.id}:when")
            true, _ = store.encoder(step.scope, "", None).condition(step.when.ast)
            if solver.ask(true) == "impossible":
                yield Guarded(step=step, finding="never", rests_on=grounds(store, step))
        routes = [edge for edge in step.routes if edge.when is not None]
        if not routes:
            return
        stores = [self._completed()]
        if step.when is not None:
            stores.append(self._skipped())
        pairs = [
            [store.encoder(step.scope, "", step).condition(e.when.ast) for e in routes if e.when]
            for store in stores
        ]
        for at, edge in enumerate(routes):
            earlier = at if step.split == "first" else 0
            asked = [
                solver.ask(*(false for _, false in each[:earlier]), each[at][0]) for each in pairs
            ]
            if all(answer == "impossible" for answer in asked):
                yield Guarded(
                    step=step, finding="dead", edge=edge, rests_on=grounds(stores[0], step)
                )
        yield from self._without_value(stores[0], routes, pairs[0])
        if self._overlaps and step.split == "first":
            yield from self._overlap(stores[0], routes, pairs[0])
        if may_have_no_way(step):
            for store, each in zip(stores, pairs, strict=True):
                found = self._gap(store, [false for _, false in each])
                if found is not None:
                    yield found
                    return

    def _completed(self) -> Store:
        """The data when the step has completed and assigned."""
        step, solver = self._step, self._solver
        store = Store(self._places, solver, step.id)
        output = store.key(("steps", step.number, "output"), "")
        if step.output is not None and step.foreach is None:
            store.write(output, store.data(step.output, step.scope, "", None))
        elif "null" not in self._places.outputs[step.id].kinds:
            solver.assume(solver.no(store.term(output).of("null")))
        assign(store, step, "")
        return store

    def _skipped(self) -> Store:
        step, solver = self._step, self._solver
        store = Store(self._places, solver, f"{step.id}:skipped")
        solver.assume(store.term(store.key(("steps", step.number, "output"), "")).of("null"))
        return store

    def _without_value(
        self, store: Store, routes: list[Edge], pairs: list[tuple[Formula, Formula]]
    ) -> Iterator[Guarded]:
        """Cases of a declared input for which a condition that is asked has no value: a clash of
        kinds, a division by zero. What else it may read hangs on the run that leads there."""
        solver, step = self._solver, self._step
        if self._places.definition.input_schema is None:
            return
        for at, (edge, (true, false)) in enumerate(zip(routes, pairs, strict=True)):
            read = edge.when and self._places.reads(edge.when.ast, step.scope, step)
            if read != {INPUT}:
                continue
            earlier = [each for _, each in pairs[:at]] if step.split == "first" else []
            wrong = solver.no(solver.any(true, false))
            asked = [*earlier, wrong, store.thought_of()]
            if solver.first_possible(*asked, wishes=store.wishes()) != "possible":
                continue
            try:
                case, words = found_case(store), in_a_sentence(told(store))
                witness = case.json(store)
                completed(case, store, "", step)
            except (ExpressionError, OverflowError):
                continue
            if edge.when is not None and not has_value(case, store, step, edge.when):
                yield Guarded(step=step, finding="no value", edge=edge, case=words, witness=witness)

    def _overlap(
        self, store: Store, routes: list[Edge], pairs: list[tuple[Formula, Formula]]
    ) -> Iterator[Guarded]:
        """The first two conditions that hold in one case: which way is taken is their order's."""
        solver, step = self._solver, self._step
        for first, second in combinations(range(len(routes[:OVERLAPS_MAX])), 2):
            both = (pairs[first][0], pairs[second][0], store.thought_of())
            if solver.first_possible(*both, wishes=store.wishes()) != "possible":
                continue
            try:
                case, words = found_case(store), in_a_sentence(told(store))
                witness = case.json(store)
                completed(case, store, "", step)
                found = truths(case, store, "", step)
            except (ExpressionError, OverflowError):
                continue
            if found is not None and found[first] and found[second]:
                yield Guarded(
                    step=step,
                    finding="overlap",
                    edge=routes[first],
                    other=routes[second],
                    case=words,
                    witness=witness,
                )
                return

    def _gap(self, store: Store, none: list[Formula]) -> Guarded | None:
        """A case in which no condition holds: first one of kinds that the author thought of."""
        solver, step = self._solver, self._step
        answer = solver.first_possible(*none, store.thought_of(), wishes=store.wishes())
        finding: Finding = "gap"
        if answer == "impossible":
            answer, finding = solver.first_possible(*none, wishes=store.wishes()), "gap in kind"
        if answer == "impossible":
            return None
        rests_on = grounds(store, step)
        if answer == "possible":
            if solver.truth(store.thought_of()):
                finding = "gap"
            try:
                case, words = found_case(store), in_a_sentence(told(store))
                witness = case.json(store)
                completed(case, store, "", step)
                found = truths(case, store, "", step)
            except (ExpressionError, OverflowError):
                found = None
            else:
                if found is not None and not any(found):
                    return Guarded(
                        step=step,
                        finding=finding,
                        case=words,
                        witness=witness,
                        rests_on=rests_on,
                    )
        return Guarded(step=step, finding="unknown", rests_on=rests_on)


def assign(store: Store, step: StepPlan, prefix: str) -> None:
    """Let a step assign: all right sides see the old values."""
    made = []
    for name, data in step.assign:
        location = store.places.variable(name, step.scope)
        if location is not None:
            made.append((store.key(location, prefix), store.data(data, step.scope, prefix, step)))
    for name, _ in step.append:
        location = store.places.variable(name, step.scope)
        if location is not None:
            made.append((store.key(location, prefix), None))
    for key, term in made:
        store.write(key, term)


def grounds(store: Store, step: StepPlan) -> tuple[Abstraction, ...]:
    """What an answer about a step's conditions rests on."""
    found = []
    for text, why in store.notes.inexact:
        kind = "value" if why == NO_FORMULA else "rounding"
        found.append(Abstraction(kind=kind, step=step.id, text=f"`{text}` {why}"))
    return tuple(found)
