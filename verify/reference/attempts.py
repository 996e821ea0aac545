"""What a visit does once, and an item of it each for itself: input, attempts, clauses for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.engine.builtin import NEVER_RETRIED
from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import at_rest, parse_duration
from heliostat.verify.reference.items import several
from heliostat.verify.reference.outside import Attempt, call_of, person
from heliostat.verify.reference.ticks import wait
from heliostat.verify.reference.waits import OpenWait
from heliostat.verify.reference.words import (
    ATTEMPTS,
    LOSSES_MAX,
    REPEATING,
    Failing,
    Frame,
    Lost,
    copy_of,
    data_of,
    failed_as,
    without_value,
)

if TYPE_CHECKING:
    from heliostat.verify.reference.visits import Visit


class Attempts:
    """The attempts of one visit, or of each of its items."""

    def __init__(self, visit: Visit) -> None:
        self._visit, self._step, self._world = visit, visit.step, visit.world

    async def once(self, frame: Frame) -> Any:
        step, world = self._step, self._world
        try:
            value = (
                at_rest(data_of(step["input"], world.context(frame))) if "input" in step else None
            )
            due = None
            if step.get("type") == "timer":
                field = "duration" if "duration" in step else "until"
                due = world.instant(step[field], frame)
            opened = OpenWait(self._visit, frame) if step.get("type") == "wait" else None
        except ExpressionError as error:
            return await self.handled(without_value(error), frame)
        try:
            return await self._tried(frame, value, due, opened)
        except Failing as failing:
            return await self.handled(failing, frame)

    async def handled(self, failing: Failing, frame: Frame) -> Any:
        """The item's clauses: `output` and `fail`; a `next` that fits is left to the whole."""
        if failing.asked and not failing.of_item:
            failing = copy_of(failing)
        clauses = self._step.get("on_error", [])
        try:
            clause = self._world.clause(clauses, failing, frame)
            context = self._world.context(frame, error=failing.view)
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
        step, world = self._step, self._world
        uses = step.get("uses", {})
        nth = failures = losses = 0
        while True:
            nth += 1
            if opened is None:  # a pause holds what begins; a wait is open, and takes what comes
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
            self._visit.settled = False
            await wait(until=world.loop.now + self._backoff(failures))

    def _overdue(self) -> bool:
        """Whether the deadline passed while what failed was closing."""
        one = "foreach" not in self._step
        return one and self._visit.due is not None and self._world.loop.now >= self._visit.due

    def _repeats(self, failing: Failing, failures: int) -> bool:
        retry = self._step.get("retry", {})
        if failures >= retry.get("max_attempts", 1) or failing.behind_output:
            return False
        if self._step.get("effects") == "at_most_once" and failing.type == "Timeout":
            return False
        if failing.names & set(retry.get("never_on", ())):
            return False
        if retry.get("on"):
            return bool(failing.names & set(retry["on"]))
        return failing.type not in REPEATING and failing.names.isdisjoint(NEVER_RETRIED)

    def _backoff(self, failures: int) -> int:
        retry = self._step.get("retry", {})
        initial = parse_duration(retry.get("initial", "1s"))
        longest = parse_duration(retry.get("max", "60s"))
        return int(min(longest, initial * retry.get("factor", 2) ** (failures - 1)))

    async def _attempt(
        self, frame: Frame, value: Any, due: int | None, opened: OpenWait | None, nth: int
    ) -> Any:
        step, world = self._step, self._world
        kind = step.get("type", "body")
        if kind in ATTEMPTS or kind == "sub_workflow":
            return await Attempt(self._visit, call_of(self._visit, frame, value, nth)).run()
        if kind == "body":
            return await self._inner(step, frame)
        if kind == "parallel":
            works = [self._inner(branch, frame) for branch in step["branches"]]
            names = [branch["name"] for branch in step["branches"]]
            return await several(self._visit, works, step.get("completion", "all"), 10**6, names)
        if kind == "timer":
            await wait(until=due)
            await world.unpaused()
            return None
        if kind == "wait":
            assert opened is not None
            return await opened.run()
        if kind == "human":
            return await person(self._visit, frame, value)
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
                inside.vars[name] = at_rest(data_of(data, self._world.context(inside)))
        except ExpressionError as error:
            raise without_value(error) from None
        try:
            scope = Scope(self._world, tree, inside)
            if tree is self._step and "foreach" not in tree:
                scope.owner = self._visit
            return await scope.run()
        except Failing as failing:
            raise copy_of(failing) from None
