"""Nets that collect more and more tokens: the cycle, and what it leaves behind at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from heliostat.verify.budget import Budget
from heliostat.verify.certificates.certificates import (
    DeadRun,
    Emptied,
    Explored,
    Finite,
    Pump,
    Trapped,
)
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.properties import boundedness
from heliostat.verify.properties.soundness import verify_model
from heliostat.verify.properties.verdict import Report
from heliostat.verify.reading.files import read
from heliostat.verify.space.covering import covering
from heliostat.verify.space.explore import explore
from tests.verify.test_random_nets import random_net

NETS = 400

LEAVING = "i>begin begin>p p>more more>p more>q p>use q>use use>p p>out out>o"
"""Each `more` leaves one on q that only `use` takes, and that needs p."""

SPINNING = f"{LEAVING} q>spin spin>q spin>r r>tidy p>tidy tidy>p"
"""What is left on q goes on for ever."""


def test_a_cycle_or_all_markings_as_going_through_them_says() -> None:
    seen: Counter[str] = Counter()
    for seed in range(NETS):
        net = random_net(Random(seed))
        whole = explore(net, reduce=False, states_max=300)
        found = covering(net, states_max=300)
        if whole.stopped is None:
            assert not found.cycle, seed
            assert {*found.markings} == {*whole.markings}, seed
            check(net, Finite(net=net.content_hash, markings=tuple(found.markings)))
        if found.cycle:
            check(net, Pump(net=net.content_hash, run=found.run, cycle=found.cycle))
        seen["cycle" if found.cycle else "all" if found.stopped is None else "bound"] += 1
    assert min(seen["cycle"], seen["all"]) > NETS / 10, seen
    assert seen["bound"] < NETS / 20, seen


def test_it_ends_with_its_time() -> None:
    builder = NetBuilder("counters")
    for n in range(12):
        low, high = builder.place(f"low{n}", tokens=1), builder.place(f"high{n}")
        builder.transition(f"up{n}", [(low, 1)], [(high, 1)])
        builder.transition(f"down{n}", [(high, 1)], [(low, 1)])
    ticks = iter(range(1_000))
    found = covering(
        builder.net(), states_max=10**6, budget=Budget(100, lambda: float(next(ticks)))
    )
    assert str(found.stopped) == "more than 100 ms"


def test_what_is_left_at_the_end_is_a_deadlock_with_the_run_that_leaves_it() -> None:
    report = _verified(LEAVING)
    assert report.about("boundedness").outcome == "fails"
    assert report.about("deadlock").outcome == "fails"
    assert isinstance(report.about("deadlock").certificate, DeadRun)
    assert [each.step for each in report.about("deadlock").run] == ["begin", "more", "out"]


def test_what_is_left_and_goes_on_for_ever_is_a_livelock() -> None:
    report = _verified(SPINNING)
    verdict = report.about("livelock")
    assert verdict.outcome == "fails"
    happened = Counter(each.step for each in verdict.run)
    assert happened["more"] > happened["use"]
    certificate = verdict.certificate
    assert isinstance(certificate, Trapped)
    assert report.net is not None
    names = {report.net.places[place].id for place in certificate.trap}
    assert "q" in names
    for other in (
        replace(certificate, siphon=()),  # then `end` may take what the trap holds
        replace(certificate, siphon=(*certificate.siphon, report.net.place_index["q"])),
        replace(certificate, trap=()),
        replace(certificate, trap=certificate.trap[1:2]),
        replace(certificate, run=certificate.run[:-1]),
    ):
        with pytest.raises(Rejected):
            check(report.net, other)


def test_one_that_never_comes_near_an_end_is_said_to_have_one_of_both() -> None:
    report = _verified("i>begin begin>p p>more more>p more>q q>use p>use use>p i>leave leave>o")
    assert report.about("boundedness").outcome == "fails"
    assert not report.sound
    assert "gets stuck or never ends" in report.about("livelock").reason


def test_the_same_net_where_the_end_waits_until_all_is_used_is_bounded_and_sound() -> None:
    report = _verified("i>begin begin>p begin>q p>use q>use use>p2 p2>out out>o")
    assert report.sound
    assert report.about("boundedness").outcome == "holds"


def _verified(arcs: str) -> Report:
    pairs = [arc.split(">") for arc in arcs.split()]
    nodes = dict.fromkeys(node for pair in pairs for node in pair)
    places = [node for node in nodes if len(node) < 3]
    lines = [f"<place id='{n}'/>" if n in places else f"<transition id='{n}'/>" for n in nodes]
    lines += [f"<arc id='{n}' source='{a}' target='{b}'/>" for n, (a, b) in enumerate(pairs)]
    [model] = read(f"<pnml><net id='net'>{''.join(lines)}</net></pnml>".encode())
    report = verify_model(model)
    for verdict in report.verdicts:
        if verdict.certificate is not None:
            assert report.net is not None
            check(report.net, verdict.certificate)
    return report


LOOPING = (
    "i>begin begin>p p>fork fork>a fork>b a>left left>c b>right right>d c>join d>join join>p "
    "p>out out>o"
)


def test_what_always_comes_to_an_end_that_leaves_nothing_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boundedness, "weights", lambda net: None)  # they need not be found
    report = _verified(LOOPING)
    verdict, net = report.about("boundedness"), report.net
    assert (verdict.outcome, verdict.engine) == ("holds", "soundness")
    shown = verdict.certificate
    assert isinstance(shown, Emptied)
    assert net is not None
    for other in (
        replace(shown, end=shown.end + 1),
        replace(shown, ends=replace(shown.ends, net="")),
    ):
        with pytest.raises(Rejected):
            check(net, other)


def test_where_tokens_vanish_by_themselves_an_end_shows_nothing() -> None:
    """Sound in that nothing need be left, and unbounded all the same."""
    builder = NetBuilder("vanishing")
    loop, spark, done = (
        builder.place("loop"),
        builder.place("spark"),
        builder.place("done", tokens=1),
    )
    builder.transition("more", [(loop, 1)], [(loop, 1), (spark, 1)])
    builder.transition("vanish", [(spark, 1)])
    end = builder.transition("end", [(loop, 1), (done, 1)])
    builder.mark([loop])
    net = builder.net()
    assert covering(net, states_max=100).cycle
    claimed = Explored(net=net.content_hash, markings=(net.initial,), stubborn=(None,), ends=(1,))
    with pytest.raises(Rejected, match="'vanish' takes a last token away"):
        check(net, Emptied(net=net.content_hash, ends=claimed, end=end))
