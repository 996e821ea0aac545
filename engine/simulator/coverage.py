"""What a simulation reached: events, commands, stimuli, faults, outcomes, constructs.

A test that only walked the easy road should fail; `missing` says what it did not see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from heliostat.engine.kernel.events import (
    ExecutionEvent,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskOpened,
)
from heliostat.engine.plan.plan import Plan, StepPlan


class Coverage:
    """How often each thing was reached, by names such as `event:step.completed`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, kind: str, name: str) -> None:
        """Count one thing."""
        self.counts[f"{kind}:{name}"] += 1

    def event(self, plan: Plan, event: ExecutionEvent) -> None:
        """Count an event, and the constructs of the definition that it shows at work."""
        self.hit("event", tag_of(event))
        if isinstance(event, StepCompleted | StepFailed | StepSkipped):
            step = plan.steps[event.at.step]
            for name in constructs(plan, step):
                self.hit("construct", name)
            if isinstance(event, StepCompleted) and event.recovered is not None:
                self.hit("construct", "on_error:output")
            if isinstance(event, StepFailed):
                self.hit("failure", event.failure.type)
                if event.taken:
                    self.hit("construct", "on_error:next")
                if event.tolerated:
                    self.hit("construct", "tolerated")

        if isinstance(event, TaskOpened):
            self.hit("construct", "on_error:human")

    def add(self, other: Coverage) -> None:
        """Count all that another one did."""
        self.counts.update(other.counts)

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """The names among `wanted` that were never reached."""
        return sorted(name for name in wanted if not self.counts[name])

    def __str__(self) -> str:
        return "\n".join(f"{count:8,}  {name}" for name, count in sorted(self.counts.items()))


def tag_of(event: ExecutionEvent) -> str:
    """The name of an event's type, as on the wire."""
    return str(type(event).__struct_config__.tag)


def constructs(plan: Plan, step: StepPlan) -> Iterable[str]:
    """What of the language a step uses."""
    notation = plan.scopes[step.scope].notation
    yield notation
    yield f"type:{step.type or step.kind}"
    if step.join.kind != "any" or notation == "dag":
        yield f"join:{notation}:{step.join.kind}"
    if step.foreach is not None:
        yield f"foreach:{step.foreach.completion.kind}"
    if step.kind == "parallel":
        yield f"parallel:{step.completion.kind}"
    fields: dict[str, Any] = {
        "when": step.when,
        "deadline": step.deadline,
        "timeout": step.timeout_ms,
        "terminate": step.terminate,
        "assign": step.assign,
        "append": step.append,
        "retry": step.retry.max_attempts > 1,
        "split:all": step.split == "all",
        "uses": step.uses,
        "cancels": step.cancels,
        "publish": step.publish,
        "signal": step.signals,
        "detached": step.child is not None and step.child.detached,
        "at_most_once": step.activity is not None and step.activity.effects == "at_most_once",
    }
    for name, given in fields.items():
        if given:
            yield name
