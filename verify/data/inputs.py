"""Cases in which the input of a step does not fit: what its function takes, or its child's schema.

First each input by itself: can what it is made of breach the schema at all? What is left is looked
for along the runs that come to the step, as conditions before it may rule the case out. Nothing is
said where something that is not declared is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.engine.authoring.annotations import strictly
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.schemas import validator
from heliostat.engine.authoring.source import Path as Field
from heliostat.engine.expressions import Data, Names, parse_data, parse_expression, type_of
from heliostat.engine.expressions.printing import print_expression
from heliostat.engine.plan.plan import StepPlan
from heliostat.engine.values import Json
from heliostat.verify.budget import Budget
from heliostat.verify.data.cases import Case
from heliostat.verify.data.consistent import Consistent
from heliostat.verify.data.happening import place_of
from heliostat.verify.data.places import Places, declared, paths
from heliostat.verify.data.schemas import fits
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.store import Store
from heliostat.verify.data.walking import walk
from heliostat.verify.nets.net import Marking, Net
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Act

WALKS_MAX: Final = 5
"""Runs to one step that are gone along until one has a case."""

REFUSED: Final = "SchemaError"
"""The type of the error with which a step fails then."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """A part of a step's input, and the schema that it has to meet."""

    step: StepPlan
    field: Field
    data: Data
    schema: Mapping[str, Any]
    of: str  # whose schema it is, for people

    def met(self, store: Store, prefix: str) -> tuple[Formula, Formula]:
        """That it fits, as the data is now, and that it has no value."""
        term = store.data(self.data, self.step.scope, prefix, self.step)
        if term is None:
            return True, False
        encoder = store.encoder(self.step.scope, prefix, self.step)
        return fits(store.solver, term, self.schema, encoder), term.error

    def breached(self, store: Store, prefix: str) -> Formula:
        """That it has a value which does not fit, as the data is now."""
        solver, (met, error) = store.solver, self.met(store, prefix)
        if met is True:
            return False
        asked: Formula = True
        if self.step.when is not None:
            asked, _ = store.encoder(self.step.scope, prefix, None).condition(self.step.when.ast)
        return solver.all(asked, solver.no(error), solver.no(met), *self._written(store, prefix))

    def _written(self, store: Store, prefix: str) -> Iterator[Formula]:
        """That the steps whose output it reads have completed: what has not is told elsewhere."""
        places, step = store.places, self.step
        read = {
            location
            for _, expression in self.data.expressions()
            for location in places.reads(expression.ast, step.scope, step)
        }
        for location in sorted(read, key=repr):
            if location[0] != "steps" or location[2] != "output":
                continue
            if "null" not in places.outputs[places.plan.steps[location[1]].id].kinds:
                yield store.solver.no(store.term(store.key(location, prefix)).of("null"))

    def told(self, case: Case, store: Store, prefix: str) -> str | None:
        """In values: what is wrong with it in a case; None where it fits.

        Raises:
            ExpressionError: it has no value.
        """
        context = case.context(store, prefix, self.step)
        if self.step.when is not None and not self.step.when.test(context):
            return None
        value = self.data.evaluate(context)
        judges = [validator(self.schema), validator(strictly(self.schema))]
        told = [None if judge is None else judge(value) for judge in judges]
        return None if told[0] is None else told[1] or told[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A case in which an input does not fit."""

    given: Given
    message: str
    case: str
    run: tuple[Act, ...]
    witness: dict[str, Json] = field(default_factory=dict)


def given(
    places: Places,
    beside: Mapping[str, Definition],
    names: Callable[[int, StepPlan], Names],
) -> Iterator[Given]:
    """All parts of inputs of which is known what is taken, and what is given."""
    for step in places.plan.steps:
        # of no item nothing is called, and each is given something else
        if step.retired or step.input is None or step.foreach is not None or _expects(step):
            continue
        function = places.function(step)
        child = None if step.child is None else beside.get(step.child.workflow)
        found = list[Given]()
        if child is not None and child.input_schema is not None:
            of = f"`input_schema` of `{child.id}`"
            schema = child.input_schema
            found.append(Given(step=step, field=("input",), data=step.input, schema=schema, of=of))
        if function is not None and isinstance(step.input.value, dict):
            for name, value in step.input.value.items():
                taken = function.annotations.takes.get(name)
                if taken is not None:
                    of = f"`{name}` of `{function.target}`"
                    data, at = parse_data(value), ("input", name)
                    found.append(Given(step=step, field=at, data=data, schema=taken, of=of))
        for each in found:
            if not each.data.constant and _is_declared(each.data, names(step.scope, step)):
                yield each


def _expects(step: StepPlan) -> bool:
    """Whether it is provided for that the input does not fit."""
    return any(clause.error == REFUSED for clause in step.on_error)


def _is_declared(data: Data, names: Names) -> bool:
    """Whether something is declared of all that an input is made of."""
    return all(
        declared(type_of(parse_expression(print_expression(path)), names))
        for _, expression in data.expressions()
        for path in paths(expression.ast)
        if path.root == "$"
    )


def may_misfit(candidates: list[Given], places: Places, solver: Solver) -> list[Given]:
    """Those that can breach their schema, whatever run leads there."""
    found = []
    for each in candidates:
        store = Store(places, solver, solver.label(f"{each.step.id}:input"))
        breached = each.breached(store, "")
        if breached is not False and solver.ask(breached) != "impossible":
            found.append(each)
    return found


def misfits(
    candidates: list[Given], places: Places, net: Net, budget: Budget
) -> tuple[list[Misfit], str | None]:
    """Which of them do on some run, each with a case; and the bound, if not all were looked at."""
    consistent = Consistent(places, net, Solver(budget=budget))
    begins = [
        (place, at[1], each)
        for place, known in enumerate(net.places)
        if (at := place_of(net, place)) is not None and at[0] in ("step", "ready")
        for each in candidates
        if each.step.id == known.step
    ]
    seen: dict[Given, list[tuple[int, str]]] = {each: [] for each in candidates}

    def watch(number: int, marking: Marking, facts: frozenset[Any]) -> bool:
        for place, prefix, each in begins:
            if marking[place] and len(seen[each]) < WALKS_MAX:
                seen[each].append((number, prefix))
        return all(len(states) == WALKS_MAX for states in seen.values())

    explored = consistent.explore(budget=budget, watch=watch)
    found, solver = list[Misfit](), Solver(budget=budget)
    for each, states in seen.items():
        for number, prefix in states:
            if budget.over:
                return found, explored.stopped or f"more than {budget.time_max_ms} ms"
            run = explored.run_to(number)
            means, end = consistent.happenings, _End(each, prefix, candidates)
            walked = walk(places, net, run, solver, provided=True, means=means, end=end)
            if walked.answer == "taken":
                found.append(
                    Misfit(
                        given=each,
                        message=end.message,
                        case=walked.words,
                        run=acts(net, run),
                        witness=walked.witness,
                    )
                )
                break
    return found, explored.stopped


@dataclass(slots=True)
class _End:
    """What is asked where a run ends: that an input does not fit."""

    given: Given
    prefix: str
    all: list[Given]
    message: str = ""

    def begun(self, step: StepPlan, store: Store, prefix: str) -> Formula:
        """An attempt that was given what does not fit fails: what has completed was given else."""
        if any(clause.output is not None or clause.human is not None for clause in step.on_error):
            return True
        own = (each.met(store, prefix) for each in self.all if each.step is step)
        return store.solver.all(*(store.solver.any(met, error) for met, error in own))

    def formula(self, store: Store) -> Formula:
        return self.given.breached(store, self.prefix)

    def holds(self, case: Case, store: Store) -> bool:
        told = self.given.told(case, store, self.prefix)
        self.message = told or ""
        return told is not None
