"""A visit, in the order of the fields that it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    EvaluationContext,
    StepResult,
    at_rest,
    parse_expression,
)
from heliostat.verify.reference.attempts import Attempts
from heliostat.verify.reference.items import several
from heliostat.verify.reference.ticks import Cancelled
from heliostat.verify.reference.words import (
    SKIPPED,
    Failing,
    Frame,
    data_of,
    failed_as,
    holds,
    ways_of,
    without_value,
)

if TYPE_CHECKING:
    from heliostat.verify.reference.scopes import Scope


class Visit:
    """One arrival at a step, in the order of the fields that it passes."""

    def __init__(self, scope: Scope, step: dict[str, Any]) -> None:
        self.scope, self.step, self.world = scope, step, scope.run_
        self.frame = scope.frame
        self.number = scope.visits[step["id"]] = scope.visits.get(step["id"], 0) + 1
        self.items: list[Any] | None = None
        self.finished: list[str] | None = None
        self.withdrawn_steps: list[str] = []
        self.due: int | None = None
        self._attempts = Attempts(self)
        self.settled = False  # what is withdrawn is waited for, and nothing else

    async def run(self) -> tuple[str, list[str]]:
        """`Completed` or `Skipped`, and the targets. A `Failing` has the way of its clause."""
        step, results = self.step, self.frame.results
        try:
            output = await self._all()
            if output is SKIPPED:
                results[step["id"]] = StepResult(status="Skipped")
                targets = self._route(None)
                self.world.trace.append(f"{step['id']}?")
                return "Skipped", targets
            result = StepResult(
                status="Completed", output=output, items=self.items, finished=self.finished
            )
            if step.get("cancels"):
                self.withdrawn_steps = await self.scope.cancel_region(step["cancels"])
            results[step["id"]] = result
            targets = self._completed(output)
            self.world.trace.append(step["id"])
            return "Completed", targets
        except Failing as failing:
            late = (
                results[step["id"]].output
                if failing.behind_output and (step["id"] in results)
                else failing.late
            )
            results[step["id"]] = StepResult(
                status="Failed", error=failing.view, output=late, items=self.items
            )
            self.world.trace.append(f"{step['id']}!")
            raise await self._clauses(failing) from None
        except Cancelled as cancelled:
            results[step["id"]] = StepResult(
                status="Canceled", output=getattr(cancelled, "late", None), items=self.items
            )
            raise

    async def _clauses(self, failing: Failing) -> Failing:
        """The clauses for the step as a whole."""
        if failing.way is not None or (failing.asked and not failing.of_item):
            return failing
        clauses = self.step.get("on_error", [])
        try:
            clause = self.world.clause(clauses, failing, self.frame)
        except ExpressionError as error:
            return without_value(error)
        if clause is None:
            return failing
        if "next" in clause:
            failing.way = clause["next"]
            return failing
        if "fail" in clause:
            context = self.world.context(self.frame, error=failing.view)
            return failed_as(clause, context)
        return failing

    async def _all(self) -> Any:
        """`when`, `deadline`, `foreach`, and what they bound."""
        step, world, frame = self.step, self.world, self.frame
        due, values = None, None
        try:
            if "when" in step and not holds(step["when"], world.context(frame)):
                await world.loop.others_begin()
                return SKIPPED
            if "deadline" in step:
                due = world.instant(step["deadline"], frame)
            if "foreach" in step:
                values = parse_expression(step["foreach"]).evaluate(world.context(frame))
                if not isinstance(values, list):
                    raise Failing("ExpressionError")
        except ExpressionError as error:
            return await self._attempts.handled(without_value(error), frame)
        except Failing as failing:
            return await self._attempts.handled(failing, frame)
        work = self._foreach(values or []) if "foreach" in step else self._attempts.once(frame)
        try:
            self.due = due
            return await world.bounded(work, due, lambda: self.settled)
        except Failing as failing:
            if failing.type != "DeadlineExceeded" or failing.asked:
                raise
            return await self._attempts.handled(failing, frame)

    def _completed(self, output: Any) -> list[str]:
        step, world, scope = self.step, self.world, self.scope
        context = world.context(self.frame, output=output)
        try:
            new: list[tuple[str, Any, bool]] = []
            for name, value in step.get("assign", {}).items():
                appends = isinstance(value, dict) and set(value) == {"append"}
                what = at_rest(data_of(value["append"] if appends else value, context))
                new.append((name, what, appends))
            changed = {}
            for name, what, appends in new:
                changed[name] = [*context.vars[name], what] if appends else what
            after = world.context(self.frame, output=output)
            after.vars = {**after.vars, **changed}
            published = [
                (each["event"], at_rest(data_of(each.get("data"), after)))
                for each in step.get("publish", [])
            ]
            signals = [
                (
                    data_of(each["execution"], after),
                    each["name"],
                    at_rest(data_of(each.get("data"), after)),
                )
                for each in (step.get("signal", []) if step.get("type") != "wait" else ())
            ]
            targets = self._targets(after)
        except ExpressionError as error:
            failing = without_value(error)
            failing.behind_output = True
            raise failing from None
        for name, value in changed.items():
            self.frame.declaring(name).vars[name] = value
        for name, data in published:
            world.loop.spawn(world.publish(name, data))
        for to, name, data in signals:
            if to == world.id:
                world.loop.spawn(world.told_itself(name, data))
        scope.follow_cancelled(self.withdrawn_steps)
        return targets

    def _route(self, output: Any) -> list[str]:
        try:
            return self._targets(self.world.context(self.frame, output=output))
        except ExpressionError as error:
            failing = without_value(error)
            failing.behind_output = True
            raise failing from None

    def _targets(self, context: EvaluationContext) -> list[str]:
        step = self.step
        if self.scope.dag or "next" not in step:
            return ["end"]
        ways = ways_of(step)
        several = step.get("split") == "all"
        taken: list[str] = []
        for way in ways:
            if "when" in way and (several or not taken) and holds(way["when"], context):
                taken.append(way["to"])
        if not taken:
            taken = [way["to"] for way in ways if "when" not in way]
        taken = taken if several else taken[:1]
        if not taken:
            failing = Failing("NoWayOn")
            failing.behind_output = True
            raise failing
        return taken

    # -- items

    async def _foreach(self, values: list[Any]) -> Any:
        step = self.step
        rule = step.get("completion", "all")
        wanted = 1 if rule == "any" else rule["at_least"] if isinstance(rule, dict) else None
        if wanted is not None and len(values) < wanted:
            await self.world.loop.others_begin()
            return await self._whole_foreach(Failing("TooFewItems"))
        return await several(
            self,
            [self._item(value, index) for index, value in enumerate(values)],
            rule,
            step.get("concurrency", 1_000),
        )

    async def _whole_foreach(self, failing: Failing) -> Any:
        return await self._attempts.handled(failing, self.frame)

    async def _item(self, value: Any, index: int) -> Any:
        frame = Frame(outer=self.frame, item=value, index=index, is_item=True)
        if "as" in self.step:
            frame.vars[self.step["as"]] = value
        return await self._attempts.once(frame)
