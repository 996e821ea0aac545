"""The independent checker: does the certificate show what the verdict says?

Knows nets as data and the firing rule, written here once more; none of the engines is imported, so
that an error in one of them is not repeated here. It believes nothing that it has not seen: each
marking, each edge and each stubborn set is gone through again.
"""

from __future__ import annotations

from heliostat.verify.certificates.certificates import (
    Certificate,
    CutOff,
    DeadRun,
    Emptied,
    Explored,
    Finite,
    FreeChoice,
    GivenBack,
    HeldUp,
    Ordered,
    Pump,
    Reduced,
    Trapped,
    Unvisited,
    Visited,
    Weighted,
)
from heliostat.verify.certificates.free_choice import flaw
from heliostat.verify.certificates.shrinking import Shrinking, swallows
from heliostat.verify.nets.net import Net, NetTransition

__all__ = ["Rejected", "check"]


class Rejected(Exception):
    """The certificate does not show what it is to show."""


def check(net: Net, certificate: Certificate) -> None:
    """Go through a certificate.

    Raises:
        Rejected: it does not fit the net, or a step of the argument does not hold.
    """
    if certificate.net != net.content_hash:
        raise Rejected("the certificate speaks of another net")
    match certificate:
        case DeadRun():
            _dead_run(net, certificate)
        case Explored():
            _explored(net, certificate)
        case FreeChoice():
            _free_choice(net, certificate)
        case Reduced():
            _reduced(net, certificate)
        case CutOff():
            _cut_off(net, certificate)
        case Trapped():
            _trapped(net, certificate)
        case Ordered():
            _ordered(net, certificate)
        case Weighted():
            _weighted(net, certificate)
        case Finite():
            _closed(net, certificate.markings, net.initial)
        case Pump():
            _pump(net, certificate)
        case HeldUp():
            _held_up(net, certificate)
        case GivenBack():
            for place, weights in certificate.weights:
                _given_back(net, place, weights)
        case Emptied():
            _emptied(net, certificate)
        case Visited():
            _visited(net, certificate)
        case Unvisited():
            _unvisited(net, certificate)


def _may(marking: bytes, each: NetTransition) -> bool:
    return all(marking[p] >= w for p, w in each.inputs) and not any(
        marking[p] for p in each.inhibitors
    )


def _after(marking: bytes, each: NetTransition) -> bytes:
    counts = bytearray(marking)
    for place, weight in each.inputs:
        counts[place] -= weight
    gains = list(each.outputs)
    for place, back in each.drains:
        gains += [(target, weight * counts[place]) for target, weight in back]
        counts[place] = 0
    for place, weight in gains:
        if counts[place] + weight > 255:
            raise Rejected(f"{each.id!r} puts more tokens than a marking counts")
        counts[place] += weight
    return bytes(counts)


class _Walk:
    """Says of one marking after another what may happen there, from how it differs from the last.

    Markings are handed in as they were discovered, and neighbours differ in few places.
    """

    def __init__(self, net: Net) -> None:
        self._transitions = net.transitions
        self._looks: list[list[int]] = [[] for _ in net.places]
        for number, each in enumerate(net.transitions):
            for place in {*(place for place, _ in each.inputs), *each.inhibitors}:
                self._looks[place].append(number)
        control = bytes(255 if place.role == "control" else 0 for place in net.places)
        self._control = int.from_bytes(control, "little")
        self._last = net.initial
        self._found = {n for n, each in enumerate(net.transitions) if _may(net.initial, each)}

    def enabled(self, marking: bytes) -> set[int]:
        """All that may happen; to be read before the next call."""
        differ = int.from_bytes(marking, "little") ^ int.from_bytes(self._last, "little")
        self._last = marking
        while differ:
            place = ((differ & -differ).bit_length() - 1) // 8
            differ &= ~(0xFF << 8 * place)
            for number in self._looks[place]:
                if _may(marking, self._transitions[number]):
                    self._found.add(number)
                else:
                    self._found.discard(number)
        return self._found

    def final(self, marking: bytes) -> bool:
        return not int.from_bytes(marking, "little") & self._control


