"""From a definition to the plan that kernels run.

Pure, and total for definitions that passed `authoring.checks`: what is wrong in a definition is
found there, with its place; here a fault would be an error of ours. All numbers come from the
numbering, so the same definition and numbering give the same plan in every process and release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from ..authoring.canonical import content_hash as hash_of
from ..authoring.fields import END_TARGET, AtLeast, ErrorClause, Failing, Model, appends
from ..authoring.graph import Graph
from ..authoring.model import ActivityStep, DecisionStep, Definition, Step, TimerStep
from ..authoring.reach import Reach
from ..authoring.schemas import validator
from ..authoring.scopes import Scope, root
from ..authoring.steps import ActivityOptions, merge
from ..expressions import Data, Expression, Read, parse_data, parse_expression, reads
from ..values import Json
from . import plan
from .numbering import ROOT, Numbering, edge_key, make_numbering

_KINDS: Final[Mapping[str, plan.StepKind]] = {
    "activity": "activity",
    "decision": "decision",
    "timer": "timer",
}
_Fail: TypeAlias = tuple[Data, Data]
Origin: TypeAlias = tuple[str, ...]


def compile_plan(
    definition: Definition,
    *,
    numbering: Numbering | None = None,
    code: str | None = None,
    activities: Mapping[str, ActivityOptions] | None = None,
    content_hash: str | None = None,
) -> plan.Plan:
    """The plan of a definition that has passed the checks.

    Args:
        numbering: the table stored with the version; None numbers anew, in the order written.
        code: the blob with the modules shipped with the version.
        activities: by step id what decorator and definition say together, as stored with the
            version; a step that is missing here has what the definition alone says.
        content_hash: the version's, if it covers more than the definition.

    Raises:
        ValueError: the numbering is not one of this definition.
    """
    numbers = numbering if numbering is not None else make_numbering(definition)
    _check_fit(definition, numbers)
    return _Compiler(definition, numbers, activities or {}).compiled(
        code=code, content_hash=content_hash or hash_of(definition)
    )


def _check_fit(definition: Definition, numbering: Numbering) -> None:
    made = make_numbering(definition)
    for kind, own, given in (
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
    ) -> None:
        self._definition, self._numbers, self._activities = definition, numbering, activities
        self._edges: dict[int, plan.Edge] = {}
        self._reads = _Reads()

    def compiled(self, *, code: str | None, content_hash: str) -> plan.Plan:
        """The whole plan."""
        definition = self._definition
        scope = root(definition)
        steps = [self._step(scope, step) for step in scope.steps]
        root_scope = self._scope(scope)
        on_error = self._clauses(ROOT, scope.on_error)
        deadline = self._given(definition, "deadline")
        ordered = sorted(steps, key=lambda step: step.number)
        return plan.Plan(
            namespace=definition.namespace,
            id=definition.id,
            version=definition.version,
            content_hash=content_hash,
            scopes=(root_scope,),
            # what is read of a step is known when all is compiled
            steps=tuple(replace(step, reads=self._reads.of_step(step.id)) for step in ordered),
            edges=tuple(self._edges[number] for number in range(len(self._edges))),
            validate_input=validator(definition.input_schema),
            validate_output=validator(definition.output_schema),
            on_error=on_error,
            deadline=deadline,
            input_reads=self._reads.of_input(),
            code=code,
            tags=dict(definition.tags),
            step_by_id={step.id: step.number for step in ordered},
        )

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
        return plan.ScopePlan(
            number=self._numbers.scopes[ROOT],
            notation=scope.notation,
            steps=tuple(number[step.id] for step in scope.steps),
            start=start,
            variables={name: self._data(scope.variables[name]) for name in sorted(scope.variables)},
            output=self._given(self._definition, "output"),
            ends=tuple(number[step.id] for step in scope.steps if _may_end(step, graph)),
            reachable=reachable,
        )

    def _step(self, scope: Scope, step: Step) -> plan.StepPlan:
        graph, number = scope.graph, self._numbers.steps
        dag = scope.notation == "dag"
        options = self._options(step)
        return plan.StepPlan(
            number=number[step.id],
            id=step.id,
            scope=self._numbers.scopes[ROOT],
            kind=_KINDS[step.type],
            join=_join(step, "all" if dag else "any"),
            needs=tuple(number[need] for need in step.needs or ()),
            dependents=tuple(number[id] for id in graph.successors[step.id]) if dag else (),
            when=self._expression(step.when),
            deadline=self._given(step, "deadline"),
            foreach=self._foreach(step),
            input=self._given(step, "input"),
            activity=_activity(step, options),
            timer=self._timer(step),
            timeout_ms=options.timeout_ms,
            grace_ms=options.grace_ms,
            output=self._given(step, "output", owner=step.id),
            fail=self._fail(step.fail, step.id) if isinstance(step, DecisionStep) else None,
            retry=options.retry,
            on_error=self._clauses(step.id, step.on_error),
            assign=tuple(
                (name, self._data(step.assign[name], owner=step.id))
                for name in sorted(step.assign)
                if not appends(step.assign[name])
            ),
            append=tuple(
                (name, self._data(step.assign[name]["append"], owner=step.id))
                for name in sorted(step.assign)
                if appends(step.assign[name])
            ),
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
        if not isinstance(step, ActivityStep):
            return ActivityOptions()
        known = self._activities.get(step.id)
        return known if known is not None else merge(step)

    def _foreach(self, step: Step) -> plan.Foreach | None:
        if step.foreach is None:
            return None
        return plan.Foreach(
            items=self._read(parse_expression(step.foreach)),
            alias=step.as_,
            concurrency=step.concurrency,
            completion=_completion(step),
        )

    def _timer(self, step: Step) -> plan.Timer | None:
        if not isinstance(step, TimerStep):
            return None
        return plan.Timer(duration=self._given(step, "duration"), until=self._given(step, "until"))

    def _routes(self, step: Step) -> tuple[plan.Edge, ...]:
        return tuple(
            self._edge(step.id, "next", index, route.to, self._expression(route.when, step.id))
            for index, route in enumerate(step.next or ())
        )

    def _clauses(self, owner: str, clauses: Sequence[ErrorClause]) -> tuple[plan.ErrorClause, ...]:
        return tuple(
            plan.ErrorClause(
                error=clause.error,
                when=self._expression(clause.when),
                edge=None
                if clause.next is None
                else self._edge(owner, "on_error", index, clause.next, None),
                output=self._given(clause, "output"),
                fail=self._fail(clause.fail),
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
        return self._data(failing.type, owner), self._data(failing.message, owner)

    def _given(self, model: Model, field: str, owner: str | None = None) -> Data | None:
        """A data field, where null is a value: None only if it was not written."""
        return self._data(getattr(model, field), owner) if model.given(field) else None

    def _data(self, value: Json, owner: str | None = None) -> Data:
        data = parse_data(_sorted(value))
        self._reads.add(data, owner)
        return data

    def _expression(self, source: str | None, owner: str | None = None) -> Expression | None:
        return None if source is None else self._read(parse_expression(source), owner)

    def _read(self, expression: Expression, owner: str | None = None) -> Expression:
        self._reads.add(expression, owner)
        return expression


class _Reads:
    """What the plan's expressions read, by the value that they read it of."""

    def __init__(self) -> None:
        self._by_root: dict[Origin, dict[Read, None]] = {}

    def add(self, part: Data | Expression, owner: str | None) -> None:
        """Note the reads of a field; `owner` is the step whose output `$.output` is there.

        An expression field is a condition or a list to run over: its value is looked at too.
        """
        for read in reads(part, tested=isinstance(part, Expression)):
            root = ("steps", owner) if read.root == ("output",) and owner else read.root
            self._by_root.setdefault(root, {})[read] = None

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


def _sorted(value: Json) -> Json:
    """With keys in order, as the stored body has them: a plan is the same wherever it was read."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


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


def _activity(step: Step, options: ActivityOptions) -> plan.Activity | None:
    if not isinstance(step, ActivityStep):
        return None
    return plan.Activity(target=step.activity, effects=options.effects, resources=options.resources)


def _may_end(step: Step, graph: Graph) -> bool:
    """Whether a scope may end with this step's completion; one that always fails has none."""
    caught = any(clause.given("output") for clause in step.on_error)
    if isinstance(step, DecisionStep) and step.fail is not None and not caught:
        return False
    if step.end is not None or not any(way.kind != "on_error" for way in graph.leaving[step.id]):
        return True
    return any(way.target is None and way.kind == "next" for way in graph.leaving[step.id])
