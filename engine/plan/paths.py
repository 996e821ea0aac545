"""How long the way on is from each step, for the order of attempts that wait for capacity.

A step's path is the longest way to the end of the execution that begins with it: the step itself,
what follows in its scope, what follows the body or branches that it lies in, and so on outwards.
How long a step takes is its tag `duration_ms`, a guess of its author's; without one it counts as
`STEP_MS`. What goes back in a loop is cut, ways of `on_error` are not looked at, and the items of
a `foreach` count once: an order is wanted, not a forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .plan import ScopePlan, StepKind, StepPlan

STEP_MS: Final = 1_000
"""Of a step that says nothing."""

_AT_ONCE: Final[frozenset[StepKind]] = frozenset({"decision"})


def path_lengths(
    steps: Sequence[StepPlan], scopes: Sequence[ScopePlan], said_ms: Mapping[int, int]
) -> list[int]:
    """By step number, the longest path from the step's beginning, in milliseconds.

    Args:
        steps, scopes: of one plan, by number.
        said_ms: durations that steps say, by number.
    """
    takes = [0] * len(steps)
    follows = [0] * len(steps)  # within the step's scope, after its end
    # Inner scopes have the higher numbers: a body's length is known before its step is needed.
    for scope in sorted(scopes, key=lambda scope: -scope.number):
        for number in scope.steps:
            takes[number] = _takes(steps[number], scopes, takes, follows, said_ms)
        done: set[int] = set()
        for number in _outward(scope, steps):
            # one that is not done lies on the way to here: the edge closes a loop
            after = [takes[next] + follows[next] for next in _next(steps[number]) if next in done]
            follows[number] = max(after, default=0)
            done.add(number)
    paths = [0] * len(steps)
    for scope in sorted(scopes, key=lambda scope: scope.number):
        around = 0 if scope.owner is None else paths[scope.owner] - takes[scope.owner]
        for number in scope.steps:
            paths[number] = takes[number] + follows[number] + around
    return paths


def _takes(
    step: StepPlan,
    scopes: Sequence[ScopePlan],
    takes: Sequence[int],
    follows: Sequence[int],
    said_ms: Mapping[int, int],
) -> int:
    if step.number in said_ms:
        return said_ms[step.number]
    inner = [
        takes[number] + follows[number] for scope in step.scopes for number in scopes[scope].start
    ]
    if inner:
        return max(inner)
    return 0 if step.kind in _AT_ONCE else STEP_MS


def _next(step: StepPlan) -> list[int]:
    """The steps of its scope that may come after it, but for errors."""
    return [*step.dependents, *(edge.target for edge in step.routes if edge.target >= 0)]


def _outward(scope: ScopePlan, steps: Sequence[StepPlan]) -> Iterator[int]:
    """The scope's steps, each behind all that follow it; a way back into a loop is not followed.

    Depth first, without recursion: a chain may have as many steps as a definition.
    """
    seen: set[int] = set()
    for start in (*scope.start, *scope.steps):
        if start in seen:
            continue
        seen.add(start)
        way = [(start, iter(_next(steps[start])))]
        while way:
            number, rest = way[-1]
            for following in rest:
                if following not in seen:
                    seen.add(following)
                    way.append((following, iter(_next(steps[following]))))
                    break
            else:
                way.pop()
                yield number
