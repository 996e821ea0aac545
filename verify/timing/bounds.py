"""How long a definition takes at least and at most.

*At least* is over the executions that complete without a failure; *at most* is over all, with every
attempt failing as often as it is tried again, and every way taken. Conditions are free, durations
of steps independent. What is computed is a bound: no execution is quicker or slower, but where
conditions depend on one another none may come near it.

Not counted: waiting for permits, for capacity and for a host; pauses; attempts made again because a
runner was lost.

Scopes are bounded from the inside out: state machines in `machines.py`, DAGs in `dags.py`.
"""

from __future__ import annotations

from math import ceil, inf
from typing import Final

from heliostat.engine.authoring.fields import (
    ITEMS_TAG,
    MAX_DURATION_TAG,
    VISITS_TAG,
    said_number,
)
from heliostat.engine.expressions import Data
from heliostat.engine.expressions.ast import ListOf
from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.verify.timing.dags import dag
from heliostat.verify.timing.durations import (
    Measured,
    Tagged,
    constant,
)
from heliostat.verify.timing.limits import Span, limit_of
from heliostat.verify.timing.machines import Machine
from heliostat.verify.timing.rules import count_of, grace_of, inside, pauses_ms

NOTHING: Final = Span(0, 0)


class Bounds:
    """The bounds of all steps and scopes of one plan."""

    def __init__(self, plan: Plan, durations: Measured, tags: Tagged) -> None:
        self._plan, self._durations, self._tags = plan, durations, tags
        self.visits: dict[int, Span] = {}
        """By step number, one visit from its activation to its end."""
        self.undue: dict[int, Span] = {}
        """The same if there were no deadline, nor a `when`."""
        self.attempts: dict[int, Span] = {}
        """By step number, one attempt if there were no timeout."""
        self.scopes: dict[int, Span] = {}
        """By scope number, from its opening to its end."""
        self.unbounded: dict[str, str] = {}
        """By step id, why nothing bounds a visit of it, or the loop that it lies in."""
        self._definite: dict[int, bool] = {}
        self._widths: dict[int, int | None] = {}
        self._cancelled = {number for step in plan.steps for number in step.cancels}
        for scope in sorted(plan.scopes, key=lambda scope: -scope.number):
            if not scope.retired:
                for number in scope.steps:
                    self.visits[number] = self._visit(plan.steps[number])
                self.scopes[scope.number] = self._scope(scope)
        self.undated = self._total(None)
        """The whole, if the definition had no deadline."""
        deadline = self._deadline(plan.deadline)
        self.total = self.undated if deadline is None else self._total(deadline)

    def _deadline(self, deadline: Data | None) -> float | None:
        """The longest that a deadline may be, if that is known; an instant is not."""
        limit = limit_of(deadline, self._plan, None)
        return None if limit is None else limit.most

    def _total(self, deadline_ms: float | None) -> Span:
        """The root scope, and what the definition's own clauses and handlers add to it."""
        plan, root = self._plan, self.scopes[0]
        most = root.most
        if any(a.step is not None for handler in plan.handlers for a in handler.actions):
            self.unbounded.setdefault(plan.id, "a handler may trigger a step of it at any time")
            most = inf
        if deadline_ms is not None:
            most = min(most, deadline_ms + grace_of(plan.steps))
        recovery = [c.edge.target for c in plan.on_error if c.edge is not None]
        if recovery:  # once a run, from wherever it failed, and be it that the deadline has passed
            dag_again = plan.root.notation == "dag"
            most += root.most if dag_again else self._machine(plan.root).most(recovery)
        if any(c.human is not None for c in plan.on_error):
            most = inf
        return Span(root.least, most)

    # -- one step

    def _visit(self, step: StepPlan) -> Span:
        """From activation to the end: all items and attempts, or skipped."""
        once = self._tried(step, self._once(step))
        if step.foreach is not None:
            once = self._items(step, once)
        self.undue[step.number] = once
        deadline = self._deadline(step.deadline)
        most = once.most
        if deadline is not None:
            most = min(most, deadline + grace_of([step, *inside(self._plan, step)]))
        if any(clause.human is not None for clause in step.on_error):
            most = inf
            self.unbounded[step.id] = "a person decides about its failures"
        if most == inf and step.id not in self.unbounded:
            if not any(each.id in self.unbounded for each in inside(self._plan, step)):
                self.unbounded[step.id] = (
                    f"no `timeout`, `deadline` or tag `{MAX_DURATION_TAG}` bounds it"
                )
        elif most < inf:
            for each in (step, *inside(self._plan, step)):
                self.unbounded.pop(each.id, None)
        return Span(0 if step.when is not None else once.least, most)

    def _once(self, step: StepPlan) -> Span:
        """One attempt; of a step with steps in it, its scopes once."""
        said = self._durations.get(step.id)
        if said is not None:
            span = Span(said.min_ms, inf if said.max_ms is None else said.max_ms)
        elif step.kind == "body":
            span = self.scopes[step.scopes[0]]
        else:
            span = self._branches(step)
        self.attempts[step.number] = span
        if step.timeout_ms is not None:
            most = min(span.most, step.timeout_ms + step.grace_ms)
            span = Span(min(span.least, step.timeout_ms), most)
        return span

    def _branches(self, step: StepPlan) -> Span:
        spans = [self.scopes[scope] for scope in step.scopes]
        count = count_of(step.completion, len(spans))
        least = sorted(span.least for span in spans)[count - 1]
        definite = sorted(
            span.most
            for span, scope in zip(spans, step.scopes, strict=True)
            if self._certain(self._plan.scopes[scope])
        )
        if count <= len(definite):
            grace = 0 if count == len(spans) else grace_of(inside(self._plan, step))
            most = min(definite[count - 1] + grace, max(span.most for span in spans))
        else:
            most = max(span.most for span in spans)
        return Span(least, most)

    def _tried(self, step: StepPlan, once: Span) -> Span:
        """With every attempt that its policy gives it, and the pauses between them."""
        attempts = step.retry.max_attempts
        if attempts <= 1:
            return once
        return Span(once.least, once.most * attempts + pauses_ms(step.retry))

    def _items(self, step: StepPlan, item: Span) -> Span:
        """All items, so many at a time in their order. More or longer items never end sooner."""
        assert step.foreach is not None
        width = self.width(step)
        if width is None:
            least = item.least if step.foreach.completion.kind in ("any", "at_least") else 0
            if item.most == inf:
                return Span(least, inf)
            self.unbounded[step.id] = f"nothing says how many items it has: tag `{ITEMS_TAG}`"
            return Span(least, inf)
        if width == 0:
            return NOTHING
        at_once = max(1, min(step.foreach.concurrency, width))
        needed = count_of(step.foreach.completion, width)
        return Span(
            item.least * ceil(min(needed, width) / at_once), item.most * ceil(width / at_once)
        )

    def width(self, step: StepPlan) -> int | None:
        """How many items a step's `foreach` has, where the list or a tag says so."""
        if step.number not in self._widths:
            self._widths[step.number] = self._width(step)
        return self._widths[step.number]

    def _width(self, step: StepPlan) -> int | None:
        assert step.foreach is not None
        if isinstance(step.foreach.items.ast, ListOf):
            return len(step.foreach.items.ast.items)
        match constant(step.foreach.items):  # a long one, perhaps: once is enough
            case (list() as items,):
                return len(items)
        return said_number(self._tags.get(step.id, {}), ITEMS_TAG)

    # -- scopes

    def _scope(self, scope: ScopePlan) -> Span:
        if scope.notation == "dag":
            held, definite = self._with_cancelled, self._is_definite
            return dag(self._plan, scope, self.visits, held, definite)
        machine = self._machine(scope)
        found = Span(machine.least(), machine.most(scope.start))
        for step in machine.endless:
            self.unbounded[step.id] = f"no counter and no tag `{VISITS_TAG}` bounds its loop"
        return found

    def _machine(self, scope: ScopePlan) -> Machine:
        return Machine(self._plan, scope, self.visits, self._with_cancelled, self._tags)

    def _with_cancelled(self, number: int) -> float:
        """A visit, and the grace of what it withdraws, which what follows it waits for."""
        step = self._plan.steps[number]
        cancelled = [self._plan.steps[each] for each in step.cancels]
        withdrawn = [inner for each in cancelled for inner in inside(self._plan, each)]
        return self.visits[number].most + grace_of([*cancelled, *withdrawn])

    # -- what is certain to complete

    def _is_definite(self, step: StepPlan) -> bool:
        """Whether a visit can only complete: nothing in it fails, is skipped or withdrawn."""
        found = self._definite.get(step.number)
        if found is None:
            cancelled = step.number in self._cancelled
            found = self._definite[step.number] = (
                step.kind in ("timer", "wait", "decision")
                and step.when is None
                and step.foreach is None
                and step.fail is None
                and step.deadline is None
                and not cancelled
                and all(self._is_definite(self._plan.steps[need]) for need in step.needs)
            )
        return found

    def _certain(self, scope: ScopePlan) -> bool:
        return all(self._is_definite(self._plan.steps[number]) for number in scope.steps)
