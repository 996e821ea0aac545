"""What an execution did: the goals that its history reaches, and its steps' ends in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    AttemptStopping,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionRedirected,
    Failure,
    HandlerFired,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskFailed,
    TaskOpened,
)
from heliostat.engine.plan.plan import ErrorClause, Plan, StepPlan
from heliostat.engine.simulator import SimulationResult
from heliostat.verify.cases.goals import DEFINITION, Goal, back_edges, goals_of


class Observer:
    """Tells of histories of one plan which goals they reach."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.goals = goals_of(plan)
        self._known: dict[tuple[str, str, str], Goal] = {
            (goal.kind, goal.step, goal.detail): goal for goal in self.goals
        }
        self._back = back_edges(plan)

    def reached(self, result: SimulationResult) -> frozenset[Goal]:
        """The goals that an execution reached."""
        found = (self._known.get(each) for each in self._told(result.events))
        return frozenset(goal for goal in found if goal is not None)

    def _told(self, events: list[ExecutionEvent]) -> Iterator[tuple[str, str, str]]:
        failures: Counter[tuple[int, int, int]] = Counter()
        asked: dict[tuple[int, int, int], int] = {}
        taken: Counter[tuple[int, int]] = Counter()  # by scope instance and edge
        opened: set[tuple[int, int]] = set()  # scope instance and step
        for event in events:
            for activation in getattr(event, "activated", ()):
                opened.add((activation.scope, activation.step))
                yield from self._activated(activation)
            for number in getattr(event, "taken", ()):
                edge = self._plan.edges[number]
                yield "way", self._plan.steps[edge.source].id, str(number)
                at: Address = event.at  # type: ignore[union-attr]  # what takes ways is somewhere
                taken[at.scope, number] += 1
            match event:
                case AttemptFailed(at=at, failure=failure):
                    yield "child", self._step(at).id, "fail"
                    visit = (at.scope, at.step, at.visit)
                    failures[visit] += 1
                    if visit in asked:
                        yield "person", self._step(at).id, "retry"
                    yield from self._bounds(self._step(at), failure)
                case AttemptStopping(at=at, failure=failure):
                    yield from self._bounds(self._step(at), failure)
                case TaskOpened(at=at, failure=failure, clause=clause):
                    asked[at.scope, at.step, at.visit] = clause
                    yield "error", self._step(at).id, f"clause {clause}"
                    yield from self._bounds(self._step(at), failure)
                case TaskFailed(at=at):
                    yield "person", self._step(at).id, "fail"
                case StepCompleted(at=at):
                    yield from self._completed(event, failures, asked)
                case StepFailed(at=at):
                    yield from self._failed(event, failures, asked)
                case StepSkipped(at=at) if self._step(at).when is not None:
                    yield "skip", self._step(at).id, ""
                case HandlerFired(handler=handler):
                    yield "handler", DEFINITION, str(handler)
                case ExecutionRedirected(failure=failure):
                    yield from self._definition(failure, "edge")
                case ExecutionCompleted(recovered=failure) if failure is not None:
                    yield from self._definition(failure, "output")
                case ExecutionFailed(failure=failure):
                    yield from self._definition(failure, "fail")
                case _:
                    pass
        yield from self._loops(taken, opened)

    def _step(self, at: Address) -> StepPlan:
        return self._plan.steps[at.step]

    def _activated(self, activation: Activation) -> Iterator[tuple[str, str, str]]:
        step = self._plan.steps[activation.step]
        if activation.skipped and step.when is not None:
            yield "skip", step.id, ""
        if step.foreach is not None and activation.width is not None:
            many = {0: "none", 1: "one"}.get(activation.width, "many")
            yield "foreach", step.id, many
        failure = activation.failure
        if failure is not None and failure.type == "TooFewItems":
            yield "foreach", step.id, "one" if failure.message.endswith(" 1") else "none"

    def _bounds(self, step: StepPlan, failure: Failure) -> Iterator[tuple[str, str, str]]:
        if failure.type == "Timeout" and step.timeout_ms is not None:
            yield "error", step.id, "timeout"
        if failure.type == "DeadlineExceeded" and step.deadline is not None:
            yield "error", step.id, "deadline"

    def _completed(
        self,
        event: StepCompleted,
        failures: Counter[tuple[int, int, int]],
        asked: dict[tuple[int, int, int], int],
    ) -> Iterator[tuple[str, str, str]]:
        step, at = self._step(event.at), event.at
        visit = (at.scope, at.step, at.visit)
        if event.recovered is not None:
            yield "child", step.id, "fail"
            yield from self._bounds(step, event.recovered)
            if visit not in asked:
                yield from self._caught(step.id, step.on_error, event.recovered, "output")
        elif failures[visit] and visit not in asked:
            yield "error", step.id, "retried"
        if (visit in asked and event.recovered is not None) or step.kind == "human":
            yield "person", step.id, "complete"
        if step.kind == "wait" and isinstance(event.output, dict):
            yield "wait", step.id, str(event.output.get("name"))
        if event.recovered is None and step.fail is None:
            yield "step", step.id, ""

    def _failed(
        self,
        event: StepFailed,
        failures: Counter[tuple[int, int, int]],
        asked: dict[tuple[int, int, int], int],
    ) -> Iterator[tuple[str, str, str]]:
        step, failure, at = self._step(event.at), event.failure, event.at
        visit = (at.scope, at.step, at.visit)
        yield "child", step.id, "fail"
        yield from self._bounds(step, failure)
        if step.fail is not None:
            yield "step", step.id, ""
        if visit in asked:
            yield "person", step.id, "fail"
        if failures[visit] and failures[visit] + 1 >= step.retry.max_attempts:
            yield "error", step.id, "exhausted"
        for number, clause in enumerate(step.on_error):
            if clause.edge is not None and clause.edge.number in event.taken:
                yield "error", step.id, f"clause {number}"
        if not event.taken:
            yield from self._caught(step.id, step.on_error, failure, "fail")

    def _definition(self, failure: Failure, by: str) -> Iterator[tuple[str, str, str]]:
        if failure.type == "DeadlineExceeded" and failure.step is None:
            yield "error", DEFINITION, "deadline"
        yield from self._caught(DEFINITION, self._plan.on_error, failure, by)

    def _caught(
        self, step: str, clauses: tuple[ErrorClause, ...], failure: Failure, by: str
    ) -> Iterator[tuple[str, str, str]]:
        """The clause that a failure was caught by, of those that answer in this way.

        The history does not name it. One whose `when` would have to be asked again is taken to fit;
        of a clause that fails with an error of its own, any failure may come.
        """
        names = {failure.type, *failure.mro}
        for number, clause in enumerate(clauses):
            if getattr(clause, by) is None:
                continue
            if by == "fail" and clause.fail is not None:
                if clause.fail[0].constant and clause.fail[0].value == failure.type:
                    yield "error", step, f"clause {number}"
                    return
                continue
            if clause.error is None or clause.error in names:
                yield "error", step, f"clause {number}"
                return

    def _loops(
        self, taken: Counter[tuple[int, int]], opened: set[tuple[int, int]]
    ) -> Iterator[tuple[str, str, str]]:
        for edge in self._back:
            id = self._plan.steps[edge.target].id
            for scope, step in opened:
                if step == edge.target:
                    many = {0: "none", 1: "one"}.get(taken[scope, edge.number], "many")
                    yield "loop", id, many
