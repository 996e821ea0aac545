"""A visit, in the order of the fields that it passes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from heliostat.engine.builtin import NEVER_RETRIED
from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    EvaluationContext,
    StepResult,
    at_rest,
    parse_duration,
    parse_expression,
)
from heliostat.engine.simulator import (
    Call,
    Hangs,
    IsCanceled,
    LosesRunner,
    Outcome,
    Person,
    Raises,
    Returns,
)
from heliostat.verify.reference.ticks import Cancelled, Future, Task, wait
from heliostat.verify.reference.waits import OpenWait
from heliostat.verify.reference.words import (
    ATTEMPTS,
    GRACE_MS,
    LOSSES_MAX,
    REPEATING,
    SKIPPED,
    Failing,
    Frame,
    Lost,
    Undetermined,
    copy_of,
    data_of,
    drained,
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
            return await self._handled(without_value(error), frame)
        except Failing as failing:
            return await self._handled(failing, frame)
        work = self._foreach(values or []) if "foreach" in step else self._once(frame)
        try:
            self.due = due
            return await world.bounded(work, due, lambda: self.settled)
        except Failing as failing:
            if failing.type != "DeadlineExceeded" or failing.asked:
                raise
            return await self._handled(failing, frame)

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
        return await self._several(
            [self._item(value, index) for index, value in enumerate(values)],
            rule,
            step.get("concurrency", 1_000),
        )

    async def _whole_foreach(self, failing: Failing) -> Any:
        return await self._handled(failing, self.frame)

    async def _item(self, value: Any, index: int) -> Any:
        frame = Frame(outer=self.frame, item=value, index=index, is_item=True)
        if "as" in self.step:
            frame.vars[self.step["as"]] = value
        return await self._once(frame)

    async def _several(
        self, works: list[Coroutine[Any, Any, Any]], rule: Any, at_once: int, names: Any = None
    ) -> Any:
        """Items or branches, under a completion rule."""
        width = len(works)
        outputs: list[Any] = [None] * width
        rows = [_row(index, "Canceled") for index in range(width)]
        order: list[int] = []
        failed: Failing | None = None
        count_failed = 0
        wanted = 1 if rule == "any" else rule["at_least"] if isinstance(rule, dict) else width
        running: dict[Task, int] = {}
        waiting = list(range(width))
        error: Failing | None = None
        try:
            while True:
                if rule == "all" and count_failed:
                    error = failed
                    break
                if rule != "all_done" and len(order) >= wanted:
                    break
                if rule not in ("all", "all_done") and width - count_failed < wanted:
                    error = failed
                    break
                while waiting and len(running) < at_once:
                    index = waiting.pop(0)
                    running[self.world.loop.spawn(works[index])] = index
                if not running:
                    break
                await wait(*running)
                for task in [task for task in running if task.done][:1]:
                    index = running.pop(task)
                    if isinstance(task.error, Failing):
                        failed, count_failed = task.error, count_failed + 1
                        rows[index] = _row(index, "Failed", error=task.error.view)
                    elif task.error is not None:
                        raise task.error
                    else:
                        outputs[index] = task.value
                        order.append(index)
                        rows[index] = _row(index, "Completed", output=task.value)
        except Cancelled:
            await drained(list(running))
            raise
        finally:
            for index in waiting:
                works[index].close()
        if names is None or "foreach" not in self.step:
            self.settled = True
        await drained(list(running))
        if names is None:
            for task, index in running.items():  # what came within the grace can be read
                outputs[index] = getattr(task.error, "late", None)
            self.items = rows
        else:
            self.finished = [names[index] for index in order]
            self.items = [{"name": name, **row} for name, row in zip(names, rows, strict=True)]
        if error is not None:
            error.of_item = names is None
            raise error
        if names is None:
            return outputs
        return {names[index]: outputs[index] for index in sorted(order)}

    # -- once, or per item

    async def _once(self, frame: Frame) -> Any:
        step, world = self.step, self.world
        try:
            value = (
                at_rest(data_of(step["input"], world.context(frame))) if "input" in step else None
            )
            due = None
            if step.get("type") == "timer":
                field = "duration" if "duration" in step else "until"
                due = world.instant(step[field], frame)
            opened = OpenWait(self, frame) if step.get("type") == "wait" else None
        except ExpressionError as error:
            return await self._handled(without_value(error), frame)
        try:
            return await self._tried(frame, value, due, opened)
        except Failing as failing:
            return await self._handled(failing, frame)

    async def _handled(self, failing: Failing, frame: Frame) -> Any:
        """The item's clauses: `output` and `fail`; a `next` that fits is left to the whole."""
        if failing.asked and not failing.of_item:
            failing = copy_of(failing)
        clauses = self.step.get("on_error", [])
        try:
            clause = self.world.clause(clauses, failing, frame)
            context = self.world.context(frame, error=failing.view)
            if clause is not None and "output" in clause:
                return at_rest(data_of(clause["output"], context))
        except ExpressionError as error:
            failing, clause = without_value(error), None
            failing.asked = True
            raise failing from None
        if clause is not None and "fail" in clause:
            failing = failed_as(clause, context)
        elif clause is not None and "next" in clause and not frame.is_item:
            failing.way = clause["next"]
        failing.asked = True
        raise failing

    async def _tried(
        self, frame: Frame, value: Any, due: int | None, opened: OpenWait | None
    ) -> Any:
        """Attempts, until one succeeds or no other follows."""
        step, world = self.step, self.world
        uses = step.get("uses", {})
        nth = failures = losses = 0
        while True:
            nth += 1
            await world.unpaused()
            await world.acquire(uses)
            try:
                while True:
                    try:
                        return await self._attempt(frame, value, due, opened, nth)
                    except Lost as lost:
                        nth += 1
                        losses += lost.counted
                        if step.get("effects") == "at_most_once" or losses >= LOSSES_MAX:
                            raise Failing("RunnerLost") from None
            except Failing as failing:
                failures += 1
                if self._overdue():
                    raise Failing("DeadlineExceeded") from None
                if not self._repeats(failing, failures):
                    raise
            finally:
                if uses:
                    world.release(uses)
            self.settled = False
            await wait(until=world.loop.now + self._backoff(failures))

    def _overdue(self) -> bool:
        """Whether the deadline passed while what failed was closing."""
        one = "foreach" not in self.step
        return one and self.due is not None and self.world.loop.now >= self.due

    def _repeats(self, failing: Failing, failures: int) -> bool:
        retry = self.step.get("retry", {})
        if failures >= retry.get("max_attempts", 1) or failing.behind_output:
            return False
        if self.step.get("effects") == "at_most_once" and failing.type == "Timeout":
            return False
        if failing.names & set(retry.get("never_on", ())):
            return False
        if retry.get("on"):
            return bool(failing.names & set(retry["on"]))
        return failing.type not in REPEATING and failing.names.isdisjoint(NEVER_RETRIED)

    def _backoff(self, failures: int) -> int:
        retry = self.step.get("retry", {})
        initial = parse_duration(retry.get("initial", "1s"))
        longest = parse_duration(retry.get("max", "60s"))
        return int(min(longest, initial * retry.get("factor", 2) ** (failures - 1)))

    async def _attempt(
        self, frame: Frame, value: Any, due: int | None, opened: OpenWait | None, nth: int
    ) -> Any:
        step, world = self.step, self.world
        kind = step.get("type", "body")
        if kind in ATTEMPTS or kind == "sub_workflow":
            return await self._outside(frame, value, nth, child=kind == "sub_workflow")
        if kind == "body":
            return await self._inner(step, frame)
        if kind == "parallel":
            works = [self._inner(branch, frame) for branch in step["branches"]]
            names = [branch["name"] for branch in step["branches"]]
            return await self._several(works, step.get("completion", "all"), 10**6, names)
        if kind == "timer":
            await wait(until=due)
            await world.unpaused()
            return None
        if kind == "wait":
            assert opened is not None
            return await opened.run()
        if kind == "human":
            return await self._person(frame, value)
        await world.loop.others_begin()
        await world.unpaused()
        context = world.context(frame)
        if "fail" in step:
            raise failed_as(step, context)
        try:
            return at_rest(data_of(step["output"], context)) if "output" in step else None
        except ExpressionError as error:
            failing = without_value(error)
            failing.behind_output = True
            raise failing from None

    async def _inner(self, tree: dict[str, Any], frame: Frame) -> Any:
        from heliostat.verify.reference.scopes import Scope  # scopes hold visits, and these scopes

        inside = Frame(outer=frame)
        try:
            for name, data in tree.get("vars", {}).items():
                inside.vars[name] = at_rest(data_of(data, self.world.context(inside)))
        except ExpressionError as error:
            raise without_value(error) from None
        try:
            scope = Scope(self.world, tree, inside)
            if tree is self.step and "foreach" not in tree:
                scope.owner = self
            return await scope.run()
        except Failing as failing:
            raise copy_of(failing) from None

    # -- what happens outside of the execution

    def call(self, frame: Frame, value: Any, nth: int) -> Call:
        visit = self.number
        indices = frame.indices
        return Call(
            step=self.step["id"],
            visit=visit,
            item_index=indices[0] if indices else None,
            nth=nth,
            input=value,
            indices=indices,
        )

    async def _outside(self, frame: Frame, value: Any, nth: int, *, child: bool) -> Any:
        """An attempt at a runner, or a child execution; both can be told to stop."""
        step, loop = self.step, self.world.loop
        self.world.calls[step["id"]] = self.world.calls.get(step["id"], 0) + 1
        outcome = self.world.outcomes(self.call(frame, value, nth))
        if not isinstance(outcome, Outcome):
            outcome = Returns(None)
        began = loop.now
        ends = None if isinstance(outcome, Hangs) else began + outcome.after_ms
        timeout = began + parse_duration(step["timeout"]) if "timeout" in step else None
        if ends is not None and ends == timeout:
            raise Undetermined("does the attempt return, or is it timed out?")
        until = min((each for each in (ends, timeout) if each is not None), default=None)
        try:
            await wait(until=until) if until is not None else await wait(Future())
        except Cancelled as cancelled:
            cancelled.late = await self._stop(outcome)  # type: ignore[attr-defined]
            raise
        if until == timeout and until != ends:
            failing = Failing("Timeout")
            failing.late = await self._stop(outcome)
            if self.withdrawn:
                again = Cancelled()
                again.late = failing.late  # type: ignore[attr-defined]
                raise again
            raise failing
        match outcome:
            case Raises():
                raise Failing(outcome.type, outcome.mro, outcome.message)
            case LosesRunner():
                raise Lost(counted=outcome.counted)
            case IsCanceled():
                raise Failing("Canceled")
            case Returns():
                return outcome.value
            case _:
                return None

    withdrawn = False

    async def _stop(self, outcome: Outcome) -> Any:
        """Be told to stop: the end comes when the attempt ends, or its grace is over."""
        loop = self.world.loop
        grace = parse_duration(self.step["grace"]) if "grace" in self.step else GRACE_MS
        ignores = outcome.on_stop == "ignores" or outcome.stop_ms > grace or not grace
        until = loop.now + (grace if ignores else outcome.stop_ms)
        while loop.now < until:
            try:
                await wait(until=until)
            except Cancelled:
                self.withdrawn = True
        if ignores or outcome.on_stop != "returns":
            return None
        return outcome.value if isinstance(outcome, Returns | Hangs) else None

    async def _person(self, frame: Frame, value: Any) -> Any:
        told = self.world.outcomes(self.call(frame, value, 1))
        acts = told.acts if isinstance(told, Person) else ()
        done = [act for act in acts if act.verb in ("complete", "fail")]
        if not done:
            await wait(Future())
        act = min(done, key=lambda each: each.after_ms)
        await wait(until=self.world.loop.now + act.after_ms)
        if act.verb == "fail":
            raise Failing("TaskFailed", (), act.error)
        data = act.data if isinstance(act.data, dict) else {"data": act.data}
        return {**data, "completed_by": act.user}


def _row(index: int, status: str, *, output: Any = None, error: Any = None) -> dict[str, Any]:
    """An item as `$.steps.<id>.items` has it."""
    return {"index": index, "status": status, "output": output, "error": error}
