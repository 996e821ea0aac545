"""One run of a net, gone along with its data: is there a case in which it is taken, and which?

First in formulas, exactly: each visit has an output of its own, each assignment is what it says.
Then the case that the solver finds is gone along in values, by the language's own evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from heliostat.engine.expressions import MISSING, Data, Expression, ExpressionError
from heliostat.engine.plan.plan import StepPlan
from heliostat.engine.values import Json
from heliostat.verify.data.cases import Case, in_a_sentence, told
from heliostat.verify.data.guards import assign
from heliostat.verify.data.happening import Happening, Opened, happenings, place_of
from heliostat.verify.data.places import Places, shown
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.store import Key, Store
from heliostat.verify.data.terms import literal
from heliostat.verify.nets.net import Net


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What became of a run."""

    answer: Literal["taken", "impossible", "unknown"]
    witness: dict[str, Json] = field(default_factory=dict)
    words: str = ""
    provided: bool = (
        True  # each value is of a kind that is declared, or that conditions provide for
    )


@dataclass(slots=True)
class _Given:
    """A location gets a value that is not known."""

    key: Key
    version: int


@dataclass(slots=True)
class _Made:
    """A location gets what a data field says."""

    key: Key
    data: Data
    prefix: str
    step: StepPlan


@dataclass(slots=True)
class _Assigned:
    """A step assigns."""

    prefix: str
    step: StepPlan


@dataclass(slots=True)
class _Asked:
    """A condition is asked, with what it came to."""

    expression: Expression
    prefix: str
    step: StepPlan
    truth: bool


class End(Protocol):
    """What is to hold at the end of a run, beside what the run says."""

    def begun(self, step: StepPlan, store: Store, prefix: str) -> Formula:
        """What held as a visit began that has completed."""
        ...

    def formula(self, store: Store) -> Formula:
        """As the data is there."""
        ...

    def holds(self, case: Case, store: Store) -> bool:
        """In values; a case of which it does not hold is dropped.

        Raises:
            ExpressionError: something that it asks has no value.
        """
        ...


def walk(
    places: Places,
    net: Net,
    run: Sequence[int],
    solver: Solver,
    *,
    provided: bool = False,
    means: Sequence[Happening] | None = None,
    end: End | None = None,
) -> Walked:
    """Go along a firing sequence from the initial marking.

    Args:
        means: what each net transition means, if that is at hand.
        end: what is to hold there, beside what the run says.
        provided: what nothing is declared of is of the kinds that conditions compare it with.
    """
    known = happenings(net, places.plan) if means is None else means
    return _Walk(places, net, solver, known, end).along(run, provided=provided)


