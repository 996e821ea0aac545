"""A workflow under test: what its steps, people and the world do, and running it so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, overload

from pydantic_core import to_jsonable_python

from heliostat.actors.runner.arguments import SCHEMA_ERROR, ArgumentError
from heliostat.engine.authoring.model import (
    ActivityStep,
    HumanStep,
    ScriptStep,
    ServiceCallStep,
    SubWorkflowStep,
)
from heliostat.engine.authoring.model import Step as AnyStep
from heliostat.engine.authoring.python import types
from heliostat.engine.authoring.python.compiler import Compiled
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.authoring.steps import Step
from heliostat.engine.errors import InputError
from heliostat.engine.expressions.suggest import did_you_mean
from heliostat.engine.simulator import QUIET, Call, Faults, Outcome, Person, Raises, simulate
from heliostat.testing.outcomes import (
    Outcomes,
    PersonOutcomes,
    Span,
    Unscripted,
    failing,
    milliseconds,
)
from heliostat.testing.ran import Called, Name, Run, name_of

P = ParamSpec("P")
R = TypeVar("R")

Marked: TypeAlias = Step[..., Any] | WorkflowFunction[..., Any]
_NONE: Final = type(None)
_Key: TypeAlias = tuple[str, int, str, int, int | None, int]
"""An attempt: its execution, scope, step, visit, item and number."""


@dataclass(frozen=True)
class Moment:
    """An instant of a simulation, counted from its start."""

    timeline: list[dict[str, Any]]
    at_ms: int

    def signal(self, name: str, data: object = None) -> Moment:
        """Somebody signals the execution."""
        return self._add(signal=name, data=to_jsonable_python(data))

    def event(self, type: str, data: object = None) -> Moment:
        """Somebody publishes an event."""
        return self._add(event=type, data=to_jsonable_python(data))

    def cancel(self, reason: str = "") -> Moment:
        """Somebody cancels the execution."""
        return self._add(cancel=reason)

    def _add(self, **happening: Any) -> Moment:
        self.timeline.append({"at": f"{self.at_ms}ms", **happening})
        return self


class Simulation:
    """A workflow with stand-ins for its steps.

        simulation = Simulation()
        simulation.step(charge).raises(Busy()).returns(receipt)
        simulation.person("approve").answers(Approval(approved=True), after="2h")
        simulation.at("3h").event("carrier.picked_up", {"order": "o-1"})
        run = simulation.run(checkout, order)

    A step of which nothing is said returns None if that is what its function is annotated with;
    another one fails the test, by `Unscripted`.

    Args:
        runs_functions: the steps of which nothing is said call their own functions instead.
        seed: draws the order of what happens at the same time.
        faults: what goes wrong with hosts meanwhile, as `heliostat.engine.simulator.STORMY`; by
            default nothing.
    """

    def __init__(
        self, *, runs_functions: bool = False, seed: int = 0, faults: Faults = QUIET
    ) -> None:
        self.runs_functions = runs_functions
        self.seed, self.faults = seed, faults
        self.runs: list[Run[Any]] = []
        self.outcomes: dict[Name, Outcomes[..., Any]] = {}
        self.people: dict[str, PersonOutcomes] = {}
        self._timeline: list[dict[str, Any]] = []

    @overload
    def step(self, step: Step[P, R] | WorkflowFunction[P, R]) -> Outcomes[P, R]: ...
    @overload
    def step(self, step: str) -> Outcomes[..., Any]: ...
    def step(
        self, step: Step[P, R] | WorkflowFunction[P, R] | str
    ) -> Outcomes[P, R] | Outcomes[..., Any]:
        """What becomes of the calls of a step: say it by what this returns.

        Args:
            step: the function; or the id of one place that calls it, which comes first. A workflow
                that the one under test calls runs as well, unless something is said of it here.
        """
        name = name_of(step)
        function = None if isinstance(step, str) else step.function
        return self.outcomes.setdefault(name, Outcomes(function))

    def person(self, step: str) -> PersonOutcomes:
        """What people do with the tasks of an `hs.human`, by its id; by default nothing."""
        return self.people.setdefault(step, PersonOutcomes())

    def at(self, time: Span) -> Moment:
        """An instant, at which something happens: say it by what this returns."""
        return Moment(self._timeline, milliseconds(time))

    def run(self, workflow: WorkflowFunction[P, R], *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Run a workflow in virtual time, until nothing happens any more.

        Raises:
            AssertionError: of a stand-in; `Unscripted` if a step was called that has none.
            DefinitionError: the function has faults.
            InputError: something is said of a step that the workflow does not have.
        """
        stage = _Stage(self, workflow)
        result = simulate(
            workflow.plan,
            workflow.input(*args, **kwargs),
            stage.script,
            timeline=self._timeline,
            definitions=[each.plan for each in stage.children],
            seed=self.seed,
            faults=self.faults,
        )
        run = Run(workflow, result, list(stage.called.values()))
        self.runs.append(run)
        if stage.failed is not None:
            raise stage.failed
        return run


