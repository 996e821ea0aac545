"""What becomes of attempts in a simulation: scripted by step, visit, item and attempt.

    outcomes={
        "reserve": {"hold": 7},                                  # returns this value
        "charge": Attempts(Raises("Busy"), Returns("ok", after_ms=200)),
        "fetch": Items(Returns(1), Raises("NotFound")),          # by index, the last one repeats
        "ship": lambda call: call.input["order"] + 1,            # may raise
        "train": Hangs(on_stop="returns", value="half done"),
    }

A script speaks of attempts as their author sees them: one that is made again because a host or a
node went away repeats its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from heliostat.engine.values import Value

OnStop = Literal["ends", "returns", "ignores"]
"""What an attempt does when it is told to stop: it ends without an output, it still returns its
value, or it goes on until its grace is over and is killed."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How one attempt goes; the times are virtual milliseconds."""

    after_ms: int = 1
    on_stop: OnStop = "ends"
    stop_ms: int = 1  # from being told to stop to the end, unless it ignores that


class Returns(Outcome, frozen=True, kw_only=False):
    """The attempt returns a value."""

    value: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None


class Raises(Outcome, frozen=True, kw_only=False):
    """The attempt raises; `mro` are the names of the error's other classes."""

    type: str
    message: str = ""
    mro: tuple[str, ...] = ()


class LosesRunner(Outcome, frozen=True, kw_only=True):
    """The attempt's runner ends; `counted` if that is the attempt's own fault."""

    counted: bool = True


class Hangs(Outcome, frozen=True, kw_only=True):
    """The attempt does not end before it is told to stop."""

    value: Value = None  # what it returns then, if it does


class Call(Struct, frozen=True, kw_only=True):
    """One attempt, as a script sees it."""

    step: str
    visit: int  # of the step, or of the `foreach` that the item belongs to
    item_index: int | None
    nth: int  # from 1; counts failed attempts and those that lost their runner by script
    input: Value


class Attempts:
    """Outcomes by attempt at a visit, from the first; the last one repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


class Visits:
    """Outcomes by visit of the step, from the first; the last one repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


class Items:
    """Outcomes by the item's index in the list; the last one repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


Script: TypeAlias = Mapping[str, Any] | Callable[[Call], Any]
"""By step id: an `Outcome`, a value to return, `Attempts`, `Visits`, `Items`, or a function of the
`Call` that gives one of these. Or one function for all steps."""

_DEPTH_MAX: Final = 16
"""Of nested `Visits(Items(Attempts(…)))` and functions that give functions."""


def outcome_of(script: Script, call: Call) -> Outcome:
    """How an attempt goes. A step that the script does not name returns null."""
    what: Any = script if callable(script) else script.get(call.step)
    for _ in range(_DEPTH_MAX):
        if isinstance(what, Attempts):
            what = _nth(what.outcomes, call.nth - 1)
        elif isinstance(what, Visits):
            what = _nth(what.outcomes, call.visit - 1)
        elif isinstance(what, Items):
            what = _nth(what.outcomes, call.item_index or 0)
        elif callable(what):
            try:
                what = what(call)
            except Exception as error:  # noqa: BLE001 – the script's function stands for user code
                names = tuple(base.__name__ for base in type(error).__mro__[1:-1])
                return Raises(type(error).__name__, str(error), names)
        elif isinstance(what, Outcome):
            return what
        else:
            return Returns(what)
    raise ValueError(f"the outcome of step {call.step!r} leads to no end")


def _some(outcomes: tuple[Any, ...]) -> tuple[Any, ...]:
    if not outcomes:
        raise ValueError("name at least one outcome")
    return outcomes


def _nth(outcomes: tuple[Any, ...], index: int) -> Any:
    return outcomes[min(index, len(outcomes) - 1)]
