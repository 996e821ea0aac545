"""What a definition means, told a second time: a naive reading of the semantics, as coroutines.

It walks the definition as it is written; there are no events, no states, no plans. A token is a
task, a scope waits for its tasks, to withdraw is to throw `Cancelled` into them. Shared with the
kernel are the expression language and the script of outcomes, nothing else.

Where a definition's result depends on the order of things at one instant, `interpret` draws it from
a seed: any of the results so reached is right. Attempts take the virtual time that the script says,
so everything else that races (timers, deadlines, joins, semaphores) has one result.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    Duration,
    EvaluationContext,
    Instant,
    StepResult,
    at_rest,
    format_instant,
    parse_data,
    parse_duration,
    parse_expression,
    parse_instant,
)
from heliostat.engine.simulator import (
    EPOCH_MS,
    Arrives,
    Call,
    Hangs,
    IsCanceled,
    LosesRunner,
    Outcome,
    Person,
    Raises,
    Returns,
)
from tests.simulation.ticks import Cancelled, Future, Loop, Task, wait

STEPS_MAX = 40_000
LOSSES_MAX = 3
GRACE_MS = 10_000
NEVER = 1 << 62
ATTEMPTS = ("activity", "script", "service_call")
REPEATING = {
    "ExpressionError",
    "SchemaError",
    "NoWayOn",
    "Stuck",
    "DeadlineExceeded",
    "Canceled",
    "RunnerLost",
}

Outcomes = Callable[[Call], Any]


class Undetermined(Exception):
    """The reference does not say: the run never ends."""


class Failing(Exception):
    """A step, a scope or an execution fails."""

    def __init__(self, type: str, mro: Sequence[str] = ()) -> None:
        super().__init__(type)
        self.type, self.mro = type, tuple(mro)
        self.behind_output = False
        self.asked = False  # its step's clauses were asked for the item
        self.of_item = False
        self.way: str | None = None  # of the clause that was found for it
        self.late: Any = None  # what came within the grace

    @property
    def names(self) -> set[str]:
        return {self.type, *self.mro}

    @property
    def view(self) -> dict[str, Any]:
        return {"type": self.type}


@dataclass
class Frame:
    """What expressions see from a place: a scope instance, or an item of a `foreach`."""

    outer: Frame | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    item: Any = None
    index: int | None = None
    is_item: bool = False

    def outwards(self) -> Iterator[Frame]:
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.outer

    def declaring(self, name: str) -> Frame:
        return next(frame for frame in self.outwards() if not frame.is_item and name in frame.vars)

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(f.index for f in self.outwards() if f.is_item and f.index is not None)


@dataclass
class Ended:
    """How an execution went, as far as every right schedule agrees."""

    status: str
    output: Any  # of a failed one: the type of its failure
    elapsed_ms: int
    calls: dict[str, int]  # attempts by step, those that were lost included


@dataclass
class Told:
    """Something from outside, at an instant from the start."""

    at_ms: int
    kind: str  # signal, event, pause, resume, cancel
    name: str = ""
    data: Any = None


def interpret(
    tree: dict[str, Any],
    input: Any,
    outcomes: Outcomes,
    told: Sequence[Told] = (),
    *,
    seed: int | None = None,
) -> Ended:
    """The end of an execution; `seed` draws the order of what happens at one instant."""
    loop = Loop(None if seed is None else Random(seed), EPOCH_MS)
    run = Run(loop, tree, input, outcomes)
    for each in told:
        loop.spawn(run.outside(each))
    try:
        loop.run(STEPS_MAX)
    except RuntimeError as error:
        raise Undetermined(str(error)) from None
    if run.whole.error is not None:
        raise run.whole.error
    if not run.whole.done:
        return Ended("going on", None, 0, run.calls)
    status, output = run.whole.value
    return Ended(status, output, run.ended_ms - EPOCH_MS, run.calls)


# -- the execution


class Run:
    """One execution under way."""

    def __init__(self, loop: Loop, tree: dict[str, Any], input: Any, outcomes: Outcomes) -> None:
        self.loop, self.tree, self.input, self.outcomes = loop, tree, input, outcomes
        self.id = "sim"
        self.calls: dict[str, int] = {}
        self.permits: dict[str, int] = dict(tree.get("semaphores", {}))
        self.queue: list[tuple[dict[str, int], Future]] = []
        self.waits: list[OpenWait] = []
        self.signals: list[tuple[str, Any, int]] = []
        self.events: list[tuple[str, Any, int]] = []
        self.taken: dict[int, int] = {}  # events that were kept, and when a wait took them
        self.paused: Future | None = None
        self.canceled = False
        self.ended_ms = 0
        self.root = Frame()
        self.scope: Scope | None = None
        self.whole = loop.spawn(self._whole())
        self._inner: Task | None = None

    @property
    def over(self) -> bool:
        return self.whole.done

    async def _whole(self) -> tuple[str, Any]:
        inner = self._inner = self.loop.spawn(self._body())
        while not inner.done:
            await wait(inner)
        self.ended_ms = self.loop.now
        if self.canceled:
            return "Canceled", None
        if isinstance(inner.error, Failing):
            return "Failed", inner.error.type
        if inner.error is not None:
            raise inner.error
        return "Completed", inner.value

    async def _body(self) -> Any:
        frame = self.root
        try:
            for name, value in self.tree.get("vars", {}).items():
                frame.vars[name] = _data(value, self.context(frame))
            due = self.instant(self.tree["deadline"], frame) if "deadline" in self.tree else None
        except ExpressionError:
            return self._recovered(Failing("ExpressionError"))
        scope = self.scope = Scope(self, self.tree, frame)
        try:
            return await self.bounded(scope.run(), due, lambda: scope.over.done)
        except Failing as failed:
            failing = _copy(failed)
            clause = self.clause(self.tree.get("on_error", []), failing, frame, behind=False)
            if clause is None or "next" not in clause:
                return self._recovered(failing)
            left = due if due is not None and due > self.loop.now else None
            again = self.scope = Scope(self, self.tree, frame, visits=scope.visits)
            try:
                return await self.bounded(again.run(clause["next"]), left, lambda: again.over.done)
            except Failing as second:
                return self._recovered(_copy(second))

    def _recovered(self, failing: Failing) -> Any:
        clauses = self.tree.get("on_error", [])
        clause = self.clause(clauses, failing, self.root, behind=False)
        if clause is None or "next" in clause:
            raise failing
        context = self.context(self.root, error=failing.view)
        try:
            if "output" in clause:
                return at_rest(_data(clause["output"], context))
            raise Failing(_data(clause["fail"]["type"], context))
        except ExpressionError:
            raise Failing("ExpressionError") from None

    # -- from outside

    async def outside(self, told: Told) -> None:
        await wait(until=EPOCH_MS + told.at_ms)
        if self.over:
            return
        match told.kind:
            case "signal":
                self.signal(told.name, told.data)
            case "event":
                self.event(told.name, told.data)
            case "cancel":
                self.cancel()
            case "pause":
                closing = self.scope is not None and self.scope.over.done
                if self.paused is None and not closing:
                    self.paused = Future()
            case "resume":
                if self.paused is not None:
                    self.paused.set()
                    self.paused = None
                    self.grant()

    def cancel(self) -> None:
        if not self.canceled and self._inner is not None:
            self.canceled = True
            self._inner.cancel()

    async def unpaused(self) -> None:
        while self.paused is not None:
            await wait(self.paused)

    def signal(self, name: str, data: Any) -> None:
        for each in self.waits:
            if each.takes("signal", name, data, self.loop.now):
                return
        self.signals.append((name, data, self.loop.now))

    def event(self, name: str, data: Any) -> None:
        taken = [each.takes("event", name, data, self.loop.now) for each in list(self.waits)]
        if not any(taken) and name in _awaited(self.tree):
            self.events.append((name, data, self.loop.now))

    async def publish(self, name: str, data: Any) -> None:
        """A task of its own: the bus comes after the step that publishes."""
        self.event(name, data)

    async def told_itself(self, name: str, data: Any) -> None:
        """Likewise a signal to itself."""
        self.signal(name, data)

    # -- semaphores: in the order of arrival, nobody overtakes one who waits for the same

    async def acquire(self, uses: dict[str, int]) -> None:
        if not uses:
            return
        mine = Future()
        entry = (uses, mine)
        self.queue.append(entry)
        self.grant()
        try:
            while not mine.done:
                await wait(mine)
        except Cancelled:
            if mine.done:
                self.release(uses)
            else:
                self.queue.remove(entry)
                self.grant()
            raise

    def grant(self) -> None:
        if self.paused is not None:
            return
        passed: set[str] = set()
        for entry in list(self.queue):
            uses, future = entry
            if not passed & set(uses) and all(self.permits[n] >= c for n, c in uses.items()):
                for name, count in uses.items():
                    self.permits[name] -= count
                self.queue.remove(entry)
                future.set()
            else:
                passed |= set(uses)

    def release(self, uses: dict[str, int]) -> None:
        for name, count in uses.items():
            self.permits[name] += count
        self.grant()

    # -- shared by all that runs

    def context(self, frame: Frame, **more: Any) -> EvaluationContext:
        variables: dict[str, Any] = {}
        steps: dict[str, Any] = {}
        item = None
        for each in reversed(list(frame.outwards())):
            variables.update(each.vars)
            steps.update(each.results)
            if each.is_item:
                item = each
        nearest = next((each for each in frame.outwards() if each.is_item), item)
        execution = {"id": self.id}
        given = {"vars": variables, "steps": steps, "input": self.input, "execution": execution}
        given.update(more)
        if nearest is not None:
            given = {"item": nearest.item, "index": nearest.index, **given}
        return EvaluationContext(now=Instant(self.loop.now), **given)

    def instant(self, value: Any, frame: Frame) -> int:
        """Of a deadline, a timer, an `until`: a duration from now, or an instant."""
        found = _data(value, self.context(frame))
        if isinstance(found, Instant):
            return found.ms
        if isinstance(found, Duration):
            return self.loop.now + found.ms
        try:
            return self.loop.now + parse_duration(found)
        except ValueError:
            return parse_instant(found)

    async def bounded(
        self, work: Coroutine[Any, Any, Any], due: int | None, settled: Callable[[], bool]
    ) -> Any:
        """Run something; at its deadline it is withdrawn, and fails when that has ended.

        Unless its outcome is settled by then, and only what is withdrawn is waited for.
        """
        if due is None:
            return await work
        task = self.loop.spawn(work)
        exceeded = False
        while not task.done:
            try:
                await wait(task, until=None if exceeded else due)
            except Cancelled:
                await _drained([task])
                raise
            if not task.done and not exceeded and self.loop.now >= due:
                exceeded = True
                if settled():
                    due, exceeded = NEVER, False
                else:
                    task.cancel()
        if exceeded:
            failing = Failing("DeadlineExceeded")
            failing.late = getattr(task.error, "late", None)
            raise failing
        if task.error is not None:
            raise task.error
        return task.value

    def clause(
        self, clauses: list[Any], failing: Failing, frame: Frame, *, behind: bool | None = None
    ) -> dict[str, Any] | None:
        """The first clause that fits."""
        behind = failing.behind_output if behind is None else behind
        for clause in clauses:
            if "error" in clause and clause["error"] not in failing.names:
                continue
            if "output" in clause and behind:
                continue
            if "next" not in clause and "human" not in clause and failing.asked:
                continue
            if "when" in clause:
                context = self.context(frame, error=failing.view)
                if not _test(clause["when"], context):
                    continue
            return dict(clause)
        return None


# -- scopes


class Scope:
    """One instance of a scope: tokens or needs, until nothing is left or something ends it."""

    def __init__(
        self, run: Run, tree: dict[str, Any], frame: Frame, visits: dict[str, int] | None = None
    ) -> None:
        self.run_, self.tree, self.frame = run, tree, frame
        self.steps = {step["id"]: step for step in tree["steps"]}
        self.dag = any("needs" in step for step in tree["steps"])
        self.visits: dict[str, int] = visits if visits is not None else {}
        self.active: dict[Task, str] = {}  # tasks, by the step they are at
        self.over = Future()
        self.owner: Visit | None = None  # of a body's
        self.failing: Failing | None = None
        self.arrived: dict[str, dict[str, int]] = {}
        self.fired: set[str] = set()
        self.settled: dict[str, str] = {}  # of a DAG: Completed, Failed, Skipped
        self.begun: set[str] = set()
        self.errors: dict[str, Failing] = {}

    async def run(self, start: str | None = None) -> Any:
        try:
            if self.dag:
                for id, step in self.steps.items():
                    if not step.get("needs"):
                        self._begin(id)
            else:
                first = start or self.tree.get("start") or self.tree["steps"][0]["id"]
                self._token(first)
            while self.active and not self.over.done:
                await wait(self.over, *self.active)
                self._sweep()
        except Cancelled:
            await self._withdraw(list(self.active))
            raise
        if self.owner is not None:
            self.owner.settled = True
        await self._withdraw(list(self.active))
        if self.failing is None and not self.over.done:
            self._check_stuck()
        if self.failing is not None:
            raise self.failing
        try:
            return at_rest(self._output())
        except ExpressionError:
            failing = Failing("ExpressionError")
            failing.behind_output = True
            raise failing from None

    def _sweep(self) -> None:
        for task in list(self.active):
            if task.done:
                self._gone(task)

    def _gone(self, task: Task) -> None:
        if self.active.pop(task, None) is None:
            return
        if task.error is not None and not isinstance(task.error, Cancelled):
            raise task.error
        if not self.dag:
            self._reopen()

    async def _withdraw(self, tasks: list[Task]) -> None:
        await _drained(tasks)
        for task in tasks:
            self.active.pop(task, None)
            if task.error is not None and not isinstance(task.error, Cancelled):
                raise task.error

    def fail(self, failing: Failing) -> None:
        if not self.over.done:
            self.failing = failing
            self.over.set()

    def _check_stuck(self) -> None:
        for join, arrivals in self.arrived.items():
            if arrivals and join not in self.fired:
                self.failing = Failing("Stuck")

    def _output(self) -> Any:
        if "output" in self.tree:
            return _data(self.tree["output"], self.run_.context(self.frame))
        ends = [step["id"] for step in self.tree["steps"] if self._may_end(step)]
        results = {id: self.frame.results[id] for id in ends if id in self.frame.results}
        done = {id: each.output for id, each in results.items() if each.status == "Completed"}
        return next(iter(done.values()), None) if len(ends) == 1 else done

    def _may_end(self, step: dict[str, Any]) -> bool:
        if "fail" in step and not any("output" in each for each in step.get("on_error", [])):
            return False
        if "end" in step:
            return True
        if self.dag:
            return not any(step["id"] in each.get("needs", ()) for each in self.tree["steps"])
        return "next" not in step or "end" in [clause["to"] for clause in _ways(step)]

    # -- state machines

    def _token(self, id: str) -> None:
        task = self.run_.loop.spawn(self._move(id))
        self.active[task] = id

    async def _move(self, id: str) -> None:
        step = self.steps[id]
        try:
            status, ways = await Visit(self, step).run()
        except Failing as failing:
            if failing.way is None:
                self.fail(failing)
            else:
                self._arrive(id, [failing.way])
            return
        if status == "Completed" and "end" in step:
            self.over.set()
            return
        self._arrive(id, ways)

    def _arrive(self, source: str, targets: list[str]) -> None:
        if self.over.done:
            return
        at_join: set[str] = set()
        for target in targets:
            if target == "end":
                continue
            rule = self.steps[target].get("join", "any")
            if rule == "any":
                self._token(target)
            elif target not in at_join:
                at_join.add(target)
                arrivals = self.arrived.setdefault(target, {})
                arrivals[source] = arrivals.get(source, 0) + 1
                self._check_join(target, rule)

    def _check_join(self, join: str, rule: Any) -> None:
        arrivals = self.arrived[join]
        if rule == "all":
            if all(arrivals.get(source) for source in self._sources(join)):
                for source in list(arrivals):
                    arrivals[source] -= 1
                    if not arrivals[source]:
                        del arrivals[source]
                self._token(join)
        elif join not in self.fired and sum(arrivals.values()) >= rule["at_least"]:
            self.fired.add(join)
            self._token(join)

    def _sources(self, target: str) -> list[str]:
        return [id for id, step in self.steps.items() if target in _targets(step)]

    def _reopen(self) -> None:
        """A fired join starts afresh when all ways into it have sent, or can no longer."""
        for join in list(self.fired):
            sources = self._sources(join)
            sent = self.arrived[join]
            if all(sent.get(source) or not self._can_reach(source) for source in sources):
                self.fired.discard(join)
                del self.arrived[join]

    def _can_reach(self, step: str) -> bool:
        """Whether a token is at a step, or can still come to it."""
        places = [id for id in self.active.values() if id]
        places += [join for join, each in self.arrived.items() if each and join not in self.fired]
        return any(step == place or step in self._behind(place) for place in places)

    def _behind(self, step: str) -> set[str]:
        found: set[str] = set()
        waiting = list(_targets(self.steps[step]))
        while waiting:
            id = waiting.pop()
            if id != "end" and id not in found:
                found.add(id)
                waiting += _targets(self.steps[id])
        return found

    # -- DAGs

    def _begin(self, id: str) -> None:
        self.begun.add(id)
        task = self.run_.loop.spawn(self._node(id))
        self.active[task] = id

    async def _node(self, id: str) -> None:
        step = self.steps[id]
        try:
            status, _ = await Visit(self, step).run()
        except Failing as failing:
            self.errors[id] = failing
            self._settle(id, "Failed")
            return
        if status == "Completed" and "end" in step:
            self.over.set()
        self._settle(id, status)

    def _settle(self, id: str, status: str) -> None:
        self.settled[id] = status
        if self.over.done:
            return
        dependents = [step for step in self.tree["steps"] if id in step.get("needs", ())]
        if status == "Failed" and not (dependents and all(map(self._tolerates, dependents))):
            self.fail(self.errors[id])
            return
        for step in dependents:
            if step["id"] not in self.begun and not self.over.done:
                self._consider(step)

    def _tolerates(self, step: dict[str, Any]) -> bool:
        rule = step.get("join", "all")
        if rule == "all_done" or step["id"] in self.begun:  # begun, or cancelled
            return True
        if rule == "all":
            return False
        return self._possible(step) >= self._wanted(rule)

    def _wanted(self, rule: Any) -> int:
        return 1 if rule == "any" else int(rule["at_least"])

    def _possible(self, step: dict[str, Any]) -> int:
        bad = [need for need in step["needs"] if self.settled.get(need) in ("Failed", "Skipped")]
        return len(step["needs"]) - len(bad)

    def _consider(self, step: dict[str, Any]) -> None:
        id, needs = step["id"], step["needs"]
        rule = step.get("join", "all")
        statuses = [self.settled.get(need) for need in needs]
        all_settled = None not in statuses
        completed = statuses.count("Completed")
        if rule == "all_done":
            if all_settled:
                self._begin(id)
        elif rule == "all":
            if all_settled and completed:
                self._begin(id)
            elif all_settled:
                self.skip(id)
        elif completed >= self._wanted(rule):
            self._begin(id)
        elif self._possible(step) < self._wanted(rule):
            failed = [need for need in needs if self.settled.get(need) == "Failed"]
            if failed:
                self.fail(self.errors[failed[0]])
            else:
                self.skip(id)

    def skip(self, id: str) -> None:
        self.begun.add(id)
        self.visits[id] = self.visits.get(id, 0) + 1
        self.frame.results[id] = StepResult(status="Skipped")
        self._settle(id, "Skipped")

    # -- cancelling a region

    async def cancel_region(self, names: list[str]) -> list[str]:
        """Withdraw what is active there; the steps that were."""
        for name in names:
            self.arrived.pop(name, None)
            self.fired.discard(name)
        tasks = {task: id for task, id in self.active.items() if id in names}
        await self._withdraw(list(tasks))
        if not self.dag:
            self._reopen()
        return list(tasks.values())

    def skip_unsettled(self, names: list[str], withdrawn: list[str]) -> None:
        """In a DAG what was withdrawn counts as skipped, and the rest does not start."""
        for name in withdrawn:
            if self.dag and name not in self.settled:
                self._settle(name, "Skipped")
        for name in names:
            if self.dag and name not in self.begun:
                self.skip(name)


# -- visits


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
            if output is _SKIPPED:
                results[step["id"]] = StepResult(status="Skipped")
                return "Skipped", self._route(None)
            result = StepResult(
                status="Completed", output=output, items=self.items, finished=self.finished
            )
            if step.get("cancels"):
                self.withdrawn_steps = await self.scope.cancel_region(step["cancels"])
            results[step["id"]] = result
            return "Completed", self._completed(output)
        except Failing as failing:
            late = (
                results[step["id"]].output
                if failing.behind_output and (step["id"] in results)
                else failing.late
            )
            results[step["id"]] = StepResult(
                status="Failed", error=failing.view, output=late, items=self.items
            )
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
        except ExpressionError:
            return Failing("ExpressionError")
        if clause is None:
            return failing
        if "next" in clause:
            failing.way = clause["next"]
            return failing
        if "fail" in clause:
            context = self.world.context(self.frame, error=failing.view)
            return _failed_as(clause, context)
        return failing

    async def _all(self) -> Any:
        """`when`, `deadline`, `foreach`, and what they bound."""
        step, world, frame = self.step, self.world, self.frame
        due, values = None, None
        try:
            if "when" in step and not _test(step["when"], world.context(frame)):
                return _SKIPPED
            if "deadline" in step:
                due = world.instant(step["deadline"], frame)
            if "foreach" in step:
                values = parse_expression(step["foreach"]).evaluate(world.context(frame))
                if not isinstance(values, list):
                    raise Failing("ExpressionError")
        except ExpressionError:
            return await self._handled(Failing("ExpressionError"), frame)
        except Failing as failing:
            return await self._handled(failing, frame)
        work = self._foreach(values) if "foreach" in step else self._once(frame)
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
                what = at_rest(_data(value["append"] if appends else value, context))
                new.append((name, what, appends))
            changed = {}
            for name, what, appends in new:
                changed[name] = [*context.vars[name], what] if appends else what
            after = world.context(self.frame, output=output)
            after.vars = {**after.vars, **changed}
            published = [
                (each["event"], at_rest(_data(each.get("data"), after)))
                for each in step.get("publish", [])
            ]
            signals = [
                (_data(each["execution"], after), each["name"], at_rest(_data(each["data"], after)))
                for each in step.get("signal", [])
            ]
            targets = self._targets(after)
        except ExpressionError:
            failing = Failing("ExpressionError")
            failing.behind_output = True
            raise failing from None
        for name, value in changed.items():
            self.frame.declaring(name).vars[name] = value
        for name, data in published:
            world.loop.spawn(world.publish(name, data))
        for to, name, data in signals:
            if to == world.id:
                world.loop.spawn(world.told_itself(name, data))
        scope.skip_unsettled(step.get("cancels", []), self.withdrawn_steps)
        return targets

    def _route(self, output: Any) -> list[str]:
        try:
            return self._targets(self.world.context(self.frame, output=output))
        except ExpressionError:
            failing = Failing("ExpressionError")
            failing.behind_output = True
            raise failing from None

    def _targets(self, context: EvaluationContext) -> list[str]:
        step = self.step
        if self.scope.dag or "next" not in step:
            return ["end"]
        ways = _ways(step)
        several = step.get("split") == "all"
        taken: list[str] = []
        for way in ways:
            if "when" in way and (several or not taken) and _test(way["when"], context):
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

    async def _foreach(self, values: list[Any]) -> list[Any]:
        step = self.step
        rule = step.get("completion", "all")
        wanted = 1 if rule == "any" else rule["at_least"] if isinstance(rule, dict) else None
        if wanted is not None and len(values) < wanted:
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
        rows: list[dict[str, Any]] = [{"index": i, "status": "Canceled"} for i in range(width)]
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
                        rows[index] = {"index": index, "status": "Failed"}
                    elif task.error is not None:
                        raise task.error
                    else:
                        outputs[index] = task.value
                        order.append(index)
                        rows[index] = {"index": index, "status": "Completed"}
        except Cancelled:
            await _drained(list(running))
            raise
        finally:
            for index in waiting:
                works[index].close()
        if names is None or "foreach" not in self.step:
            self.settled = True
        await _drained(list(running))
        if names is None:
            self.items = rows
        else:
            self.finished = [names[index] for index in order]
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
            value = at_rest(_data(step["input"], world.context(frame))) if "input" in step else None
            due = None
            if step.get("type") == "timer":
                field = "duration" if "duration" in step else "until"
                due = world.instant(step[field], frame)
            opened = OpenWait(self, frame) if step.get("type") == "wait" else None
        except ExpressionError:
            return await self._handled(Failing("ExpressionError"), frame)
        try:
            return await self._tried(frame, value, due, opened)
        except Failing as failing:
            return await self._handled(failing, frame)

    async def _handled(self, failing: Failing, frame: Frame) -> Any:
        """The item's clauses: `output` and `fail`; a `next` that fits is left to the whole."""
        if failing.asked and not failing.of_item:
            failing = _copy(failing)
        clauses = self.step.get("on_error", [])
        try:
            clause = self.world.clause(clauses, failing, frame)
            context = self.world.context(frame, error=failing.view)
            if clause is not None and "output" in clause:
                return at_rest(_data(clause["output"], context))
        except ExpressionError:
            failing, clause = Failing("ExpressionError"), None
            failing.asked = True
            raise failing from None
        if clause is not None and "fail" in clause:
            failing = _failed_as(clause, context)
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
                    except _Lost as lost:
                        nth += 1
                        losses += lost.counted
                        if step.get("effects") == "at_most_once" or losses >= LOSSES_MAX:
                            raise Failing("RunnerLost") from None
            except Failing as failing:
                failures += 1
                if not self._repeats(failing, failures):
                    raise
            finally:
                if uses:
                    world.release(uses)
            self.settled = False
            if self.due is not None and world.loop.now >= self.due:
                raise Failing("DeadlineExceeded")
            await wait(until=world.loop.now + self._backoff(failures))

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
        return failing.type not in REPEATING

    def _backoff(self, failures: int) -> int:
        retry = self.step.get("retry", {})
        initial = parse_duration(retry.get("initial", "1s"))
        longest = parse_duration(retry.get("max", "60s"))
        return round(min(longest, initial * retry.get("factor", 2) ** (failures - 1)))

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
        await world.unpaused()
        context = world.context(frame)
        if "fail" in step:
            raise _failed_as(step, context)
        try:
            return at_rest(_data(step["output"], context)) if "output" in step else None
        except ExpressionError:
            failing = Failing("ExpressionError")
            failing.behind_output = True
            raise failing from None

    async def _inner(self, tree: dict[str, Any], frame: Frame) -> Any:
        inside = Frame(outer=frame)
        try:
            for name, data in tree.get("vars", {}).items():
                inside.vars[name] = at_rest(_data(data, self.world.context(inside)))
        except ExpressionError:
            raise Failing("ExpressionError") from None
        try:
            scope = Scope(self.world, tree, inside)
            if tree is self.step and "foreach" not in tree:
                scope.owner = self
            return await scope.run()
        except Failing as failing:
            raise _copy(failing) from None

    # -- what happens outside of the execution

    def _call(self, frame: Frame, value: Any, nth: int) -> Call:
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
        outcome = self.world.outcomes(self._call(frame, value, nth))
        if not isinstance(outcome, Outcome):
            outcome = Returns(None)
        began = loop.now
        ends = None if isinstance(outcome, Hangs) else began + outcome.after_ms
        timeout = began + parse_duration(step["timeout"]) if "timeout" in step else None
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
                raise Failing(outcome.type, outcome.mro)
            case LosesRunner():
                raise _Lost(counted=outcome.counted)
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
        told = self.world.outcomes(self._call(frame, value, 1))
        acts = told.acts if isinstance(told, Person) else ()
        done = [act for act in acts if act.verb == "complete"]
        if not done:
            await wait(Future())
        act = min(done, key=lambda each: each.after_ms)
        await wait(until=self.world.loop.now + act.after_ms)
        data = act.data if isinstance(act.data, dict) else {"data": act.data}
        return {**data, "completed_by": act.user}