class _Walk:
    def __init__(
        self,
        places: Places,
        net: Net,
        solver: Solver,
        means: Sequence[Happening],
        end: End | None,
    ) -> None:
        self._last = end
        self._places, self._net, self._solver = places, net, solver
        self._plan, self._happenings = places.plan, means
        self._store = Store(places, solver, solver.label("walk"))
        self._formulas: list[Formula] = []
        self._tale: list[_Given | _Made | _Assigned | _Asked] = []
        self._due: dict[int, tuple[Formula, Formula]] = {}
        self._begun: dict[int, Formula] = {}

    def along(self, run: Sequence[int], *, provided: bool) -> Walked:
        self._open(Opened(scope=0, prefix=""))
        for place, count in enumerate(self._net.initial):
            if count:
                self._arrive(place)
        for number in run:
            self._happen(number, self._happenings[number])
        if self._last is not None:
            self._formulas.append(self._last.formula(self._store))
        solver, store = self._solver, self._store
        thought = store.thought_of()
        wishes = store.wishes()
        if provided:
            answer = solver.first_possible(*self._formulas, thought, wishes=wishes)
        else:
            answer = solver.first_possible(*self._formulas, wishes=[thought, *wishes])
        if answer != "possible":
            return Walked(answer="impossible" if answer == "impossible" else "unknown")
        try:
            case = self._retold()
            words = "" if case is None else self._words(case)
        except (ExpressionError, OverflowError):
            case = None
            words = ""
        if case is None:
            return Walked(answer="unknown")
        witness = case.json(self._store)
        witness.pop("vars", None)  # they follow from the rest
        return Walked(answer="taken", witness=witness, words=words, provided=solver.truth(thought))

    def _words(self, case: Case) -> str:
        """What is not known of itself, and the variables that the last conditions read."""
        plan, parts = self._plan, told(self._store)
        asked = [each for each in self._tale if isinstance(each, _Asked)]
        for each in asked:
            if each.step is not asked[-1].step:
                continue
            read = self._places.reads(each.expression.ast, each.step.scope, each.step)
            for location in sorted(read, key=repr):
                key = self._store.key(location, each.prefix)
                if location[0] == "vars" and key in case.values:
                    shape = json.dumps(case.values[key], ensure_ascii=False)
                    parts[shown(location, (), plan)] = shape
        return in_a_sentence(parts)

    # -- in formulas

    def _happen(self, number: int, happening: Happening) -> None:
        for opened in happening.opened:
            self._open(opened)
        step, prefix = happening.step, happening.prefix
        if step is not None:
            if step.when is not None and happening.asked:
                self._conditioned(number, happening)
            if happening.ended == "completes":
                self._formulas += [
                    self._begun[place]
                    for place, _ in self._net.transitions[number].inputs
                    if place in self._begun
                ]
            if happening.ended:
                self._end(happening, step)
            encoder = self._store.encoder(step.scope, prefix, step)
            for condition, truth in happening.conditions:
                true, false = encoder.condition(condition.ast)
                self._formulas.append(true if truth else false)
                self._tale.append(_Asked(condition, prefix, step, truth))
        for place, _ in self._net.transitions[number].outputs:
            self._arrive(place)

    def _open(self, opened: Opened) -> None:
        store, scope = self._store, self._plan.scopes[opened.scope]
        if scope.owner is not None and self._plan.steps[scope.owner].foreach is not None:
            for name in ("item", "index"):
                self._give(store.key((name, scope.owner), opened.prefix))
        for number in scope.steps:  # what was not visited has no output
            key = store.key(("steps", number, "output"), opened.prefix)
            store.write(key, literal(self._solver, None))
            self._tale.append(_Given(key, -1))
        for name, data in scope.variables.items():
            key = store.key(("vars", opened.scope, name), opened.prefix)
            term = store.data(data, opened.scope, opened.prefix, None)
            store.write(key, term)
            first = self._plan.steps[scope.steps[0]]
            self._tale.append(_Made(key, data, opened.prefix, first))

    def _arrive(self, place: int) -> None:
        """A visit begins: its `when` is asked."""
        at, id = place_of(self._net, place), self._net.places[place].step
        if at is None or at[0] not in ("step", "ready") or id is None:
            return
        step = self._plan.steps[self._plan.step_by_id[id]]
        if step.when is not None:
            encoder = self._store.encoder(step.scope, at[1], None)
            self._due[place] = encoder.condition(step.when.ast)
        if self._last is not None:
            self._begun[place] = self._last.begun(step, self._store, at[1])

    def _conditioned(self, number: int, happening: Happening) -> None:
        for place, _ in self._net.transitions[number].inputs:
            if place in self._due:
                true, false = self._due[place]
                self._formulas.append(false if happening.ended == "skips" else true)

    def _end(self, happening: Happening, step: StepPlan) -> None:
        store, prefix = self._store, happening.prefix
        for name in ("status", "error", "items", "finished"):
            self._give(store.key(("steps", step.number, name), prefix))
        key = store.key(("steps", step.number, "output"), prefix)
        recovers = any(each.output is not None or each.human is not None for each in step.on_error)
        if happening.ended == "skips":
            store.write(key, literal(self._solver, None))
            self._tale.append(_Given(key, -1))
            return
        if happening.ended == "completes" and step.output is not None and not recovers:
            store.write(key, store.data(step.output, step.scope, prefix, None))
            self._tale.append(_Made(key, step.output, prefix, step))
        else:
            self._give(key)
            if happening.ended == "completes" and not recovers and step.foreach is None:
                kinds = self._places.outputs[step.id].kinds
                if "null" not in kinds:
                    self._formulas.append(self._solver.no(store.term(key).of("null")))
        if happening.ended == "completes":
            assign(store, step, prefix)
            self._tale.append(_Assigned(prefix, step))

    def _give(self, key: Key) -> None:
        self._store.write(key)
        self._tale.append(_Given(key, self._store.version(key)))

    # -- in values

    def _retold(self) -> Case | None:
        """The case, if all conditions come to what the run says; as it is at the end."""
        store, case = self._store, Case(self._plan)
        cells = store.cells()
        for (key, version), cell in cells.items():
            if version == 0:
                value = cell.value()
                case.values[key] = None if value is MISSING else value
        for each in self._tale:
            match each:
                case _Given(key=key, version=version):
                    given = cells.get((key, version))
                    value = None if given is None else given.value()
                    case.values[key] = None if value is MISSING else value
                case _Made(key=key, data=data, prefix=prefix, step=step):
                    case.values[key] = data.evaluate(case.context(store, prefix, step))
                case _Assigned(prefix=prefix, step=step):
                    case.assign(store, prefix, step)
                case _Asked(expression=expression, prefix=prefix, step=step, truth=truth):
                    if expression.test(case.context(store, prefix, step)) is not truth:
                        return None
        return case if self._last is None or self._last.holds(case, store) else None
