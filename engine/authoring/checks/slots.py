"""Where expressions stand, and what each may read there.

The one list of all *expression* and *data* fields. A `Slot` is such a field with its value; which
names it sees follows from when in a visit it is evaluated: once, per item, after the output is
there, or after an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ...expressions import BOOLEAN, Type
from ...expressions.types import ARRAY, DURATION, INSTANT, STRING, union
from ...values import Json
from ..fields import ErrorClause, Failing, appends
from ..model import DecisionStep, Definition, Step, TimerStep
from ..scopes import Scope
from ..source import Path

FieldClass: TypeAlias = Literal["expression", "data", "constant"]

EXPRESSION_FIELDS: Final = frozenset({"when", "foreach"})
DATA_FIELDS: Final = frozenset(
    {"input", "output", "assign", "vars", "deadline", "duration", "until", "type", "message"}
)
"""`type` and `message` are those of `fail`; every other field of the model is constant."""

Readable: TypeAlias = Literal["before", "any", "none"]
Time: TypeAlias = Literal["duration", "instant", "either"]

_TIMES: Final[dict[Time, Type]] = {
    "duration": union(DURATION, STRING),
    "instant": union(INSTANT, STRING),
    "either": union(DURATION, INSTANT, STRING),
}


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One expression or data field, and what can be named in it."""

    path: Path
    value: Json
    expression: bool = False
    expect: Type | None = None
    time: Time | None = None
    item: bool = False
    output: bool = False
    error: bool = False
    steps: Readable = "before"
    """Steps that have or may have ended before; any; or none, when no step can have run."""

    @property
    def wanted(self) -> Type | None:
        """The type that the value must be able to have."""
        return self.expect if self.time is None else _TIMES[self.time]


def slots_of_step(step: Step, path: Path) -> Iterator[Slot]:
    """The slots of a step, in the order in which a visit passes them."""
    item = step.foreach is not None
    if step.when is not None:
        yield Slot(path=(*path, "when"), value=step.when, expression=True, expect=BOOLEAN)
    if step.given("deadline"):
        yield Slot(path=(*path, "deadline"), value=step.deadline, time="either")
    if step.foreach is not None:
        yield Slot(path=(*path, "foreach"), value=step.foreach, expression=True, expect=ARRAY)
    if step.given("input"):
        yield Slot(path=(*path, "input"), value=step.input, item=item)
    if isinstance(step, TimerStep):
        if step.given("duration"):
            yield Slot(path=(*path, "duration"), value=step.duration, time="duration", item=item)
        if step.given("until"):
            yield Slot(path=(*path, "until"), value=step.until, time="instant", item=item)
    if isinstance(step, DecisionStep):
        if step.given("output"):
            yield Slot(path=(*path, "output"), value=step.output, item=item)
        if step.fail is not None:
            yield from _failing(step.fail, (*path, "fail"), item=item)
    for index, clause in enumerate(step.on_error):
        yield from _clause(clause, (*path, "on_error", index), item=item)
    for name, value in step.assign.items():
        place: Path = (*path, "assign", name)
        if appends(value):
            yield Slot(path=(*place, "append"), value=value["append"], output=True)
        else:
            yield Slot(path=place, value=value, output=True)
    for index, route in enumerate(step.next or ()):
        if route.when is not None:
            yield Slot(
                path=(*path, "next", index, "when"),
                value=route.when,
                expression=True,
                expect=BOOLEAN,
                output=True,
            )


def slots_of_scope(scope: Scope, definition: Definition) -> Iterator[Slot]:
    """The slots of a scope itself: initial values, its output, the definition's own clauses."""
    for name, value in scope.variables.items():
        yield Slot(path=(*scope.path, "vars", name), value=value, steps="none")
    if definition.given("output"):
        yield Slot(path=(*scope.path, "output"), value=scope.output, steps="any")
    for index, clause in enumerate(scope.on_error):
        yield from _clause(clause, ("on_error", index), item=False, steps="any")
    if definition.given("deadline"):
        yield Slot(path=("deadline",), value=definition.deadline, time="either", steps="none")


def _clause(
    clause: ErrorClause, path: Path, *, item: bool, steps: Readable = "before"
) -> Iterator[Slot]:
    """Clauses with `output` or `fail` are asked per item, those with `next` for the whole step."""
    item = item and clause.next is None
    if clause.when is not None:
        yield Slot(
            path=(*path, "when"),
            value=clause.when,
            expression=True,
            expect=BOOLEAN,
            item=item,
            error=True,
            steps=steps,
        )
    if clause.given("output"):
        yield Slot(path=(*path, "output"), value=clause.output, item=item, error=True, steps=steps)
    if clause.fail is not None:
        yield from _failing(clause.fail, (*path, "fail"), item=item, error=True, steps=steps)


def _failing(
    failing: Failing,
    path: Path,
    *,
    item: bool,
    error: bool = False,
    steps: Readable = "before",
) -> Iterator[Slot]:
    for field, value in (("type", failing.type), ("message", failing.message)):
        yield Slot(
            path=(*path, field), value=value, expect=STRING, item=item, error=error, steps=steps
        )
