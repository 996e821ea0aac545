"""Verdicts on definitions with known faults; each rests on a certificate that is checked."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.verify.certificates.certificates import (
    Certificate,
    CutOff,
    DeadRun,
    Explored,
    Ordered,
    Pump,
    Reduced,
    Weighted,
)
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.certificates.shrinking import (
    Dropped,
    Fired,
    Forgotten,
    Merged,
    Postponed,
)
from heliostat.verify.nets.cache import NetCache
from heliostat.verify.nets.dot import dot
from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.deadlock import deadlock
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.spaces import distances
from heliostat.verify.properties.verdict import (
    AddTransition,
    BreakDependencyCycle,
    CircularWait,
    FixConditions,
    InconsistentConditions,
    IncreaseResources,
    MissingTransition,
    Report,
    ResourceStarvation,
)
from heliostat.verify.space.explore import explore
from heliostat.verify.structure.reductions import reduce
from tests.simulation.worlds import World


def plan_of(*steps: dict[str, Any], **fields: Any) -> Plan:
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    return compile_plan(parse_definition(json.dumps(tree), "case.json"))


def act(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", **fields}


def fork(*targets: str) -> dict[str, Any]:
    to = [{"to": target} for target in targets]
    return {"id": "fork", "type": "decision", "split": "all", "next": to}


def verified(plan: Plan, **bounds: Any) -> Report:
    """A report whose certificates have been checked."""
    report = verify(plan, **bounds)
    for verdict in report.verdicts:
        if verdict.certificate is not None:
            assert report.net is not None
            check(report.net, verdict.certificate)
    return report


STUCK = plan_of(
    fork("a", "b"),
    act("a", next="j"),
    act("b", next="j", on_error=[{"next": "c"}]),
    act("c"),
    {"id": "j", "type": "decision", "join": "all"},
)

CIRCLE = plan_of(
    {
        "id": "p",
        "type": "parallel",
        "branches": [
            {
                "name": "a",
                "steps": [{"id": "a1", "uses": {"r1": 1}, "steps": [act("a2", uses={"r2": 1})]}],
            },
            {
                "name": "b",
                "steps": [{"id": "b1", "uses": {"r2": 1}, "steps": [act("b2", uses={"r1": 1})]}],
            },
        ],
    },
    semaphores={"r1": 1, "r2": 1},
)

LOOP = plan_of(
    act("a", next=[{"when": "$.output", "to": "b"}, {"to": "end"}]),
    act("b", next="c"),
    act("c", next="b"),
)

SOUND = plan_of(fork("a", "b"), act("a", next="j"), act("b", next="j"), act("j", join="all"))


def test_a_join_that_an_error_bypasses_is_a_deadlock_with_the_run_that_leads_there() -> None:
    verdict = verified(STUCK).about("deadlock")
    assert verdict.outcome == "fails"
    assert verdict.exact
    assert {str(each) for each in verdict.run} >= {"b fails", "a completes"}
    found = verdict.deadlocks[0]
    assert found.pattern == MissingTransition(
        from_places=("arrived_a_j",), to_places=("arrived_b_j",)
    )
    assert found.fix == AddTransition(from_steps=("b",), to_steps=("j",))
    assert "`j` waits for `b`" in found.description


def test_two_bodies_that_hold_what_the_other_waits_for_are_a_circular_wait() -> None:
    verdict = verified(CIRCLE).about("deadlock")
    assert verdict.outcome == "fails"
    found = verdict.deadlocks[0]
    assert isinstance(found.pattern, CircularWait)
    assert set(found.pattern.places) >= {"queued_a2", "queued_b2"}
    assert isinstance(found.fix, BreakDependencyCycle)


def test_the_same_semaphores_taken_in_one_order_are_no_deadlock() -> None:
    def branch(name: str) -> dict[str, Any]:
        inner = [act(f"{name}2", uses={"r2": 1})]
        return {"name": name, "steps": [{"id": f"{name}1", "uses": {"r1": 1}, "steps": inner}]}

    parallel = {"id": "p", "type": "parallel", "branches": [branch("a"), branch("b")]}
    assert verified(plan_of(parallel, semaphores={"r1": 1, "r2": 1})).sound


def test_items_that_hold_permits_and_want_more_wait_in_a_circle() -> None:
    body = {
        "id": "each",
        "foreach": "$.input.list",
        "uses": {"r": 1},
        "steps": [act("inner", uses={"r": 1})],
    }
    verdict = verified(plan_of(body, semaphores={"r": 2})).about("deadlock")
    assert verdict.outcome == "fails"
    assert isinstance(verdict.deadlocks[0].pattern, CircularWait)
    assert isinstance(verdict.deadlocks[0].fix, BreakDependencyCycle)
    assert {each.kind for each in verdict.rests_on} == {"foreach"}


def test_permits_that_nobody_gives_back_starve_who_waits_for_them() -> None:
    """Registration refuses who asks for more than there can be; here the net is made by hand."""
    builder = NetBuilder("starved")
    permits = builder.place("resource_r", role="resource", tokens=1)
    queued, at = builder.place("queued_a", step="a"), builder.place("step_a", step="a")
    builder.transition("acquire_a", [(queued, 1), (permits, 2)], [(at, 1)], step="a")
    builder.mark([queued])
    net = builder.net()
    found = deadlock(net, net.initial, ())
    assert found.pattern == ResourceStarvation(resources=("resource_r",))
    assert found.fix == IncreaseResources(resource_ids=("r",))


def test_conditions_that_lead_one_branch_to_a_join_and_one_past_it_are_inconsistent() -> None:
    plan = plan_of(
        fork("a", "b"),
        act("a", next=[{"when": "$.input.x > 1", "to": "j"}, {"to": "end"}]),
        act("b", next=[{"when": "$.input.x < 5", "to": "j"}, {"to": "end"}]),
        {"id": "j", "type": "decision", "join": "all"},
    )
    for found in verified(plan).about("deadlock").deadlocks:
        assert isinstance(found.pattern, InconsistentConditions)
        step, other = found.pattern.decision_step, found.pattern.against
        own = {"a": "$.input.x > 1", "b": "$.input.x < 5"}
        assert found.pattern.conditions == (own.pop(step),)
        assert other == tuple(own.values())
        assert found.pattern.data == ("$.input.x",)
        assert found.fix == FixConditions(step_id=step, conditions=found.pattern.conditions)
        assert "let them agree" in found.description


def test_who_waits_for_the_permits_of_somebody_stuck_is_not_the_cause() -> None:
    stuck = [
        fork("a", "b"),
        act("a", next="j"),
        act("b", next="j", on_error=[{"next": "c"}]),
        act("c"),
        {"id": "j", "type": "decision", "join": "all"},
    ]
    holder = {"name": "holds", "steps": [{"id": "outer", "uses": {"r": 1}, "steps": stuck}]}
    waiter = {"id": "waits", "uses": {"r": 1}, "steps": [act("w")]}
    step = {"id": "p", "type": "parallel", "branches": [holder, {"name": "w", "steps": [waiter]}]}
    for found in verified(plan_of(step, semaphores={"r": 1})).about("deadlock").deadlocks:
        assert isinstance(found.pattern, MissingTransition)
        assert found.fix == AddTransition(from_steps=("b",), to_steps=("j",))


def test_a_loop_without_a_way_out_is_a_livelock_and_names_its_steps() -> None:
    verdict = verified(LOOP).about("livelock")
    assert verdict.outcome == "fails"
    assert set(verdict.steps) == {"b", "c"}
    assert [str(each) for each in verdict.run] == ["a completes"]


def test_a_loop_that_leaves_tokens_behind_is_unbounded() -> None:
    split = {"id": "b", "type": "decision", "split": "all", "next": [{"to": "a"}, {"to": "w"}]}
    plan = plan_of(act("a", next="b", join="any"), split, act("w", join="any"))
    report = verified(plan)
    assert report.about("boundedness").outcome == "fails"
    assert isinstance(report.about("boundedness").certificate, Pump)
    assert report.about("deadlock").outcome == "inconclusive"
    assert "255 tokens" in report.about("deadlock").reason


def test_a_step_behind_a_join_that_never_starts_is_dead() -> None:
    choice = act("x", next=[{"when": "$.output", "to": "a"}, {"to": "b"}])
    join = act("j", join={"at_least": 2}, next="after")
    plan = plan_of(choice, act("a", next="j"), act("b", next="j"), join, act("after"))
    verdict = verified(plan).about("dead steps")
    assert verdict.outcome == "fails"
    assert verdict.steps == ("j", "after")


def test_what_is_too_large_is_inconclusive_and_names_the_bound() -> None:
    verdict = verified(CIRCLE, states_max=5).about("livelock")
    assert verdict.outcome == "inconclusive"
    assert "more than 5 markings" in verdict.reason


def test_a_step_that_cancels_what_a_join_of_a_dag_needs_leaves_nothing_stuck() -> None:
    plan = plan_of(
        act("quick", needs=[], cancels=["slow", "behind"]),
        act("slow", needs=[]),
        act("behind", needs=["slow"]),
        act("after", needs=["quick", "slow", "behind"]),
    )
    report = verified(plan)
    assert report.sound
    assert report.about("deadlock").exact


def test_a_deadlock_that_only_a_deadline_ends_is_one() -> None:
    held = {"id": "outer", "deadline": "1h", "on_error": [{"output": 0}]}
    steps = {"uses": {"r": 2}, "steps": [act("x", uses={"s": 1})]}
    other = {"uses": {"s": 1}, "steps": [act("y", uses={"r": 1})]}
    branches = [
        {"name": "a", "steps": [held | steps]},
        {"name": "b", "steps": [held | other | {"id": "other"}]},
    ]
    plan = plan_of(
        {"id": "p", "type": "parallel", "branches": branches}, semaphores={"r": 2, "s": 1}
    )
    verdict = verified(plan).about("deadlock")
    assert verdict.outcome == "fails"
    assert isinstance(verdict.deadlocks[0].pattern, CircularWait)


def test_a_handler_that_triggers_steps_is_looked_at_up_to_a_number_of_times() -> None:
    handlers = [{"event": "note", "actions": [{"trigger": {"step": "noted"}}]}]
    plan = plan_of(act("a", next="b"), act("b"), act("noted"), handlers=handlers, start="a")
    verdict = verified(plan).about("deadlock")
    assert verdict.outcome == "holds"
    assert [each.kind for each in verdict.rests_on] == ["trigger"]
    assert verified(plan).about("dead steps").outcome == "holds"


def test_each_exploration_keeps_to_the_time_that_it_was_given() -> None:
    clock = itertools.count(step=1_000)
    report = verify(CIRCLE, time_max_ms=500, now_ms=lambda: float(next(clock)))
    assert report.about("livelock").outcome == "inconclusive"
    assert "more than 500 ms" in report.about("livelock").reason


def test_two_visits_of_a_body_side_by_side_have_places_of_their_own() -> None:
    stuck = [
        {**fork("x", "y"), "id": "split"},
        act("x", next="meet"),
        act("y", next="meet", on_error=[{"next": "gone"}]),
        act("gone"),
        {"id": "meet", "type": "decision", "join": "all"},
    ]
    for inner, outcome in (([act("inner")], "holds"), (stuck, "fails")):
        body = {"id": "body", "join": "any", "steps": inner}
        plan = plan_of(fork("a", "b"), act("a", next="body"), act("b", next="body"), body)
        verdict = verified(plan).about("deadlock")
        assert verdict.outcome == outcome
        assert verdict.exact


def test_nothing_is_said_to_hold_where_more_visits_are_open_than_the_net_has_places_for() -> None:
    ways = [act(name, next="body") for name in ("a", "b", "c")]
    body = {"id": "body", "join": "any", "steps": [act("inner")]}
    report = verified(plan_of(fork("a", "b", "c"), *ways, body))
    assert report.about("deadlock").outcome == "inconclusive"
    assert "more than 2 visits of 'body'" in report.about("deadlock").reason


@pytest.mark.parametrize("completion", ["all", "any", "all_done"])
def test_many_branches_side_by_side_take_few_markings(completion: str) -> None:
    branches = [{"name": f"b{n}", "steps": [act(f"s{n}")]} for n in range(17)]
    step = {"id": "p", "type": "parallel", "completion": completion, "branches": branches}
    plan = plan_of(step | {"on_error": [{"output": 1}]})
    graph = explore(translate(plan, "proof").net)
    assert graph.stopped is None
    assert len(graph.markings) < 200


def test_reduced_and_whole_exploration_find_the_same_dead_markings() -> None:
    compared = deadlocked = 0
    for seed in range(100):
        net = translate(World(seed).plan, "proof").net
        whole = explore(net, reduce=False, states_max=1_500)
        if whole.stopped is not None:
            continue
        reduced = explore(net, states_max=1_500)
        assert {reduced.markings[n] for n in reduced.dead} == {
            whole.markings[n] for n in whole.dead
        }, seed
        compared += 1
        deadlocked += bool(whole.dead)
    assert compared > 40
    assert deadlocked > 2


def test_every_certificate_about_random_definitions_is_accepted() -> None:
    kinds = set()
    for seed in range(60):
        report = verified(World(seed).plan, states_max=800)
        kinds |= {type(each.certificate) for each in report.verdicts}
    assert kinds >= {Reduced, Ordered, Weighted, DeadRun}


def test_tampered_certificates_are_rejected() -> None:
    stuck, sound, loop = verify(STUCK), verify(SOUND), verify(LOOP)
    assert stuck.net is not None
    assert sound.net is not None
    assert loop.net is not None
    dead = stuck.about("deadlock").certificate
    assert isinstance(dead, DeadRun)
    explored = _explored(sound.net)
    check(sound.net, explored)
    ordered = sound.about("boundedness").certificate
    assert isinstance(ordered, Ordered)
    cut = loop.about("livelock").certificate
    assert isinstance(cut, CutOff)
    small = next(n for n, each in enumerate(explored.stubborn) if each is not None)
    emptied = [*explored.stubborn]
    emptied[small] = frozenset()
    tampered: list[tuple[Net, Certificate]] = [
        (stuck.net, replace(dead, run=dead.run[:-1])),
        (stuck.net, replace(dead, run=(*dead.run, 0))),
        (sound.net, replace(dead, net=sound.net.content_hash)),
        (sound.net, dead),
        (sound.net, replace(explored, markings=explored.markings[:-1])),
        (
            sound.net,
            replace(
                explored,
                markings=explored.markings[:-1],
                stubborn=explored.stubborn[:-1],
                ends=explored.ends[:-1],
            ),
        ),
        (sound.net, replace(explored, ends=tuple(0 for _ in explored.ends))),
        (sound.net, replace(explored, stubborn=tuple(emptied))),
        (sound.net, replace(ordered, order=tuple(reversed(ordered.order)))),
        (sound.net, replace(ordered, order=ordered.order[:-1])),
        (loop.net, replace(cut, markings=cut.markings[:-1])),
        (loop.net, replace(cut, run=())),
    ]
    for net, certificate in tampered:
        with pytest.raises(Rejected):
            check(net, certificate)


def _explored(net: Net) -> Explored:
    graph = explore(net)
    return Explored(
        net=net.content_hash,
        markings=tuple(graph.markings),
        stubborn=tuple(graph.stubborn),
        ends=tuple(distances(graph)),
    )


def test_no_certificate_calls_a_definition_with_a_deadlock_sound() -> None:
    """What an engine that overlooked the deadlock would hand in."""
    net = translate(STUCK, "proof").net
    claim = replace(_explored(net), ends=tuple(range(1, len(explore(net).markings) + 1)))
    with pytest.raises(Rejected):
        check(net, claim)


def test_a_net_can_be_drawn_with_its_tokens_and_conditions() -> None:
    picture = dot(translate(LOOP).net)
    assert picture.startswith("digraph PetriNet {\n  rankdir=LR;")
    assert "(1)" in picture
    assert "[$.output]" in picture


def test_the_cache_keeps_the_nets_that_were_asked_for_last() -> None:
    cache = NetCache(size_max=2)
    first = cache.translation(STUCK)
    assert cache.translation(STUCK) is first
    cache.translation(LOOP)
    cache.translation(STUCK)
    cache.translation(SOUND)
    assert len(cache) == 2
    assert cache.translation(STUCK) is first


def test_a_reduced_net_has_a_deadlock_where_the_whole_one_has_and_ends_where_it_ends() -> None:
    compared, smaller, deadlocked = 0, 0, 0
    for seed in range(120):
        net = translate(World(seed).plan, "proof").net
        whole = explore(net, states_max=1_000)
        if whole.stopped is not None:
            continue
        reduction = reduce(net)
        graph = explore(reduction.net, states_max=1_000)
        assert bool(graph.dead) == bool(whole.dead), seed
        assert (min(distances(graph)) < 0) == (min(distances(whole)) < 0), seed
        assert len(graph.markings) <= len(whole.markings), seed
        for number in graph.dead:  # a run of what is left is one of the whole net
            marking = net.initial
            for fired in reduction.run(graph.run_to(number)):
                assert net.enabled(marking, fired)
                marking = net.fire(marking, fired)
        compared += 1
        smaller += 2 * len(graph.markings) <= len(whole.markings)
        deadlocked += bool(graph.dead)
    assert compared > 80
    assert smaller > 40
    assert deadlocked > 2


def test_reductions_that_do_not_hold_are_refused() -> None:
    """Of a choice at the start, a join, and a place that something is inhibited by."""
    builder = NetBuilder("refused")
    start, left, right, both = (builder.place(id) for id in ("start", "left", "right", "both"))
    builder.mark([start])
    choose = builder.transition("choose", [(start, 1)], [(left, 1)])
    other = builder.transition("other", [(start, 1)], [(right, 1)])
    join = builder.transition("join", [(left, 1), (right, 1)], [(both, 1)])
    end = builder.transition("end", [(both, 1)], inhibitors=[left])
    net = builder.net()
    for step in (
        Merged(start),  # what takes from it is chosen
        Merged(left),  # its taker takes more
        Postponed(left),  # what puts there is in the way of `other`
        Fired(choose),
        Fired(join),
        Dropped(choose, other),
        Dropped(end),
        Forgotten(left),
        Forgotten(left, right),
        Dropped(99),
    ):
        certificate = Reduced(net=net.content_hash, steps=(step,), then=_nothing_explored(net))
        with pytest.raises(Rejected, match="is no reduction"):
            check(net, certificate)


@pytest.mark.parametrize("watches", ["inhibitors", "drains"])
def test_what_others_notice_may_not_come_earlier(watches: str) -> None:
    """`later` puts a token that `watcher` sees: at once, `watcher` could never come before it."""
    builder = NetBuilder("noticed")
    start, between, beside, seen = (builder.place(id) for id in ("start", "between", "by", "seen"))
    builder.mark([start])
    builder.transition("first", [(start, 1)], [(between, 1), (beside, 1)])
    builder.transition("later", [(between, 1)], [(seen, 1)])
    builder.transition("both", [(seen, 1), (beside, 1)])
    if watches == "inhibitors":
        builder.transition("watcher", [(beside, 1)], inhibitors=[seen])
    else:
        builder.transition("watcher", [(beside, 1)], drains=[(seen, ())])
    net = builder.net()
    assert explore(net).dead
    assert explore(reduce(net).net).dead
    step = Reduced(net=net.content_hash, steps=(Merged(between),), then=_nothing_explored(net))
    with pytest.raises(Rejected, match="it is seen when 'later' comes earlier"):
        check(net, step)


def _nothing_explored(net: Net) -> Explored:
    return Explored(net=net.content_hash, markings=(), stubborn=(), ends=())
