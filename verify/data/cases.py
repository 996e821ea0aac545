"""One case of the data, in values: what a solver found, evaluated by the language itself.

No case is told before the real expressions have done with it what the formulas say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.engine.expressions import MISSING, Expression, ExpressionError
from heliostat.engine.expressions.context import EvaluationContext, StepResult
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Json
from heliostat.verify.data.places import INPUT, Keys, Location, shown
from heliostat.verify.data.store import Key, Store
from heliostat.verify.data.terms import Cell

VALUES_MAX: Final = 6
"""Values of a case that a message tells."""


@dataclass(slots=True)
class Case:
    """What each location holds."""

    plan: Plan
    values: dict[Key, Any] = field(default_factory=dict)

    def context(self, store: Store, prefix: str, step: StepPlan) -> EvaluationContext:
        """For the expressions of a step that has ended."""
        steps: dict[str, dict[str, Any]] = {}
        variables: dict[str, Any] = {}
        for (location, _), value in self.values.items():
            if location[0] == "steps":
                steps.setdefault(self.plan.steps[location[1]].id, {})[location[2]] = value
        for scope in reversed([*store.places.chain(step.scope)]):
            for name in scope.variables:
                key = store.key(("vars", scope.number, name), prefix)
                variables[name] = self.values.get(key)
            foreach = None if scope.owner is None else self.plan.steps[scope.owner].foreach
            if foreach is not None and foreach.alias is not None:
                variables[foreach.alias] = self._of(store, ("item", scope.owner), prefix)
        owners = [each.owner for each in store.places.chain(step.scope) if each.owner is not None]
        looping = [each for each in owners if self.plan.steps[each].foreach is not None]
        item = self._of(store, ("item", looping[0]), prefix) if looping else None
        index = self._of(store, ("index", looping[0]), prefix) if looping else None
        return EvaluationContext(
            input=self.values.get((INPUT, "")),
            vars=variables,
            steps={id: StepResult(**fields) for id, fields in steps.items()},
            item=item,
            index=index if isinstance(index, int) else None,
            output=self._of(store, ("steps", step.number, "output"), prefix),
            execution=self.values.get((("execution",), "")) or {},
        )

    def assign(self, store: Store, prefix: str, step: StepPlan) -> None:
        """Let a step assign: all right sides see the old values.

        Raises:
            ExpressionError: one has no value.
        """
        context, made = self.context(store, prefix, step), {}
        for appends, pairs in ((False, step.assign), (True, step.append)):
            for name, data in pairs:
                location = store.places.variable(name, step.scope)
                if location is not None:
                    key = store.key(location, prefix)
                    value = data.evaluate(context)
                    made[key] = [*(self.values.get(key) or []), value] if appends else value
        self.values.update(made)

    def _of(self, store: Store, location: Location, prefix: str) -> Any:
        return self.values.get(store.key(location, prefix))

    def json(self, store: Store) -> dict[str, Json]:
        """For programs: `input`, `vars`, `steps` with their outputs, as far as they were read and
        do not follow from the rest."""
        found: dict[str, Any] = {}
        free = {key for key, _ in store.cells()}
        for (location, prefix), value in self.values.items():
            if (location, prefix) not in free:
                continue
            match location:
                case ("input",):
                    found["input"] = value
                case ("vars", _, name):
                    found.setdefault("vars", {})[name] = value
                case ("steps", number, name):
                    steps = found.setdefault("steps", {})
                    steps.setdefault(self.plan.steps[number].id, {})[name] = value
                case ("item", _):
                    found["item"] = value
        return found


def found_case(store: Store) -> Case:
    """The case that the last question found, as it was before anything was written.

    Raises:
        OverflowError: a list too long to be written out.
    """
    case = Case(store.places.plan)
    for (key, version), cell in store.cells().items():
        value = cell.value()
        if version == store.version(key) or key not in case.values:
            case.values[key] = None if value is MISSING else value
        if version == 0:
            case.values[key] = None if value is MISSING else value
    return case


def completed(case: Case, store: Store, prefix: str, step: StepPlan) -> None:
    """Let a step's visit complete: its own output, then what it assigns.

    Raises:
        ExpressionError: that has no value.
    """
    if step.output is not None:
        output = store.key(("steps", step.number, "output"), prefix)
        case.values[output] = step.output.evaluate(case.context(store, prefix, step))
    case.assign(store, prefix, step)


def truths(case: Case, store: Store, prefix: str, step: StepPlan) -> list[bool] | None:
    """What the conditions of a step's `next` come to; None if one has no value."""
    context = case.context(store, prefix, step)
    try:
        return [each.when.test(context) for each in step.routes if each.when is not None]
    except ExpressionError:
        return None


def has_value(case: Case, store: Store, step: StepPlan, condition: Expression) -> bool:
    """Whether a condition of a step's `next` has a value."""
    try:
        condition.test(case.context(store, "", step))
    except ExpressionError:
        return False
    return True


def told(store: Store) -> dict[str, str]:
    """The case that the last question found, for people: what was read, and its value."""
    plan, parts = store.places.plan, dict[str, str]()
    for ((location, _), version), cell in store.cells().items():
        if version and store.version((location, "")) != version:
            continue
        for keys, leaf in _leaves(cell, ()):
            value = leaf.value()
            shape = "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False)
            parts[shown(location, keys, plan)] = shape
    return parts


def in_a_sentence(parts: Mapping[str, str]) -> str:
    """Some of the values of a case."""
    return ", ".join(f"`{name}` = {value}" for name, value in list(parts.items())[:VALUES_MAX])


def _leaves(cell: Cell, keys: Keys) -> Iterator[tuple[Keys, Cell]]:
    """The parts of a value that were read: those below which nothing was."""
    if not cell.members and not cell.elements:
        yield keys, cell
    if (cell.members or cell.elements) and not cell.solver.truth(
        cell.solver.any(cell.term.of("object"), cell.term.of("array"))
    ):
        yield keys, cell
        return
    for name, each in cell.members.items():
        yield from _leaves(each, (*keys, name))
    for at, each in cell.elements.items():
        yield from _leaves(each, (*keys, at))
