"""Worlds: what an execution is given, what its attempts, people and waits come to, what happens.

A world is told by its differences from the usual one, its `Choice`s, each of which fills a slot:
so worlds can be varied, compared and made simpler. What it becomes is what `heliostat simulate`
reads: an input, outcomes and a timeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.simulator import SimulationFailure, SimulationResult, simulate
from heliostat.engine.values import Json
from heliostat.verify.cases.flows import Flows
from heliostat.verify.cases.goals import back_edges
from heliostat.verify.cases.leaves import ELEMENT, Leaf, Uses
from heliostat.verify.cases.samples import SOME, Length, Schema, at, at_edges, put, sample, usual

When: TypeAlias = Literal["always", "first", "twice", "later", "item"]
"""On which visits of a step, or of which items, something holds: all, the first, the first two, all
but the first; the first item."""

UNEXPECTED: Final = "Unexpected"
"""An error that nothing names."""

TURNS_MAX: Final = 1_000
"""Turns of one run: one that goes on is no case."""

VISITS: Final = 3
"""Visits that a world tells apart: all later ones are like the last."""

NEVER: Final = "400d"
"""After which people and events come of which a world says that they do not."""

_ATTEMPTS: Final = ("activity", "sub_workflow")
_KERNELS: Final = frozenset(
    {"DeadlineExceeded", "ExpressionError", "NoWayOn", "Stuck", "TooFewItems", "Unschedulable"}
)
"""Errors that no attempt raises: they come of the definition itself."""


@dataclass(frozen=True, slots=True)
class Value:
    """A part of the input, or of what a step comes to, has this value."""

    leaf: Leaf
    value: Json | Length
    when: When = "always"

    @property
    def slot(self) -> tuple[object, ...]:
        return ("value", self.leaf)


@dataclass(frozen=True, slots=True)
class How:
    """A step ends in this way.

    | of | is one of |
    | --- | --- |
    | attempts, children | `raise`, `once` (it is tried again), `hang`, `lost`, `canceled` |
    | people | `fail`, `nothing` |
    | waits | the name of an alternative, `nothing` |
    """

    step: str
    what: str
    error: str = ""
    when: When = "always"
    person: str = ""  # what one says who is asked by `on_error`: retry, complete, fail

    @property
    def slot(self) -> tuple[object, ...]:
        return ("how", self.step)


@dataclass(frozen=True, slots=True)
class Comes:
    """An event that a handler waits for comes."""

    handler: int
    at: str

    @property
    def slot(self) -> tuple[object, ...]:
        return ("comes", self.handler)


Choice: TypeAlias = Value | How | Comes
World: TypeAlias = frozenset[Choice]

USUAL: Final[World] = frozenset()


def changed(world: World, choices: Iterable[Choice]) -> World:
    """A world with other choices in their slots."""
    new = {choice.slot: choice for choice in choices}
    return frozenset((*(each for each in world if each.slot not in new), *new.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A world as `heliostat simulate` reads it."""

    input: Json
    outcomes: dict[str, Json] = field(default_factory=dict)
    timeline: list[Json] = field(default_factory=list)


def simulated(plan: Plan, told: Told, *, seed: int = 0) -> SimulationResult | None:
    """Run a world; None where the simulator itself gives up on it."""
    try:
        return simulate(
            plan,
            told.input,
            told.outcomes,
            timeline=told.timeline,
            seed=seed,
            turns_max=TURNS_MAX,
        )
    except SimulationFailure:
        return None


