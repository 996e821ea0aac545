"""What each step type compiles to, beyond what all steps have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..authoring.fields import Escalation, InterventionPoint
from ..authoring.model import (
    ActivityStep,
    HumanStep,
    ScriptStep,
    ServiceCallStep,
    Step,
    SubWorkflowStep,
    TimerStep,
    WaitStep,
)
from ..authoring.schemas import validator
from ..authoring.steps import ActivityOptions
from ..builtin import CONSTANT_FIELDS, DATA_FIELDS, TARGETS
from ..expressions import Data, parse_fields
from ..expressions.time import parse_duration
from . import plan
from .reading import Reader, in_order

KINDS: Final[Mapping[str, plan.StepKind]] = {
    "activity": "activity",
    "script": "activity",
    "service_call": "activity",
    "decision": "decision",
    "timer": "timer",
    "wait": "wait",
    "human": "human",
    "sub_workflow": "sub_workflow",
    "parallel": "parallel",
    "body": "body",
}
"""By `type`."""

LATEST: Final = "latest"
"""The version of a `sub_workflow` that is the one registered last when the child starts."""


class StepCompiler:
    """Compiles what is particular to a type; answers None or nothing for the others."""

    def __init__(
        self,
        reader: Reader,
        points: Mapping[str, InterventionPoint],
        children: Mapping[str, str],
    ) -> None:
        self._reader, self._points, self._children = reader, points, children

    def input(self, step: Step) -> Data | None:
        """The input; of a script or a service call all that its function is called with."""
        if not isinstance(step, ScriptStep | ServiceCallStep):
            return self._reader.given(step, "input")
        fields = {
            name: in_order(getattr(step, name))
            for name in DATA_FIELDS[step.type]
            if step.given(name)
        }
        constants = {name: getattr(step, name) for name in CONSTANT_FIELDS[step.type]}
        data = parse_fields(fields, constants)
        self._reader.note(data)
        return data

    def activity(self, step: Step, options: ActivityOptions) -> plan.Activity | None:
        """What a runner is to call."""
        if isinstance(step, ActivityStep):
            target = step.activity
        elif isinstance(step, ScriptStep | ServiceCallStep):
            target = TARGETS[step.type]
        else:
            return None
        return plan.Activity(target=target, effects=options.effects, resources=options.resources)

    def timer(self, step: Step) -> plan.Timer | None:
        """When a timer fires."""
        if not isinstance(step, TimerStep):
            return None
        return plan.Timer(
            duration=self._reader.given(step, "duration"), until=self._reader.given(step, "until")
        )

    def alternatives(self, step: Step) -> tuple[plan.Alternative, ...]:
        """What a wait waits for: its list, or the one thing that is written on the step itself."""
        if not isinstance(step, WaitStep):
            return ()
        if step.any is None:
            signal = step.signal if isinstance(step.signal, str) else None
            timer = self._reader.given(step, "timer")
            return (self._alternative(None, step.event, signal, timer, step.where),)
        return tuple(
            self._alternative(
                each.name,
                each.event,
                each.signal,
                self._reader.given(each, "timer"),
                each.where,
            )
            for each in step.any
        )

    def _alternative(
        self,
        name: str | None,
        event: str | None,
        signal: str | None,
        timer: Data | None,
        where: str | None,
    ) -> plan.Alternative:
        key = event or signal or ""
        return plan.Alternative(
            name=name or key or "timer",
            kind="event" if event is not None else "signal" if signal is not None else "timer",
            key=key,
            timer=timer,
            where=self._reader.expression(where),
        )

    def child(self, step: Step) -> plan.Child | None:
        """What a `sub_workflow` starts; a version that is not written was fixed at registration."""
        if not isinstance(step, SubWorkflowStep):
            return None
        version = step.version if step.version is not None else self._children.get(step.id)
        return plan.Child(
            workflow=step.workflow,
            version=None if version == LATEST else version,
            detached=step.detached,
        )

    # -- people

    def deadline(self, step: Step) -> Data | None:
        """A step's deadline; a human step without one has that of its intervention point."""
        if isinstance(step, HumanStep) and not step.given("deadline"):
            point = self._points.get(step.intervention_point or "")
            return None if point is None else self._reader.given(point, "deadline")
        return self._reader.given(step, "deadline")

    def human(self, step: Step) -> plan.Human | None:
        """What a human task is made from: the step's own fields before its point's."""
        if not isinstance(step, HumanStep):
            return None
        point = self._points.get(step.intervention_point or "")
        if point is None:
            return self._human(step, step)
        return self._human(point, step)

    def clause_human(self, point_id: str) -> plan.Human:
        """What a task of a clause of `on_error` is made from: the point alone."""
        point = self._points[point_id]
        return self._human(point, point)

    def _human(
        self, under: InterventionPoint | HumanStep, over: InterventionPoint | HumanStep
    ) -> plan.Human:
        def of(field: str) -> InterventionPoint | HumanStep:
            return over if over.given(field) else under

        form = over.form if over.form is not None else under.form
        escalate = over.escalate if over.escalate is not None else under.escalate
        return plan.Human(
            name=over.name if over.name is not None else under.name,
            assignees=self._reader.given(of("assignees"), "assignees"),
            candidates=self._reader.given(of("candidates"), "candidates"),
            form=form,
            validate=validator(form),
            escalations=tuple(
                sorted(
                    (self._escalation(each) for each in escalate or ()),
                    key=lambda each: each.after_ms,
                )
            ),
            deadline=self._reader.given(over, "deadline")
            if isinstance(over, InterventionPoint)
            else None,
            point=under.id if isinstance(under, InterventionPoint) else None,
        )

    def _escalation(self, escalation: Escalation) -> plan.Escalation:
        return plan.Escalation(
            after_ms=parse_duration(escalation.after),
            assignees=self._reader.given(escalation, "assignees"),
            candidates=self._reader.given(escalation, "candidates"),
        )