def _enabled(net: Net, marking: bytes) -> list[int]:
    return [n for n, each in enumerate(net.transitions) if _may(marking, each)]


def _final(net: Net, marking: bytes) -> bool:
    return all(
        count == 0 or place.role != "control"
        for count, place in zip(marking, net.places, strict=True)
    )


def _follow(net: Net, marking: bytes, run: tuple[int, ...]) -> bytes:
    for number in run:
        if not 0 <= number < len(net.transitions):
            raise Rejected(f"there is no net transition {number}")
        each = net.transitions[number]
        if each.ending == "failed" or not _may(marking, each):
            raise Rejected(f"{each.id!r} cannot happen in the run")
        marking = _after(marking, each)
    return marking


def _dead_run(net: Net, certificate: DeadRun) -> None:
    marking = _follow(net, net.initial, certificate.run)
    if _final(net, marking):
        raise Rejected("the run leads to a final marking")
    if any(not net.transitions[n].outside for n in _enabled(net, marking)):
        raise Rejected("something may still happen at the end of the run")


def _closed(net: Net, markings: tuple[bytes, ...], first: bytes) -> None:
    known, walk = set(markings), _Walk(net)
    if first not in known:
        raise Rejected("the first marking is missing")
    for marking in markings:
        if walk.final(marking):
            continue
        for number in walk.enabled(marking):
            each = net.transitions[number]
            if each.ending != "failed" and _after(marking, each) not in known:
                raise Rejected(f"what {each.id!r} leads to is missing")


def _cut_off(net: Net, certificate: CutOff) -> None:
    first = _follow(net, net.initial, certificate.run)
    _closed(net, certificate.markings, first)
    walk = _Walk(net)
    for marking in certificate.markings:
        if walk.final(marking):
            raise Rejected("one of the markings is final")
        own = [n for n in walk.enabled(marking) if not net.transitions[n].outside]
        if not any(net.transitions[n].ending != "failed" for n in own):
            raise Rejected("one of the markings is an end")


def _trapped(net: Net, certificate: Trapped) -> None:
    if not net.plain:
        raise Rejected("siphons and traps are known of nets without inhibitors and drains")
    siphon, trap = {*certificate.siphon}, {*certificate.trap}
    marking = _follow(net, net.initial, certificate.run)
    if any(marking[place] for place in siphon):
        raise Rejected("the siphon is not empty")
    if not any(marking[place] for place in trap):
        raise Rejected("the trap is empty")
    if any(net.places[place].role != "control" for place in trap):
        raise Rejected("the trap may hold a token at an end")
    for each in net.transitions:
        takes = {place for place, _ in each.inputs}
        puts = {place for place, _ in each.outputs}
        if puts & siphon and not takes & siphon:
            raise Rejected(f"{each.id!r} puts on the siphon")
        if takes & trap and not takes & siphon and not puts & trap and each.ending != "failed":
            raise Rejected(f"{each.id!r} takes from the trap")


def _ordered(net: Net, certificate: Ordered) -> None:
    position = {number: at for at, number in enumerate(certificate.order)}
    if sorted(position) != list(range(len(net.transitions))):
        raise Rejected("the order does not name each net transition once")
    takers: dict[int, list[int]] = {}
    for number, each in enumerate(net.transitions):
        if not each.inputs:
            raise Rejected(f"{each.id!r} needs nothing to happen")
        for place, _ in each.inputs:
            takers.setdefault(place, []).append(number)
    for number, each in enumerate(net.transitions):
        back = [place for _, gives in each.drains for place, _ in gives]
        for place in [*(p for p, _ in each.outputs), *back]:
            for taker in takers.get(place, ()):
                if position[taker] <= position[number]:
                    raise Rejected(f"{each.id!r} puts tokens for an earlier one")


