"""`settle`: the kernel's one entry. Decides and books, alternately, until nothing more follows.

Pure steps chain within one decision and are recorded with it. A chain that never ends (a loop of
decisions) may not hold its host: after `CHAIN_MAX` of them the turn ends, `wake_at_ms` is 0, and
the next `Woke` goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel import decide, migrating, requests, steering, stimuli, tasking
from heliostat.engine.kernel.looking import settle_matters
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import AnyStimulus
from heliostat.engine.kernel.turn import Decision, Turn
from heliostat.engine.plan.plan import Plan

CHAIN_MAX: Final = 1_000
"""Visits that one turn settles by itself: some 20 ms, so that other executions get their turn."""

_REACT: Final[dict[type[Any], Callable[[Turn, Any], None]]] = {
    stimuli.Start: decide.on_start,
    stimuli.StepReturned: decide.on_returned,
    stimuli.StepRaised: decide.on_raised,
    stimuli.StepLost: decide.on_lost,
    stimuli.StepTimedOut: decide.on_timed_out,
    stimuli.StepStopped: decide.on_stopped,
    stimuli.Woke: decide.on_woke,
    stimuli.TakenOver: decide.on_taken_over,
    stimuli.Cancel: steering.on_cancel,
    stimuli.Pause: steering.on_pause,
    stimuli.Resume: steering.on_resume,
    stimuli.Retry: steering.on_retry,
    stimuli.Migrate: migrating.on_migrate,
    stimuli.Signal: requests.on_signal,
    stimuli.EventArrived: requests.on_event,
    stimuli.ChildEnded: requests.on_child_ended,
    stimuli.TaskAction: tasking.on_task,
    stimuli.SetMetadata: steering.on_metadata,
}

_REPORTS: Final = frozenset(
    (
        stimuli.StepReturned,
        stimuli.StepRaised,
        stimuli.StepLost,
        stimuli.StepTimedOut,
        stimuli.StepStopped,
        stimuli.Woke,
        stimuli.TakenOver,
    )
)
"""What an execution that has ended does not react to at all; requests want an answer."""


def settle(plan: Plan, state: ExecutionState, stimulus: AnyStimulus) -> Decision:
    """Choose what follows a stimulus and book it; `state` is then ahead of the journal.

    The events must be durable before any of the commands and messages leaves the process. If they
    cannot be stored, throw the state away and fold it again.
    """
    kind = type(stimulus)
    if state.ended and kind in _REPORTS:
        return Decision()
    turn = Turn(plan, state, stimulus.now_ms)
    _REACT[kind](turn, stimulus)
    if turn.agenda:
        settle_matters(turn)
    chain = 0
    ready = state.ready
    while ready and chain < CHAIN_MAX:
        # In batches: finding the first key of a dict means passing all that were taken before it.
        for key in list(islice(ready, CHAIN_MAX - chain)):
            if key in ready:
                decide.go_on(turn, Address(*key))
                settle_matters(turn)
                chain += 1
    return turn.decision
