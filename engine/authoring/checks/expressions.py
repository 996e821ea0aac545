"""Expressions and data: are they such, and can what they name be read at their place?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ...expressions import (
    Data,
    DataProblems,
    Problem,
    SyntaxProblem,
    Type,
    parse_data,
    parse_expression,
    render_type,
    type_from_schema,
)
from ...expressions import (
    check as check_part,
)
from ...expressions.check import Collection, Names
from ...expressions.types import JSON, NULL, union
from ...values import Json
from ..diagnostics import Findings
from ..model import Definition, ParallelStep, Step
from ..scopes import Scope
from ..shape import Lost
from ..source import Path
from .control_flow import Homes
from .order import may_precede
from .outputs import EVENT, output_type
from .slots import Slot, slots_of_scope, slots_of_step
from .times import plain_time

_STEP_READ: Final = re.compile(r"steps\s*(?:\.\s*|\[\s*[\"'])([A-Za-z_][A-Za-z0-9_]*)")
_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_BEFORE_STEPS: Final = "this is fixed before any step runs"


def check(
    definition: Definition,
    scopes: Sequence[Scope],
    homes: Homes,
    findings: Findings,
    *,
    lost: Lost,
    ordered: bool,
    typed: bool,
) -> None:
    """Note the faults of every expression and data field.

    Args:
        homes: by its id, the scope that each step is written in.
        lost: names that exist and could not be read.
        ordered: the graphs are sound, so that it can be told which steps come before which.
        typed: the schemas are sound.
    """
    schema = definition.input_schema
    given = type_from_schema(schema) if typed and schema is not None else JSON
    outputs: dict[str, Type] = dict.fromkeys(lost.steps, JSON)
    outputs.update((step.id, output_type(step)) for scope in scopes for step in scope.steps)
    shared = _Shared(findings, given, lost, homes, outputs, ordered)
    for scope in scopes:
        checker = _ScopeChecker(scope, shared)
        for slot in slots_of_scope(scope, definition):
            checker.check(slot, None)
        for index, step in enumerate(scope.steps):
            for slot in slots_of_step(step, scope.step_path(index)):
                checker.check(slot, step)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all scopes are checked against."""

    findings: Findings
    input: Type
    lost: Lost
    homes: Homes
    outputs: Mapping[str, Type]
    ordered: bool