class _Stage:
    """One run: who stands in for which step, how often each was called, and what failed then."""

    def __init__(self, simulation: Simulation, workflow: WorkflowFunction[..., Any]) -> None:
        self._simulation, self._workflow = simulation, workflow
        self.children: list[WorkflowFunction[..., Any]] = []
        self.script: dict[str, Any] = {}
        self.called: dict[_Key, Called] = {}
        self.failed: AssertionError | None = None
        self._given: dict[_Key, Outcome | Person] = {}
        self._counts: dict[int, int] = {}
        known = set[Name]()
        waiting = [workflow]
        while waiting:
            each = waiting.pop()
            prefix = "" if each is workflow else f"{each.id}:"
            for step in (
                step for scope in scopes_of(each.compiled.definition) for step in scope.steps
            ):
                known.update(self._cast(prefix, step, each.compiled))
            for child in each.compiled.workflows.values():
                stood_in = self._said((child.function, child.function.__name__))
                if not stood_in and child not in (workflow, *self.children):
                    self.children.append(child)
                    waiting.append(child)
        for name in {*simulation.outcomes, *simulation.people} - known:
            shown = name if isinstance(name, str) else name.__name__
            names = sorted(each for each in known if isinstance(each, str))
            cure = did_you_mean(shown, names) or f"it has {', '.join(names) or 'none'}"
            raise InputError(f"{workflow.id} calls no {shown!r}: {cure}")

    def _cast(self, prefix: str, step: AnyStep, compiled: Compiled) -> tuple[Name, ...]:
        """Find who stands in for a step; the names by which something may be said of it."""
        key, marked = f"{prefix}{step.id}", _called_by(step, compiled)
        names: tuple[Name, ...] = (step.id,)
        if marked is not None:
            names = (step.id, marked.function, marked.function.__name__)
        if isinstance(step, HumanStep):
            if step.id in self._simulation.people:
                self.script[key] = self._answering(self._simulation.people[step.id])
        elif isinstance(step, SubWorkflowStep):
            names = names[1:]  # the workflow as a whole runs or is stood in for, not one call of it
            if said := self._said(names):
                self.script[key] = self._playing(said, names)
        elif isinstance(step, ActivityStep | ScriptStep | ServiceCallStep):
            said = self._said(names) or self._unsaid(step.id, marked)
            self.script[key] = self._playing(said, names)
        else:
            return ()
        return names

    def _said(self, names: Iterable[Name]) -> Outcomes[..., Any] | None:
        """What the test says of a step; of one place that calls it first."""
        found = (self._simulation.outcomes.get(name) for name in names)
        return next((said for said in found if said is not None and said.told), None)

    def _unsaid(self, id: str, marked: Marked | None) -> Outcomes[..., Any]:
        """What a step does of which the test says nothing."""
        stand_in: Outcomes[..., Any] = Outcomes(None if marked is None else marked.function)
        if marked is not None and self._simulation.runs_functions:
            return stand_in.runs()
        if marked is not None and types.hints(marked.function).get("return", Any) in (None, _NONE):
            return stand_in.returns(None)
        shown = repr(id) if marked is None else marked.function.__name__

        def nothing(**arguments: Any) -> Any:
            raise Unscripted(
                f"{shown} is called, and the test does not say what becomes of it: "
                f"simulation.step({shown}).returns(…), or .raises(…), .does(…), .runs()"
            )

        return stand_in.does(nothing)

    def _playing(
        self, stand_in: Outcomes[..., Any], names: tuple[Name, ...]
    ) -> Callable[[Call], Outcome | Person]:
        def outcome(call: Call) -> Outcome:
            arguments = dict(call.input) if isinstance(call.input, Mapping) else {}
            try:
                self.called[_key(call)] = Called(names, stand_in.bound(arguments))
                return stand_in.nth(self._number(stand_in), arguments)
            except AssertionError as error:
                self.failed = self.failed or error
                return failing(error)
            except ArgumentError as error:  # as a runner says it
                return Raises(SCHEMA_ERROR, str(error))

        return lambda call: self._once(call, outcome)

    def _answering(self, person: PersonOutcomes) -> Callable[[Call], Outcome | Person]:
        return lambda call: self._once(call, lambda _: person.nth(self._number(person)))

    def _once(self, call: Call, made: Callable[[Call], Outcome | Person]) -> Outcome | Person:
        """What a call comes to; one that is made again for a host's sake comes to the same."""
        key = _key(call)
        if key not in self._given:
            self._given[key] = made(call)
        return self._given[key]

    def _number(self, stand_in: object) -> int:
        """How many calls a stand-in had before this one."""
        number = self._counts.get(id(stand_in), 0)
        self._counts[id(stand_in)] = number + 1
        return number


def _called_by(step: AnyStep, compiled: Compiled) -> Marked | None:
    """The marked function that a step calls."""
    found: Marked | None = None
    if isinstance(step, ActivityStep):
        found = compiled.steps[step.activity]
    elif isinstance(step, SubWorkflowStep):
        found = compiled.workflows[step.workflow]
    return found


def _key(call: Call) -> _Key:
    return call.execution, call.scope, call.step, call.visit, call.item_index, call.nth
