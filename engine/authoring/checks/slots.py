"""Where expressions stand, and what each may read there.

The one list of all *expression* and *data* fields. A `Slot` is such a field with its value; which
names it sees follows from when in a visit it is evaluated: once, per item, after the output is
there, or after an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from ...builtin import DATA_FIELDS as BUILTIN_FIELDS
from ...builtin import SECRET_FIELDS
from ...expressions import BOOLEAN, Type
from ...expressions.types import ARRAY, DURATION, INSTANT, OBJECT, STRING, union
from ...values import Json
from ..fields import (
    Action,
    Alternative,
    ErrorClause,
    Escalation,
    Failing,
    Model,
    Publication,
    Signalling,
    appends,
)
from ..model import (
    DecisionStep,
    Definition,
    HumanStep,
    ScriptStep,
    ServiceCallStep,
    Step,
    TimerStep,
    WaitStep,
)
from ..scopes import Scope
from ..source import Path

FieldClass: TypeAlias = Literal["expression", "data", "constant"]

EXPRESSION_FIELDS: Final = frozenset({"when", "where", "foreach"})
DATA_FIELDS: Final = frozenset(
    {
        "assign",
        "assignees",
        "bases",
        "body",
        "candidates",
        "data",
        "deadline",
        "duration",
        "env",
        "execution",
        "headers",
        "input",
        "message",
        "output",
        "query",
        "timer",
        "type",
        "until",
        "url",
        "vars",
    }
)
"""`type` and `message` are those of `fail`, `id` of a handler's `start` is data too; every other
field of the model is constant."""

Readable: TypeAlias = Literal["before", "any", "none"]
Time: TypeAlias = Literal["duration", "instant", "either", "deadline"]

_TIMES: Final[dict[Time, Type]] = {
    "duration": union(DURATION, STRING),
    "instant": union(INSTANT, STRING),
    "either": union(DURATION, INSTANT, STRING),
    "deadline": union(DURATION, INSTANT, STRING, OBJECT),
}
_PEOPLE: Final = union(STRING, ARRAY)


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
    event: bool = False
    secrets: bool = False
    steps: Readable = "before"
    """Steps of the scope that have or may have ended before; any; or none, when no step of it can
    have run. What is around the scope may be read as where its owner begins."""
    variables: bool = True
    """The scope's own variables have their values."""

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
        yield Slot(path=(*path, "deadline"), value=step.deadline, time="deadline")
    if step.foreach is not None:
        yield Slot(path=(*path, "foreach"), value=step.foreach, expression=True, expect=ARRAY)
    if step.given("input"):
        yield Slot(path=(*path, "input"), value=step.input, item=item)
    for slot in _own(step, path):
        yield replace(slot, item=item)
    for index, clause in enumerate(step.on_error):
        yield from _clause(clause, (*path, "on_error", index), item=item)
    for name, value in step.assign.items():
        place: Path = (*path, "assign", name)
        if appends(value):
            yield Slot(path=(*place, "append"), value=value["append"], output=True)
        else:
            yield Slot(path=place, value=value, output=True)
    for index, publication in enumerate(step.publish):
        yield from _publication(publication, (*path, "publish", index))
    if isinstance(step.signal, list):
        for index, signalling in enumerate(step.signal):
            yield from _signalling(signalling, (*path, "signal", index), output=True)
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
    """The slots of a scope itself: initial values, its output; of the root all that is shared."""
    for name, value in scope.variables.items():
        path: Path = (*scope.path, "vars", name)
        yield Slot(path=path, value=value, steps="none", variables=False)
    if scope.has_output:
        yield Slot(path=(*scope.path, "output"), value=scope.output, steps="any")
    if scope.parent is not None:
        return
    for index, clause in enumerate(scope.on_error):
        yield from _clause(clause, ("on_error", index), item=False, steps="any")
    if definition.given("deadline"):
        yield Slot(
            path=("deadline",),
            value=definition.deadline,
            time="deadline",
            steps="none",
            variables=False,
        )
    for index, point in enumerate(definition.intervention_points):
        # read at the steps that refer to it: what all of them can read
        path = ("intervention_points", index)
        for slot in _people(point, path):
            yield replace(slot, steps="none")
        if point.given("deadline"):
            place = (*path, "deadline")
            yield Slot(path=place, value=point.deadline, time="deadline", steps="none")
        for slot in _escalations(point.escalate, path):
            yield replace(slot, steps="none")
    for index, handler in enumerate(definition.handlers):
        path = ("handlers", index)
        if handler.where is not None:
            yield Slot(
                path=(*path, "where"),
                value=handler.where,
                expression=True,
                expect=BOOLEAN,
                event=True,
                steps="any",
            )
        for number, action in enumerate(handler.actions):
            for slot in _action(action, (*path, "actions", number)):
                yield replace(slot, event=True, steps="any")


