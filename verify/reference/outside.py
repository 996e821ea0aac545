"""What happens outside of an execution: attempts at runners, children, people; as a script says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.engine.expressions import parse_duration
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
from heliostat.verify.reference.ticks import Cancelled, Future, wait
from heliostat.verify.reference.words import GRACE_MS, Failing, Frame, Lost, Undetermined

if TYPE_CHECKING:
    from heliostat.verify.reference.visits import Visit


def call_of(visit: Visit, frame: Frame, value: Any, nth: int) -> Call:
    """What a script is asked: which attempt, of which step, item and visit."""
    indices = frame.indices
    return Call(
        step=visit.step["id"],
        visit=visit.number,
        item_index=indices[0] if indices else None,
        nth=nth,
        input=value,
        indices=indices,
    )


class Attempt:
    """An attempt at a runner, or a child execution; both can be told to stop."""

    def __init__(self, visit: Visit, call: Call) -> None:
        world, self._step, self._loop = visit.world, visit.step, visit.world.loop
        world.calls[call.step] = world.calls.get(call.step, 0) + 1
        outcome = world.outcomes(call)
        self._outcome = outcome if isinstance(outcome, Outcome) else Returns(None)
        self._withdrawn = False  # while it is stopping already

    async def run(self) -> Any:
        """What it returns. Raises `Failing`, or `Lost` where its runner is."""
        step, loop, outcome = self._step, self._loop, self._outcome
        began = loop.now
        ends = None if isinstance(outcome, Hangs) else began + outcome.after_ms
        timeout = began + parse_duration(step["timeout"]) if "timeout" in step else None
        if ends is not None and ends == timeout:
            raise Undetermined("does the attempt return, or is it timed out?")
        until = min((each for each in (ends, timeout) if each is not None), default=None)
        try:
            await wait(until=until) if until is not None else await wait(Future())
        except Cancelled as cancelled:
            cancelled.late = await self._stop()  # type: ignore[attr-defined]
            raise
        if until == timeout and until != ends:
            failing = Failing("Timeout")
            failing.late = await self._stop()
            if self._withdrawn:
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

    async def _stop(self) -> Any:
        """Be told to stop: the end comes when the attempt ends, or its grace is over."""
        loop, outcome = self._loop, self._outcome
        grace = parse_duration(self._step["grace"]) if "grace" in self._step else GRACE_MS
        ignores = outcome.on_stop == "ignores" or outcome.stop_ms > grace or not grace
        until = loop.now + (grace if ignores else outcome.stop_ms)
        while loop.now < until:
            try:
                await wait(until=until)
            except Cancelled:
                self._withdrawn = True
        if ignores or outcome.on_stop != "returns":
            return None
        return outcome.value if isinstance(outcome, Returns | Hangs) else None


async def person(visit: Visit, frame: Frame, value: Any) -> Any:
    """What a person submits, when the script says."""
    told = visit.world.outcomes(call_of(visit, frame, value, 1))
    acts = told.acts if isinstance(told, Person) else ()
    done = [act for act in acts if act.verb in ("complete", "fail")]
    if not done:
        await wait(Future())
    act = min(done, key=lambda each: each.after_ms)
    await wait(until=visit.world.loop.now + act.after_ms)
    if act.verb == "fail":
        raise Failing("TaskFailed", (), act.error)
    data = act.data if isinstance(act.data, dict) else {"data": act.data}
    return {**data, "completed_by": act.user}
