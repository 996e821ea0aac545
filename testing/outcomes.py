"""What stands for steps and people in a simulation, one call after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, ParamSpec, Self, TypeAlias, TypeVar

from pydantic_core import to_jsonable_python

from heliostat.actors.runner.arguments import Signature
from heliostat.engine.expressions import parse_duration
from heliostat.engine.simulator import (
    Acts,
    Hangs,
    LosesRunner,
    Outcome,
    Person,
    Raises,
    Returns,
)

P = ParamSpec("P")
R = TypeVar("R")

Span: TypeAlias = str | timedelta
"""A duration: `"2h"`, or a timedelta."""

AT_ONCE: Span = "1ms"


class Unscripted(AssertionError):
    """A step was called of which the test says nothing, and which has to return something."""


def milliseconds(span: Span) -> int:
    """A duration as the simulator counts it."""
    return (
        parse_duration(span) if isinstance(span, str) else round(span / timedelta(milliseconds=1))
    )


@dataclass(frozen=True)
class Played:
    """One outcome: of the arguments that a call has, how it goes."""

    outcome: Callable[[dict[str, Any]], Outcome]
    times: int = 1


class Outcomes(Generic[P, R]):
    """What becomes of a step's calls: one outcome after the other, the last for all that follow.

        simulation.step(charge).raises(Busy(), times=2).returns(receipt)

    A retry is a call like any other. Times are virtual.
    """

    def __init__(self, function: Callable[P, R] | None) -> None:
        self._function = function
        self._signature = Signature(function) if function is not None else None
        self._played: list[Played] = []

    def returns(self, value: R, *, times: int = 1, after: Span = AT_ONCE) -> Self:
        """The step returns this value."""
        output, after_ms = to_jsonable_python(value), milliseconds(after)
        return self._add(lambda _: Returns(output, after_ms=after_ms), times)

    def raises(
        self, error: Exception | type[Exception], *, times: int = 1, after: Span = AT_ONCE
    ) -> Self:
        """The step raises this error."""
        raised, after_ms = error if isinstance(error, Exception) else error(), milliseconds(after)
        return self._add(lambda _: failing(raised, after_ms), times)

    def does(self, function: Callable[P, R], *, times: int = 1, after: Span = AT_ONCE) -> Self:
        """Another function is called with the step's arguments; it may raise.

        An assertion in it that fails, fails the test.
        """
        after_ms = milliseconds(after)

        def outcome(arguments: dict[str, Any]) -> Outcome:
            try:
                value = function(**arguments)  # type: ignore[call-arg]  # bound to the step's names
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001  # what a step raises is its outcome
                return failing(error, after_ms)
            return Returns(to_jsonable_python(value), after_ms=after_ms)

        return self._add(outcome, times)

    def runs(self, *, times: int = 1, after: Span = AT_ONCE) -> Self:
        """The step's own function is called.

        Raises:
            TypeError: the step was named by its id, which says nothing of a function.
        """
        if self._function is None:
            raise TypeError("which function runs? Give the step itself: simulation.step(charge)")
        return self.does(self._function, times=times, after=after)

    def hangs(self, *, times: int = 1) -> Self:
        """The step goes on until its timeout, its deadline, or somebody stops it."""
        return self._add(lambda _: Hangs(), times)

    def loses_runner(self, *, times: int = 1) -> Self:
        """The process that runs the step dies, by the step's own doing."""
        return self._add(lambda _: LosesRunner(), times)

    def nth(self, number: int, arguments: dict[str, Any]) -> Outcome:
        """How the call goes that is the so-manyeth, from 0."""
        for played in self._played:
            number -= played.times
            if number < 0:
                return played.outcome(self.bound(arguments))
        return self._played[-1].outcome(self.bound(arguments))

    @property
    def told(self) -> bool:
        """Whether anything was said."""
        return bool(self._played)

    def bound(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments as the function's annotations have them."""
        return arguments if self._signature is None else self._signature.bind(arguments)

    def _add(self, outcome: Callable[[dict[str, Any]], Outcome], times: int) -> Self:
        if times < 1:
            raise ValueError(f"times={times}: an outcome stands for 1 call or more")
        self._played.append(Played(outcome, times))
        return self


class PersonOutcomes:
    """What people do with the human tasks of a step: one task after the other, the last repeats."""

    def __init__(self) -> None:
        self._acts: list[Acts] = []

    def answers(self, form: object, *, after: Span = AT_ONCE, by: str = "somebody") -> Self:
        """Somebody submits the form, so long after the task is opened."""
        data, after_ms = to_jsonable_python(form), milliseconds(after)
        return self._add(Acts("complete", by, data, after_ms=after_ms, force=True))

    def fails(self, why: str, *, after: Span = AT_ONCE, by: str = "somebody") -> Self:
        """Somebody says that it cannot be done."""
        return self._add(Acts("fail", by, error=why, after_ms=milliseconds(after), force=True))

    def nth(self, number: int) -> Person:
        """What becomes of the task that is the so-manyeth, from 0."""
        return Person(*self._acts[number:][:1] or self._acts[-1:])

    def _add(self, act: Acts) -> Self:
        self._acts.append(act)
        return self


def failing(error: Exception, after_ms: int = 1) -> Raises:
    """The outcome of an attempt that raises."""
    classes = tuple(each.__name__ for each in type(error).__mro__[1:-1])
    return Raises(type(error).__name__, str(error), classes, after_ms=after_ms)