def _own(step: Step, path: Path) -> Iterator[Slot]:
    """The slots that only some step types have."""
    if isinstance(step, ScriptStep | ServiceCallStep):
        yield from _builtin(step, path)
    if isinstance(step, TimerStep):
        if step.given("duration"):
            yield Slot(path=(*path, "duration"), value=step.duration, time="duration")
        if step.given("until"):
            yield Slot(path=(*path, "until"), value=step.until, time="instant")
    if isinstance(step, WaitStep):
        yield from _waited(step, path)
        for index, alternative in enumerate(step.any or ()):
            yield from _waited(alternative, (*path, "any", index))
    if isinstance(step, HumanStep):
        yield from _people(step, path)
        yield from _escalations(step.escalate or (), path)
    if isinstance(step, DecisionStep):
        if step.given("output"):
            yield Slot(path=(*path, "output"), value=step.output)
        if step.fail is not None:
            yield from _failing(step.fail, (*path, "fail"), item=False)


def _builtin(step: ScriptStep | ServiceCallStep, path: Path) -> Iterator[Slot]:
    for field in BUILTIN_FIELDS[step.type]:
        if field != "input" and step.given(field):
            secrets = field in SECRET_FIELDS[step.type]
            expect = STRING if field == "url" else None
            value = getattr(step, field)
            yield Slot(path=(*path, field), value=value, secrets=secrets, expect=expect)


def _waited(model: WaitStep | Alternative, path: Path) -> Iterator[Slot]:
    """Of an alternative, or of a wait that has one on itself."""
    if model.given("timer"):
        yield Slot(path=(*path, "timer"), value=model.timer, time="either")
    where = model.where
    if where is not None:
        yield Slot(path=(*path, "where"), value=where, expression=True, expect=BOOLEAN, event=True)


def _people(model: Model, path: Path) -> Iterator[Slot]:
    for field in ("assignees", "candidates"):
        if model.given(field):
            yield Slot(path=(*path, field), value=getattr(model, field), expect=_PEOPLE)


def _escalations(escalate: Sequence[Escalation], path: Path) -> Iterator[Slot]:
    for index, each in enumerate(escalate):
        yield from _people(each, (*path, "escalate", index))


def _publication(publication: Publication, path: Path) -> Iterator[Slot]:
    if publication.given("data"):
        yield Slot(path=(*path, "data"), value=publication.data, output=True)


def _signalling(signalling: Signalling, path: Path, *, output: bool) -> Iterator[Slot]:
    place = (*path, "execution")
    yield Slot(path=place, value=signalling.execution, expect=STRING, output=output)
    if signalling.given("data"):
        yield Slot(path=(*path, "data"), value=signalling.data, output=output)


def _action(action: Action, path: Path) -> Iterator[Slot]:
    if (start := action.start) is not None:
        if start.given("id"):
            yield Slot(path=(*path, "start", "id"), value=start.id, expect=STRING)
        if start.given("input"):
            yield Slot(path=(*path, "start", "input"), value=start.input)
    if action.signal is not None:
        yield from _signalling(action.signal, (*path, "signal"), output=False)
    for kind in ("cancel", "pause", "resume"):
        recipient = getattr(action, kind)
        if recipient is not None and recipient.given("execution"):
            place = (*path, kind, "execution")
            yield Slot(path=place, value=recipient.execution, expect=STRING)
    if action.custom is not None and action.custom.given("input"):
        yield Slot(path=(*path, "custom", "input"), value=action.custom.input)


def _clause(
    clause: ErrorClause, path: Path, *, item: bool, steps: Readable = "before"
) -> Iterator[Slot]:
    """Clauses with `output` or `fail` are asked per item, the others for the whole step."""
    item = item and clause.next is None and clause.human is None
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
    if failing.given("bases"):
        yield Slot(
            path=(*path, "bases"),
            value=failing.bases,
            expect=ARRAY,
            item=item,
            error=error,
            steps=steps,
        )
