"""What an unbounded net leaves behind: more tokens than its end takes.

Where a cycle can be repeated that leaves more tokens, whatever leads from before it to an end can
happen behind it too, for more tokens hinder nothing in a net without inhibitors and drains; and
then what the cycle left is still there. If nothing can happen with it any more, that is a deadlock;
if something goes on and no end comes, a livelock. So an unbounded workflow net is not sound (van
der Aalst 1997), and here is the run that shows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from heliostat.verify.certificates.certificates import CutOff, DeadRun, Pump, Trapped
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.space.explore import Graph
from heliostat.verify.structure.siphons import empty_siphon, trap_among

STATES_MAX = 1_000
"""Markings in which an end is looked for, and what may happen behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A run to an end that is none, where it leads, and what that shows."""

    run: tuple[int, ...]
    marking: Marking
    shown: DeadRun | CutOff | Trapped
    behind: Graph


def left_behind(net: Net, pump: Pump, explore: Callable[..., Graph]) -> Leftover | None:
    """What shows that such a net gets stuck or never ends; None where nothing was found."""
    if not net.plain:
        return None
    try:
        before = _after(net, net.initial, pump.run)
        way = _to_an_end(replace(net, initial=before))
        if way is None:
            return None
        run = (*pump.run, *pump.cycle, *way)
        marking = _after(net, net.initial, run)
    except TooManyTokens:
        return None
    behind = explore(replace(net, initial=marking), reduce=False, states_max=STATES_MAX)
    if behind.dead:
        number = min(behind.dead, key=lambda dead: len(behind.run_to(dead)))
        run, marking = (*run, *behind.run_to(number)), behind.markings[number]
        return Leftover(
            run=run, marking=marking, shown=DeadRun(net=net.content_hash, run=run), behind=behind
        )
    if behind.final:
        return None
    shown: CutOff | Trapped = CutOff(net=net.content_hash, run=run, markings=tuple(behind.markings))
    if behind.stopped is not None:
        siphon = empty_siphon(net, marking)
        dead = {number for place in siphon for number in net.consumers[place]}
        trap = trap_among(net, net.control, dead)
        if not any(marking[place] for place in trap):
            return None
        shown = Trapped(
            net=net.content_hash, run=run, siphon=tuple(sorted(siphon)), trap=tuple(sorted(trap))
        )
    return Leftover(run=run, marking=marking, shown=shown, behind=behind)


def _after(net: Net, marking: Marking, run: tuple[int, ...]) -> Marking:
    for fired in run:
        marking = net.fire(marking, fired)
    return marking


def _to_an_end(net: Net) -> tuple[int, ...] | None:
    """A shortest run to a final marking."""
    runs: dict[Marking, tuple[int, ...]] = {net.initial: ()}
    todo = deque([net.initial])
    while todo and len(runs) <= STATES_MAX:
        marking = todo.popleft()
        if net.is_final(marking):
            return runs[marking]
        for fired, each in enumerate(net.transitions):
            if each.ending == "failed" or not net.enabled(marking, fired):
                continue
            try:
                after = net.fire(marking, fired)
            except TooManyTokens:
                continue
            if after not in runs:
                runs[after] = (*runs[marking], fired)
                todo.append(after)
    return None