def _weighted(net: Net, certificate: Weighted) -> None:
    weights = certificate.weights
    if len(weights) != len(net.places) or min(weights, default=1) < 1:
        raise Rejected("not every place has a weight")

    def sum_of(arcs: tuple[tuple[int, int], ...]) -> int:
        return sum(weights[place] * weight for place, weight in arcs)

    for each in net.transitions:
        if sum_of(each.outputs) > sum_of(each.inputs):
            raise Rejected(f"{each.id!r} puts more than it takes")
        if any(sum_of(back) > weights[place] for place, back in each.drains):
            raise Rejected(f"{each.id!r} gives back more than it empties")


def _pump(net: Net, certificate: Pump) -> None:
    before = _follow(net, net.initial, certificate.run)
    after = _follow(net, before, certificate.cycle)
    for number in certificate.cycle:
        each = net.transitions[number]
        if each.inhibitors or each.drains:
            raise Rejected(f"{each.id!r} may not be repeated with more tokens")
    if not all(a <= b for a, b in zip(before, after, strict=True)) or before == after:
        raise Rejected("the cycle leaves no more tokens than it found")


def _steps_of(net: Net, marking: bytes, happened: NetTransition | None = None) -> set[str | None]:
    """The steps that are visited in a marking, or by what led there."""
    found = {
        place.step
        for count, place in zip(marking, net.places, strict=True)
        if count and place.id.startswith(("step_", "ready_"))
    }
    return found if happened is None or not happened.act else found | {happened.step}


def _visited(net: Net, certificate: Visited) -> None:
    markings, seen = list[bytes](), _steps_of(net, net.initial)
    for at, number in certificate.tree:
        if not (-1 <= at < len(markings) and 0 <= number < len(net.transitions)):
            raise Rejected("the tree speaks of what there is not")
        before = net.initial if at < 0 else markings[at]
        if _final(net, before):
            raise Rejected("a run goes on behind its end")
        markings.append(_follow(net, before, (number,)))
        seen |= _steps_of(net, markings[-1], net.transitions[number])
    missed = [step for step in certificate.steps if step not in seen]
    if missed:
        raise Rejected(f"{missed[0]!r} is not visited")


def _unvisited(net: Net, certificate: Unvisited) -> None:
    steps, siphon = {*certificate.steps}, {*certificate.siphon}
    acting = [
        each
        for each in net.transitions
        if each.step in steps and each.act and each.ending != "failed"
    ]
    if not siphon:
        _closed(net, certificate.markings, net.initial)
        for marking in certificate.markings:
            if _steps_of(net, marking) & steps:
                raise Rejected("one of the steps is visited")
            if not _final(net, marking) and any(_may(marking, each) for each in acting):
                raise Rejected("one of the steps may do something")
        return
    if any(net.initial[place] for place in siphon):
        raise Rejected("the siphon is not empty")
    for each in net.transitions:
        puts = {place for place, _ in each.outputs}
        puts |= {place for _, back in each.drains for place, _ in back}
        if puts & siphon and not siphon.intersection(place for place, _ in each.inputs):
            raise Rejected(f"{each.id!r} puts on the siphon")
    for number, place in enumerate(net.places):
        visit = place.step in steps and place.id.startswith(("step_", "ready_"))
        if visit and number not in siphon:
            raise Rejected(f"{place.id!r} is not in the siphon")
    if not all(siphon.intersection(place for place, _ in each.inputs) for each in acting):
        raise Rejected("one of the steps may do something")