class Stage:
    """What worlds of a plan are made of."""

    def __init__(self, plan: Plan, schemas: Mapping[str, Schema]) -> None:
        """`schemas` are those of the input (under "") and of steps' outputs, by id, if known."""
        self.plan, self.flows = plan, Flows(plan)
        self._schemas = dict(schemas)
        self._rounds = _on_loops(plan)
        self._leaves: dict[str, list[Leaf]] = {}
        for leaf in sorted(self.flows.uses, key=lambda each: (len(each.place), each)):
            self._leaves.setdefault(leaf.step, []).append(leaf)
        self._usual: dict[tuple[str, str], Json] = {}

    # -- what can be chosen

    def values(self, leaf: Leaf) -> Iterator[Value]:
        """Values of a leaf that are worth trying, those that expressions name first."""
        uses = self.flows.uses.get(leaf, Uses())
        schema = self._schema(leaf.step)
        found: dict[str, Json | Length] = {}
        for value in (
            *((Length(0), Length(1), Length(2), Length(3)) if uses.lengths else ()),
            *uses.candidates.values(),
            *(at_edges(schema, schema, leaf.place) if schema is not None else ()),
        ):
            found.setdefault(repr(value), value)
        if not found and not uses.lengths:
            for value in (SOME, 1, True, None):
                found.setdefault(repr(value), value)
        whens: tuple[When, ...] = ("always",)
        if leaf.step in self._rounds:
            whens = ("always", "first", "twice", "later")
        elif self.has_items(leaf.step) or ELEMENT in leaf.place:
            whens = ("always", "item")
        yield from (Value(leaf, value, when) for when in whens for value in found.values())

    def hows(self, step: StepPlan) -> Iterator[How]:
        """Ways in which a step may end."""
        whens: tuple[When, ...] = ("always",)
        if step.id in self._rounds:
            whens = ("always", "first", "twice", "later")
        elif self.has_items(step.id):
            whens = ("always", "item")
        for when in whens:
            for each in self._hows(step):
                yield How(each.step, each.what, each.error, when, each.person)

    def _hows(self, step: StepPlan) -> Iterator[How]:
        if step.kind == "wait":
            yield from (How(step.id, one.name) for one in step.alternatives if one.kind != "timer")
            yield How(step.id, "nothing")
        elif step.kind == "human":
            yield How(step.id, "fail")
            yield How(step.id, "nothing")
        elif step.kind in _ATTEMPTS:
            people: tuple[str, ...] = ("",)
            if any(clause.human is not None for clause in step.on_error):
                people = ("complete", "fail")
            for error in self._errors(step):
                yield from (How(step.id, "raise", error, person=verb) for verb in people)
                if step.retry.max_attempts > 1:
                    yield How(step.id, "once", error)
                if people != ("",):
                    yield How(step.id, "once", error, person="retry")
            yield How(step.id, "hang")
            yield How(step.id, "canceled" if step.kind == "sub_workflow" else "lost")

    def _errors(self, step: StepPlan) -> list[str]:
        """Names of errors that make a difference, and one that nobody knows."""
        clauses = list(step.on_error)
        names = [*step.retry.on, *step.retry.never_on]
        scope = self.plan.scopes[step.scope]
        while scope.owner is not None:
            owner = self.plan.steps[scope.owner]
            clauses += owner.on_error
            names += [*owner.retry.on, *owner.retry.never_on]
            scope = self.plan.scopes[owner.scope]
        names += [clause.error or UNEXPECTED for clause in (*clauses, *self.plan.on_error)]
        # without a timeout of the step the function's decorator may have one
        unraised = _KERNELS | ({"Timeout"} if step.timeout_ms is not None else frozenset())
        return list(dict.fromkeys(name for name in (UNEXPECTED, *names) if name not in unraised))

    def comes(self, handler: int) -> Iterator[Comes]:
        """Instants at which a handler's event may come."""
        yield from (Comes(handler, at) for at in ("0s", "1ms", "1s", "1h"))

    def has_items(self, step_id: str) -> bool:
        """Whether a step is visited once for each item of a list."""
        if not step_id:
            return False
        step = self.plan.steps[self.plan.step_by_id[step_id]]
        while True:
            if step.foreach is not None:
                return True
            scope = self.plan.scopes[step.scope]
            if scope.owner is None:
                return False
            step = self.plan.steps[scope.owner]

    # -- what a world becomes

    def told(self, world: World, *, called: frozenset[str] | None = None) -> Told:
        """The world as the simulator is told it.

        Args:
            called: the steps that are of interest; None: all.
        """
        values: dict[str, list[Value]] = {}
        hows: dict[str, How] = {}
        timeline: list[Json] = []
        for choice in sorted(world, key=repr):
            match choice:
                case Value():
                    values.setdefault(choice.leaf.step, []).append(choice)
                case How():
                    hows[choice.step] = choice
                case Comes():
                    event = self.plan.handlers[choice.handler].event
                    timeline.append({"at": choice.at, "event": event, "data": {}})
        outcomes: dict[str, Json] = {}
        for step in self.plan.steps:
            if called is not None and step.id not in called:
                continue
            told = self._outcome(step, hows.get(step.id), values.get(step.id, []))
            if told is not None:
                outcomes[step.id] = told
        return Told(
            input=self._value("", "", values.get("", ()), 0, None),
            outcomes=outcomes,
            timeline=timeline,
        )

    def _schema(self, step_id: str) -> Schema | None:
        if step_id in self._schemas:
            return self._schemas[step_id]
        step = self.plan.steps[self.plan.step_by_id[step_id]] if step_id else None
        return step.human.form if step is not None and step.human is not None else None

    def refused(self, told: Told) -> bool:
        """Whether the input or what a person submits does not fit its schema."""
        validate = self.plan.validate_input
        if validate is not None and validate(told.input) is not None:
            return True
        for step in self.plan.steps:
            form = step.human.validate if step.human is not None else None
            submitted = _submitted(told.outcomes.get(step.id))
            if form is not None and any(form(each) is not None for each in submitted):
                return True
        return False

    def _value(
        self, step: str, alternative: str, chosen: Iterable[Value], visit: int, item: int | None
    ) -> Json:
        """A part of the world: the input, an output, what a person or an event says."""
        usual_one = self._usual.get((step, alternative))
        if (step, alternative) not in self._usual:
            usual_one = self._usual[step, alternative] = self._usual_value(step, alternative)
        tree = usual_one
        mine = [each for each in chosen if each.leaf.alternative == alternative]
        for each in sorted(mine, key=lambda one: (len(one.leaf.place), one.leaf)):
            if not _holds(each.when, visit, item, inside=ELEMENT in each.leaf.place):
                continue
            only = 0 if each.when == "item" and ELEMENT in each.leaf.place else None
            tree = put(tree, each.leaf.place, each.value, only=only)
        return tree

    def _usual_value(self, step: str, alternative: str) -> Json:
        schema = self._schema(step)
        tree = sample(schema) if schema is not None else None
        for leaf in self._leaves.get(step, ()):
            if leaf.alternative != alternative or at(tree, leaf.place):
                continue
            value = usual(self.flows.uses[leaf])
            deeper = any(
                len(other.place) > len(leaf.place)
                and other.place[: len(leaf.place)] == leaf.place
                and other.alternative == alternative
                for other in self._leaves[step]
            )
            if not (deeper and value is None):
                tree = put(tree, leaf.place, value)
        return tree

    def _outcome(self, step: StepPlan, how: How | None, values: list[Value]) -> Json:
        """What is told of a step; None: nothing."""
        asked = any(clause.human is not None for clause in step.on_error)
        if step.kind not in (*_ATTEMPTS, "wait", "human"):
            if asked and how is not None and how.person:
                return {"person": _says(how.person)}
            return None
        visits = range(VISITS if step.id in self._rounds else 1)
        items = (0, 1) if self.has_items(step.id) else (None,)
        told = [
            _collapsed("items", [self._one(step, how, values, v, item) for item in items], step)
            for v in visits
        ]
        outcome = _collapsed("visits", told, step)
        if asked and how is not None and how.person:
            whole = outcome if isinstance(outcome, dict) else {"attempts": outcome}
            return {**whole, "person": _says(how.person)}
        return outcome

    def _one(
        self, step: StepPlan, how: How | None, values: list[Value], visit: int, item: int | None
    ) -> Json:
        """One visit's outcome: of its attempts, the person, the wait."""
        ends = how if how is not None and _holds(how.when, visit, item) else None
        if step.kind == "wait":
            return self._arrival(step, ends, values, visit, item)
        value = self._value(step.id, "", values, visit, item)
        if step.kind == "human":
            if ends is None:
                return {"complete": value if isinstance(value, dict) else {}}
            return {"fail": "not possible"} if ends.what == "fail" else None
        well: Json = None if value is None else {"output": value}
        match ends:
            case None:
                return well
            case How(what="raise"):
                return {"raise": ends.error}
            case How(what="once"):
                return {"attempts": [{"raise": ends.error}, {"output": value}]}
            case How(what=what):
                return {what: True}

    def _arrival(
        self, step: StepPlan, ends: How | None, values: list[Value], visit: int, item: int | None
    ) -> Json:
        arriving = [each for each in step.alternatives if each.kind != "timer"]
        names = [each.name for each in arriving]
        name = names[0] if ends is None and names else "" if ends is None else ends.what
        for each in arriving:
            if each.name == name:
                data = self._value(step.id, name, values, visit, item)
                return {each.kind: each.key, **({} if data is None else {"data": data})}
        return None


