"""The words of the reference interpreter: what expressions see, how things fail, small readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    EvaluationContext,
    StepResult,
    parse_data,
    parse_expression,
)
from heliostat.engine.simulator import (
    Call,
)
from heliostat.verify.reference.ticks import Cancelled, Task, wait

STEPS_MAX = 40_000
LOSSES_MAX = 3
GRACE_MS = 10_000
NEVER = 1 << 62
ATTEMPTS = ("activity", "script", "service_call")
REPEATING = {
    "ExpressionError",
    "SchemaError",
    "NoWayOn",
    "Stuck",
    "DeadlineExceeded",
    "Canceled",
    "RunnerLost",
    "Unschedulable",
}

Outcomes = Callable[[Call], Any]


class Undetermined(Exception):
    """The reference does not say: the run never ends."""


class Failing(Exception):
    """A step, a scope or an execution fails."""

    def __init__(self, type: str, mro: Sequence[str] = (), message: str = "") -> None:
        super().__init__(type)
        self.type, self.mro, self.message = type, tuple(mro), message
        self.behind_output = False
        self.asked = False  # its step's clauses were asked for the item
        self.of_item = False
        self.way: str | None = None  # of the clause that was found for it
        self.late: Any = None  # what came within the grace

    @property
    def names(self) -> set[str]:
        return {self.type, *self.mro}

    @property
    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = {"type": self.type, "message": self.message}
        return view | ({"bases": list(self.mro)} if self.mro else {})


@dataclass
class Frame:
    """What expressions see from a place: a scope instance, or an item of a `foreach`."""

    outer: Frame | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    item: Any = None
    index: int | None = None
    is_item: bool = False

    def outwards(self) -> Iterator[Frame]:
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.outer

    def declaring(self, name: str) -> Frame:
        return next(frame for frame in self.outwards() if not frame.is_item and name in frame.vars)

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(f.index for f in self.outwards() if f.is_item and f.index is not None)


@dataclass
class Ended:
    """How an execution went, as far as every right schedule agrees."""

    status: str
    output: Any  # of a failed one: the type of its failure
    elapsed_ms: int
    calls: dict[str, int]  # attempts by step, those that were lost included
    trace: tuple[str, ...] = ()  # visits that ended: `a` completed, `a!` failed, `a?` was skipped


@dataclass(eq=False)
class Event:
    """A signal or an event that is kept."""

    name: str
    data: Any
    at_ms: int


@dataclass
class Told:
    """Something from outside, at an instant from the start."""

    at_ms: int
    kind: str  # signal, event, pause, resume, cancel
    name: str = ""
    data: Any = None


class Lost(Exception):
    """A runner ended; `counted` if that was the attempt's own fault."""

    def __init__(self, *, counted: bool) -> None:
        super().__init__(counted)
        self.counted = counted


SKIPPED = object()


async def drained(tasks: list[Task]) -> None:
    """Withdraw tasks, and wait until the last has ended; if one is withdrawn meanwhile, then."""
    for task in tasks:
        task.cancel()
    withdrawn = False
    while left := [task for task in tasks if not task.done]:
        try:
            await wait(*left)
        except Cancelled:
            withdrawn = True
    if withdrawn:
        raise Cancelled


def copy_of(failing: Failing, *, behind: bool | None = None) -> Failing:
    """The same error, seen from the step around."""
    again = Failing(failing.type, failing.mro, failing.message)
    again.behind_output = failing.behind_output if behind is None else behind
    return again


def without_value(error: ExpressionError) -> Failing:
    """What fails with an expression that has no value; a strict one as Python would."""
    return Failing(error.type, error.raised, str(error))


def failed_as(said: dict[str, Any], context: EvaluationContext) -> Failing:
    """The failure that `fail` of a decision or a clause makes."""
    try:
        said_type, message = (data_of(said["fail"][key], context) for key in ("type", "message"))
        bases = data_of(said["fail"].get("bases"), context) or ()
        failing = Failing(str(said_type), bases, str(message))
    except ExpressionError as error:
        failing = without_value(error)
    failing.asked = "type" not in said or said["type"] != "decision"
    return failing


def ways_of(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The clauses of `next`."""
    ways = step.get("next", [])
    return [{"to": ways}] if isinstance(ways, str) else list(ways)


def targets_of(step: dict[str, Any]) -> list[str]:
    """Where a token may go from a step, by `next` and `on_error`."""
    clauses = [clause["next"] for clause in step.get("on_error", []) if "next" in clause]
    return [way["to"] for way in ways_of(step)] + clauses


def awaited_in(tree: dict[str, Any]) -> set[str]:
    """The types of the events that waits anywhere in a definition wait for."""
    found: set[str] = set()
    for step in tree["steps"]:
        if step.get("type") == "wait":
            found |= {way["event"] for way in [step, *step.get("any", [])] if "event" in way}
        for inner in [step, *step.get("branches", [])]:
            if "steps" in inner:
                found |= awaited_in(inner)
    return found


def data_of(value: Any, context: EvaluationContext) -> Any:
    """The value of a data field as it is written."""
    return parse_data(value).evaluate(context)


def holds(source: str, context: EvaluationContext) -> bool:
    """Whether a condition is true."""
    return parse_expression(source).test(context)
