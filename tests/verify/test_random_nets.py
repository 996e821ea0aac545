"""Engines that leave out markings agree with going through all of them, on small random nets."""

from __future__ import annotations

from collections import Counter
from random import Random

from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.properties.spaces import distances
from heliostat.verify.space.explore import Graph, explore
from heliostat.verify.structure.reductions import reduce

NETS = 3_000


def test_reductions_and_stubborn_sets_never_call_sound_what_is_not() -> None:
    seen: Counter[str] = Counter()
    for seed in range(NETS):
        net = random_net(Random(seed))
        whole = explore(net, reduce=False, states_max=400)
        if whole.stopped is not None:
            continue
        reduction = reduce(net)
        reduced = explore(reduction.net, states_max=2_000)
        stubborn = explore(net, states_max=2_000)
        for graph in (reduced, stubborn):
            assert graph.stopped is None, seed
            assert _sound(graph) <= _sound(whole), seed
            if net.plain:
                assert bool(graph.dead) >= bool(whole.dead), seed
        for number in reduced.dead:
            marking = net.initial
            for fired in reduction.run(reduced.run_to(number)):
                assert net.enabled(marking, fired), seed
                marking = net.fire(marking, fired)
        seen["sound"] += _sound(whole)
        seen["dead"] += bool(whole.dead)
        seen["without an end"] += min(distances(whole)) < 0
        seen["smaller"] += len(reduced.markings) < len(whole.markings)
    assert seen["sound"] > NETS / 10, seen
    assert seen["dead"] > NETS / 10, seen
    assert seen["without an end"] > NETS / 50, seen
    assert seen["smaller"] > NETS / 15, seen


def _sound(graph: Graph) -> bool:
    return not graph.dead and min(distances(graph)) >= 0


def random_net(random: Random) -> Net:
    """Places, weights, inhibitors, drains, failures, and what comes from outside."""
    builder = NetBuilder("random")
    control = [builder.place(f"p{n}") for n in range(random.randint(2, 7))]
    aside = [builder.place(f"m{n}", role="auxiliary") for n in range(random.randint(0, 1))]
    places = [*control, *aside]
    plain = random.random() < 0.3
    for number in range(random.randint(3, 10)):
        takes = {random.choice(control), *random.sample(places, random.choice([0, 0, 1]))}
        puts = random.sample(places, random.choice([0, 1, 1, 1, 2]))
        inhibitors = random.sample(places, 1) if random.random() < 0.4 else []
        drains = random.sample(places, 2) if random.random() < 0.25 else []
        fails, outside = random.random() < 0.1, random.random() < 0.1
        builder.transition(
            f"t{number}",
            [(place, random.choice([1, 1, 1, 1, 1, 2])) for place in takes],
            [] if fails and not plain else [(at, random.choice([1, 1, 1, 2])) for at in puts],
            inhibitors=[] if plain else inhibitors,
            drains=[] if plain else [(place, ()) for place in drains],
            ending="failed" if fails and not plain else "",
            outside=outside and not plain,
        )
    builder.mark(random.sample(control, random.choice([1, 1, 2])))
    return builder.net()
