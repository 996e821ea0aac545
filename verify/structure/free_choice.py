"""The rank theorem: free-choice nets that can always come to their end, told by linear algebra.

A net is *free choice* if net transitions that share an input have all their inputs in common. Such
a net, closed by letting what empties it mark the start again, always comes to its end and has no
dead net transition if the closed net is live and bounded (van der Aalst, "Verification of workflow
nets", 1997); and a connected free-choice net is live and bounded from some marking if and only if
(Desel & Esparza, "Free Choice Petri Nets", 1995, Theorem 6.17)

    some weights of places, all positive, make a sum that nothing changes
    some counts of net transitions, all positive, change nothing when each happens so often
    the rank of its incidence matrix is the number of its clusters less one

where a *cluster* is a set of net transitions with the same inputs, together with these. It is then
live from each marking in which no siphon is empty (Theorem 5.8).

Weights and counts need no search. Where the net is as the theorem asks, choices that are made
evenly lead to counts that are all positive and unique but for a factor (Campos, Chiola & Silva,
"Properties and performance bounds for closed free choice synchronized monoclass queueing networks",
1991): a linear system with one unknown a cluster. Places and net transitions exchanged, the same
gives weights. All of it takes polynomial time, where the markings may be exponentially many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.certificates.certificates import FreeChoice
from heliostat.verify.nets.net import Net
from heliostat.verify.structure.elimination import Row, divided, eliminated


def free_choice(net: Net, budget: Budget = UNBOUNDED) -> FreeChoice | None:
    """What shows that a free-choice net can always come to its end; None where nothing does.

    Raises:
        OutOfTime: the budget was over before.
    """
    circuit = _closed(net)
    if circuit is None or not _fills(circuit):
        return None
    places = circuit.places
    weights = _even(
        [[circuit.cluster_of[place] for place in puts] for puts in circuit.puts],
        circuit.of_transition,
        [len(takes) for takes in circuit.clusters],
        budget,
    )
    counts = _even(
        [[circuit.of_transition[number] for number in circuit.put_by[place]] for place in places],
        [circuit.cluster_of[place] for place in places],
        circuit.sizes,
        budget,
    )
    if weights is None or counts is None:
        return None
    found = eliminated(circuit.incidence(), budget)
    if found.rank != len(circuit.clusters) - 1:
        return None
    kernel = found.kernel(range(len(circuit.puts)))
    by_place = {place: weights[circuit.cluster_of[place]] for place in places}
    by_transition = {
        number: counts[cluster]
        for number, cluster in zip(circuit.numbers, circuit.of_transition, strict=True)
    }
    return FreeChoice(
        net=net.content_hash,
        weights=tuple(by_place.get(place, 0) for place in range(len(net.places))),
        counts=tuple(by_transition.get(number, 0) for number in range(len(net.transitions))),
        cycles=tuple(
            tuple((circuit.numbers[at], times) for at, times in sorted(cycle.items()))
            for cycle in kernel
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Circuit:
    """A free-choice net that begins again where it ends. Its net transitions are those of the net
    that do not fail, counted anew; its clusters are numbered too."""

    places: Sequence[int]  # that anything takes from
    marked: frozenset[int]
    numbers: Sequence[int]  # of its net transitions in the net
    puts: Sequence[Sequence[int]]  # by net transition
    of_transition: Sequence[int]  # the cluster of each
    clusters: Sequence[tuple[int, ...]]  # the places of each
    cluster_of: dict[int, int]  # of a place
    sizes: Sequence[int]  # the number of net transitions of each cluster
    put_by: dict[int, list[int]]

    def incidence(self) -> list[Row]:
        """By place, what each net transition changes there."""
        rows: dict[int, Row] = {place: {} for place in self.places}
        for number, (cluster, puts) in enumerate(zip(self.of_transition, self.puts, strict=True)):
            for place in self.clusters[cluster]:
                rows[place][number] = rows[place].get(number, 0) - 1
            for place in puts:
                rows[place][number] = rows[place].get(number, 0) + 1
        return list(rows.values())


def _closed(net: Net) -> _Circuit | None:
    """The net as a circuit; None where it is not free choice, or need not end as it should."""
    marked = frozenset(place for place in net.control if net.initial[place])
    if not marked or any(net.initial[place] != 1 for place in marked):
        return None
    clusters: dict[tuple[int, ...], int] = {}
    cluster_of: dict[int, int] = {}
    numbers, of_transition, sizes = list[int](), list[int](), list[int]()
    puts = list[tuple[int, ...]]()
    for number, each in enumerate(net.transitions):
        if each.ending == "failed":
            continue
        arcs = (*each.inputs, *each.outputs)
        if each.inhibitors or each.drains or each.outside or not each.inputs:
            return None
        if any(weight != 1 or net.places[place].role != "control" for place, weight in arcs):
            return None
        takes = tuple(place for place, _ in each.inputs)
        cluster = clusters.setdefault(takes, len(clusters))
        if any(cluster_of.setdefault(place, cluster) != cluster for place in takes):
            return None
        if cluster == len(sizes):
            sizes.append(0)
        sizes[cluster] += 1
        numbers.append(number)
        of_transition.append(cluster)
        puts.append(tuple(place for place, _ in each.outputs) or tuple(sorted(marked)))
    put_by: dict[int, list[int]] = {}
    for number, targets in enumerate(puts):
        for place in targets:
            put_by.setdefault(place, []).append(number)
    ends = any(not net.transitions[number].outputs for number in numbers)
    if not ends or {*put_by} != {*cluster_of} or not marked <= {*cluster_of}:
        return None
    return _Circuit(
        places=sorted(cluster_of),
        marked=marked,
        numbers=numbers,
        puts=puts,
        of_transition=of_transition,
        clusters=list(clusters),
        cluster_of=cluster_of,
        sizes=sizes,
        put_by=put_by,
    )


def _fills(circuit: _Circuit) -> bool:
    """Whether no siphon is empty at the start: whatever takes what may be there leads everywhere.

    The largest empty siphon is what is left when one place after the other is found that something
    puts on without taking from what is left.
    """
    found, todo = set(circuit.marked), list(circuit.marked)
    missing = [len(takes) for takes in circuit.clusters]
    following: list[list[int]] = [[] for _ in circuit.clusters]
    for cluster, puts in zip(circuit.of_transition, circuit.puts, strict=True):
        following[cluster] += puts
    while todo:
        cluster = circuit.cluster_of[todo.pop()]
        missing[cluster] -= 1
        if not missing[cluster]:
            fresh = {*following[cluster]} - found
            found |= fresh
            todo += fresh
    return len(found) == len(circuit.places)


def _even(
    sources: Sequence[Sequence[int]],
    targets: Sequence[int],
    sizes: Sequence[int],
    budget: Budget,
) -> list[int] | None:
    """The solution in which each target gets what its sources bring, all members of a cluster the
    same; None unless it is positive, and unique but for a factor.

    Args:
        sources: by equation, the clusters of the members whose sum it is.
        targets: by equation, the cluster that has this sum, shared evenly among its members.
        sizes: the number of members of each cluster.
    """
    rows = list[Row]()
    for found, target in zip(sources, targets, strict=True):
        scale = lcm(*(sizes[cluster] for cluster in found))
        row = {target: -scale}
        for cluster in found:
            row[cluster] = row.get(cluster, 0) + scale // sizes[cluster]
        rows.append(row)
    solution = eliminated(rows, budget)
    if solution.rank != len(sizes) - 1:
        return None
    [only] = solution.kernel(range(len(sizes)))
    if len(only) < len(sizes) or min(only.values()) < 0:
        return None
    scale = lcm(*sizes)
    return list(divided({at: only[at] * scale // size for at, size in enumerate(sizes)}).values())
