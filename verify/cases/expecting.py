"""What a case must come to, told by others than the kernel that runs it.

The reference (`verify/reference`) reads the definition as it is written and says how the execution
ends, with which output, and which visits end in which way. Where the order of things at one instant
is free, any of its readings is right. What it does not know is named, and nothing is predicted.

The net says nothing of data, and something of every construct: the history has to be a run of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from heliostat.engine.authoring.canonical import content
from heliostat.engine.authoring.model import Definition
from heliostat.engine.expressions import parse_duration
from heliostat.engine.kernel.events import AttemptFailed, ExecutionEvent
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import Call, Script, SimulationResult
from heliostat.engine.simulator.outcomes import Person, outcome_of, scripted
from heliostat.engine.simulator.script import read_outcomes
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Json
from heliostat.verify.cases.worlds import Told, simulated
from heliostat.verify.nets.net import TooManyTokens
from heliostat.verify.nets.replay import Disagreement, Replay
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.reference import Ended, Undetermined, interpret
from heliostat.verify.reference import Told as Happens

READINGS: Final = (None, -1, *range(30))
"""Orders of what happens at one instant that are tried until one agrees."""

_STATUS: Final = re.compile(r"\$\.steps\.\w+\.status")

SEEDS: Final = 12
"""Seeds of the simulator that are tried where no reading agrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How a case ends."""

    status: ExecutionStatus | str
    """`waiting` where nothing can happen any more, and it has not ended."""
    failure: str | None  # the type of the error
    output: Json  # of what completed
    trace: tuple[str, ...]  # visits as they ended: `a`, `a!`, `a?`

    def differs(self, other: Expected) -> str:
        """What is not the same, in words; the order of visits does not count."""
        for name in ("status", "failure", "output"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {theirs!r} in place of {mine!r}"
        missing = _less(self.trace, other.trace)
        more = _less(other.trace, self.trace)
        if missing or more:
            return "; ".join(
                f"{what} {' '.join(each)}"
                for what, each in (("without", missing), ("beside", more))
                if each
            )
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a case, and what others say of it."""

    observed: Expected
    predicted: Expected | None
    unpredicted: str = ""  # why nothing is predicted
    difference: str = ""  # between what is predicted and observed
    stray: str = ""  # where the history is no run of the net

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.difference and not self.stray

    @property
    def expected(self) -> Expected:
        """What has to come of it: as predicted, in the order observed."""
        return self.observed if self.agrees or self.predicted is None else self.predicted


class Judge:
    """Says of runs of one definition whether they are right."""

    def __init__(self, definition: Definition, plan: Plan) -> None:
        self._plan = plan
        self._tree: dict[str, Any] = content(definition)
        _merge(self._tree["steps"], plan)
        self._unknown = _unknown(self._tree, plan)
        self._translation: Translation | None = None
        # the net does not hold what is caught behind the end: an `output`, its schema
        caught = any(clause.edge is not None for clause in plan.on_error)
        if not (caught and (plan.root.output is not None or plan.validate_output is not None)):
            with suppress(TooManyTokens):
                self._translation = translate(plan)

    def check(self, told: Told, result: SimulationResult) -> Checked:
        """Hold a run against the reference and the net."""
        observed = observed_of(result)
        stray = self._stray(result)
        unknown = self._unknown or _unknown_acts(told)
        if unknown:
            return Checked(observed=observed, predicted=None, unpredicted=unknown, stray=stray)
        first: Expected | None = None
        several = False
        try:
            for seed in READINGS:
                predicted = self._predicted(told, seed)
                if not predicted.differs(observed):
                    return Checked(observed=observed, predicted=predicted, stray=stray)
                first = first or predicted
                several = several or bool(predicted.differs(first))
        except Undetermined as error:
            why = f"not determined: {error}"
            return Checked(observed=observed, predicted=None, unpredicted=why, stray=stray)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the other cases
            why = f"the reference has a fault: {type(error).__name__}: {error}"
            return Checked(observed=observed, predicted=None, unpredicted=why, stray=stray)
        assert first is not None
        why = ""
        if several or self._several(told, observed):
            why = "what depends on the order of things at one instant"
        elif any(_jittered(self._plan, event) for event in result.events):
            why = "what depends on the jitter of a back-off"
        if why:
            return Checked(observed=observed, predicted=None, unpredicted=why, stray=stray)
        difference = first.differs(observed)
        return Checked(observed=observed, predicted=first, difference=difference, stray=stray)

    def _predicted(self, told: Told, seed: int | None) -> Expected:
        script: Script = read_outcomes(told.outcomes, (self._plan,)).get(self._plan.id, {})
        known = self._plan.step_by_id

        def outcome(call: Call) -> Any:
            step = self._plan.steps[known[call.step]]
            if step.kind in ("wait", "human"):
                return scripted(script, call) or Person()
            return outcome_of(script, call)

        happens = [
            Happens(parse_duration(str(each["at"])), "event", str(each["event"]), each.get("data"))
            for each in told.timeline
            if isinstance(each, dict) and "event" in each
        ]
        expected = _expected(interpret(self._tree, told.input, outcome, happens, seed=seed))
        validate = self._plan.validate_output
        if validate is None or expected.status != "Completed" or validate(expected.output) is None:
            return expected
        return replace(expected, status="Failed", failure="SchemaError", output=None)

    def _several(self, told: Told, observed: Expected) -> bool:
        """Whether the simulator itself comes to something else where another seed draws."""
        for seed in range(1, SEEDS):
            result = simulated(self._plan, told, seed=seed)
            if result is None or observed.differs(observed_of(result)):
                return True
        return False

    def _stray(self, result: SimulationResult) -> str:
        """Where a history leaves the net."""
        if self._translation is None:
            return ""
        try:
            Replay(self._plan, self._translation).follow(result.events)
        except Disagreement as error:
            return str(error)
        return ""


