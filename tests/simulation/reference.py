"""What a definition means, told a second time: a naive interpreter without events or schedules.

It walks definitions as written, one thing after another, and knows only the part of the language
whose result depends on no schedule: machines with one token, DAGs with `all` and `all_done`. It
shares the expression language with the kernel and nothing else. Where a result would depend on
what comes first, it says `Undetermined`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    EvaluationContext,
    StepResult,
    parse_data,
    parse_expression,
)
from heliostat.engine.simulator import Call, Outcome, Raises, Returns

VISITS_MAX = 500


class Undetermined(Exception):
    """The result depends on which of several things happens first."""


class Failing(Exception):
    """A step or an execution fails."""

    def __init__(self, type: str, mro: tuple[str, ...] = (), item: int | None = None) -> None:
        super().__init__(type)
        self.type, self.names, self.item = type, {type, *mro}, item
        self.behind_output = False
        self.next: str | None = None

    @property
    def view(self) -> dict[str, Any]:
        return {"type": self.type}


@dataclass
class Run:
    """One execution under way."""

    tree: dict[str, Any]
    input: Any
    outcomes: Callable[[Call], Outcome]
    vars: dict[str, Any] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)

    def context(self, **more: Any) -> EvaluationContext:
        given = {"vars": self.vars, "steps": self.results, "input": self.input, **more}
        return EvaluationContext(**given)


def interpret(
    tree: dict[str, Any], input: Any, outcomes: Callable[[Call], Outcome]
) -> tuple[str, Any]:
    """The status and the output that every schedule must lead to."""
    run = Run(tree, input, outcomes)
    run.vars = {name: _data(value, run.context()) for name, value in tree["vars"].items()}
    try:
        walk = _dag if any("needs" in step for step in tree["steps"]) else _machine
        walk(run)
        return "Completed", _output(run)
    except Failing as failing:
        return _recovered(run, failing)


def _recovered(run: Run, failing: Failing, *, again: bool = True) -> tuple[str, Any]:
    failing.behind_output = False  # of a step; the definition may still give an output
    clause = _matching(run.tree.get("on_error", []), failing, run.context())
    if clause is None:
        return "Failed", failing.type
    if "output" in clause:
        return "Completed", _data(clause["output"], run.context(error=failing.view))
    if "fail" in clause:
        return "Failed", _data(clause["fail"]["type"], run.context(error=failing.view))
    if not again:
        return "Failed", failing.type
    try:
        _machine(run, clause["next"])
        return "Completed", _output(run)
    except Failing as second:
        return _recovered(run, second, again=False)


def _output(run: Run) -> Any:
    if "output" in run.tree:
        return _data(run.tree["output"], run.context())
    steps = run.tree["steps"]
    needed = {need for step in steps for need in step.get("needs", ())}
    dag = any("needs" in step for step in steps)
    ends = [
        step["id"]
        for step in steps
        if ("fail" not in step or any("output" in clause for clause in step.get("on_error", [])))
        and (
            step["id"] not in needed
            if dag
            else "next" not in step or "end" in _targets(step["next"])
        )
    ]
    results = {id: run.results[id] for id in ends if id in run.results}
    completed = {id: r.output for id, r in results.items() if r.status == "Completed"}
    return next(iter(completed.values()), None) if len(ends) == 1 else completed


def _targets(ways: Any) -> list[str]:
    return [ways] if isinstance(ways, str) else [way["to"] for way in ways]


# -- the two notations


def _machine(run: Run, start: str | None = None) -> None:
    steps = {step["id"]: step for step in run.tree["steps"]}
    at = start or run.tree.get("start") or run.tree["steps"][0]["id"]
    for _ in range(VISITS_MAX):
        step = steps[at]
        try:
            skipped = _visit(run, step)
            following = _route(run, step, skipped)
        except Failing as failing:
            run.results[at] = StepResult(status="Failed", error=failing.view)
            clause = _clause_of_step(run, step, failing)
            if clause is None or "next" not in clause:
                raise
            following = clause["next"]
        if following == "end":
            return
        at = following
    raise Undetermined(f"still going after {VISITS_MAX} visits")


def _route(run: Run, step: dict[str, Any], skipped: bool) -> str:
    try:
        output = run.results[step["id"]].output
        if not skipped:
            new = {}
            for name, value in step.get("assign", {}).items():
                appends = isinstance(value, dict) and set(value) == {"append"}
                what = _data(value["append"] if appends else value, run.context(output=output))
                new[name] = [*run.vars[name], what] if appends else what
            run.vars = {**run.vars, **new}
        ways = step.get("next", "end")
        if isinstance(ways, str):
            return ways
        for way in ways:
            if "when" not in way or _test(way["when"], run.context(output=output)):
                return str(way["to"])
        raise Failing("NoWayOn")
    except ExpressionError:
        failing = Failing("ExpressionError")
    except Failing as no_way:
        failing = no_way
    failing.behind_output = True
    raise failing


def _dag(run: Run) -> None:
    failed: list[Failing] = []
    steps = {step["id"]: step for step in run.tree["steps"]}
    for id, step in steps.items():  # written in the order of their needs
        needs = [run.results.get(need) for need in step["needs"]]
        if any(need is None for need in needs):
            continue
        statuses = [need.status for need in needs if need is not None]
        if statuses and step.get("join", "all") == "all" and "Completed" not in statuses:
            run.results[id] = StepResult(status="Skipped")
            continue
        try:
            _visit(run, step)
        except Failing as failing:
            dependents = [each for each in steps.values() if id in each["needs"]]
            if dependents and all(each.get("join") == "all_done" for each in dependents):
                run.results[id] = StepResult(status="Failed", error=failing.view)
                continue
            failed.append(failing)
    if len({failing.type for failing in failed}) > 1:
        raise Undetermined("several steps fail, each in its way")
    if failed:
        raise failed[0]


# -- one visit


def _visit(run: Run, step: dict[str, Any]) -> bool:
    """Run a step; whether it was skipped. Raises `Failing` with what is left for `next` clauses."""
    id = step["id"]
    visit = run.visits[id] = run.visits.get(id, 0) + 1
    try:
        if "when" in step and not _test(step["when"], run.context()):
            run.results[id] = StepResult(status="Skipped")
            return True
        values = None
        if "foreach" in step:
            values = parse_expression(step["foreach"]).evaluate(run.context())
            if not isinstance(values, list):
                raise Failing("ExpressionError")
    except ExpressionError:
        values = Failing("ExpressionError")
    except Failing as failing:
        values = failing
    if isinstance(values, Failing):
        output, items = _handled(run, step, values, run.context()), None
    elif values is None:
        output, items = _once(run, step, visit, None, run.context()), None
    else:
        output, items = _foreach(run, step, visit, values)
    run.results[id] = StepResult(status="Completed", output=output, items=items)
    return False


def _foreach(
    run: Run, step: dict[str, Any], visit: int, values: list[Any]
) -> tuple[list[Any], list[Any]]:
    outputs, items, failed = [], [], []
    for index, value in enumerate(values):
        variables = {**run.vars, step["as"]: value} if "as" in step else run.vars
        context = run.context(item=value, index=index, vars=variables)
        try:
            outputs.append(_once(run, step, visit, index, context))
            items.append({"index": index, "status": "Completed"})
        except Failing as failing:
            failing.item = index
            failed.append(failing)
            outputs.append(None)
            items.append({"index": index, "status": "Failed"})
    if failed and step.get("completion", "all") == "all":
        if len({failing.type for failing in failed}) > 1 and step.get("concurrency", 99) > 1:
            raise Undetermined("which item fails first?")
        raise failed[0]
    return outputs, items


def _once(
    run: Run, step: dict[str, Any], visit: int, index: int | None, context: EvaluationContext
) -> Any:
    """The step without `foreach`, or one item: attempts, then the clauses for a value."""
    try:
        value = _data(step["input"], context) if "input" in step else None
        if step["type"] == "timer":
            return None
        if step["type"] == "activity":
            return _attempts(run, step, visit, index, value)
        if "fail" in step:
            raise Failing(_data(step["fail"]["type"], context))
        return _data(step["output"], context) if "output" in step else None
    except ExpressionError:
        failing = Failing("ExpressionError")
        failing.behind_output = step["type"] == "decision"
    except Failing as raised:
        failing = raised
    return _handled(run, step, failing, context)


def _handled(run: Run, step: dict[str, Any], failing: Failing, context: EvaluationContext) -> Any:
    clause = _matching(step.get("on_error", []), failing, context)
    context.error = failing.view
    if clause is not None and "output" in clause:
        return _data(clause["output"], context)
    if clause is not None and "fail" in clause:
        changed = Failing(_data(clause["fail"]["type"], context))
        changed.next = "none"
        raise changed
    failing.next = clause["next"] if clause is not None else "none"
    raise failing


def _clause_of_step(run: Run, step: dict[str, Any], failing: Failing) -> Mapping[str, Any] | None:
    """The `next` clause for the step as a whole."""
    clauses = step.get("on_error", [])
    if failing.item is not None:
        clauses = [clause for clause in clauses if "next" in clause]
        return _matching(clauses, failing, run.context())
    if failing.next is not None:
        return None if failing.next == "none" else {"next": failing.next}
    clause = _matching(clauses, failing, run.context())
    if clause is not None and "fail" in clause:
        failing.type = _data(clause["fail"]["type"], run.context(error=failing.view))
        failing.names = {failing.type}
        return None
    return clause


def _attempts(run: Run, step: dict[str, Any], visit: int, index: int | None, value: Any) -> Any:
    retry = step.get("retry", {})
    for nth in range(1, 10):
        call = Call(step=step["id"], visit=visit, item_index=index, nth=nth, input=value)
        outcome = run.outcomes(call)
        if isinstance(outcome, Returns):
            return outcome.value
        assert isinstance(outcome, Raises)
        failing = Failing(outcome.type, outcome.mro)
        wanted = not retry.get("on") or failing.names & set(retry["on"])
        unwanted = failing.names & set(retry.get("never_on", ()))
        if nth >= retry.get("max_attempts", 1) or not wanted or unwanted:
            raise failing
    raise AssertionError("more attempts than any definition asks for")


def _matching(
    clauses: list[Any], failing: Failing, context: EvaluationContext
) -> Mapping[str, Any] | None:
    for clause in clauses:
        if "error" in clause and clause["error"] not in failing.names:
            continue
        if "output" in clause and failing.behind_output:
            continue
        if "when" in clause and not _test(clause["when"], context):
            continue
        return clause  # type: ignore[no-any-return]  # of a tree that was read as JSON
    return None


def _data(value: Any, context: EvaluationContext) -> Any:
    return parse_data(value).evaluate(context)


def _test(source: str, context: EvaluationContext) -> bool:
    return parse_expression(source).test(context)
