"""An execution: the clock, semaphores, signals and events, and the definition around it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    Duration,
    EvaluationContext,
    Instant,
    at_rest,
    parse_duration,
    parse_instant,
)
from heliostat.engine.expressions.time import INSTANT_MS_MAX
from heliostat.engine.simulator import EPOCH_MS
from heliostat.verify.reference.scopes import Scope
from heliostat.verify.reference.ticks import Cancelled, Future, Loop, Task, wait
from heliostat.verify.reference.words import (
    NEVER,
    Event,
    Failing,
    Frame,
    Outcomes,
    Told,
    awaited_in,
    copy_of,
    data_of,
    drained,
    failed_as,
    holds,
    without_value,
)

if TYPE_CHECKING:
    from heliostat.verify.reference.waits import OpenWait


class Run:
    """One execution under way."""

    def __init__(self, loop: Loop, tree: dict[str, Any], input: Any, outcomes: Outcomes) -> None:
        self.loop, self.tree, self.input, self.outcomes = loop, tree, input, outcomes
        self.id = "sim"
        self.calls: dict[str, int] = {}
        self.trace: list[str] = []
        self.permits: dict[str, int] = dict(tree.get("semaphores", {}))
        self.queue: list[tuple[dict[str, int], Future]] = []
        self.waits: list[OpenWait] = []
        self.signals: list[Event] = []
        self.events: list[Event] = []
        self.taken: dict[Event, tuple[int, int]] = {}
        """Events that were kept: when a wait took them, and the step of the loop that opened it."""
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
                frame.vars[name] = data_of(value, self.context(frame))
            due = self.instant(self.tree["deadline"], frame) if "deadline" in self.tree else None
        except ExpressionError as error:
            return self._recovered(without_value(error))
        scope = self.scope = Scope(self, self.tree, frame)
        try:
            return await self.bounded(scope.run(), due, lambda: scope.over.done)
        except Failing as failed:
            failing = copy_of(failed)
            clause = self.clause(self.tree.get("on_error", []), failing, frame, behind=False)
            if clause is None or "next" not in clause:
                return self._recovered(failing)
            left = due if due is not None and due > self.loop.now else None
            again = self.scope = Scope(self, self.tree, frame, visits=scope.visits)
            try:
                return await self.bounded(again.run(clause["next"]), left, lambda: again.over.done)
            except Failing as second:
                return self._recovered(copy_of(second))

    def _recovered(self, failing: Failing) -> Any:
        clauses = self.tree.get("on_error", [])
        clause = self.clause(clauses, failing, self.root, behind=False)
        if clause is None or "next" in clause:
            raise failing
        context = self.context(self.root, error=failing.view)
        try:
            if "output" in clause:
                return at_rest(data_of(clause["output"], context))
            raise failed_as(clause, context)
        except ExpressionError as error:
            raise without_value(error) from None

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
        self.signals.append(Event(name, data, self.loop.now))

    def event(self, name: str, data: Any) -> None:
        taken = [each.takes("event", name, data, self.loop.now) for each in list(self.waits)]
        if not any(taken) and name in awaited_in(self.tree):
            self.events.append(Event(name, data, self.loop.now))

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
        began = Instant(EPOCH_MS)
        execution = {"id": self.id, "run": 1, "started_at": began, "tags": {}, "metadata": {}}
        given = {"vars": variables, "steps": steps, "input": self.input, "execution": execution}
        given.update(more)
        if nearest is not None:
            given = {"item": nearest.item, "index": nearest.index, **given}
        return EvaluationContext(now=Instant(self.loop.now), **given)

    def instant(self, value: Any, frame: Frame) -> int:
        """Of a deadline, a timer, an `until`: a duration from now, or an instant."""
        found = data_of(value, self.context(frame))
        if isinstance(found, Instant):
            return found.ms
        if isinstance(found, Duration):
            return self.later(found.ms)
        try:
            length_ms = parse_duration(found)
        except ValueError:
            return parse_instant(found)
        return self.later(length_ms)

    def later(self, length_ms: int) -> int:
        """An instant so much later."""
        if self.loop.now + length_ms > INSTANT_MS_MAX:
            raise ExpressionError("beyond the year 9999")
        return self.loop.now + length_ms

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
                await drained([task])
                raise
            if not task.is_done() and not exceeded and self.loop.now >= due:
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
                if not holds(clause["when"], context):
                    continue
            return dict(clause)
        return None
