"""How a simulated run of a workflow went: what it returned, and what it did to get there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.authoring.steps import Step
from heliostat.engine.errors import ExecutionCanceled, ExecutionFailed
from heliostat.engine.kernel.events import Failure, StepCompleted, StepFailed
from heliostat.engine.kernel.messages import TaskView
from heliostat.engine.simulator import SimulationResult
from heliostat.engine.status import ExecutionStatus

R = TypeVar("R")

Name: TypeAlias = str | Callable[..., Any]
"""What a step is spoken of by: its id, its function, or its function's name."""


class Unended(AssertionError):
    """The workflow still waits, for something that the test does not let happen."""


@dataclass(frozen=True)
class Called:
    """A call that a step's stand-in had, with the arguments as annotated."""

    names: tuple[Name, ...]
    arguments: Mapping[str, Any]


class Run(Generic[R]):
    """A run that is over, or in which nothing can happen any more."""

    def __init__(
        self,
        workflow: WorkflowFunction[..., R],
        simulated: SimulationResult,
        calls: Sequence[Called],
    ) -> None:
        self._workflow, self._calls = workflow, calls
        self.simulated = simulated
        """All that the simulator tells: events, state, children; see `hs.simulate`."""

    def result(self) -> R:
        """What the workflow returned, as the annotated type.

        Raises:
            ExecutionFailed: it raised.
            ExecutionCanceled: it was cancelled.
            Unended: it waits for something that the test does not let happen.
        """
        if not self.simulated.ended:
            raise Unended(f"{self._workflow.id} has not ended; what happened:\n{self.story}")
        if self.simulated.failure is not None:
            failure = msgspec.to_builtins(self.simulated.failure)
            raise ExecutionFailed(self.simulated.execution_id, failure)
        if self.simulated.status == "Canceled":
            raise ExecutionCanceled(self.simulated.execution_id)
        return self._workflow.result(self.simulated.output)

    @property
    def failure(self) -> Failure | None:
        """What it failed with: `type`, `message`, `step`; None if it did not fail."""
        return self.simulated.failure

    @property
    def status(self) -> ExecutionStatus:
        """`Completed`, `Failed`, `Canceled`; or what it does while it waits."""
        return self.simulated.status

    @property
    def elapsed(self) -> timedelta:
        """How long it took, in virtual time."""
        return timedelta(milliseconds=self.simulated.elapsed_ms)

    @property
    def story(self) -> str:
        """What happened, a line for each event; pytest shows it of a test that failed."""
        return self.simulated.story

    @property
    def steps(self) -> list[str]:
        """The ids of the steps that completed or failed, in this order; decisions are left out."""
        return [id for id, kind in self._ended() if kind != "decision"]

    @property
    def path(self) -> list[str]:
        """As `steps`, with the decisions: which branches were taken, how often loops went round."""
        return [id for id, _ in self._ended()]

    @property
    def signals(self) -> list[tuple[str, str, Any]]:
        """The signals that it sent: to which execution, name and data."""
        return self.simulated.signals

    @property
    def published(self) -> list[tuple[str, Any]]:
        """The events that it published: type and data."""
        return [(type, data) for _, type, data in self.simulated.published]

    @property
    def tasks(self) -> list[TaskView]:
        """Its human tasks, as they were last: `step`, `input` as people were shown, `output`."""
        return self.simulated.tasks

    def calls(
        self, step: Step[..., Any] | WorkflowFunction[..., Any] | str
    ) -> list[dict[str, Any]]:
        """The arguments of each call of a step, in order; by a step's id, of that step alone.

        Models come as models. What is retried is called again. Calls of a workflow are told where
        the test stands in for it.
        """
        wanted = name_of(step)
        return [dict(each.arguments) for each in self._calls if wanted in each.names]

    def _ended(self) -> list[tuple[str, str]]:
        steps = self.simulated.plan.steps
        return [
            (steps[event.at.step].id, steps[event.at.step].kind)
            for event in self.simulated.events
            if isinstance(event, StepCompleted | StepFailed)
        ]


def name_of(step: Step[..., Any] | WorkflowFunction[..., Any] | str) -> Name:
    """What a step is spoken of by: its function, or a text, its id or its function's name."""
    return step if isinstance(step, str) else step.function
