"""Scopes: tokens of a state machine, needs of a DAG, regions that are cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    StepResult,
    at_rest,
)
from heliostat.verify.reference.ticks import Cancelled, Future, Task, wait
from heliostat.verify.reference.visits import Visit
from heliostat.verify.reference.words import (
    Failing,
    Frame,
    copy_of,
    data_of,
    drained,
    targets_of,
    ways_of,
    without_value,
)

if TYPE_CHECKING:
    from heliostat.verify.reference.execution import Run


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
            raise copy_of(self.failing, behind=False)  # of a step, not of this scope's output
        try:
            return at_rest(self._output())
        except ExpressionError as error:
            failing = without_value(error)
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
        await drained(tasks)
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
            return data_of(self.tree["output"], self.run_.context(self.frame))
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
        return "next" not in step or "end" in [clause["to"] for clause in ways_of(step)]

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
        return [id for id, step in self.steps.items() if target in targets_of(step)]

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
        waiting = list(targets_of(self.steps[step]))
        while waiting:
            id = waiting.pop()
            if id != "end" and id not in found:
                found.add(id)
                waiting += targets_of(self.steps[id])
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
        if rule == "all":
            return False
        if rule == "all_done" or step["id"] in self.begun:
            return True
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
        self.run_.trace.append(f"{id}?")
        self._settle(id, "Skipped")

    # -- cancelling a region

    async def cancel_region(self, names: list[str]) -> list[str]:
        """Withdraw what is active there; the steps that were, and of a DAG those that had not
        begun: these are skipped at once, and what needs them is looked at later."""
        for name in names:
            self.arrived.pop(name, None)
            self.fired.discard(name)
        off = [name for name in names if name not in self.begun] if self.dag else []
        for name in off:
            self.begun.add(name)
            self.visits[name] = self.visits.get(name, 0) + 1
            self.frame.results[name] = StepResult(status="Skipped")
            self.settled[name] = "Skipped"
        tasks = {task: id for task, id in self.active.items() if id in names}
        await self._withdraw(list(tasks))
        if not self.dag:
            self._reopen()
        return [*tasks.values(), *off]

    def follow_cancelled(self, names: list[str]) -> None:
        """In a DAG what was withdrawn counts as skipped for what needs it."""
        for name in names if self.dag else ():
            if self.settled.get(name, "Skipped") == "Skipped":
                self._settle(name, "Skipped")
