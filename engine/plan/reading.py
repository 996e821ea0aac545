"""Compiling fields, and noting what they read: which parts of which outputs the plan will ask for.

Where a value is too large to travel, whoever holds it returns these parts beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from ..authoring.fields import Model
from ..expressions import Data, Expression, Read, parse_data, parse_expression, reads
from ..values import Json
from .plan import ScopePlan, StepPlan

Origin: TypeAlias = tuple[str, ...]

_ITEM: Final = re.compile(r"\$\[(?:\d+|\*)\](.*)", re.DOTALL)
_MEMBER: Final = re.compile(r"\$\.([A-Za-z_]\w*)(.*)", re.DOTALL)


class Reader:
    """Makes expressions and data of fields, and keeps what they read by the value read of."""

    def __init__(self) -> None:
        self._by_root: dict[Origin, dict[Read, None]] = {}

    def data(self, value: Json, owner: str | None = None) -> Data:
        """A data field; `owner` is the step whose output `$.output` is there."""
        data = parse_data(in_order(value))
        self.note(data, owner)
        return data

    def given(self, model: Model, field: str, owner: str | None = None) -> Data | None:
        """A data field, where null is a value: None only if it was not written."""
        return self.data(getattr(model, field), owner) if model.given(field) else None

    def expression(self, source: str | None, owner: str | None = None) -> Expression | None:
        """An expression field: a condition, or a list to run over."""
        if source is None:
            return None
        expression = parse_expression(source)
        self.note(expression, owner)
        return expression

    def note(self, part: Data | Expression, owner: str | None = None) -> None:
        """Note what a field reads. The value of an expression field is looked at, too."""
        for read in reads(part, tested=isinstance(part, Expression)):
            root = ("steps", owner) if read.root == ("output",) and owner else read.root
            self._by_root.setdefault(root, {})[read] = None

    def pass_inwards(self, steps: Sequence[StepPlan], scopes: Sequence[ScopePlan]) -> None:
        """What is read of a body's or a parallel step's output is read of the steps whose outputs
        make it: those it ends with, or the one that its `output` passes on. Outer steps have the
        lower numbers."""
        for step in steps:
            for read in self._by_root.get(("steps", step.id), {}).copy():
                path: str | None = read.path
                if step.foreach is not None and step.scopes:
                    found = _ITEM.fullmatch(read.path)
                    path = None if found is None else f"${found.group(1)}"
                for number in step.scopes:
                    scope = scopes[number]
                    inner = _below(path, scope.name) if step.kind == "parallel" else path
                    self._pass_to_ends(scope, inner, steps, whole=read.whole)

    def _pass_to_ends(
        self, scope: ScopePlan, path: str | None, steps: Sequence[StepPlan], *, whole: bool
    ) -> None:
        if path is None:
            return
        if scope.output is not None:
            passed_on = _passed_on(scope.output)
            if passed_on is not None:
                self._by_root.setdefault(passed_on, {})[Read(passed_on, path, whole)] = None
            return
        for number in scope.ends:
            id = steps[number].id
            part = path if len(scope.ends) == 1 else _below(path, id)
            if part is not None:
                root = ("steps", id)
                self._by_root.setdefault(root, {})[Read(root, part, whole)] = None

    def of_step(self, id: str) -> tuple[Read, ...]:
        """What is read of a step's output, be it as `$.steps.<id>.output` or as `$.output`."""
        return self._merged(("steps", id))

    def of_input(self) -> tuple[Read, ...]:
        """What is read of the execution's input."""
        return self._merged(("input",))

    def _merged(self, root: Origin) -> tuple[Read, ...]:
        """Each path once; it is merely passed along only if that holds everywhere."""
        passed: dict[str, bool] = {}
        for read in self._by_root.get(root, ()):
            passed[read.path] = passed.get(read.path, True) and read.whole
        return tuple(Read(root, path, passed[path]) for path in sorted(passed))


def _passed_on(output: Data) -> Origin | None:
    """The value that an `output` passes on unchanged, if it is nothing but a path to it."""
    read = reads(output)
    if output.is_bare_path and len(read) == 1 and read[0].path == "$":
        return read[0].root
    return None


def _below(path: str | None, name: str | None) -> str | None:
    """A path relative to a member of the value that it begins at."""
    found = None if path is None else _MEMBER.fullmatch(path)
    return f"${found.group(2)}" if found is not None and found.group(1) == name else None


def in_order(value: Json) -> Json:
    """With keys in order, as the stored body has them: a plan is the same wherever it was read."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_order(item) for item in value]
    return value
