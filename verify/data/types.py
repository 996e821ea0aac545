"""Types that cannot fit: outputs and their schema, inputs of children and theirs, operators.

What registration tells of one expression at a time (`authoring/checks`) is told here with what is
known of all: of what kinds variables are by all that is assigned to them, and what the definitions
that are asked about together take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heliostat.engine.authoring.activities import ActivityInfo, unfitting
from heliostat.engine.authoring.checks.slots import slots_of_step
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.scopes import Scope, scopes_of
from heliostat.engine.authoring.source import Path as Field
from heliostat.engine.expressions import (
    Names,
    Type,
    check,
    parse_data,
    parse_expression,
)
from heliostat.engine.expressions.types import JSON, NULL, union
from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.data.fitting import unfit
from heliostat.verify.data.places import INPUT, Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What can have no value, or none that its schema allows."""

    message: str
    code: str = "HS516"
    cure: str | None = None
    step: str | None = None
    field: Field = ()


class Types:
    """Asks about the types of one definition."""

    def __init__(self, places: Places, beside: Mapping[str, Definition]) -> None:
        """
        Args:
            beside: the other definitions that are asked about, by id.
        """
        self._places, self._plan, self._beside = places, places.plan, beside
        # kinds alone: what members an assigned object has is not followed
        self._variables = {key: Type(each.kinds) for key, each in places.variables.items()}

    def misfits(self) -> Iterator[Misfit]:
        """All that is certainly wrong."""
        definition = self._places.definition
        for scope in scopes_of(definition):
            yield from self._clashes(scope)
        if definition.given("output") and definition.output_schema is not None:
            names = self.names(self._plan.root.number, None)
            for field, message in unfit(
                parse_data(definition.output), definition.output_schema, names
            ):
                yield Misfit(message=f"{message}: `output_schema`", field=("output", *field))
        for step in self._plan.steps:
            if step.retired:
                continue
            child = None if step.child is None else self._beside.get(step.child.workflow)
            if child is not None and child.input_schema is not None:
                yield from self._given_to_child(step, child, child.input_schema)
            function = self._places.function(step)
            if function is not None:
                yield from self._given_to_function(step, function)

    def _given_to_child(self, step: StepPlan, child: Definition, schema: Any) -> Iterator[Misfit]:
        given = step.input if step.input is not None else parse_data(None)
        for field, message in unfit(given, schema, self.names(step.scope, step)):
            yield Misfit(
                message=f"{message}: `input_schema` of `{child.id}`",
                step=step.id,
                field=("input", *field) if step.input is not None else (),
            )

    def _given_to_function(self, step: StepPlan, function: ActivityInfo) -> Iterator[Misfit]:
        """Parameters that are missing, unknown or of another type than is given."""
        names, input = self.names(step.scope, step), step.input
        if input is not None and not isinstance(input.value, dict):
            for field, message in unfit(input, parameters(function), names):
                yield Misfit(
                    message=f"{message}: parameters of `{function.target}`",
                    step=step.id,
                    field=("input", *field),
                )
            return
        given = {} if input is None else input.value
        for fault, at in unfitting(given, function):
            yield Misfit(
                code=fault.code, message=fault.message, cure=fault.cure, step=step.id, field=at
            )
        for name in given:
            wanted = function.annotations.takes.get(name)
            if wanted is None or input is None:
                continue
            for field, message in unfit(input, wanted, names, within=(name,)):
                yield Misfit(
                    message=f"{message}: `{name}` of `{function.target}` is "
                    f"`{function.annotations.named[name]}`",
                    step=step.id,
                    field=("input", *field),
                )

    def _clashes(self, scope: Scope) -> Iterator[Misfit]:
        """Operators and functions that nothing can be given to of the kinds that variables have."""
        for index, each in enumerate(scope.steps):
            step, path = self._plan.steps[self._plan.step_by_id[each.id]], scope.step_path(index)
            for slot in slots_of_step(each, path):
                names = self.names(step.scope, step)
                part = parse_expression(slot.value) if slot.expression else parse_data(slot.value)
                for problem in check(part, names, expect=slot.wanted):
                    field = (*slot.path[len(path) :], *problem.path)
                    if problem.code in ("HS105", "HS106"):
                        yield Misfit(message=problem.message, step=each.id, field=field)
                    elif problem.code == "HS102":  # by what annotations say of an output
                        yield Misfit(
                            code=problem.code,
                            message=problem.message,
                            cure=problem.cure,
                            step=each.id,
                            field=field,
                        )

    def names(self, scope: int, step: StepPlan | None) -> Names:
        """What expressions in a scope can name, with the types of all; of a step's own with it."""
        variables: dict[str, Type] = {}
        for each in reversed([*self._places.chain(scope)]):
            for name in each.variables:
                variables[name] = self._variables[each.number, name]
            foreach = None if each.owner is None else self._plan.steps[each.owner].foreach
            if foreach is not None and foreach.alias is not None:
                variables[foreach.alias] = JSON
        if step is not None and step.foreach is not None and step.foreach.alias is not None:
            variables[step.foreach.alias] = JSON
        outputs = self._places.outputs
        return Names(
            input=self._places.type(INPUT),
            vars=variables,
            steps=outputs,
            has_item=True,
            has_output=True,
            output=JSON if step is None else union(outputs[step.id], NULL),
            has_error=True,
            has_event=True,
            has_secrets=True,
        )


def parameters(function: ActivityInfo) -> dict[str, Any]:
    """A function's parameters, as the schema of the input that it is called with."""
    known = function.annotations.takes
    return {
        "type": ["object", "null"],
        "properties": {name: known.get(name, True) for name in function.parameters},
        "required": [*function.required],
        "additionalProperties": function.accepts_any,
    }
