"""An execution driven turn by turn by the kernel alone: what comes next is drawn from its state.

The same draws over the same state bring the same, whatever the version: what can come is told by
the ids of steps and not by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from zlib import crc32

from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import decode_event, encode_event
from heliostat.engine.kernel.events import ExecutionEvent, Failure
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState, Visit
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    ChildEnded,
    EventArrived,
    Migrate,
    Signal,
    Start,
    StepRaised,
    StepReturned,
    StepStopped,
    TaskAction,
    Woke,
)
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.monitor.folding import check_history
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.mapping import map_plans
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import EPOCH_MS
from heliostat.engine.values import Value

TURNS_MAX = 600


class Driven:
    """One execution, and the draws that it is driven by."""

    def __init__(self, plan: Plan, input: Value, seed: int, *, failing: int = 10) -> None:
        self.plan, self.state = plan, ExecutionState()
        self.plans = {plan.version: plan}
        self.now_ms = EPOCH_MS
        self.events: list[bytes] = []
        self._random, self._failing, self._messages = Random(seed), failing, 0
        self.give(Start(now_ms=self.now_ms, execution_id="driven", input=input))

    def give(self, stimulus: AnyStimulus) -> Decision:
        """One turn. What it stores is read back, as a journal would."""
        decision = settle(self.plan, self.state, stimulus)
        self.events += map(encode_event, decision.events)
        return decision

    def turn(self) -> bool:
        """Bring one of the things that can come; False where the execution has ended."""
        self._messages += 1
        can = sorted(self._can(), key=lambda each: each[0])
        if self.state.ended or not can:
            return False
        self.now_ms += 1
        self.give(self._stimulus(*self._random.choice(can)))
        return True

    def finish(self) -> None:
        """To its end."""
        for _ in range(TURNS_MAX):
            if not self.turn():
                assert self.state.ended, f"nothing can come, and it is {self.state.status}"
                checked = check_history(self.events, lambda v: Tables(self.plans[v]))
                assert checked.misfit is None, checked.misfit
                return
        raise AssertionError("it does not end")

    def migrate(self, plan: Plan) -> Decision:
        """Ask it to go on with another version."""
        mapping = map_plans(self.plan, plan)
        decision = self.give(Migrate(now_ms=self.now_ms, message_id="move", mapping=mapping))
        if self.state.version == plan.version:
            self.plan = self.plans[plan.version] = plan
        return decision

    def _can(self) -> Iterator[tuple[str, str, Address | None]]:
        """What can come: a name to sort by, what it is, and where."""
        if self.state.wake_at_ms is not None:
            yield "~wake", "wake", None
        for scope in self.state.scopes.values():
            for visit in scope.active.values():
                kind = self._kind(visit)
                if kind is not None:
                    step = self.plan.steps[visit.step].id
                    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
                    yield f"{step}@{scope.number}:{visit.visit}!{visit.attempt}", kind, at

    def _kind(self, visit: Visit) -> str | None:
        if visit.phase in ("running", "child", "human"):
            return visit.phase
        if visit.phase == "stopping":
            return "child" if visit.child is not None else "stopping"
        if visit.phase == "waiting":
            awaited = self.plan.steps[visit.step].alternatives
            return "waiting" if any(each.kind != "timer" for each in awaited) else None
        return None

    def _stimulus(self, name: str, kind: str, at: Address | None) -> AnyStimulus:
        luck = crc32(name.encode()) % 100
        now, id = self.now_ms, f"m{self._messages}"
        if at is None:
            self.now_ms = now = max(now, self.state.wake_at_ms or 0)
            return Woke(now_ms=now)
        match kind:
            case "running" if luck < self._failing:
                failure = Failure(type="A", message="drawn", mro=("A", "Exception"))
                return StepRaised(now_ms=now, at=at, failure=failure)
            case "running":
                return StepReturned(now_ms=now, at=at, output=luck)
            case "stopping":
                return StepStopped(now_ms=now, at=at)
            case "child":
                return ChildEnded(now_ms=now, message_id=id, at=at, status="Completed", output=luck)
            case "human":
                data = {"resolution": "complete", "output": luck}
                return TaskAction(
                    now_ms=now, message_id=id, at=at, verb="complete", user="ann", data=data
                )
        awaited = self.plan.steps[at.step].alternatives
        there = sorted((each.kind, each.key) for each in awaited if each.kind != "timer")
        what, key = there[luck % len(there)]
        if what == "signal":
            return Signal(now_ms=now, message_id=id, name=key, data={"n": 2})
        return EventArrived(now_ms=now, event_id=id, name=key, data={"n": 2}, published_at_ms=now)

    @property
    def history(self) -> list[ExecutionEvent]:
        """The events so far."""
        return [decode_event(body) for body in self.events]
