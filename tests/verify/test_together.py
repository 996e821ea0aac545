"""Places that are never marked together, and what reductions make of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from heliostat.verify.certificates.shrinking import Eased, Implied, Shrinking
from heliostat.verify.certificates.together import Together
from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.space.explore import explore
from tests.verify.test_random_nets import random_net

NETS = 400


def test_what_is_said_never_to_be_marked_beside_it_never_is() -> None:
    seen: Counter[str] = Counter()
    for seed in range(NETS):
        net = random_net(Random(seed))
        whole = explore(net, reduce=False, states_max=300)
        known = Together(net.initial, dict(enumerate(net.transitions)))
        for marking in whole.markings:
            if net.is_final(marking):
                continue
            for number, each in enumerate(net.transitions):
                if not net.enabled(marking, number):
                    continue
                left = bytearray(marking)
                for place, weight in each.inputs:
                    left[place] -= weight
                beside = known.beside(each)
                assert beside is not None, seed
                assert all(beside >> place & 1 for place, count in enumerate(left) if count), seed
        for each in net.transitions:
            beside = known.beside(each)
            seen["dead" if beside is None else "beside"] += 1
            seen["apart"] += beside is not None and beside.bit_count() < len(net.places) - 1
    assert min(seen["apart"], seen["dead"]) > NETS, seen


def _scope(*, twice: bool = False) -> Net:
    """One token goes from `open` to `failing`, behind which everything is emptied; or two do."""
    builder = NetBuilder("scope")
    places = [builder.place(id) for id in ("open", "inside", "failing", "failed")]
    opened, inside, failing, failed = places
    builder.transition("begin", [(opened, 1)], [(inside, 1)])
    builder.transition("fail", [(inside, 1)], [(failing, 1)])
    drains = [(inside, ()), (failing, ())]
    builder.transition("withdraw", [(failing, 1)], [(failed, 1)], drains=drains)
    builder.transition("go_on", [(failed, 1)])
    builder.mark([opened, opened] if twice else [opened])
    return builder.net()


@pytest.mark.parametrize("twice", [False, True])
def test_a_withdrawal_of_what_is_gone_is_none(twice: bool) -> None:
    flaw = Shrinking(_scope(twice=twice)).attempt(Eased(2, "drains"))
    assert (flaw is None) is not twice
    if flaw is not None:
        assert "may happen where" in flaw


def test_what_takes_a_token_that_inhibits_it_is_not_eased() -> None:
    net = _scope()
    fail = replace(net.transitions[1], inhibitors=(1,))
    net = replace(net, transitions=(net.transitions[0], fail, *net.transitions[2:]))
    assert Shrinking(net).attempt(Eased(1, "inhibitors")) is not None


def _branch() -> NetBuilder:
    """`branch` is marked as long as one of `open` and `closed` is."""
    builder = NetBuilder("branch")
    begin, branch, opened, closed = (
        builder.place(id) for id in ("begin", "branch", "open", "closed")
    )
    builder.transition("begin", [(begin, 1)], [(branch, 1), (opened, 1)])
    builder.transition("close", [(opened, 1)], [(closed, 1)])
    builder.transition("join", [(branch, 1), (closed, 1)])
    builder.mark([begin])
    return builder


def test_a_place_that_is_the_sum_of_others_is_implied() -> None:
    assert Shrinking(_branch().net()).attempt(Implied(1, (2, 3))) is None


@pytest.mark.parametrize(
    ("parts", "flaw"),
    [
        ((), "no sum"),
        ((1, 3), "no sum"),
        ((3, 3), "no sum"),
        ((3,), "changes the one"),
        ((2,), "changes the one"),
        ((0, 2, 3), "holds something else at the start"),
    ],
)
def test_one_that_is_not_is_refused(parts: tuple[int, ...], flaw: str) -> None:
    said = Shrinking(_branch().net()).attempt(Implied(1, parts))
    assert said is not None
    assert flaw in said


def test_what_drains_only_one_of_them_or_is_inhibited_makes_a_difference() -> None:
    for drains, inhibitors, flaw in ([(2, ())], [], "drained"), ([], [1], "looked at"):
        builder = _branch()
        aside = builder.place("aside", tokens=1)
        builder.transition("other", [(aside, 1)], drains=drains, inhibitors=inhibitors)
        said = Shrinking(builder.net()).attempt(Implied(1, (2, 3)))
        assert said is not None
        assert flaw in said
