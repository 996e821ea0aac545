"""Expressions and data: are they such, and can what they name be read at their place?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ...expressions import (
    DataProblems,
    Problem,
    SyntaxProblem,
    Type,
    parse_data,
    parse_expression,
    type_from_schema,
)
from ...expressions import (
    check as check_part,
)
from ...expressions.check import Names
from ...expressions.time import parse_duration, parse_instant
from ...expressions.types import ARRAY, JSON, object_type
from ...values import Json
from ..diagnostics import Findings
from ..model import DecisionStep, Definition, Step
from ..scopes import Scope, scopes_of
from ..shape import Lost
from ..source import Path
from .order import may_precede
from .slots import Slot, Time, slots_of_scope, slots_of_step

_STEP_READ: Final = re.compile(r"steps\s*(?:\.\s*|\[\s*[\"'])([A-Za-z_][A-Za-z0-9_]*)")
_BEFORE_STEPS: Final = "this is fixed before any step runs"


def check(
    definition: Definition,
    findings: Findings,
    *,
    lost: Lost,
    ordered: bool,
    typed: bool,
) -> None:
    """Note the faults of every expression and data field.

    Args:
        lost: names that exist and could not be read.
        ordered: the graph is sound, so that it can be told which steps come before which.
        typed: the input's schema is sound.
    """
    schema = definition.input_schema
    given = type_from_schema(schema) if typed and schema is not None else JSON
    for scope in scopes_of(definition):
        checker = _ScopeChecker(scope, findings, given, lost, ordered=ordered)
        for slot in slots_of_scope(scope, definition):
            checker.check(slot, None)
        for index, step in enumerate(scope.steps):
            for slot in slots_of_step(step, scope.step_path(index)):
                checker.check(slot, step)


class _ScopeChecker:
    """Checks the slots of one scope."""

    def __init__(
        self,
        scope: Scope,
        findings: Findings,
        given: Type,
        lost: Lost,
        *,
        ordered: bool,
    ) -> None:
        self._scope, self._findings, self._given = scope, findings, given
        self._ordered = ordered
        self._variables = {*lost.variables, *scope.variables}
        self._outputs: dict[str, Type] = dict.fromkeys(lost.steps, JSON)
        self._outputs.update((step.id, _output_type(step)) for step in scope.steps)

    def check(self, slot: Slot, step: Step | None) -> None:
        """Note what is wrong with one field."""
        if not slot.expression and _plain_time(slot, self._findings):
            return
        for problem in self._problems(slot, step):
            span = problem.span if problem.span[1] > problem.span[0] else None
            self._findings.add(
                problem.code,
                (*slot.path, *problem.path),
                problem.message,
                problem.cure,
                span=span,
            )

    def _problems(self, slot: Slot, step: Step | None) -> list[Problem]:
        names = self._names(slot, step)
        if slot.expression:
            try:
                return check_part(parse_expression(slot.value), names, expect=slot.wanted)
            except SyntaxProblem as problem:
                return [problem.problem]
        try:
            return check_part(parse_data(slot.value), names, expect=slot.wanted)
        except DataProblems as problems:
            # the strings that can be read are checked all the same
            broken = {problem.path for problem in problems.problems}
            readable = parse_data(_without(slot.value, (), broken))
            return [*problems.problems, *check_part(readable, names)]

    def _names(self, slot: Slot, step: Step | None) -> Names:
        elsewhere = self._elsewhere(slot, step)
        variables: dict[str, Type] = {}
        if slot.steps != "none":
            variables = dict.fromkeys(self._variables, JSON)
        if slot.item and step is not None and step.as_ is not None:
            variables[step.as_] = JSON
        return Names(
            input=self._given,
            vars=variables,
            steps=self._outputs,
            elsewhere=elsewhere,
            has_item=slot.item,
            has_output=slot.output,
            output=JSON if step is None else self._outputs[step.id],
            has_error=slot.error,
        )

    def _elsewhere(self, slot: Slot, step: Step | None) -> dict[str, str]:
        """The steps that a slot names and cannot read, each with why or what to read instead.

        Only of those it names, as each slot could be asked about each step.
        """
        named = [id for id in _named_steps(slot.value) if id in self._outputs]
        if slot.steps == "none":
            return dict.fromkeys(named, _BEFORE_STEPS)
        if slot.steps == "any" or step is None or not self._ordered:
            return {}
        return {
            id: self._why_not(id, step, slot)
            for id in named
            if not may_precede(self._scope, id, step.id)
        }

    def _why_not(self, other: str, step: Step, slot: Slot) -> str:
        if other == step.id:
            instead = ": its output is `$.output` here" if slot.output else ""
            return f"the step has not ended by then{instead}"
        if self._scope.notation == "dag":
            return f"it may still run by then; add it: `needs: [{other}]`"
        return "no way leads from it to this step"


def _named_steps(value: Json) -> set[str]:
    """The ids behind `$.steps` somewhere in a field; rather too many than too few."""
    waiting, found = [value], set[str]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.update(_STEP_READ.findall(item))
        elif isinstance(item, dict | list):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found


def _without(value: Json, path: Path, broken: set[Path]) -> Json:
    """A data field with null for the strings that cannot be read."""
    if path in broken:
        return None
    if isinstance(value, dict):
        return {key: _without(item, (*path, key), broken) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, (*path, index), broken) for index, item in enumerate(value)]
    return value


def _output_type(step: Step) -> Type:
    """What is known of a step's output: a list with `foreach`, the keys that a decision writes."""
    if step.foreach is not None:
        return ARRAY
    replaced = any(clause.given("output") for clause in step.on_error)
    if isinstance(step, DecisionStep) and not replaced and isinstance(step.output, dict):
        return object_type(dict.fromkeys(step.output, JSON))
    return JSON


def _plain_time(slot: Slot, findings: Findings) -> bool:
    """Judge a duration or instant that is written out; False if it has to be computed."""
    value, time = slot.value, slot.time
    if time is None:
        return False
    if isinstance(value, str) and "$" in value:
        return False
    if isinstance(value, Mapping) and "business_days" in value:
        findings.add(
            "HS012", (*slot.path, "business_days"), "`business_days` is not built yet", at="key"
        )
    elif isinstance(value, int | float) and not isinstance(value, bool):
        cure = f'say which: "{value}s", "{value}m"'
        findings.add("HS015", slot.path, f"`{value}` has no unit", cure)
    elif not isinstance(value, str):
        findings.add("HS013", slot.path, f"{_ARTICLES[time]} is wanted here", _EXAMPLES[time])
    elif (fault := _time_fault(value, time)) is not None:
        findings.add("HS016", slot.path, fault)
    return True


_ARTICLES: Final[dict[Time, str]] = {
    "duration": "a duration",
    "instant": "an instant",
    "either": "a duration or an instant",
}
_EXAMPLES: Final[dict[Time, str]] = {
    "duration": 'as "90s" or "2d"',
    "instant": 'as "2030-01-31T08:00:00Z"',
    "either": 'as "90s" or "2030-01-31T08:00:00Z"',
}


def _time_fault(text: str, time: Time) -> str | None:
    """Why a text is no duration or instant, or None; where both may be, its looks decide."""
    looks_instant = text.strip()[:4].isdigit() and "-" in text
    read = parse_instant if time == "instant" or (time == "either" and looks_instant) else None
    try:
        (read or parse_duration)(text)
    except ValueError as error:
        return str(error)
    return None
