"""Durations that were measured: read from a file, or from the events of executions.

A file is a JSON object by step id. What it says of a step is a number of milliseconds, a list of
such numbers, one for each attempt, or `{"min_ms": …, "expected_ms": …, "max_ms": …}`, of which
`expected_ms` alone is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from heliostat.engine.kernel.events import AttemptFailed, ExecutionEvent, StepCompleted, StepFailed
from heliostat.engine.plan.plan import Plan
from heliostat.verify.timing.durations import Duration, Measured

_FIGURES: Final = ("min_ms", "expected_ms", "max_ms")


class Unmeasured(ValueError):
    """What should be durations is none; says of which step."""


class History:
    """Gathers how long attempts took, over any number of executions."""

    def __init__(self) -> None:
        self._samples: dict[str, list[int]] = {}

    def add(self, plan: Plan, events: Iterable[ExecutionEvent]) -> None:
        """The attempts, waits and tasks of one execution; `plan` is that of its latest version.

        An attempt took its time at the runner; whatever waits (a wait, a person, a child) took it
        from its activation to its completion. Timers and decisions say themselves how long they
        take.
        """
        opened: dict[tuple[int, int, int], int] = {}
        for event in events:
            for each in getattr(event, "activated", ()):
                opened[each.scope, each.step, each.visit] = event.at_ms
            if isinstance(event, StepCompleted | StepFailed | AttemptFailed):
                at = event.at
                step = plan.steps[at.step]
                if step.kind in ("wait", "human", "sub_workflow"):
                    if isinstance(event, StepCompleted) and not event.collected:
                        began = opened.get((at.scope, at.step, at.visit))
                        if began is not None:
                            self._note(step.id, event.at_ms - began)
                elif step.kind == "activity" and event.elapsed_ms is not None:
                    self._note(step.id, event.elapsed_ms)

    def _note(self, step: str, ms: int) -> None:
        self._samples.setdefault(step, []).append(ms)

    def measured(self) -> Measured:
        """What came of it, by step id."""
        return {step: _of_samples(found) for step, found in self._samples.items()}


def read_measured(content: Any) -> Measured:
    """Durations as a file has them.

    Raises:
        Unmeasured: it says something else.
    """
    if not isinstance(content, Mapping):
        raise Unmeasured("durations are an object by step id")
    return {str(step): _of_entry(str(step), said) for step, said in content.items()}


def _of_entry(step: str, said: Any) -> Duration:
    if _is_ms(said):
        return Duration.exactly(round(said), "measured")
    if isinstance(said, list) and said and all(map(_is_ms, said)):
        return _of_samples([round(each) for each in said])
    if isinstance(said, Mapping) and _is_ms(said.get("expected_ms")):
        unknown = sorted(set(map(str, said)) - {*_FIGURES, "count"})
        if not unknown and all(_is_ms(said[each]) for each in _FIGURES if each in said):
            least, expected, most = (round(said.get(f, said["expected_ms"])) for f in _FIGURES)
            if least <= expected <= most:
                return Duration(min_ms=least, expected_ms=expected, max_ms=most, source="measured")
    raise Unmeasured(
        f"step {step!r}: {said!r} is no duration; write milliseconds, a list of them, or "
        '{"min_ms": 80, "expected_ms": 100, "max_ms": 300}'
    )


def _of_samples(samples: Sequence[int]) -> Duration:
    return Duration(
        min_ms=min(samples),
        expected_ms=round(fmean(samples)),
        max_ms=max(samples),
        source="measured",
        count=len(samples),
    )


def _is_ms(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**15