def _emptied(net: Net, certificate: Emptied) -> None:
    """Let M' be reached from M and hold more. A run from M to an end takes the one token that
    `end` needs; from M' it leads to what M' holds more, with no such token: no net transition that
    is left takes the last token away, and no end can be reached. So there are no such M and M'."""
    then = certificate.ends.then if isinstance(certificate.ends, Reduced) else certificate.ends
    always = isinstance(then, FreeChoice) or bool(then.ends)
    if not net.plain or any(place.role != "control" for place in net.places) or not always:
        raise Rejected("an end need not be an empty net that can always be reached")
    last = net.transitions[certificate.end]
    puts = {place for each in net.transitions for place, _ in each.outputs}
    if not any(net.initial[place] == 1 and place not in puts for place, _ in last.inputs):
        raise Rejected(f"{last.id!r} may happen more than once")
    for each in net.transitions:
        if not each.inputs or each.ending or not (each.outputs or each is last):
            raise Rejected(f"{each.id!r} takes a last token away, or needs none")
    check(net, certificate.ends)


def _explored(net: Net, certificate: Explored) -> None:
    markings, ends = certificate.markings, certificate.ends
    numbers = {marking: n for n, marking in enumerate(markings)}
    lengths = {len(markings), len(certificate.stubborn), len(numbers), len(ends) or len(markings)}
    if len(lengths) > 1:
        raise Rejected("its parts are of different length")
    if not ends and not net.plain:
        raise Rejected("nothing is claimed of a net with drains that may never end")
    if net.initial not in numbers:
        raise Rejected("the initial marking is missing")
    rules, walk = _Rules(net), _Walk(net)
    for number, marking in enumerate(markings):
        if walk.final(marking):
            continue
        enabled = walk.enabled(marking)
        live = [n for n in enabled if net.transitions[n].ending != "failed"]
        if all(net.transitions[n].outside for n in enabled):
            raise Rejected("one of the markings is dead")
        whole = certificate.stubborn[number]
        if whole is not None:
            rules.check(marking, whole, set(live))
            live = [n for n in live if n in whole]
        over = all(net.transitions[n].outside for n in live)  # but for failing
        reached = []
        for fired in live:
            target = numbers.get(_after(marking, net.transitions[fired]))
            if target is None:
                raise Rejected(f"what {net.transitions[fired].id!r} leads to is missing")
            reached.append(ends[target] if ends else 0)
        if ends and not over and (ends[number] <= 0 or min(reached) >= ends[number]):
            raise Rejected("no way to an end gets shorter")


def _reduced(net: Net, certificate: Reduced) -> None:
    shrinking = Shrinking(net)
    for step in certificate.steps:
        try:
            flaw = shrinking.attempt(step)
        except LookupError:
            flaw = "it speaks of what there is not"
        if flaw is not None:
            raise Rejected(f"{step} is no reduction: {flaw}")
    then = certificate.then
    if isinstance(then, Explored) and not then.ends and not net.plain:
        raise Rejected("nothing is claimed of a net with drains that may never end")
    check(shrinking.net(), then)


def _free_choice(net: Net, certificate: FreeChoice) -> None:
    wrong = flaw(net, certificate)
    if wrong is not None:
        raise Rejected(wrong)


