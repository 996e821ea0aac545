"""A net that remembers, and tells when what must not happen has happened.

To what a net does already are added *flags*, which some net transitions set or clear, and *alarms*:
places that some other way of theirs puts a token on, for ever. A token of control that nothing
takes keeps a marking from its end, so that neither reductions nor stubborn sets overlook it
(`properties.spaces.explored`); it is told as `Translation.overflows` are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from heliostat.verify.budget import Budget
from heliostat.verify.nets.net import Marking, Net, NetTransition, Place, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation

SHORTEST_MAX: Final = 5_000
"""Markings that are looked at for a run that is told shorter."""


class Watching:
    """Gathers what is added to a net."""

    def __init__(self, made: Translation) -> None:
        self._made = made
        self._places = list(made.net.places)
        self._tokens = list(made.net.initial)
        self.transitions = list(made.net.transitions)
        self._overflows = dict(made.overflows)
        self._added: list[NetTransition] = []

    def flag(self, id: str) -> int:
        """A place that holds a token while something is so."""
        self._places.append(Place(id=f"flag_{id}", name=id, role="auxiliary"))
        self._tokens.append(0)
        return len(self._places) - 1

    def alarm(self, id: str) -> int:
        """A place that holds a token for ever once something has been so."""
        self._places.append(Place(id=f"alarm_{id}", name=id))
        self._tokens.append(0)
        self._overflows[len(self._places) - 1] = id
        return len(self._places) - 1

    def sets(self, number: int, flag: int) -> None:
        """Let a net transition set a flag, be it set or not."""
        self.clears(number, flag)
        each = self.transitions[number]
        self.transitions[number] = replace(each, outputs=tuple(sorted([*each.outputs, (flag, 1)])))

    def clears(self, number: int, flag: int) -> None:
        """Let a net transition clear a flag."""
        each = self.transitions[number]
        drains = dict(each.drains) | {flag: ()}
        self.transitions[number] = replace(each, drains=tuple(sorted(drains.items())))

    def raises(self, each: NetTransition, alarm: int, flags: Sequence[int]) -> None:
        """Let something that may happen raise an alarm too, where all these flags are set."""
        self._added.append(
            replace(
                each,
                id=f"alarm_{len(self._added)}_{each.id}",
                inputs=tuple(sorted([*each.inputs, *((flag, 1) for flag in flags)])),
                outputs=tuple(sorted([*each.outputs, (alarm, 1)])),
                ending="",
                outside=False,
            )
        )

    def also(
        self, each: NetTransition, *, puts: Sequence[int] = (), clears: Sequence[int] = ()
    ) -> None:
        """Let something happen in another way as well, which sets and clears flags."""
        drains = dict(each.drains) | dict.fromkeys(clears, ())
        self._added.append(
            replace(
                each,
                id=f"also_{len(self._added)}_{each.id}",
                outputs=tuple(sorted([*each.outputs, *((flag, 1) for flag in puts)])),
                drains=tuple(sorted(drains.items())),
            )
        )

    def watched(self, *grounds: Abstraction) -> Translation:
        """The net with all that was added; what it rests on beside what it rested on before."""
        made = self._made
        net = replace(
            made.net,
            places=tuple(self._places),
            transitions=(*self.transitions, *self._added),
            initial=bytes(self._tokens),
        )
        return Translation(
            net=net,
            abstractions=(*made.abstractions, *grounds),
            overflows=self._overflows,
        )


def shortest(net: Net, place: int, budget: Budget) -> tuple[int, ...] | None:
    """The shortest run after which a place holds a token; None where it is not found soon."""
    found: dict[Marking, tuple[Marking, int] | None] = {net.initial: None}
    todo = deque([net.initial])
    while todo and len(found) < SHORTEST_MAX and not budget.over:
        marking = todo.popleft()
        if marking[place]:
            run = list[int]()
            before = found[marking]
            while before is not None:
                marking, number = before
                run.append(number)
                before = found[marking]
            return tuple(reversed(run))
        for number, each in enumerate(net.transitions):
            if each.ending != "failed" and net.enabled(marking, number):
                try:
                    after = net.fire(marking, number)
                except TooManyTokens:
                    continue
                if after not in found:
                    found[after] = marking, number
                    todo.append(after)
    return None
