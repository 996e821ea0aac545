"""Decisions that led past a join, though another way of theirs would have led there.

Looked at is what a run has chosen: at a place that holds a token while a step decides, the net
transitions that could have taken it are its ways, with the condition as written. A way leads to a
join if tokens it puts can, through whatever net transitions, become an arrival there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from heliostat.verify.nets.net import Net
from heliostat.verify.properties.verdict import InconsistentConditions

_READS: Final = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_-]*)+")


def led_past(net: Net, run: Sequence[int], missing: Sequence[int]) -> InconsistentConditions | None:
    """The last decision of a run that let these arrivals fail to come; None if it was none."""
    past: tuple[str, tuple[str, ...]] | None = None
    towards: dict[str, None] = {}
    joins = {net.places[place].step for place in missing}
    arrived = [n for n, place in enumerate(net.places) if place.step in joins]
    for number in run:
        chosen = net.transitions[number]
        ways = _ways(net, number)
        if chosen.step is None or not ways:
            continue
        leads = _comes_to(net, _puts(net, number), missing)
        others = any(_comes_to(net, _puts(net, way), missing) for way in ways)
        if not leads and others:
            past = chosen.step, _conditions(net, [number, *ways])
        elif chosen.guard and _comes_to(net, _puts(net, number), arrived):
            towards[chosen.guard] = None
    if past is None:
        return None
    step, conditions = past
    against = tuple(guard for guard in towards if guard not in conditions)
    return InconsistentConditions(
        decision_step=step,
        conditions=conditions,
        against=against,
        data=tuple(sorted(_read(conditions) & _read(towards))),
    )


def _puts(net: Net, number: int) -> list[int]:
    return [place for place, _ in net.transitions[number].outputs]


def _ways(net: Net, number: int) -> list[int]:
    """The other ways of the decision that a net transition is one of."""
    for place, _ in net.transitions[number].inputs:
        if net.places[place].id.startswith("decision_"):
            return [other for other in net.consumers[place] if other != number]
    return []


def _comes_to(net: Net, places: Iterable[int], targets: Iterable[int]) -> bool:
    seen, todo, wanted = set(places), list(places), set(targets)
    while todo:
        place = todo.pop()
        if place in wanted:
            return True
        for number in net.consumers[place]:
            for target in _puts(net, number):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
    return False


def _conditions(net: Net, ways: Sequence[int]) -> tuple[str, ...]:
    guards = (net.transitions[number].guard for number in ways)
    return tuple(dict.fromkeys(guard for guard in guards if guard))


def _read(conditions: Iterable[str]) -> set[str]:
    return {path for each in conditions for path in _READS.findall(each)}