class _Rules:
    """Whether a set is stubborn, by the rules that `space.stubborn` documents."""

    def __init__(self, net: Net) -> None:
        self._net = net
        size = len(net.places)
        self._take: list[set[int]] = [set() for _ in range(size)]
        self._put: list[set[int]] = [set() for _ in range(size)]
        self._empty: list[set[int]] = [set() for _ in range(size)]
        self._stop: list[set[int]] = [set() for _ in range(size)]
        for number, each in enumerate(net.transitions):
            if each.ending == "failed":
                continue
            for place, _ in each.inputs:
                self._take[place].add(number)
            for place in self._puts(each):
                self._put[place].add(number)
            for place, _ in each.drains:
                self._empty[place].add(number)
            for place in each.inhibitors:
                self._stop[place].add(number)
        self._free = {
            number
            for number, each in enumerate(net.transitions)
            if each.outside and all(net.places[p].role != "control" for p, _ in each.inputs)
        }
        self._good: set[tuple[int, frozenset[int]]] = set()

    @staticmethod
    def _puts(each: NetTransition) -> set[int]:
        found = {place for place, _ in each.outputs}
        return found | {target for _, back in each.drains for target, _ in back}

    def check(self, marking: bytes, whole: frozenset[int], live: set[int]) -> None:
        if all(self._net.transitions[number].outside for number in whole & live):
            raise Rejected("a set has no member that may happen")
        if not self._free & live <= whole:
            raise Rejected("a set leaves out what may come from outside")
        for number in whole:
            each = self._net.transitions[number]
            if number in live:
                self._enabled(number, each, whole)
                continue
            lacking = [p for p, w in each.inputs if marking[p] < w]
            closed = any(self._put[p] <= whole for p in lacking) or any(
                (self._take[p] | self._empty[p]) <= whole for p in each.inhibitors if marking[p]
            )
            if not closed:
                raise Rejected(f"outsiders may enable {each.id!r}")

    def _enabled(self, number: int, each: NetTransition, whole: frozenset[int]) -> None:
        if (number, whole) in self._good:
            return
        needed: set[int] = set()
        doubtful: set[int] = set()
        puts = self._puts(each)
        for place, _ in each.inputs:
            needed |= self._take[place]
            doubtful |= self._empty[place]
        for place in each.inhibitors:
            needed |= self._put[place]
        for place in puts:
            needed |= self._stop[place]
            doubtful |= self._empty[place]
        for place, _ in each.drains:
            doubtful |= self._take[place] | self._put[place] | self._empty[place]
        for other in (needed | doubtful) - whole - {number}:
            them = self._net.transitions[other]
            if other in needed or not (swallows(each, them) or swallows(them, each)):
                raise Rejected(f"{them.id!r} may interfere with {each.id!r}")
        self._good.add((number, whole))


def _held_up(net: Net, certificate: HeldUp) -> None:
    """That the run can be, and behind it each waiter is held up and nothing else goes on."""
    marking = net.initial
    for number in certificate.run:
        each = net.transitions[number]
        if not _may(marking, each):
            raise Rejected(f"{each.id!r} cannot happen there")
        marking = _after(marking, each)
    wanted, kept = set[int](), set[int]()
    for number in certificate.waiters:
        each = net.transitions[number]
        permits = [(p, w) for p, w in each.inputs if net.places[p].role == "resource"]
        waits = [(p, w) for p, w in each.inputs if net.places[p].role != "resource"]
        if not permits or any(marking[p] < w for p, w in waits):
            raise Rejected(f"{each.id!r} waits for no permits")
        if all(marking[p] >= w for p, w in permits) and wanted.isdisjoint(p for p, _ in permits):
            raise Rejected(f"{each.id!r} is given its permits")
        wanted.update(p for p, _ in permits)
        kept.update(p for p, _ in waits)
    if not kept:
        raise Rejected("nobody waits")
    for number, each in enumerate(net.transitions):
        if each.outside or number in certificate.waiters or not _may(marking, each):
            continue
        if kept.isdisjoint(p for p, _ in each.inputs):
            raise Rejected(f"{each.id!r} goes on")


def _given_back(net: Net, resource: int, weights: tuple[int, ...]) -> None:
    """That what is free and what is held stay as many, and nothing is held at the end."""
    if len(weights) != len(net.places) or min(weights) < 0 or weights[resource] != 1:
        raise Rejected("these are no weights of places that count the resource itself once")
    for number, place in enumerate(net.places):
        if number != resource and place.role != "control" and weights[number]:
            raise Rejected(f"{place.id!r} may hold something at the end")
    for each in net.transitions:
        if each.ending == "failed":  # the execution is over, and its permits with it
            continue
        taken = sum(weights[p] * weight for p, weight in each.inputs)
        if taken != sum(weights[p] * weight for p, weight in each.outputs):
            raise Rejected(f"{each.id!r} keeps some, or gives back more than it took")
        for emptied, back in each.drains:
            if weights[emptied] != sum(weights[p] * weight for p, weight in back):
                raise Rejected(f"{each.id!r} empties {net.places[emptied].id!r} and keeps some")
