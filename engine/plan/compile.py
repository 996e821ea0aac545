"""From a definition to the plan that kernels run.

Pure, and total for definitions that passed `authoring.checks`: what is wrong in a definition is
found there, with its place; here a fault would be an error of ours. All numbers come from the
numbering, so the same definition and numbering give the same plan in every process and release.

Scopes and control flow are compiled here; what the single step types say in `steps.py`, what
handlers say in `handlers.py`; which parts of outputs expressions read is gathered in `reading.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from ..authoring.canonical import content_hash as hash_of
from ..authoring.fields import (
    END_TARGET,
    AtLeast,
    ErrorClause,
    Failing,
    InterventionPoint,
    appends,
    said_duration,
)
from ..authoring.graph import Graph
from ..authoring.model import DecisionStep, Definition, ParallelStep, RetriedFields, Step
from ..authoring.places import places_of
from ..authoring.reach import Reach
from ..authoring.schemas import validator
from ..authoring.scopes import Scope, scopes_of
from ..authoring.steps import ActivityOptions, merge
from ..calendars import Calendars
from ..expressions import Data, Expression
from . import plan
from .handlers import HandlerCompiler
from .monitors import monitors_of
from .numbering import ROOT, Numbering, edge_key, make_numbering
from .paths import path_lengths
from .reading import Reader
from .retired import retired_edges, retired_scopes, retired_steps
from .steps import KINDS, StepCompiler

_Fail: TypeAlias = tuple[Data, ...]


def compile_plan(
    definition: Definition,
    *,
    numbering: Numbering | None = None,
    code: str | None = None,
    activities: Mapping[str, ActivityOptions] | None = None,
    children: Mapping[str, str] | None = None,
    calendars: Calendars | None = None,
    content_hash: str | None = None,
) -> plan.Plan:
    """The plan of a definition that has passed the checks.

    Args:
        numbering: the table stored with the version; None numbers anew, in the order written.
        code: the blob with the modules shipped with the version.
        activities: by step id what decorator and definition say together, as stored with the
            version; a step that is missing here has what the definition alone says.
        children: by step id, the versions of `sub_workflow` steps that say none.
        calendars: those that deadlines may name, as stored with the version.
        content_hash: the version's, if it covers more than the definition.

    Raises:
        ValueError: the numbering is not one of this definition.
    """
    numbers = numbering if numbering is not None else make_numbering(definition)
    _check_fit(definition, numbers)
    compiler = _Compiler(definition, numbers, activities or {}, children or {})
    return compiler.compiled(
        code=code,
        calendars=calendars or {},
        content_hash=content_hash or hash_of(definition),
    )


def _check_fit(definition: Definition, numbering: Numbering) -> None:
    made = make_numbering(definition)
    for kind, own, given in (
        ("scopes", made.scopes, numbering.scopes),
        ("steps", made.steps, numbering.steps),
        ("edges", made.edges, numbering.edges),
    ):
        if own.keys() != given.keys():
            odd = ", ".join(sorted(own.keys() ^ given.keys()))
            raise ValueError(
                f"the numbering of {definition.id} {definition.version} is that of another "
                f"definition: {kind} {odd} are in one of the two only"
            )


class _Compiler:
    """Compiles the scopes of one definition; holds what all of them look up."""

    def __init__(
        self,
        definition: Definition,
        numbering: Numbering,
        activities: Mapping[str, ActivityOptions],
        children: Mapping[str, str],
    ) -> None:
        self._definition, self._numbers, self._activities = definition, numbering, activities
        self._edges: dict[int, plan.Edge] = {}
        self._reader = Reader()
        self._points: dict[str, InterventionPoint] = {
            point.id: point for point in definition.intervention_points
        }
        self._types = StepCompiler(self._reader, self._points, children)
        self._places = places_of(definition)

    def compiled(self, *, code: str | None, calendars: Calendars, content_hash: str) -> plan.Plan:
        """The whole plan."""
        definition, numbers = self._definition, self._numbers
        written = [*scopes_of(definition)]
        steps = [self._step(scope, step) for scope in written for step in scope.steps]
        scopes = [self._scope(scope) for scope in written]
        handlers = HandlerCompiler(self._reader, numbers, self._activities)
        compiled_handlers = handlers.compiled(definition.handlers)
        steps += [*handlers.steps, *retired_steps(numbers)]
        scopes += [*handlers.scopes, *retired_scopes(numbers)]
        self._edges |= retired_edges(numbers)
        on_error = self._clauses(ROOT, written[0].on_error)
        deadline = self._reader.given(definition, "deadline")
        ordered = sorted(steps, key=lambda step: step.number)
        by_scope = sorted(scopes, key=lambda scope: scope.number)
        self._reader.pass_inwards(ordered, by_scope)
        paths = path_lengths(ordered, by_scope, self._durations(written))
        awaited = (each.key for step in ordered for each in step.alternatives
                   if each.kind == "event")  # fmt: skip
        step_by_id = {step.id: step.number for step in ordered if not step.retired}
        monitors = monitors_of(definition, step_by_id, {step.number: step.scope for step in steps})
        return plan.Plan(
            namespace=definition.namespace,
            id=definition.id,
            version=definition.version,
            content_hash=content_hash,
            scopes=tuple(by_scope),
            # what is read of a step, and what follows it, is known when all is compiled
            steps=tuple(
                replace(step, reads=self._reader.of_step(step.id), path_ms=paths[step.number])
                for step in ordered
            ),
            edges=tuple(self._edges[number] for number in range(len(self._edges))),
            validate_input=validator(definition.input_schema),
            validate_output=validator(definition.output_schema),
            on_error=on_error,
            deadline=deadline,
            priority=definition.priority,
            dedicated=definition.isolation == "dedicated",
            semaphores={
                name: capacity
                for name, capacity in sorted(definition.semaphores.items())
                if isinstance(capacity, int)
            },
            handlers=compiled_handlers,
            awaited=frozenset(awaited),
            handled=frozenset(handler.event for handler in compiled_handlers),
            input_reads=self._reader.of_input(),
            calendars=calendars,
            code=code,
            tags=dict(definition.tags),
            step_by_id=step_by_id,
            monitors=monitors,
            watched_facts=frozenset(
                fact for each in monitors for fact in each.facts if fact is not None
            ),
        )

    def _durations(self, scopes: Sequence[Scope]) -> Mapping[int, int]:
        """What steps say of how long they take."""
        return {
            self._numbers.steps[step.id]: said
            for scope in scopes
            for step in scope.steps
            if (said := said_duration(step.tags)) is not None
        }

    # -- scopes

    def _scope(self, scope: Scope) -> plan.ScopePlan:
        graph, number = scope.graph, self._numbers.steps
        if scope.notation == "dag":
            start = tuple(number[step.id] for step in scope.steps if not step.needs)
            reachable: Mapping[int, frozenset[int]] = {}
        else:
            start = (number[scope.first],)
            reachable = Reach(
                {
                    number[id]: tuple(number[following] for following in all_following)
                    for id, all_following in graph.successors.items()
                }
            )
        output = self._reader.data(scope.output) if scope.has_output else None
        return plan.ScopePlan(
            number=self._numbers.scopes[scope.key],
            owner=None if scope.owner is None else number[scope.owner.id],
            name=scope.branch,
            notation=scope.notation,
            steps=tuple(number[step.id] for step in scope.steps),
            start=start,
            variables={
                name: self._reader.data(scope.variables[name]) for name in sorted(scope.variables)
            },
            output=output,
            ends=tuple(number[step.id] for step in scope.steps if _may_end(step, graph)),
            reachable=reachable,
        )

    # -- steps

    def _step(self, scope: Scope, step: Step) -> plan.StepPlan:
        graph, number = scope.graph, self._numbers.steps
        dag = scope.notation == "dag"
        options = self._options(step)
        decision = step if isinstance(step, DecisionStep) else None
        uses = sorted(step.uses.items()) if isinstance(step, RetriedFields) else ()
        return plan.StepPlan(
            number=number[step.id],
            id=step.id,
            name=step.name,
            place=self._places.get(step.id),
            scope=self._numbers.scopes[scope.key],
            kind=KINDS[step.type],
            type=step.type,
            scopes=tuple(self._numbers.scopes[inner.key] for inner in scope.opened_by(step)),
            join=_join(step, "all" if dag else "any"),
            needs=tuple(number[need] for need in step.needs or ()),
            dependents=tuple(number[id] for id in graph.successors[step.id]) if dag else (),
            when=self._reader.expression(step.when),
            deadline=self._types.deadline(step),
            foreach=self._foreach(step),
            completion=_completion(step) if isinstance(step, ParallelStep) else plan.Completion(),
            input=self._types.input(step),
            uses=tuple((name, count) for name, count in uses if self._is_own(name)),
            semaphores={name: count for name, count in uses if not self._is_own(name)},
            activity=self._types.activity(step, options),
            timer=self._types.timer(step),
            alternatives=self._types.alternatives(step),
            human=self._types.human(step),
            child=self._types.child(step),
            timeout_ms=options.timeout_ms,
            grace_ms=options.grace_ms,
            output=None if decision is None else self._reader.given(decision, "output", step.id),
            fail=None if decision is None else self._fail(decision.fail, step.id),
            retry=options.retry,
            on_error=self._clauses(step.id, step.on_error),
            assign=tuple(
                (name, self._reader.data(step.assign[name], step.id))
                for name in sorted(step.assign)
                if not appends(step.assign[name])
            ),
            append=tuple(
                (name, self._reader.data(step.assign[name]["append"], step.id))
                for name in sorted(step.assign)
                if appends(step.assign[name])
            ),
            publish=tuple(
                plan.Publication(event=each.event, data=self._reader.given(each, "data", step.id))
                for each in step.publish
            ),
            signals=self._signals(step),
            cancels=tuple(number[id] for id in step.cancels),
            split=step.split,
            routes=self._routes(step),
            terminate=step.end is not None,
            arrivals=()
            if dag
            else tuple(
                self._numbers.edges[edge_key(way.source, way.kind, way.index)]
                for way in graph.entering[step.id]
            ),
        )

    def _options(self, step: Step) -> ActivityOptions:
        known = self._activities.get(step.id)
        return known if known is not None else merge(step)

    def _is_own(self, semaphore: str) -> bool:
        """Whether each execution has its own; the others are the deployment's."""
        return isinstance(self._definition.semaphores.get(semaphore), int)

    def _foreach(self, step: Step) -> plan.Foreach | None:
        if step.foreach is None:
            return None
        items = self._reader.expression(step.foreach)
        assert items is not None
        return plan.Foreach(
            items=items,
            alias=step.as_,
            concurrency=step.concurrency,
            completion=_completion(step),
        )

    def _signals(self, step: Step) -> tuple[plan.Signalling, ...]:
        if not isinstance(step.signal, list):
            return ()
        return tuple(
            plan.Signalling(
                execution=self._reader.data(each.execution, step.id),
                name=each.name,
                data=self._reader.given(each, "data", step.id),
            )
            for each in step.signal
        )

    def _routes(self, step: Step) -> tuple[plan.Edge, ...]:
        return tuple(
            self._edge(
                step.id, "next", index, route.to, self._reader.expression(route.when, step.id)
            )
            for index, route in enumerate(step.next or ())
        )

    def _clauses(self, owner: str, clauses: Sequence[ErrorClause]) -> tuple[plan.ErrorClause, ...]:
        return tuple(
            plan.ErrorClause(
                error=clause.error,
                when=self._reader.expression(clause.when),
                edge=None
                if clause.next is None
                else self._edge(owner, "on_error", index, clause.next, None),
                output=self._reader.given(clause, "output"),
                fail=self._fail(clause.fail),
                human=None if clause.human is None else self._types.clause_human(clause.human),
            )
            for index, clause in enumerate(clauses)
        )

    def _edge(
        self, owner: str, field: str, index: int, to: str, when: Expression | None
    ) -> plan.Edge:
        number, steps = self._numbers.edges[edge_key(owner, field, index)], self._numbers.steps
        edge = plan.Edge(
            number=number,
            source=plan.END if owner == ROOT else steps[owner],
            target=plan.END if to == END_TARGET else steps[to],
            when=when,
        )
        self._edges[number] = edge
        return edge

    def _fail(self, failing: Failing | None, owner: str | None = None) -> _Fail | None:
        if failing is None:
            return None
        said = [failing.type, failing.message, *([failing.bases] if failing.given("bases") else [])]
        return tuple(self._reader.data(each, owner) for each in said)


def _join(step: Step, default: Literal["any", "all"]) -> plan.Join:
    rule = step.join if step.join is not None else default
    if isinstance(rule, AtLeast):
        return plan.Join("at_least", rule.at_least)
    return plan.Join(rule)


def _completion(step: Step) -> plan.Completion:
    rule = step.completion
    if isinstance(rule, AtLeast):
        return plan.Completion("at_least", rule.at_least)
    return plan.Completion(rule)


def _may_end(step: Step, graph: Graph) -> bool:
    """Whether a scope may end with this step's completion; one that always fails has none."""
    caught = any(clause.given("output") or clause.human is not None for clause in step.on_error)
    if isinstance(step, DecisionStep) and step.fail is not None and not caught:
        return False
    if step.end is not None or not any(way.kind != "on_error" for way in graph.leaving[step.id]):
        return True
    return any(way.target is None and way.kind == "next" for way in graph.leaving[step.id])
