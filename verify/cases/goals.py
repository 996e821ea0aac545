"""What cases are to cover: each step, way, error policy and number of rounds that a plan has.

A goal is reached by an execution, which `observing` tells from its history. Two goals are the same
if they say the same: they are compared by value, and told in the order of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from heliostat.engine.plan.plan import END, Edge, ErrorClause, Plan, StepPlan

Kind: TypeAlias = Literal[
    "step", "way", "skip", "error", "foreach", "loop", "wait", "person", "child", "handler"
]

KINDS: Final[dict[Kind, str]] = {
    "step": "steps",
    "way": "ways",
    "skip": "skips",
    "error": "error policies",
    "wait": "what is waited for",
    "person": "what people do",
    "child": "failures of children",
    "foreach": "lists",
    "loop": "rounds of loops",
    "handler": "handlers",
}
"""Each kind with the word for all of its goals, in the order in which they are told."""

DEFINITION: Final = ""
"""In place of a step: the definition's own error policy, deadline, handlers."""


@dataclass(frozen=True, slots=True, order=True)
class Goal:
    """One thing to cover. `detail` tells goals of one kind and step apart.

    | kind | detail |
    | --- | --- |
    | `step` | none: a visit of it completes; of one that can only fail, fails |
    | `way` | the number of the edge |
    | `skip` | none: its `when` is false |
    | `error` | `clause 0` … of `on_error`, `retried`, `exhausted`, `timeout`, `deadline` |
    | `foreach`, `loop` | `none`, `one`, `many` |
    | `wait` | the alternative's name |
    | `person` | `complete`, `fail`; of one that `on_error` asks also `retry` |
    | `child` | `fail` |
    | `handler` | its number |
    """

    kind: Kind
    step: str
    detail: str = ""
    words: str = ""  # for people


def goals_of(plan: Plan) -> tuple[Goal, ...]:
    """All goals of a plan, in the order of `KINDS`, then of the plan."""
    steps = [step for step in plan.steps if not step.retired and not _is_custom(plan, step)]
    found = [goal for step in steps for goal in _of_step(step)]
    found += [goal for step in steps for goal in _of_ways(plan, step)]
    found += _of_clauses(DEFINITION, plan.on_error, plan)
    if plan.deadline is not None:
        found.append(Goal("error", DEFINITION, "deadline", "the execution passes its deadline"))
    found += [
        Goal("handler", DEFINITION, str(each.number), f"{each.event} is handled")
        for each in plan.handlers
    ]
    found += [
        Goal("loop", plan.steps[edge.target].id, many, _rounds(plan, edge, many))
        for edge in back_edges(plan)
        for many in ("none", "one", "many")
    ]
    order = {kind: position for position, kind in enumerate(KINDS)}
    return tuple(dict.fromkeys(sorted(found, key=lambda goal: order[goal.kind])))


def _is_custom(plan: Plan, step: StepPlan) -> bool:
    """Whether it is a handler's own action, which no way leads to."""
    scope = plan.scopes[step.scope]
    return scope.owner is None and scope is not plan.root


def _of_step(step: StepPlan) -> Iterator[Goal]:
    ends = "fails, as it is meant to" if step.fail is not None else "completes"
    yield Goal("step", step.id, "", f"{step.id} {ends}")
    if step.when is not None:
        yield Goal("skip", step.id, "", f"{step.id} is skipped")
    yield from _of_clauses(step.id, step.on_error)
    if step.retry.max_attempts > 1:
        yield Goal("error", step.id, "retried", f"{step.id} fails and completes when tried again")
        yield Goal("error", step.id, "exhausted", f"{step.id} fails as often as it may be tried")
    if step.timeout_ms is not None:
        yield Goal("error", step.id, "timeout", f"{step.id} is timed out")
    if step.deadline is not None:
        yield Goal("error", step.id, "deadline", f"{step.id} passes its deadline")
    for each in step.alternatives:
        yield Goal("wait", step.id, each.name, f"{step.id} ends by {each.name}")
    if step.kind == "human":
        yield Goal("person", step.id, "complete", f"somebody completes {step.id}")
        yield Goal("person", step.id, "fail", f"somebody gives {step.id} up")
    if step.child is not None and not step.child.detached:
        yield Goal("child", step.id, "fail", f"the child of {step.id} fails")
    if step.foreach is not None and not step.foreach.items.constant:
        for many, words in (("none", "no items"), ("one", "one item"), ("many", "several items")):
            yield Goal("foreach", step.id, many, f"{step.id} has {words}")


def _of_ways(plan: Plan, step: StepPlan) -> Iterator[Goal]:
    for edge in step.routes:
        yield Goal("way", step.id, str(edge.number), way(plan, edge))


def _of_clauses(
    step: str, clauses: tuple[ErrorClause, ...], plan: Plan | None = None
) -> Iterator[Goal]:
    whose = step or "the execution"
    for number, clause in enumerate(clauses):
        error = clause.error or "any other error" if number else clause.error or "any error"
        yield Goal("error", step, f"clause {number}", f"{whose} fails: {error} is caught")
        if clause.human is not None:
            for verb, words in (
                ("retry", "has it tried again"),
                ("complete", "gives its output"),
                ("fail", "lets it fail"),
            ):
                yield Goal("person", step, verb, f"{whose} fails: somebody {words}")


def way(plan: Plan, edge: Edge) -> str:
    """A way in words: `check → approve`."""
    target = "end" if edge.target == END else plan.steps[edge.target].id
    return f"{plan.steps[edge.source].id} → {target}"


def back_edges(plan: Plan) -> tuple[Edge, ...]:
    """The ways that close a loop: those that lead back to a step on the path from the start.

    By depth-first search, along `next` before `on_error`; of several that lead to one step, the
    first stands for all.
    """
    found: dict[int, Edge] = {}
    for scope in plan.scopes:
        if scope.retired or scope.notation != "state_machine":
            continue
        done, path = set[int](), list[int]()
        pending = [(start, iter(_leaving(plan, start))) for start in scope.start]
        path += [start for start, _ in pending]
        while pending:
            number, ways = pending[-1]
            edge = next(ways, None)
            if edge is None:
                pending.pop()
                path.pop()
                done.add(number)
            elif edge.target in path:
                found.setdefault(edge.target, edge)
            elif edge.target not in done:
                path.append(edge.target)
                pending.append((edge.target, iter(_leaving(plan, edge.target))))
    return tuple(found[target] for target in sorted(found))


def _leaving(plan: Plan, number: int) -> list[Edge]:
    step = plan.steps[number]
    return [edge for edge in (*step.routes, *step.error_edges) if edge.target != END]


def _rounds(plan: Plan, edge: Edge, many: str) -> str:
    times = {"none": "never", "one": "once", "many": "several times"}[many]
    return f"back to {plan.steps[edge.target].id} {times}"
