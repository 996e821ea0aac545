"""Does a place collect more and more tokens? All markings, or a cycle that leaves more each time.

A marking that holds no less on any place than one on the way to it, and more on one, shows that
what lies between can be repeated for ever (Karp & Miller 1969). In an unbounded net the search,
which keeps one way to each marking, has an infinite way by König's lemma, and an infinite way has
two such markings by Dickson's; that also holds of those of its markings that have more tokens than
all before them, of which there are infinitely many. So only these records are compared, each with
those on its way: of a bounded net there are few.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.nets.net import TOKENS_MAX, Marking, Net, TooManyTokens
from heliostat.verify.space.explore import Inconclusive, kept_max


@dataclass(slots=True, kw_only=True)
class Covering:
    """What was found: a cycle, else all markings unless a bound came first."""

    markings: list[Marking] = field(default_factory=list)
    parents: list[tuple[int, int]] = field(default_factory=list)  # marking, net transition
    run: tuple[int, ...] = ()
    cycle: tuple[int, ...] = ()  # behind the run; empty where none was found
    stopped: Inconclusive | None = None

    def way(self, first: int, last: int) -> tuple[int, ...]:
        """What leads from a marking to one that was discovered behind it."""
        found = []
        while last != first:
            last, fired = self.parents[last]
            found.append(fired)
        return tuple(reversed(found))


def covering(net: Net, *, states_max: int, budget: Budget = UNBOUNDED) -> Covering:
    """Explore a net depth first until a cycle shows that it is unbounded.

    Net transitions with inhibitors or drains may be hindered by more tokens: a cycle has none.
    """
    states_max = kept_max(net, states_max)
    found = Covering(markings=[net.initial], parents=[(0, -1)])
    known = {net.initial}
    # by marking the last record on its way, itself included; of records their sum
    record, sums = [0], {0: sum(net.initial)}
    steady = [not (each.inhibitors or each.drains) for each in net.transitions]
    live = [each.ending != "failed" for each in net.transitions]
    todo = [(0, [n for n in range(len(live)) if live[n] and net.enabled(net.initial, n)])]
    while todo:
        number, enabled = todo.pop()
        marking = found.markings[number]
        if net.is_final(marking):
            continue
        for fired in enabled:
            try:
                after = net.fire(marking, fired)
            except TooManyTokens as error:
                found.stopped = Inconclusive(bound="tokens", limit=TOKENS_MAX, place=error.place)
                continue  # another way may show why
            if after in known:
                continue
            known.add(after)
            target = len(found.markings)
            found.markings.append(after)
            found.parents.append((number, fired))
            last = record[number]
            if sum(after) > sums[last]:
                covered = _covered(found, target, last, record, steady)
                if covered is not None:
                    found.run, found.cycle = found.way(0, covered), found.way(covered, target)
                    return found
                last, sums[target] = target, sum(after)
            record.append(last)
            near = net.watching(fired)
            now = [n for n in near if live[n] and net.enabled(after, n)]
            todo.append((target, [n for n in enabled if n not in near] + now))
        if len(found.markings) > states_max:
            found.stopped = Inconclusive(bound="states", limit=states_max)
            return found
        if budget.over:
            found.stopped = Inconclusive(bound="time", limit=budget.time_max_ms or 0)
            return found
    return found


def _covered(
    found: Covering, target: int, last: int, record: list[int], steady: list[bool]
) -> int | None:
    """The latest record on the way to a marking that holds no more than it on any place."""
    marking, at = found.markings[target], target
    while True:
        while at != last:
            at, fired = found.parents[at]
            if not steady[fired]:
                return None
        if all(few <= more for few, more in zip(found.markings[at], marking, strict=True)):
            return at
        if at == 0:
            return None
        last = record[found.parents[at][0]]
