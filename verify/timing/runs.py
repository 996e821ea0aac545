"""One run of a scope: tokens, joins, needs and `cancels`, with the clock jumping from one end of a
visit to the next. How long visits take, and which ways they take, is asked of a `Drawing`."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from heliostat.engine.plan.plan import END, ScopePlan, StepPlan
from heliostat.verify.timing.rules import count_of

if TYPE_CHECKING:
    from heliostat.verify.timing.drawing import Drawing


class End(NamedTuple):
    """How a visit or a scope ended, and after how many milliseconds."""

    after_ms: float
    completed: bool  # else it failed
    skipped: bool = False


class MachineRun:
    """One run of a state machine."""

    def __init__(self, drawing: Drawing, scope: ScopePlan) -> None:
        self._drawing, self._scope = drawing, scope
        self._open: list[tuple[float, int, int, End]] = []  # end, number of the visit, step
        self._withdrawn: set[int] = set()
        self._active: dict[int, list[int]] = {}
        self._joins: dict[int, set[int]] = {}
        self._fired: set[int] = set()
        self._visits = 0
        self._sources: dict[int, set[int]] = {}

    def run(self) -> End:
        for number in self._scope.start:
            self._arrive(number, None, 0)
        now = 0.0
        while self._open:
            after, visit, number, end = heappop(self._open)
            if visit in self._withdrawn:
                continue
            now = after
            step = self._drawing.step(number)
            self._active[number].remove(visit)
            taken = self._drawing.taken_of(step, end)
            if taken is None:
                return End(now, False)
            for cancelled in step.cancels if end.completed and not end.skipped else ():
                self._withdrawn.update(self._active.pop(cancelled, ()))
                self._joins.pop(cancelled, None)
            if step.terminate and end.completed:
                return End(now, True)
            for edge in taken:
                if edge.target != END:
                    self._arrive(edge.target, number, now)
        return End(now, not any(self._joins.get(number) for number in self._joins
                                if number not in self._fired))  # fmt: skip

    def _arrive(self, number: int, source: int | None, now: float) -> None:
        step = self._drawing.step(number)
        if step.join.kind != "any" and source is not None and not self._fires(step, source):
            return
        end = self._drawing.visit(step)
        self._visits += 1
        self._active.setdefault(number, []).append(self._visits)
        heappush(self._open, (now + end.after_ms, self._visits, number, end))

    def _fires(self, step: StepPlan, source: int) -> bool:
        sources = self._sources.get(step.number)
        if sources is None:
            drawing = self._drawing
            sources = self._sources[step.number] = {
                number
                for number in self._scope.steps
                if any(
                    edge.target == step.number
                    for edge in (*drawing.step(number).routes, *drawing.step(number).error_edges)
                )
            }
        arrived = self._joins.setdefault(step.number, set())
        arrived.add(source)
        fires = False
        if step.number not in self._fired:
            fires = len(arrived) == count_of(step.join, len(sources))
            if fires:
                self._fired.add(step.number)
        if len(arrived) == len(sources):
            self._fired.discard(step.number)
            arrived.clear()
        return fires


class DagRun:
    """One run of a DAG."""

    def __init__(self, drawing: Drawing, scope: ScopePlan) -> None:
        self._drawing, self._scope = drawing, scope
        self._open: list[tuple[float, int, End]] = []
        self._settled: dict[int, End] = {}
        self._begun: set[int] = set()

    def run(self) -> End:
        for number in self._scope.start:
            self._begin(number, 0)
        now = 0.0
        while self._open:
            after, number, end = heappop(self._open)
            if number in self._settled:
                continue  # it was withdrawn
            now = after
            step = self._drawing.step(number)
            if not self._settle(step, end, now):
                return End(now, False)
            if end.completed and not end.skipped:
                if step.terminate:
                    return End(now, True)
                for cancelled in step.cancels:
                    if cancelled not in self._settled:
                        self._begun.add(cancelled)
                        self._settle(self._drawing.step(cancelled), End(now, True, True), now)
        return End(now, True)

    def _begin(self, number: int, now: float) -> None:
        self._begun.add(number)
        end = self._drawing.visit(self._drawing.step(number))
        heappush(self._open, (now + end.after_ms, number, end))

    def _settle(self, step: StepPlan, end: End, now: float) -> bool:
        """Book an end, and begin or skip what waited for it; False where the scope fails."""
        self._settled[step.number] = end
        left = [step]
        while left:
            settled = left.pop()
            failed = not self._settled[settled.number].completed
            if failed and not settled.dependents:
                return False
            for number in settled.dependents:
                if number in self._begun:
                    continue
                answer = self._due(self._drawing.step(number))
                if answer == "start":
                    self._begin(number, now)
                elif answer == "skip":
                    self._begun.add(number)
                    self._settled[number] = End(now, True, True)
                    left.append(self._drawing.step(number))
                elif answer == "fail":
                    return False
        return True

    def _due(self, step: StepPlan) -> str:
        ends = [self._settled.get(need) for need in step.needs]
        settled = [end for end in ends if end is not None]
        completed = sum(end.completed and not end.skipped for end in settled)
        failed = sum(not end.completed for end in settled)
        waiting = len(ends) - len(settled)
        kind = step.join.kind
        if kind == "all_done":
            return "wait" if waiting else "start"
        if kind == "all":
            if failed:
                return "fail"
            if waiting:
                return "wait"
            return "start" if completed else "skip"
        count = count_of(step.join, len(ends))
        if completed >= count:
            return "start"
        if completed + waiting >= count:
            return "wait"
        return "fail" if failed else "skip"
