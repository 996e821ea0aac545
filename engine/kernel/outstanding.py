"""`outstanding`: everything that should be in flight, from the state alone.

For recovery, where no decision's commands are at hand. A property test holds it together with the
commands that `settle` gives along the way.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliostat.engine.identity import Address
from heliostat.engine.kernel.commands import Command, RunStep, StopAttempt
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.plan import Plan


def outstanding(plan: Plan, state: ExecutionState) -> Iterator[Command]:
    """The attempts that should be running, and those that should be stopping."""
    if state.ended:
        return
    for scope in state.scopes.values():
        for visit in scope.active.values():
            if visit.child is not None:
                continue  # the message to it is in the journal
            at = Address(scope.number, visit.step, visit.visit, visit.attempt)
            if visit.phase == "running":
                recorded = state.resolve(visit.input) if visit.holds else visit.input
                yield RunStep(at, recorded, visit.alone)
            elif visit.phase == "stopping":
                yield StopAttempt(at, plan.steps[visit.step].grace_ms)