class OpenWait:
    """A `wait` from its activation on."""

    def __init__(self, visit: Visit, frame: Frame) -> None:
        self._visit, self._frame = visit, frame
        self._world = visit.world
        step = visit.step
        self._ways = step.get("any") or [
            {key: step[key] for key in ("event", "signal", "timer", "where") if key in step}
        ]
        self._came = Future()
        self._failing: Failing | None = None
        self._timers = [
            (self._world.instant(way["timer"], frame), way.get("name", "timer"))
            for way in self._ways
            if "timer" in way
        ]

    async def run(self) -> Any:
        world, visit = self._world, self._visit
        self._take_kept()
        world.waits.append(self)
        told = world.outcomes(visit._call(self._frame, None, 1))
        if isinstance(told, Arrives):
            world.loop.spawn(self._arrival(told))
        due, name = min(self._timers, default=(None, None))
        try:
            while not self._came.done:
                await wait(self._came, until=due)
                if not self._came.done and due is not None and world.loop.now >= due:
                    await world.unpaused()
                    if not self._came.done:
                        at = format_instant(due) if world.loop.now == due else None
                        now = format_instant(world.loop.now)
                        return {"name": name, "data": None, "at": at or now}
        finally:
            world.waits.remove(self)
        if self._failing is not None:
            raise self._failing
        return self._came.value

    async def _arrival(self, told: Arrives) -> None:
        await wait(until=self._world.loop.now + told.after_ms)
        if self._world.over:
            return
        if told.kind == "signal":
            self._world.signal(told.name, told.data)
        else:
            self._world.event(told.name, told.data)

    def takes(self, kind: str, name: str, data: Any, at_ms: int) -> bool:
        """Whether it takes what came; it is then over."""
        if self._came.done:
            return False
        for way in self._ways:
            if way.get(kind) != name:
                continue
            event = {"kind": kind, "name": name, "data": data, "at": format_instant(at_ms)}
            context = self._world.context(self._frame, event=event)
            try:
                if "where" in way and not _test(way["where"], context):
                    continue
            except ExpressionError:
                self._failing = Failing("ExpressionError")
            label = way.get("name", name)
            self._came.set({"name": label, "data": data, "at": format_instant(at_ms)})
            return True
        return False

    def _take_kept(self) -> None:
        """The earliest that came before it. A signal is then gone; an event is when the decision
        that opened this wait is over: others that it opens have the same."""
        world = self._world
        now = world.loop.now
        world.events = [each for each in world.events if world.taken.get(id(each), now) == now]
        kept = [(each[2], n, "signal", each) for n, each in enumerate(world.signals)]
        kept += [(each[2], n, "event", each) for n, each in enumerate(world.events)]
        for at, _, kind, entry in sorted(kept, key=lambda each: each[:2]):
            if self.takes(kind, entry[0], entry[1], at):
                if kind == "signal":
                    world.signals.remove(entry)
                else:
                    world.taken[id(entry)] = now
                return