def _submitted(outcome: Json) -> Iterator[Json]:
    """What people complete a task with, on any visit or item."""
    if isinstance(outcome, dict):
        if "complete" in outcome:
            yield outcome["complete"]
        for key in ("visits", "items"):
            inner = outcome.get(key)
            for each in inner if isinstance(inner, list) else ():
                yield from _submitted(each)


def _holds(when: When, visit: int, item: int | None, *, inside: bool = False) -> bool:
    match when:
        case "always":
            return True
        case "first":
            return visit == 0
        case "twice":
            return visit < 2
        case "later":
            return visit > 0
        case "item":
            return inside or item == 0


def _collapsed(key: str, told: list[Json], step: StepPlan) -> Json:
    """The shortest that says the same; the last of several stands for all that follow."""
    nothing: Json = {"output": None}
    if step.kind == "human":
        nothing = {"progress": 0, "after": NEVER}
    elif step.kind == "wait":
        arriving = next((each for each in step.alternatives if each.kind != "timer"), None)
        nothing = None if arriving is None else {arriving.kind: arriving.key, "after": NEVER}
    while len(told) > 1 and told[-1] == told[-2]:
        told = told[:-1]
    if len(told) == 1:
        return told[0]
    return {key: [nothing if each is None else each for each in told]}


def _says(verb: str) -> Json:
    said: dict[str, Json] = {"resolution": verb}
    if verb == "complete":
        said["output"] = SOME
    return {"complete": said}


def _on_loops(plan: Plan) -> frozenset[str]:
    """The steps that one execution may visit again in the same scope instance."""
    found = set[str]()
    for edge in back_edges(plan):
        scope = plan.scopes[plan.steps[edge.target].scope]
        for number in scope.steps:
            if number in scope.reachable.get(number, ()):
                found.add(plan.steps[number].id)
    return frozenset(found)
