"""The rank theorem tells of free-choice nets just what going through all their markings tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from heliostat.verify.certificates.certificates import FreeChoice, Reduced
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.nets.translation import Translation
from heliostat.verify.properties.soundness import verify_model
from heliostat.verify.properties.spaces import distances
from heliostat.verify.reading.models import Model
from heliostat.verify.space.explore import explore
from heliostat.verify.structure.elimination import eliminated
from heliostat.verify.structure.free_choice import free_choice

NETS = 1_000
STATES_MAX = 300


def test_it_says_sound_of_those_nets_that_are_and_of_no_others() -> None:
    seen: Counter[str] = Counter()
    for seed in range(NETS):
        net = random_net(Random(seed))
        shown = free_choice(net)
        whole = explore(net, reduce=False, states_max=STATES_MAX)
        happening = {number for edges in whole.edges for number, _ in edges}
        sound = (
            whole.stopped is None  # what is sound has fewer markings
            and not whole.dead
            and min(distances(whole)) >= 0
            and len(happening) == len(net.transitions)
        )
        assert (shown is not None) is sound, seed
        if shown is not None:
            check(net, shown)
            seen["with steps side by side"] += any(sum(marking) > 2 for marking in whole.markings)
        seen["sound"] += sound
        seen["dead or endless"] += whole.stopped is None and not sound
    assert seen["sound"] > NETS / 10, seen
    assert seen["with steps side by side"] > NETS / 20, seen
    assert seen["dead or endless"] > NETS / 10, seen


class _Draft:
    """A net of nested sequences, choices, loops and forks; free choice, and sound."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.places = 2
        self.moves: list[tuple[list[int], list[int]]] = []
        self._block(0, 1, depth=3)

    def _block(self, source: int, target: int, depth: int) -> None:
        match self._random.choice(
            ["move", "both", "either", "loop", "fork"] if depth else ["move"]
        ):
            case "move":
                self.moves.append(([source], [target]))
            case "both":
                between = self._place()
                self._block(source, between, depth - 1)
                self._block(between, target, depth - 1)
            case "either":
                self._block(source, target, depth - 1)
                self._block(source, target, depth - 1)
            case "loop":
                first, last = self._place(), self._place()
                self.moves += [([source], [first]), ([last], [target]), ([last], [first])]
                self._block(first, last, depth - 1)
            case "fork":
                ways = [(self._place(), self._place()) for _ in range(2)]
                self.moves.append(([source], [begin for begin, _ in ways]))
                self.moves.append(([end for _, end in ways], [target]))
                for begin, end in ways:
                    self._block(begin, end, depth - 1)

    def _place(self) -> int:
        self.places += 1
        return self.places - 1

    def disturb(self) -> None:
        """One change that leaves it free choice, and sound or not."""
        random = self._random
        takes, puts = random.choice(self.moves)
        somewhere = random.randrange(self.places)
        match random.choice(["jump", "redirect", "more"]):
            case "jump":
                fresh = random.sample(range(self.places), len(takes))
                self.moves.append((takes, fresh))
            case "redirect" if somewhere not in puts:
                puts[random.randrange(len(puts))] = somewhere
            case "more" if somewhere not in puts:
                puts.append(somewhere)
            case _:
                pass

    def net(self) -> Net:
        builder = NetBuilder("random")
        running = builder.place("running", tokens=1)
        places = [builder.place(f"p{n}") for n in range(self.places)]
        builder.mark(places[:1])
        for takes, puts in self.moves:
            builder.transition(
                "move", [(places[at], 1) for at in takes], [(places[at], 1) for at in puts]
            )
        builder.transition("end", [(places[1], 1), (running, 1)])
        return builder.net()


def random_net(random: Random) -> Net:
    draft = _Draft(random)
    for _ in range(random.randint(0, 2)):
        draft.disturb()
    return draft.net()


def stages(cases: int, stages: int) -> Net:
    """Cases side by side that each go from any stage to any other, until they are closed."""
    builder = NetBuilder("stages")
    running, begin = builder.place("running", tokens=1), builder.place("begin", tokens=1)
    at = [[builder.place(f"at{c}_{s}") for s in range(stages)] for c in range(cases)]
    closed = [builder.place(f"closed{c}") for c in range(cases)]
    builder.transition("fork", [(begin, 1)], [(own[0], 1) for own in at])
    for source in range(stages):
        for target in range(stages):
            for own in at if source != target else []:
                builder.transition("move", [(own[source], 1)], [(own[target], 1)])
    for own, done in zip(at, closed, strict=True):
        builder.transition("close", [(own[-1], 1)], [(done, 1)])
    builder.transition("end", [*((done, 1) for done in closed), (running, 1)])
    return builder.net()


def test_branches_are_explored_one_after_the_other_however_the_net_is_written_down() -> None:
    net = stages(12, 5)
    assert explore(net, reduce=False, states_max=3_000).stopped is not None
    assert len(explore(net).markings) < 3 * len(net.transitions)


