"""What can be read and written, by whom: input, variables, outputs of steps, elements of lists.

A *location* is a part of the data that is written as one: `("vars", 0, "n")` is the variable `n`
that scope 0 declares, `("steps", 3, "output")` the output of step 3, `("item", 2)` the element that
step 2 runs over. Types of variables come from what is written to them, wherever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.checks.outputs import output_type
from heliostat.engine.authoring.model import ActivityStep, Definition, HumanStep, Step
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.expressions import (
    Data,
    Expression,
    Names,
    Path,
    Template,
    Type,
    type_from_schema,
    type_of,
)
from heliostat.engine.expressions.ast import Index, Name, Node, children, filters
from heliostat.engine.expressions.roots import entry
from heliostat.engine.expressions.types import (
    ANY,
    ARRAY,
    JSON,
    NULL,
    STRING,
    array_type,
    object_type,
    union,
)
from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.engine.values import Json

Location: TypeAlias = tuple[Any, ...]
Keys: TypeAlias = tuple[str | int, ...]

INPUT: Final[Location] = ("input",)

_ROUNDS_MAX: Final = 8
"""Of finding the types of variables that are written from one another; then they are anything."""


class Places:
    """The locations of one definition."""

    def __init__(
        self,
        definition: Definition,
        plan: Plan,
        functions: Mapping[str, ActivityInfo] | None = None,
    ) -> None:
        """
        Args:
            functions: what was seen of those that activities name, by the name.
        """
        self.definition, self.plan = definition, plan
        self._functions = functions or {}

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps as they are written, by id."""
        return {step.id: step for scope in scopes_of(self.definition) for step in scope.steps}

    @cached_property
    def outputs(self) -> dict[str, Type]:
        """What an output may be when a visit has completed."""
        return {id: output_type(step, self._returned(step)) for id, step in self.steps.items()}

    def function(self, step: StepPlan) -> ActivityInfo | None:
        """What was seen of the function that a step calls; None where nothing was."""
        written = self.steps[step.id]
        if not isinstance(written, ActivityStep):
            return None
        found = self._functions.get(written.activity)
        return None if found is None or found.faults else found

    def _returned(self, step: Step) -> Any:
        """The schema of what a step's function returns, if that is known."""
        found = self._functions.get(step.activity) if isinstance(step, ActivityStep) else None
        return None if found is None else found.annotations.gives

    def schema(self, location: Location) -> Any:
        """The JSON Schema that a location's value meets: it has been validated against it, or the
        annotations of a function promise it."""
        if location == INPUT:
            return self.definition.input_schema
        if location[0] == "steps" and location[2] == "output":
            step = self.steps[self.plan.steps[location[1]].id]
            replaced = any(c.given("output") or c.human is not None for c in step.on_error)
            if isinstance(step, HumanStep) and step.foreach is None and not replaced:
                return step.form
            if not replaced and (returned := self._returned(step)) is not None:
                return returned if step.foreach is None else _listed(returned)
        return None

    def type(self, location: Location) -> Type:
        """What a value there may be, at any time."""
        match location:
            case ("input",):
                schema = self.definition.input_schema
                return JSON if schema is None else type_from_schema(schema)
            case ("vars", scope, name):
                return self.variables[scope, name]
            case ("steps", number, "output"):
                return union(self.outputs[self.plan.steps[number].id], NULL)
            case ("steps", _, "status"):
                return union(STRING, NULL)
            case ("steps", _, "finished" | "items"):
                return union(ARRAY, NULL)
            case ("index", _):
                return Type(frozenset({"number"}))
            case ("now",):
                return Type(frozenset({"instant"}))
        return ANY

    # -- names

    def chain(self, scope: int) -> Iterator[ScopePlan]:
        """A scope and those around it, from the inside out."""
        at: int | None = scope
        while at is not None:
            found = self.plan.scopes[at]
            yield found
            at = None if found.owner is None else self.plan.steps[found.owner].scope

    def variable(self, name: str, scope: int) -> Location | None:
        """What a name under `$.vars` means in a scope."""
        for each in self.chain(scope):
            if name in each.variables:
                return ("vars", each.number, name)
            if each.owner is not None:
                foreach = self.plan.steps[each.owner].foreach
                if foreach is not None and foreach.alias == name:
                    return ("item", each.owner)
        return None

    def read(self, path: Path, scope: int, step: StepPlan | None) -> tuple[Location, Keys] | None:
        """What a path begins with, and the names and indices that follow; None if the path is not
        definite, or begins with what no location holds.

        Args:
            step: whose own `$.output` it may read.
        """
        found = self.origin(path, scope, step)
        if found is None or not path.definite:
            return None
        location, rest = found
        keys = list[str | int]()
        for segment in rest:
            selector = segment.selectors[0]
            if isinstance(selector, Name):
                keys.append(selector.name)
            elif isinstance(selector, Index):
                keys.append(selector.index)
        return location, tuple(keys)

    def origin(self, path: Path, scope: int, step: StepPlan | None) -> tuple[Location, Any] | None:
        """The location that any path from `$` begins at, and its segments below that."""
        if path.root != "$":
            return None
        at = entry(path)
        match at.root:
            case "input":
                return INPUT, at.rest
            case "vars":
                selector = at.rest[0].selectors[0] if at.rest else None
                if not isinstance(selector, Name):
                    return None
                location = self.variable(selector.name, scope)
                if location is None and step is not None and step.foreach is not None:
                    location = ("item", step.number)
                return None if location is None else (location, at.rest[1:])
            case "steps":
                number = self.plan.step_by_id.get(at.step or "")
                return None if number is None else (("steps", number, at.field), at.rest)
            case "output" if step is not None:
                return ("steps", step.number, "output"), at.rest
            case "item" | "index":
                owner = self._item_of(scope)
                if owner is None and step is not None and step.foreach is not None:
                    owner = step.number
                return None if owner is None else ((at.root, owner), at.rest)
        return (at.root,), at.rest

    def _item_of(self, scope: int) -> int | None:
        owners = (each.owner for each in self.chain(scope) if each.owner is not None)
        return next((n for n in owners if self.plan.steps[n].foreach is not None), None)

    def reads(self, node: Node, scope: int, step: StepPlan | None) -> frozenset[Location]:
        """All locations that an expression reads."""
        found = (self.origin(path, scope, step) for path in paths(node))
        return frozenset(each[0] for each in found if each is not None)

    def known(self, node: Node, scope: int, step: StepPlan | None) -> bool:
        """Whether each path of an expression begins at a location."""
        return all(
            self.origin(path, scope, step) is not None for path in paths(node) if path.root == "$"
        )

    # -- variables

    @cached_property
    def assignments(self) -> list[tuple[StepPlan, Location, Data, bool]]:
        """Who writes which variable with what; the last says that it only appends."""
        found = []
        for step in self.plan.steps:
            for appends, pairs in ((False, step.assign), (True, step.append)):
                for name, value in pairs:
                    location = self.variable(name, step.scope)
                    if location is not None and location[0] == "vars":
                        found.append((step, location, value, appends))
        return found

    @cached_property
    def variables(self) -> dict[tuple[int, str], Type]:
        """What each variable may hold, from its initial value and all that is assigned to it."""
        written = {location[1:] for _, location, _, _ in self.assignments}
        found: dict[tuple[int, str], Type] = {}
        for scope in self.plan.scopes:
            for name, data in scope.variables.items():
                made = self._made(data, scope.number, None, {})
                found[scope.number, name] = (
                    made if (scope.number, name) not in written else (Type(made.kinds))
                )
        for _ in range(_ROUNDS_MAX):
            before = dict(found)
            for step, location, data, appends in self.assignments:
                key = (location[1], location[2])
                kinds = ARRAY.kinds if appends else self._made(data, step.scope, step, found).kinds
                if key in found:
                    found[key] = Type(found[key].kinds | kinds, *_rest(found[key], kinds))
            if found == before:
                return found
        return dict.fromkeys(found, JSON)

    def _made(
        self,
        data: Data,
        scope: int,
        step: StepPlan | None,
        variables: dict[tuple[int, str], Type],
    ) -> Type:
        """What a data field evaluates to, at rest."""
        if data.constant:
            return known(data.value)
        whole = next((part for place, part in data.parts() if place == ()), None)
        if isinstance(whole, Template):
            return STRING
        if not isinstance(whole, Expression):
            return Type(known(data.value).kinds)
        names = {}
        for each in reversed([*self.chain(scope)]):
            names.update({n: variables.get((each.number, n), JSON) for n in each.variables})
        found = type_of(
            whole,
            Names(
                input=self.type(INPUT),
                vars=names,
                steps=self.outputs,
                has_item=True,
                has_output=True,
                output=JSON if step is None else union(self.outputs[step.id], NULL),
                has_error=True,
                has_event=True,
            ),
        )
        kinds = found.kinds
        if kinds & {"instant", "duration"}:
            kinds = (kinds - {"instant", "duration"}) | {"string"}
        return Type(kinds)


