"""How long one attempt of a step takes, and who says so.

Asked in this order: what was measured, the step's tags, the definition of a child, the definition
itself (a timer, a wait with a timer, a decision), and a default. Tags are `duration_ms`, which is
all three figures, and `duration_min_ms` and `duration_max_ms`, which set one of them. A default is
a guess of what to expect: its least is 0, and nothing bounds it.

Steps with steps in them have the time of these, unless a tag or a measurement gives one of their
own. What bounds an attempt or a visit, `timeout` and `deadline`, is not looked at here, nor how
many attempts, items or visits there are: `bounds.py` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from heliostat.engine.authoring.fields import (
    DURATION_TAG,
    MAX_DURATION_TAG,
    MIN_DURATION_TAG,
    said_number,
)
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Data, EvaluationContext, Expression
from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.plan.plan import Plan, StepKind, StepPlan
from heliostat.engine.values import Value

Source: TypeAlias = Literal["measured", "tag", "definition", "child", "default"]

DEFAULT_MS: Final[Mapping[StepKind, int]] = {
    "activity": 1_000,
    "wait": 10_000,
    "timer": 10_000,  # one whose duration is an expression
    "human": 3_600_000,
    "sub_workflow": 10_000,
}
"""What is expected of a step of which nothing is known, by kind. A decision takes no time."""

ITEMS_DEFAULT: Final = 10
"""Items expected of a `foreach` whose list is not written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Milliseconds that something takes: at least, as expected, at most (None: no bound known)."""

    min_ms: int
    expected_ms: int
    max_ms: int | None
    source: Source
    count: int = 0  # attempts that were measured

    @classmethod
    def exactly(cls, ms: int, source: Source = "definition") -> Duration:
        """One that is always the same."""
        return cls(min_ms=ms, expected_ms=ms, max_ms=ms, source=source)


Measured: TypeAlias = Mapping[str, Duration]
"""By step id, what was seen of its attempts."""

Tagged: TypeAlias = Mapping[str, Mapping[str, str]]
"""By step id, its tags."""


def durations(
    definition: Definition,
    plan: Plan,
    measured: Measured | None = None,
    children: Measured | None = None,
) -> Measured:
    """By step id, how long one attempt of each step takes.

    Steps with steps in them are missing where nobody says how long they take.

    Args:
        measured: by step id, what was seen of its attempts.
        children: by step id, how long the execution takes that a `sub_workflow` waits for.
    """
    tags = tags_of(definition)
    found: dict[str, Duration] = {}
    for step in plan.steps:
        if step.retired:
            continue
        said = (measured or {}).get(step.id) or _tagged(tags.get(step.id, {}))
        said = said or (children or {}).get(step.id)
        if said is not None:
            found[step.id] = said
        elif step.kind not in ("body", "parallel"):
            found[step.id] = _within_bounds(_defined(step), step)
    return found


def tags_of(definition: Definition) -> Tagged:
    """The tags of all steps, by step id."""
    return {step.id: step.tags for scope in scopes_of(definition) for step in scope.steps}


def constant(field: Data | Expression | None) -> tuple[Value] | None:
    """The value of a field that reads nothing, in a tuple of one; None where it reads something, or
    has no value."""
    if field is None or not all(each.constant for each in _expressions(field)):
        return None
    try:
        return (field.evaluate(EvaluationContext()),)
    except ExpressionError:
        return None


def constant_ms(field: Data | None) -> int | None:
    """The milliseconds of a field that is a duration and reads nothing."""
    match constant(field):
        case (str() as text,):
            try:
                return parse_duration(text)
            except ValueError:
                return None
        case _:
            return None


def _expressions(field: Data | Expression) -> Iterator[Expression]:
    if isinstance(field, Expression):
        yield field
    else:
        yield from (each for _, each in field.expressions())


def _tagged(tags: Mapping[str, str]) -> Duration | None:
    said, least, most = (
        said_number(tags, tag) for tag in (DURATION_TAG, MIN_DURATION_TAG, MAX_DURATION_TAG)
    )
    if said is None and most is None:
        return None  # what takes at least so long is still a guess
    if said is None:
        assert most is not None
        said = ((least or 0) + most) // 2
        least = least or 0
    return Duration(
        min_ms=said if least is None else min(least, said),
        expected_ms=said,
        max_ms=said if most is None else max(most, said),
        source="tag",
    )


def _within_bounds(guess: Duration, step: StepPlan) -> Duration:
    """A guess, not beyond what the step's author allows: a default is no reason for a timeout."""
    if guess.source == "definition":
        return guess
    bounds = [step.timeout_ms, constant_ms(step.deadline)]
    expected = min([guess.expected_ms, *(ms for ms in bounds if ms is not None)])
    return replace(guess, expected_ms=expected)


def _defined(step: StepPlan) -> Duration:
    """What the definition says of a step by itself, or the default of its kind."""
    if step.kind == "decision" or (step.child is not None and step.child.detached):
        return Duration.exactly(0)
    expected = DEFAULT_MS[step.kind]
    if step.timer is not None:
        ms = constant_ms(step.timer.duration)
        if ms is not None:
            return Duration.exactly(ms)
    if step.kind == "wait":
        timers = [constant_ms(each.timer) for each in step.alternatives if each.kind == "timer"]
        bounds = [ms for ms in timers if ms is not None]
        if bounds and len(timers) == len(step.alternatives) == len(bounds):
            return Duration.exactly(min(bounds))
        if bounds:
            most = min(bounds)
            expected = min(expected, most)
            return Duration(min_ms=0, expected_ms=expected, max_ms=most, source="definition")
    return Duration(min_ms=0, expected_ms=expected, max_ms=None, source="default")