def test_what_the_structure_tells_is_not_explored() -> None:
    net = stages(12, 5)
    model = Model(
        name="stages",
        translation=Translation(net=net, abstractions=()),
        steps=(),
        ends=True,
    )
    report = verify_model(model, states_max=2)
    assert report.sound
    assert [report.about(each).engine for each in ("deadlock", "livelock")] == ["free choice"] * 2
    for verdict in report.verdicts:
        assert verdict.certificate is not None
        check(net, verdict.certificate)
    shown = report.about("deadlock").certificate
    assert isinstance(shown, Reduced)
    assert isinstance(shown.then, FreeChoice)


class TestCertificates:
    """What the checker refuses, each for its own reason."""

    def test_of_another_net(self) -> None:
        net, shown = _sound()
        broken = replace(net, transitions=net.transitions[:-1])
        with pytest.raises(Rejected, match="another net"):
            check(broken, shown)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"weights": ()}, "not every place has a weight"),
            ({"counts": ()}, "not every net transition has a count"),
            ({"cycles": ()}, "not as many cycles as the rank asks for"),
        ],
    )
    def test_something_is_missing(self, change: dict[str, tuple[()]], told: str) -> None:
        net, shown = _sound()
        with pytest.raises(Rejected, match=told):
            check(net, replace(shown, **change))

    def test_weights_counts_and_cycles_that_are_none(self) -> None:
        net, shown = _sound()
        more = (shown.weights[0], shown.weights[1] + 1, *shown.weights[2:])
        with pytest.raises(Rejected, match="a sum that changes"):
            check(net, replace(shown, weights=more))
        oftener = (shown.counts[0] + 1, *shown.counts[1:])
        with pytest.raises(Rejected, match="the counts leave something changed"):
            check(net, replace(shown, counts=oftener))
        [first, *rest] = shown.cycles
        with pytest.raises(Rejected, match="a cycle leaves something changed"):
            check(net, replace(shown, cycles=((first[0],), *rest)))
        with pytest.raises(Rejected, match="may depend on one another"):
            check(net, replace(shown, cycles=(first,) * len(shown.cycles)))

    def test_a_siphon_that_is_empty_at_the_start(self) -> None:
        """Each of both waits for what the other one would put; all the rest is as it should be."""
        net = _circuits(beside=False)
        claimed = FreeChoice(
            net=net.content_hash,
            weights=(1,) * len(net.places),
            counts=(1, 1, 1),
            cycles=(((0, 1), (1, 1), (2, 1)),),
        )
        with pytest.raises(Rejected, match="a siphon is empty at the start"):
            check(net, claimed)
        assert free_choice(net) is None

    def test_a_part_that_nothing_connects_makes_the_rank_less(self) -> None:
        net = _circuits(beside=True)
        claimed = FreeChoice(
            net=net.content_hash,
            weights=(1,) * len(net.places),
            counts=(1,) * 5,
            cycles=(((0, 1), (1, 1), (2, 1)),),
        )
        with pytest.raises(Rejected, match="the rank is less"):
            check(net, claimed)
        assert free_choice(net) is None

    def test_what_is_no_free_choice_net(self) -> None:
        net, shown = _sound()
        [first, *rest] = net.transitions
        for changed, told in [
            (replace(first, inhibitors=(5,)), "more than what takes some tokens"),
            (replace(first, inputs=((1, 2),)), "more than single tokens"),
            (replace(first, inputs=((1, 1), (2, 1))), "and not all"),
        ]:
            other = replace(net, transitions=(changed, *rest))
            with pytest.raises(Rejected, match=told):
                check(other, replace(shown, net=other.content_hash))
            assert free_choice(other) is None


def _circuits(*, beside: bool) -> Net:
    """begin > first > second > end, where the first waits for the second; and a circuit beside."""
    builder = NetBuilder("circuits")
    begin, later = builder.place("begin", tokens=1), builder.place("later")
    between, sooner, done = (builder.place(each) for each in ("between", "sooner", "done"))
    builder.transition("first", [(begin, 1), (later, 1)], [(between, 1), (sooner, 1)])
    builder.transition("second", [(between, 1), (sooner, 1)], [(done, 1), (later, 1)])
    builder.transition("end", [(done, 1)])
    if beside:
        here, there = builder.place("here"), builder.place("there")
        builder.transition("go", [(here, 1)], [(there, 1)])
        builder.transition("return", [(there, 1)], [(here, 1)])
    return builder.net()


def _sound() -> tuple[Net, FreeChoice]:
    net = stages(2, 3)
    shown = free_choice(net)
    assert shown is not None
    check(net, shown)
    return net, shown


def test_elimination_finds_rank_and_kernel() -> None:
    rows = [{0: 2, 1: 4, 2: -6}, {0: 1, 1: 2, 2: -3}, {1: 3, 2: 5, 3: 7}]
    found = eliminated(rows)
    assert found.rank == 2
    kernel = found.kernel(range(4))
    assert len(kernel) == 2
    for solution in kernel:
        assert all(sum(row[at] * solution.get(at, 0) for at in row) == 0 for row in rows)
