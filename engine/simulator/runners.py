"""Simulated runners: attempts in virtual time, and the reports that come of them.

Like real ones they are owned by no host. They keep a report until it is acknowledged, so a new
owner finds what its predecessor did not commit; and they answer a repeated command for the same
attempt by nothing. They never decide anything about a workflow.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
)
from heliostat.engine.simulator.faults import INJECTED, Faults
from heliostat.engine.simulator.outcomes import Hangs, LosesRunner, Outcome, Raises, Returns

Later = Callable[[int, Callable[[], None]], None]
"""`later(at_ms, action)`: have something happen at an instant of virtual time."""


class Attempt(Struct):
    """One attempt that is under way at a runner."""

    at: Address
    outcome: Outcome
    started_at_ms: int
    timeout_ms: int | None
    stopping: bool = False


class Runners:
    """All runners of a simulation; `report` receives what they have to say."""

    def __init__(
        self,
        *,
        random: Random,
        faults: Faults,
        now_ms: Callable[[], int],
        later: Later,
        report: Callable[[Address, AnyStimulus], None],
    ) -> None:
        self._random, self._faults = random, faults
        self._now_ms, self._later, self._report = now_ms, later, report
        self.running: dict[Address, Attempt] = {}
        self.held: dict[Address, AnyStimulus] = {}
        """Reports of attempts that are over, kept until they are acknowledged."""

    @property
    def known(self) -> tuple[Address, ...]:
        """What a new owner is told: the attempts that runners hold or run, in one order.

        Not a set: faults are drawn for each of them, and the order of a set is another one in
        every process.
        """
        return tuple(dict.fromkeys((*self.running, *self.held)))

    def run(self, at: Address, outcome: Outcome, timeout_ms: int | None) -> None:
        """Begin an attempt; once, however often it is asked for."""
        if at in self.running or at in self.held:
            return
        attempt = Attempt(at, outcome, self._now_ms(), timeout_ms)
        self.running[at] = attempt
        if self._random.random() < self._faults.runner_lost:
            self._later(
                self._now_ms() + self._random.randint(0, outcome.after_ms),
                lambda: self._lose(attempt, INJECTED, counted=False),
            )
        if not isinstance(outcome, Hangs):
            self._later(self._now_ms() + outcome.after_ms, lambda: self._end(attempt))
        self.watch(at)

    def watch(self, at: Address) -> None:
        """Measure an attempt's `timeout`: the lane of whoever owns the execution does that."""
        attempt = self.running.get(at)
        if attempt is None or attempt.timeout_ms is None:
            return
        due_ms = max(self._now_ms(), attempt.started_at_ms + attempt.timeout_ms)
        self._later(due_ms, lambda: self._time_out(attempt))

    def stop(self, at: Address, grace_ms: int) -> None:
        """Tell an attempt to stop; it is killed when the grace is over."""
        attempt = self.running.get(at)
        if attempt is None:
            if at not in self.held:  # it never came here: nothing runs
                self._report(at, StepStopped(now_ms=self._now_ms(), at=at))
            return
        if attempt.stopping:
            return
        attempt.stopping = True
        outcome, now_ms = attempt.outcome, self._now_ms()
        unheard = self._random.random() < self._faults.stop_unheard
        if outcome.on_stop == "ignores" or outcome.stop_ms > grace_ms or not grace_ms:
            if outcome.on_stop == "ignores" and unheard:
                self._later(now_ms + grace_ms, lambda: self._vanish(attempt))
            else:
                self._later(now_ms + grace_ms, lambda: self._stopped(attempt))
        elif outcome.on_stop == "returns":
            self._later(now_ms + outcome.stop_ms, lambda: self._return_late(attempt))
        else:
            self._later(now_ms + outcome.stop_ms, lambda: self._stopped(attempt))

    def acknowledge(self, at: Address) -> None:
        """A report is committed, or void: it may be forgotten."""
        self.held.pop(at, None)

    def repeat(self) -> None:
        """Tell a new owner all that is held."""
        for at, report in list(self.held.items()):
            self._report(at, report)

    def _is_over(self, attempt: Attempt) -> bool:
        return self.running.get(attempt.at) is not attempt

    def _end(self, attempt: Attempt) -> None:
        if self._is_over(attempt) or attempt.stopping:
            return
        outcome = attempt.outcome
        match outcome:
            case LosesRunner():
                self._lose(attempt, "the attempt killed its runner", counted=outcome.counted)
            case Raises():
                failure = Failure(type=outcome.type, message=outcome.message, mro=outcome.mro)
                self._hold(
                    attempt,
                    StepRaised(
                        now_ms=0,
                        at=attempt.at,
                        failure=failure,
                        started_at_ms=attempt.started_at_ms,
                        elapsed_ms=self._now_ms() - attempt.started_at_ms,
                    ),
                )
            case _:
                self._return(attempt)

    def _return(self, attempt: Attempt) -> None:
        outcome = attempt.outcome
        large = outcome if isinstance(outcome, Returns) else None
        self._hold(
            attempt,
            StepReturned(
                now_ms=0,
                at=attempt.at,
                output=outcome.value if isinstance(outcome, Returns | Hangs) else None,
                output_bytes=large.output_bytes if large is not None else 0,
                extracts=large.extracts if large is not None else None,
                started_at_ms=attempt.started_at_ms,
                elapsed_ms=self._now_ms() - attempt.started_at_ms,
            ),
        )

    def _return_late(self, attempt: Attempt) -> None:
        if not self._is_over(attempt):
            self._return(attempt)

    def _hold(self, attempt: Attempt, report: AnyStimulus) -> None:
        del self.running[attempt.at]
        self.held[attempt.at] = report
        self._report(attempt.at, report)

    def _lose(self, attempt: Attempt, cause: str, *, counted: bool) -> None:
        if self._is_over(attempt):
            return
        del self.running[attempt.at]
        lost = StepLost(now_ms=0, at=attempt.at, cause=cause, counted=counted)
        self._report(attempt.at, lost)

    def _stopped(self, attempt: Attempt) -> None:
        if self._is_over(attempt):
            return
        del self.running[attempt.at]
        self._report(attempt.at, StepStopped(now_ms=0, at=attempt.at))

    def _vanish(self, attempt: Attempt) -> None:
        if not self._is_over(attempt):
            del self.running[attempt.at]

    def _time_out(self, attempt: Attempt) -> None:
        if not self._is_over(attempt) and not attempt.stopping:
            self._report(attempt.at, StepTimedOut(now_ms=0, at=attempt.at))
