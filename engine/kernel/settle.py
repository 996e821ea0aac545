"""`settle`: the kernel's one entry. Decides and books, alternately, until nothing more follows.

Pure steps chain within one decision and are recorded with it. A chain that never ends (a loop of
decisions) may not hold its host: after `CHAIN_MAX` of them the turn ends, `wake_at_ms` is 0, and
the next `Woke` goes on from there.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.decide import REACT, go_on
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import AnyStimulus
from heliostat.engine.kernel.turn import Decision, Turn
from heliostat.engine.plan.plan import Plan

CHAIN_MAX: Final = 1_000
"""Visits that one turn settles by itself: some 20 ms, so that other executions get their turn."""


def settle(plan: Plan, state: ExecutionState, stimulus: AnyStimulus) -> Decision:
    """Choose what follows a stimulus and book it; `state` is then ahead of the journal.

    The events must be durable before any of the commands leaves the process. If they cannot be
    stored, throw the state away and fold it again.
    """
    turn = Turn(plan, state, stimulus.now_ms)
    if state.ended:
        return Decision()
    REACT[type(stimulus)](turn, stimulus)
    chain = 0
    ready = state.ready
    while ready and chain < CHAIN_MAX:
        # In batches: finding the first key of a dict means passing all that were taken before it.
        for key in list(islice(ready, CHAIN_MAX - chain)):
            if key in ready:
                go_on(turn, Address(*key))
                chain += 1
    return Decision(turn.events, turn.commands)