def _listed(schema: Any) -> Any:
    """Of the outputs of items: null stands for one that has none."""
    definitions = {name: each for name, each in schema.items() if name == "$defs"}
    return {"type": "array", "items": {"anyOf": [schema, {"type": "null"}]}, **definitions}


def _rest(type: Type, kinds: frozenset[str]) -> tuple[dict[str, Type], bool, Type | None]:
    """The members of a type that stay known when values of other kinds come in."""
    if kinds & {"object", "array"}:
        return {}, False, None
    return type.fields, type.closed, type.items


def known(value: Json) -> Type:
    """The type of one value."""
    match value:
        case dict():
            return object_type({key: known(each) for key, each in value.items()})
        case list():
            return array_type(union(*map(known, value))) if value else ARRAY
    kinds = {bool: "boolean", int: "number", float: "number", str: "string"}
    return Type(frozenset({kinds.get(value.__class__, "null")}))


def paths(node: Node) -> Iterator[Path]:
    """Every path in an expression, those in filters too."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Path):
            yield each
            waiting += filters(each)
        else:
            waiting += children(each)


def declared(type: Type) -> bool:
    """Whether anything is known of a value's kind."""
    return not type.kinds >= JSON.kinds


def shown(location: Location, keys: Keys, plan: Plan) -> str:
    """A location as the user writes it."""
    match location:
        case ("vars", _, name):
            text = f"$.vars.{name}"
        case ("steps", number, name):
            text = f"$.steps.{plan.steps[number].id}.{name}"
        case (root, *_):
            text = f"$.{root}"
        case _:
            text = "$"
    return text + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
