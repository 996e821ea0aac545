"""What the handlers of a definition compile to; each custom action is a scope with one activity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..authoring.fields import Action, Custom, Handler
from ..authoring.model import ActivityStep
from ..authoring.steps import ActivityOptions, merge
from . import plan
from .numbering import Numbering, custom_key
from .reading import Reader
from .steps import LATEST


class HandlerCompiler:
    """Compiles handlers; `steps` and `scopes` are then those of their custom actions."""

    def __init__(
        self, reader: Reader, numbers: Numbering, activities: Mapping[str, ActivityOptions]
    ) -> None:
        self._reader, self._numbers, self._activities = reader, numbers, activities
        self.steps: list[plan.StepPlan] = []
        self.scopes: list[plan.ScopePlan] = []

    def compiled(self, handlers: Sequence[Handler]) -> tuple[plan.Handler, ...]:
        """The handlers, numbered in the order written."""
        return tuple(
            plan.Handler(
                number=number,
                name=handler.id or f"{number + 1} on {handler.event}",
                event=handler.event,
                where=self._reader.expression(handler.where),
                actions=tuple(
                    self._action(action, custom_key(number, index))
                    for index, action in enumerate(handler.actions)
                ),
            )
            for number, handler in enumerate(handlers)
        )

    def _action(self, action: Action, key: str) -> plan.Action:
        reader = self._reader
        if (start := action.start) is not None:
            version = None if start.version == LATEST else start.version
            return plan.Action(
                kind="start",
                child=plan.Child(workflow=start.workflow, version=version, detached=True),
                child_id=reader.given(start, "id"),
                input=reader.given(start, "input"),
            )
        if (signal := action.signal) is not None:
            return plan.Action(
                kind="signal",
                signalling=plan.Signalling(
                    execution=reader.data(signal.execution),
                    name=signal.name,
                    data=reader.given(signal, "data"),
                ),
            )
        if action.trigger is not None:
            return plan.Action(kind="trigger", step=self._numbers.steps[action.trigger.step])
        if action.cancel is not None:
            return plan.Action(kind="cancel", execution=reader.given(action.cancel, "execution"))
        if action.pause is not None:
            return plan.Action(kind="pause", execution=reader.given(action.pause, "execution"))
        if action.resume is not None:
            return plan.Action(kind="resume", execution=reader.given(action.resume, "execution"))
        assert action.custom is not None
        return self._custom(action.custom, key)

    def _custom(self, custom: Custom, key: str) -> plan.Action:
        step, scope = self._numbers.steps[key], self._numbers.scopes[key]
        written = ActivityStep(id="custom", type="activity", activity=custom.activity)
        known = self._activities.get(key)
        options = known if known is not None else merge(written)
        self.steps.append(
            plan.StepPlan(
                number=step,
                id=key,
                scope=scope,
                kind="activity",
                type="activity",
                input=self._reader.given(custom, "input"),
                activity=plan.Activity(
                    target=custom.activity, effects=options.effects, resources=options.resources
                ),
                timeout_ms=options.timeout_ms,
                grace_ms=options.grace_ms,
                retry=options.retry,
            )
        )
        self.scopes.append(
            plan.ScopePlan(
                number=scope,
                notation="state_machine",
                steps=(step,),
                start=(step,),
                variables={},
                ends=(step,),
                reachable={step: frozenset()},
            )
        )
        return plan.Action(kind="custom", scope=scope)