# -- small things


class _Lost(Exception):
    def __init__(self, *, counted: bool) -> None:
        super().__init__(counted)
        self.counted = counted


_SKIPPED = object()


async def _drained(tasks: list[Task]) -> None:
    """Withdraw tasks, and wait until the last has ended; if one is withdrawn meanwhile, then."""
    for task in tasks:
        task.cancel()
    withdrawn = False
    while left := [task for task in tasks if not task.done]:
        try:
            await wait(*left)
        except Cancelled:
            withdrawn = True
    if withdrawn:
        raise Cancelled


def _copy(failing: Failing) -> Failing:
    """The same error, seen from the step around."""
    again = Failing(failing.type, failing.mro)
    again.behind_output = failing.behind_output
    return again


def _failed_as(said: dict[str, Any], context: EvaluationContext) -> Failing:
    try:
        failing = Failing(str(_data(said["fail"]["type"], context)))
        _data(said["fail"]["message"], context)
    except ExpressionError:
        failing = Failing("ExpressionError")
    failing.asked = "type" not in said or said["type"] != "decision"
    return failing


def _ways(step: dict[str, Any]) -> list[dict[str, Any]]:
    ways = step.get("next", [])
    return [{"to": ways}] if isinstance(ways, str) else ways


def _targets(step: dict[str, Any]) -> list[str]:
    """Where a token may go from a step, by `next` and `on_error`."""
    clauses = [clause["next"] for clause in step.get("on_error", []) if "next" in clause]
    return [way["to"] for way in _ways(step)] + clauses


def _awaited(tree: dict[str, Any]) -> set[str]:
    """The types of the events that waits anywhere in a definition wait for."""
    found: set[str] = set()
    for step in tree["steps"]:
        if step.get("type") == "wait":
            found |= {way["event"] for way in [step, *step.get("any", [])] if "event" in way}
        for inner in [step, *step.get("branches", [])]:
            if "steps" in inner:
                found |= _awaited(inner)
    return found


def _data(value: Any, context: EvaluationContext) -> Any:
    return parse_data(value).evaluate(context)


def _test(source: str, context: EvaluationContext) -> bool:
    return parse_expression(source).test(context)