def _merge(steps: list[Any], plan: Plan) -> None:
    """Write what decorators say of steps into the tree, which is all that the reference reads."""
    for tree in steps:
        step = plan.steps[plan.step_by_id[tree["id"]]]
        for inner in (tree, *tree.get("branches", ())):
            _merge(inner.get("steps", []), plan)
        if step.activity is None:
            continue
        retry = step.retry
        tree["retry"] = {
            "max_attempts": retry.max_attempts,
            "initial": f"{retry.initial_ms}ms",
            "factor": retry.factor,
            "max": f"{retry.max_ms}ms",
            "on": retry.on,
            "never_on": retry.never_on,
        }
        tree["effects"] = step.activity.effects
        tree["grace"] = f"{step.grace_ms}ms"
        if step.timeout_ms is not None:
            tree["timeout"] = f"{step.timeout_ms}ms"


def _jittered(plan: Plan, event: ExecutionEvent) -> bool:
    """Whether a back-off begins whose length the reference does not know."""
    return isinstance(event, AttemptFailed) and plan.steps[event.at.step].retry.jitter


def observed_of(result: SimulationResult) -> Expected:
    """What came of a run."""
    done = result.status == "Completed"
    return Expected(
        status=result.status if result.ended else "waiting",
        failure=None if result.failure is None else result.failure.type,
        output=result.output if done else None,
        trace=tuple(result.trace),
    )


def _expected(ended: Ended) -> Expected:
    failed = ended.status == "Failed"
    return Expected(
        status="waiting" if ended.status == "going on" else ended.status,
        failure=ended.output if failed else None,
        output=None if failed else ended.output,
        trace=ended.trace,
    )


def _unknown(tree: Mapping[str, Any], plan: Plan) -> str:
    """What of a definition the reference does not read; empty: it reads all."""
    if tree.get("handlers"):
        return "handlers"
    if plan.calendars or any(_is_business(each) for each in _values(tree)):
        return "calendars"
    if any(_STATUS.search(each) for each in _values(tree) if isinstance(each, str)):
        return "the status of steps that may be under way"
    if plan.validate_output is not None and "on_error" in tree:
        return "`on_error` behind `output_schema`"
    for step in plan.steps:
        if any(clause.human is not None for clause in step.on_error):
            return f"people whom `on_error` of {step.id} asks"
        if step.child is not None and step.child.workflow == plan.id:
            return f"the child of {step.id}, which is the definition itself"
        if step.child is not None and step.child.detached:
            return f"the detached child of {step.id}"
        if step.human is not None and step.human.deadline is not None and step.deadline is None:
            return f"the deadline that the intervention point of {step.id} has"
    return ""


def _is_business(value: Json) -> bool:
    return isinstance(value, dict) and "business_days" in value


def _values(tree: Any) -> Iterator[Any]:
    """All that stands anywhere in a tree."""
    yield tree
    for each in (
        tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    ):
        yield from _values(each)


def _unknown_acts(told: Told) -> str:
    return next(("people" for each in _leaves(told.outcomes) if each == "person"), "")


def _leaves(tree: Json) -> Iterator[str]:
    """The keys of mappings at any depth."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from _leaves(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from _leaves(each)


def _less(these: tuple[str, ...], those: tuple[str, ...]) -> list[str]:
    left = list(those)
    found = []
    for each in these:
        if each in left:
            left.remove(each)
        else:
            found.append(each)
    return found