class _ScopeChecker:
    """Checks the slots of one scope."""

    def __init__(self, scope: Scope, shared: _Shared) -> None:
        self._scope, self._shared = scope, shared
        self._around = _variables(scope.parent, shared.lost) if scope.parent is not None else {}
        if scope.owner is not None and scope.owner.as_ is not None:
            self._around[scope.owner.as_] = JSON
        self._variables = _variables(scope, shared.lost)
        self._in_item = any(
            each.owner is not None and each.owner.foreach is not None for each in scope.enclosing
        )

    def check(self, slot: Slot, step: Step | None) -> None:
        """Note what is wrong with one field."""
        findings = self._shared.findings
        if not slot.expression and plain_time(slot, findings):
            return
        for problem in self._problems(slot, step):
            span = problem.span if problem.span[1] > problem.span[0] else None
            findings.add(
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
            data = parse_data(slot.value)
            if (clash := _clash(data, slot)) is not None:
                return [clash]
            return check_part(data, names, expect=slot.wanted)
        except DataProblems as problems:
            # the strings that can be read are checked all the same
            broken = {problem.path for problem in problems.problems}
            readable = parse_data(_without(slot.value, (), broken))
            return [*problems.problems, *check_part(readable, names)]

    def _names(self, slot: Slot, step: Step | None) -> Names:
        shared = self._shared
        variables = dict(self._variables if slot.variables else self._around)
        if slot.item and step is not None and step.as_ is not None:
            variables[step.as_] = JSON
        named = {id for id in _named_steps(slot.value) if id in shared.outputs}
        return Names(
            input=shared.input,
            vars=variables,
            steps=self._visible,
            elsewhere=self._elsewhere(named, slot, step),
            collections=_collections(named, shared.homes),
            has_item=slot.item or self._in_item,
            has_output=slot.output,
            output=JSON if step is None else union(shared.outputs[step.id], NULL),
            has_error=slot.error,
            has_event=slot.event,
            event=EVENT,
            has_secrets=slot.secrets,
        )

    @cached_property
    def _visible(self) -> dict[str, Type]:
        """The steps of this scope and of those around it; of others `_elsewhere` tells."""
        outputs, lost = self._shared.outputs, self._shared.lost
        found = {id: outputs[id] for id in lost.steps}
        for scope in self._scope.enclosing:
            found.update((id, outputs[id]) for id in scope.by_id)
        return found

    def _elsewhere(self, named: set[str], slot: Slot, step: Step | None) -> dict[str, str]:
        """The steps that a slot names and cannot read, each with why or what to read instead.

        Only of those it names, as each slot could be asked about each step.
        """
        found = {id: self._why_not(id, slot, step) for id in sorted(named)}
        return {id: why for id, why in found.items() if why is not None}

    def _why_not(self, id: str, slot: Slot, step: Step | None) -> str | None:
        home = self._shared.homes.get(id)
        if home is None:
            return None  # one that could not be read
        at: Step | None = step
        for scope in self._scope.enclosing:
            if scope.key == home.key:
                if scope is self._scope:
                    return self._unreadable_here(id, slot, step)
                return self._not_before(scope, id, at)
            at = scope.owner
        return self._inside(home)

    def _unreadable_here(self, id: str, slot: Slot, step: Step | None) -> str | None:
        if slot.steps == "none":
            root = self._scope.parent is None
            return _BEFORE_STEPS if root else "this is fixed before any step of its scope runs"
        if slot.steps == "any" or step is None:
            return None
        why = self._not_before(self._scope, id, step)
        if why is not None and id == step.id and slot.output:
            return f"{why}: its output is `$.output` here"
        return why

    def _not_before(self, scope: Scope, id: str, at: Step | None) -> str | None:
        """Why a step of a scope may not have ended when another of it begins, which `at` is."""
        if at is None or not self._shared.ordered or may_precede(scope, id, at.id):
            return None
        if id == at.id:
            return (
                "the step has not ended by then"
                if scope is self._scope
                else "this stands within the step, which has not ended by then"
            )
        if scope.notation == "dag":
            owner = "" if scope is self._scope else f" of `{at.id}`"
            return f"it may still run by then; add it{owner}: `needs: [{id}]`"
        there = "this step" if scope is self._scope else f'"{at.id}", which this stands in'
        return f"no way leads from it to {there}"

    def _inside(self, home: Scope) -> str:
        """What to read of a step that another step of a scope around holds."""
        around = {scope.key for scope in self._scope.enclosing}
        owners = {scope.owner.id for scope in self._scope.enclosing if scope.owner is not None}
        for scope in home.enclosing:
            if scope.parent is not None and scope.parent.key in around and scope.owner:
                if scope.owner.id in owners:
                    break  # another branch of the same step
                branch = "" if scope.branch is None else f".{scope.branch}"
                return f"it is inside: read `$.steps.{scope.owner.id}.output{branch}`"
        return "it is in another branch, which runs at the same time"


def _clash(data: Data, slot: Slot) -> Problem | None:
    """A value that is written out, and of another type than the field."""
    wanted = slot.wanted
    if wanted is None or (isinstance(data.value, str) and not data.constant):
        return None
    kind = _KINDS[type(data.value)]
    if kind in wanted.kinds:
        return None
    return Problem("HS013", f"{render_type(wanted)} is wanted here, not {kind}", (0, 0))


def _variables(scope: Scope, lost: Lost) -> dict[str, Type]:
    """The variables that can be read in a scope, and the names given by `as` around it."""
    found: dict[str, Type] = dict.fromkeys(lost.variables, JSON)
    for each in scope.enclosing:
        found.update(dict.fromkeys(each.variables, JSON))
        if each.owner is not None and each.owner.as_ is not None:
            found[each.owner.as_] = JSON
    return found


def _collections(named: Iterable[str], homes: Homes) -> dict[str, Collection]:
    """What each of the steps has beside its output: items, or branches in order of completion."""
    found: dict[str, Collection] = {}
    for id in named:
        step = homes[id].by_id[id] if id in homes else None
        if step is not None:
            parallel = isinstance(step, ParallelStep)
            found[id] = "branches" if parallel else "items" if step.foreach is not None else None
    return found


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
