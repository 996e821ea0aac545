"""Who reads and who writes which location, by the fields in which that is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from heliostat.engine.authoring.checks.slots import Slot, slots_of_scope, slots_of_step
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.authoring.source import Path as Field
from heliostat.engine.expressions import Data, Path, parse_data, parse_expression
from heliostat.engine.expressions.ast import (
    Call,
    Compare,
    Conditional,
    Default,
    Node,
    children,
    filters,
)
from heliostat.engine.expressions.ast import (
    Literal as Constant,
)
from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.data.places import Location, Places, paths

Moment = Literal["begins", "ends", "error", "scope"]
"""When a field of a step is evaluated: as its visit begins, as it ends, in a clause of `on_error`;
or it is no step's."""

_ENDING: Final = frozenset({"assign", "next", "publish", "signal", "output", "fail"})


@dataclass(frozen=True, eq=False, kw_only=True)
class Read:
    """A location that a field reads; each is its own, also where two read the same."""

    location: Location
    step: StepPlan | None
    scope: int
    moment: Moment
    field: Field = ()  # of the step
    tested: bool = False  # the expression looks whether there is anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A variable that a step assigns."""

    location: Location
    step: StepPlan
    name: str
    data: Data
    appends: bool


class Uses:
    """All reads and writes of a definition."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._whole = False
        self._asked = frozenset[Location]()

    @cached_property
    def writes(self) -> tuple[Write, ...]:
        return tuple(
            Write(location=location, step=step, name=location[2], data=data, appends=appends)
            for step, location, data, appends in self.places.assignments
        )

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        return tuple(self._reads())

    @property
    def everything(self) -> bool:
        """Whether something reads all variables at once, as `$.vars` alone does."""
        return bool(self.reads) and self._whole

    def _reads(self) -> Iterator[Read]:
        definition, plan = self.places.definition, self.places.plan
        for scope in scopes_of(definition):
            number = plan.steps[plan.step_by_id[scope.steps[0].id]].scope
            for slot in slots_of_scope(scope, definition):
                yield from self._of_slot(slot, number, None, "scope", ())
            for index, each in enumerate(scope.steps):
                step, length = plan.steps[plan.step_by_id[each.id]], len(scope.step_path(index))
                # a step whose `when` reads something is there for what that may be
                self._asked = frozenset[Location]()
                if step.when is not None:
                    self._asked = self.places.reads(step.when.ast, number, None)
                for slot in slots_of_step(each, scope.step_path(index)):
                    field = slot.path[length:]
                    moment: Moment = "ends" if field[0] in _ENDING else "begins"
                    if slot.error:
                        moment = "error"
                    yield from self._of_slot(slot, number, step, moment, field)

    def _of_slot(
        self, slot: Slot, scope: int, step: StepPlan | None, moment: Moment, field: Field
    ) -> Iterator[Read]:
        nodes: list[tuple[Field, Node]]
        if slot.expression:
            nodes = [((), parse_expression(slot.value).ast)]
        else:
            nodes = [(place, each.ast) for place, each in parse_data(slot.value).expressions()]
        for place, node in nodes:
            tested = {*self._locations(tests(node), scope, step)}
            for path in paths(node):
                found = self.places.origin(path, scope, step)
                if found is None:
                    self._whole = True
                    continue
                location, _ = found
                yield Read(
                    location=location,
                    step=step,
                    scope=scope,
                    moment=moment,
                    field=(*field, *place),
                    tested=location in tested or location in self._asked,
                )

    def _locations(
        self, found: Iterator[Path], scope: int, step: StepPlan | None
    ) -> Iterator[Location]:
        for path in found:
            origin = self.places.origin(path, scope, step)
            if origin is not None:
                yield origin[0]


def tests(node: Node) -> Iterator[Path]:
    """The paths of which an expression looks whether they lead to anything."""
    match node:
        case Default(options=options):
            yield from (each for each in options if isinstance(each, Path))
        case Call(name="has" | "type", arguments=arguments):
            yield from (each for each in arguments if isinstance(each, Path))
        case Compare(first=first, rest=rest):
            operands = [first, *(each for _, each in rest)]
            if any(isinstance(each, Constant) and each.value is None for each in operands):
                yield from (each for each in operands if isinstance(each, Path))
        case Conditional(condition=condition):
            yield from paths(condition)
    if isinstance(node, Path):
        for inner in filters(node):
            yield from tests(inner)
    else:
        for inner in children(node):
            yield from tests(inner)
