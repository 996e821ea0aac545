"""What becomes of attempts in a simulation: scripted by step, visit, item and attempt.

    outcomes={
        "reserve": {"hold": 7},                                  # returns this value
        "charge": Attempts(Raises("Busy"), Returns("ok", after_ms=200)),
        "fetch": Items(Returns(1), Raises("NotFound")),          # by index, the last one repeats
        "ship": lambda call: call.input["order"] + 1,            # may raise
        "train": Hangs(on_stop="returns", value="half done"),
        "approve": Person(Acts("complete", "ann", {"ok": True}, after_ms=60_000)),
        "picked": Arrives("signal", "stop", after_ms=5),         # when the wait opens
    }

A script speaks of attempts as their author sees them: one that is made again because a host or a
node went away repeats its outcome. `script.py` reads the same from JSON and YAML.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.values import Value

OnStop = Literal["ends", "returns", "ignores"]
"""What an attempt does when it is told to stop: it ends without an output, it still returns its
value, or it goes on until its grace is over and is killed."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How one attempt, or one child execution, goes; the times are virtual milliseconds."""

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


class IsCanceled(Outcome, frozen=True, kw_only=True):
    """Somebody cancels the child execution."""


class Acts(Struct, frozen=True, kw_only=False):
    """What a person does with a human task, `after_ms` from its opening."""

    verb: TaskVerb
    user: str = "somebody"
    data: Value = None  # of `complete`; of `fail` and `progress`: details
    assignees: tuple[str, ...] = ()  # of `assign`
    candidates: tuple[str, ...] = ()
    force: bool = False
    after_ms: int = 1
    error: str = ""  # of `fail`
    progress: int | None = None  # of `progress`


class Person:
    """What people do with a human task; of a step that makes attempts too, `attempts` are those."""

    def __init__(self, *acts: Acts, attempts: Any = None) -> None:
        self.acts, self.attempts = acts, attempts


class Arrives(Struct, frozen=True, kw_only=False):
    """A signal or an event that comes, `after_ms` from the opening of the wait it is told of."""

    kind: Literal["signal", "event"]
    name: str
    data: Value = None
    after_ms: int = 1


class Call(Struct, frozen=True, kw_only=True):
    """One attempt, as a script sees it."""

    step: str
    visit: int  # of the step, or of the `foreach` that the item belongs to
    item_index: int | None  # of the nearest `foreach` around
    nth: int  # from 1; counts failed attempts and those that lost their runner by script
    input: Value
    indices: tuple[int, ...] = ()  # of all items around, from the inside out
    target: str | None = None  # the activity's function
    workflow: str = ""
    execution: str = ""
    scope: int = 0  # its number in the execution: a step in a body has a first visit in each


class Attempts:
    """Outcomes by attempt at a visit, from the first; the last one repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


class Visits:
    """Outcomes by visit of the step, from the first; the last one repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


class Items:
    """Outcomes by the item's index in the list; the last one repeats.

    Within another `Items` it speaks of the next `foreach` outwards.
    """

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = _some(outcomes)


Script: TypeAlias = Mapping[str, Any] | Callable[[Call], Any]
"""By step id: an `Outcome`, a value to return, `Attempts`, `Visits`, `Items`, `Person`, `Arrives`,
or a function of the `Call` that gives one of these. Or one function for all steps."""

Functions: TypeAlias = Mapping[str, Callable[..., Any]]
"""By the name that a definition calls them by: what stands for activities without a script."""

_DEPTH_MAX: Final = 16
"""Of nested `Visits(Items(Attempts(…)))` and functions that give functions."""


def scripted(script: Script, call: Call) -> Any:
    """What the script says of an attempt, a child, a task or a wait; None where it says nothing.

    An `Outcome`, a `Person`, an `Arrives`, or a plain value in a `Returns`.
    """
    if not callable(script) and call.step not in script:
        return None
    what: Any = script if callable(script) else script[call.step]
    outwards = iter(call.indices)
    for _ in range(_DEPTH_MAX):
        if isinstance(what, Attempts):
            what = _nth(what.outcomes, call.nth - 1)
        elif isinstance(what, Visits):
            what = _nth(what.outcomes, call.visit - 1)
        elif isinstance(what, Items):
            what = _nth(what.outcomes, next(outwards, call.item_index or 0))
        elif isinstance(what, Outcome | Person | Arrives):
            return what
        elif callable(what):
            what = _called(what, call)
        else:
            return Returns(what)
    raise ValueError(f"the outcome of step {call.step!r} leads to no end")


def outcome_of(script: Script, call: Call, functions: Functions | None = None) -> Outcome:
    """How an attempt goes. One that the script does not name calls its function, if there is one,
    and else returns null."""
    told = scripted(script, call)
    if isinstance(told, Person):
        told = scripted({call.step: told.attempts}, call) if told.attempts is not None else None
    if isinstance(told, Outcome):
        return told
    function = (functions or {}).get(call.target or "")
    if function is None:
        return Returns(None)
    arguments = call.input if isinstance(call.input, Mapping) else {}
    what = _called(lambda _: function(**arguments), call)
    return what if isinstance(what, Outcome) else Returns(what)


def _called(function: Callable[[Call], Any], call: Call) -> Any:
    try:
        what = function(call)
        return asyncio.run(what) if inspect.iscoroutine(what) else what
    except Exception as error:  # noqa: BLE001 – the script's function stands for user code
        names = tuple(base.__name__ for base in type(error).__mro__[1:-1])
        return Raises(type(error).__name__, str(error), names)


def _some(outcomes: tuple[Any, ...]) -> tuple[Any, ...]:
    if not outcomes:
        raise ValueError("name at least one outcome")
    return outcomes


def _nth(outcomes: tuple[Any, ...], index: int) -> Any:
    return outcomes[min(index, len(outcomes) - 1)]
