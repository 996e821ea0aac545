"""The trace of a simulated execution, as a word over what its steps do.

    a      step `a` completed            a+   it began: an attempt, a wait, a person's task, a scope
    a!     it failed                     a-   it was withdrawn
    a?     it was skipped                a[2] the same of the third item of the `foreach` around
    COMPLETED, FAILED, CANCELED          the execution ended so

A trace that is asked for shows what its own letters name, and leaves out all else; `…` in it stands
for anything. When an attempt began is known once it has ended.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.events import (
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import SimulationResult

_LETTER: Final = re.compile(r"([A-Za-z_][\w.]*)(\[\d+\])?([+!?-]?)")
_SIGNS: Final = {StepCompleted: "", StepFailed: "!", StepSkipped: "?"}
_ENDS: Final = {
    ExecutionCompleted: "COMPLETED",
    ExecutionFailed: "FAILED",
    ExecutionCanceled: "CANCELED",
}
_When = tuple[int, int, int]


def word_of(result: SimulationResult) -> tuple[str, ...]:
    """All letters of an execution and of those that it started, in the order of time.

    At the same instant, what begins does so from the outside in, and what ends from the inside out.
    """
    tellers = [_Teller(result, main=True)]
    tellers += [_Teller(other, main=False) for other in result.others.values()]
    left = [deque(sorted(teller.tell(), key=lambda told: told[0])) for teller in tellers]
    word: list[str] = []
    while any(left):
        now_ms = min(told[0][0][0] for told in left if told)
        heads = [told for told in left if told and told[0][0][0] == now_ms]
        beginning = [told for told in heads if told[0][1].endswith("+")]
        word.append((beginning[0] if beginning else heads[-1]).popleft()[1])
    return tuple(word)


class _Teller:
    """Folds one history and watches which visits come and go."""

    def __init__(self, result: SimulationResult, *, main: bool) -> None:
        self._plan: Plan = result.plan
        self._events = result.events
        self._main = main
        self._state = ExecutionState()
        self._names: dict[Address, str] = {}

    def tell(self) -> Iterator[tuple[_When, str]]:
        """Letters, with what they are to be sorted by."""
        before: set[Address] = set()
        for seq, event in enumerate(self._events):
            settled = self._settled(event)
            apply(self._plan, self._state, event)
            now = {
                Address(scope.number, step, visit)
                for scope in self._state.scopes.values()
                for step, visit in scope.active
            }
            for at in now - before:
                self._names[at] = self._name(at)
            at_event = (event.at_ms, 0, seq)
            if settled is not None:
                at, sign = settled
                yield at_event, self._names[at] + sign
                started = getattr(event, "started_at_ms", None)
                if started is not None:
                    yield (started, 1, seq), self._names[at] + "+"
            gone = before - now - ({settled[0]} if settled is not None else set())
            for at in sorted(gone, key=_order):
                yield at_event, self._names[at] + "-"
            for at in sorted(now - before, key=_order):
                if self._plan.steps[at.step].kind not in ("activity", "decision"):
                    yield at_event, self._names[at] + "+"
            if self._main and type(event) in _ENDS:
                yield at_event, _ENDS[type(event)]
            before = now

    def _settled(self, event: ExecutionEvent) -> tuple[Address, str] | None:
        if not isinstance(event, StepCompleted | StepFailed | StepSkipped):
            return None
        return Address(event.at.scope, event.at.step, event.at.visit), _SIGNS[type(event)]

    def _name(self, at: Address) -> str:
        scope = self._state.scopes[at.scope]
        while scope.plan_scope is not None and scope.parent is not None:
            scope = self._state.scopes[scope.parent[0]]
        index = "" if scope.plan_scope is not None else f"[{scope.index}]"
        return f"{self._plan.steps[at.step].id}{index}"


def _order(at: Address) -> tuple[int, int, int]:
    return at.scope, at.step, at.visit


def alphabet(traces: Iterable[str]) -> frozenset[str]:
    """What traces name, items without their numbers."""
    return frozenset(_kind(letter) for trace in traces for letter in trace.split() if letter != "…")


def projected(word: Iterable[str], letters: frozenset[str]) -> tuple[str, ...]:
    """Of a word, the letters that an alphabet has."""
    return tuple(letter for letter in word if _kind(letter) in letters)


def fits(trace: str, word: tuple[str, ...]) -> bool:
    """Whether a word, projected to the trace's alphabet, is one that the trace stands for."""
    pattern = "".join(
        r"(?:\S+ )*" if letter == "…" else re.escape(letter) + " " for letter in trace.split()
    )
    return re.fullmatch(pattern, "".join(letter + " " for letter in word)) is not None


def _kind(letter: str) -> str:
    matched = _LETTER.fullmatch(letter)
    if matched is None:
        raise ValueError(f"{letter!r} is no letter of a trace")
    name, index, sign = matched.groups()
    return f"{name}{'[]' if index else ''}{sign}"
