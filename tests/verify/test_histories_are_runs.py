"""The net and the kernel agree, in both directions, or the model is wrong."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError
from heliostat.engine.kernel.events import StepCompleted, StepFailed, StepSkipped
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import (
    Acts,
    Call,
    Hangs,
    Happening,
    Person,
    Raises,
    Returns,
    Simulation,
)
from heliostat.verify.certificates.certificates import DeadRun
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.replay import Disagreement, Replay
from heliostat.verify.nets.translation import translate
from heliostat.verify.nets.visits import VISITS_MAX
from heliostat.verify.properties.soundness import verify
from heliostat.verify.replaying import Unreplayable, replay
from tests.simulation.worlds import World

SEEDS = 150
CLOSING = (1783, 1849)
"""Worlds in which steps go on beside a scope that has failed for good and is closing."""
SECOND_MS = 1_000


def _history(world: World, seed: int) -> Any:
    return Simulation(world.plan, world.input, world.outcomes, seed=seed, **world.how).run()


def test_every_random_history_is_a_run_of_the_net() -> None:
    ends: Counter[str] = Counter()
    for seed in (*range(SEEDS), *CLOSING):
        world = World(seed)
        replay = Replay(world.plan, translate(world.plan))
        try:
            replay.follow(_history(world, seed).events)
        except Disagreement as error:
            pytest.fail(f"seed {seed}: {error}")
        ends[replay.stopped] += 1
    assert ends["the end"] > SEEDS / 2, ends
    assert ends["stuck"], ends


def test_a_history_in_which_steps_changed_places_is_refused() -> None:
    refused = 0
    for seed in range(40):
        world = World(seed)
        translation = translate(world.plan)
        events = list(_history(world, seed).events)
        settled = [n for n, e in enumerate(events) if isinstance(e, StepCompleted | StepSkipped)]
        if len(settled) < 3:
            continue
        first, last = settled[0], settled[-1]
        events[first], events[last] = events[last], events[first]
        try:
            Replay(world.plan, translation).follow(events)
        except Disagreement:
            refused += 1
    assert refused > 5


def test_a_step_that_the_history_leaves_out_is_missed() -> None:
    plan = _plan(_chain(3))
    history = Simulation(plan, None, {}).run().events
    left_out = [e for e in history if not (isinstance(e, StepCompleted) and e.at.step == 1)]
    with pytest.raises(Disagreement, match="'s2' completes"):
        Replay(plan, translate(plan)).follow(left_out)


def test_the_items_of_a_body_are_followed() -> None:
    inner = [_activity("x", next="y"), _activity("y")]
    body = {"id": "each", "foreach": "range(0, 3)", "steps": inner}
    plan = _plan({"id": "items", "version": "1", "steps": [body]})
    history = Simulation(plan, None, {}).run().events
    replay = Replay(plan, translate(plan))
    replay.follow(history)
    assert replay.stopped == "the end"
    first_x = next(e for e in history if isinstance(e, StepCompleted) and e.at.step == 1)
    left_out = [event for event in history if event is not first_x]
    with pytest.raises(Disagreement, match="'y' completes"):
        Replay(plan, translate(plan)).follow(left_out)


def test_a_join_that_is_cancelled_starts_afresh() -> None:
    steps = [
        _activity("ask", split="all", next=[{"to": "ann"}, {"to": "again"}]),
        _activity("ann", next="first"),
        _activity("again", cancels=["first"], next="first"),
        _activity("first", join={"at_least": 1}),
    ]
    plan = _plan({"id": "afresh", "version": "1", "start": "ask", "steps": steps})
    result = Simulation(plan, None, {"again": Returns(None, after_ms=SECOND_MS)}).run()
    assert result.trace == ["ask", "ann", "first", "again", "first"]
    replay = Replay(plan, translate(plan))
    replay.follow(result.events)
    assert replay.stopped == "the end"


def test_more_visits_than_a_net_has_places_for_end_the_replay() -> None:
    visits = VISITS_MAX + 1
    ways = [f"w{n}" for n in range(visits)]
    inner = [_activity("x", next="y"), _activity("y")]
    steps = [
        _activity("fork", split="all", next=[{"to": way} for way in ways]),
        *(_activity(way, next="body") for way in ways),
        {"id": "body", "join": "any", "steps": inner},
    ]
    plan = _plan({"id": "crowded", "version": "1", "start": "fork", "steps": steps})
    history = Simulation(plan, None, {"x": Returns(None, after_ms=SECOND_MS)}).run().events
    replay = Replay(plan, translate(plan))
    replay.follow(history)
    assert replay.stopped == "more visits of 'body' at once than the net holds"


DESK: Final = [{"id": "desk", "assignees": ["ann"]}]
AGAIN: Final = Acts("complete", "ann", {"resolution": "retry"}, after_ms=1_000)
INNER: Final = [
    {"id": "x", "type": "activity", "activity": "m:f", "next": "y"},
    {"id": "y", "type": "activity", "activity": "m:f"},
]
VAIN: Final = [
    {"id": "fork", "type": "decision", "split": "all", "next": [{"to": "left"}, {"to": "right"}]},
    {"id": "left", "type": "decision", "next": "both"},
    {"id": "right", "type": "decision", "next": [{"when": "$.input", "to": "both"}, {"to": "end"}]},
    {"id": "both", "type": "decision", "join": {"at_least": 2}},
]
"""Without the condition its join waits for what does not come."""


@pytest.mark.parametrize(
    ("fields", "y"),
    [
        ({"deadline": "1s", "steps": INNER}, Hangs()),
        (
            {"deadline": "1s", "type": "parallel", "branches": [{"name": "b", "steps": INNER}]},
            Hangs(),
        ),
        ({"steps": INNER, "output": "${ 1 / $.steps.y.output }"}, Returns(0)),
    ],
    ids=["late body", "late branches", "output"],
)
def test_what_a_person_has_made_again_is_followed(fields: dict[str, Any], y: Any) -> None:
    asks = {"id": "asks", "on_error": [{"human": "desk"}], **fields}
    tree = {"id": "again", "version": "1", "steps": [asks], "intervention_points": DESK}
    plan, first = _plan(tree), iter([y])
    script = {"asks": Person(AGAIN), "y": lambda call: next(first, Returns(1))}
    result = Simulation(plan, None, script).run()
    assert (result.status, result.elapsed_ms > AGAIN.after_ms) == ("Completed", True)
    replay = Replay(plan, translate(plan))
    replay.follow(result.events)
    assert replay.stopped == "the end"


@pytest.mark.parametrize(
    "fields",
    [
        {"foreach": "[1, 2]", "concurrency": 1, "completion": "all_done"},
        {"retry": {"max_attempts": 2, "on": ["Stuck"]}},
        {"on_error": [{"human": "desk"}]},
    ],
    ids=["items", "retry", "person"],
)
def test_a_body_that_is_stuck_ends_the_replay_though_more_follows(fields: dict[str, Any]) -> None:
    tree = {"id": "vain", "version": "1", "steps": [{"id": "body", "steps": VAIN, **fields}]}
    plan = _plan({**tree, "intervention_points": DESK})
    asked = iter([Person(AGAIN)])
    result = Simulation(plan, False, {"body": lambda call: next(asked, Person())}).run()
    assert result.trace.count("fork") == 2 or "fork[1]" in result.trace
    replay = Replay(plan, translate(plan))
    replay.follow(result.events)
    assert replay.stopped == "stuck"


def test_a_skip_that_is_decided_stays_one_though_a_need_fails_before_it_is_booked() -> None:
    late = {"type": "decision", "needs": ["off", "short"], "join": {"at_least": 2}}
    steps = [
        _activity("off", needs=[], when="$.input"),
        {
            "id": "short",
            "type": "decision",
            "needs": ["off"],
            "join": "all_done",
            "foreach": "$.input",
        },
        {"id": "late", **late},
        _activity("tidy", needs=["short", "late"], join="all_done"),
    ]
    plan = _plan({"id": "skips", "version": "1", "steps": steps})
    result = Simulation(plan, False, {}).run()
    assert result.trace == ["off?", "short!", "late?", "tidy"]
    replay = Replay(plan, translate(plan))
    replay.follow(result.events)
    assert replay.stopped == "the end"


def test_a_failure_that_is_called_stuck_is_one_like_any_other() -> None:
    body = {"id": "body", "steps": [_activity("x", next="y"), _activity("y")]}
    plan = _plan(
        {"id": "named", "version": "1", "steps": [{**body, "on_error": [{"next": "end"}]}]}
    )
    replay = Replay(plan, translate(plan))
    replay.follow(Simulation(plan, None, {"x": Raises("Stuck")}).run().events)
    assert replay.stopped == "the end"


def test_random_runs_of_the_net_are_runs_of_the_kernel() -> None:
    ends: Counter[str] = Counter()
    for seed in range(200):
        random = Random(seed)
        tree, plan = _random_plan(random)
        run, ending = _random_run(plan, random)
        told = _scripted(plan, run)
        if told.deadline_ms is not None:
            plan = _plan(tree | {"deadline": f"{told.deadline_ms}ms"})
        result = Simulation(plan, None, told.script, seed=seed, happenings=told.happenings).run()
        happened = [
            (plan.steps[e.at.step].id, "fails" if isinstance(e, StepFailed) else "completes")
            for e in result.events
            if isinstance(e, StepCompleted | StepFailed)
        ]
        if ending == "failed":  # the bodies around fail with it
            happened = [each for each in happened if each != ("inside", "fails")]
        assert happened == told.expected, (seed, result.story)
        stuck = result.failure is not None and result.failure.type == "Stuck"
        ended = "dead" if stuck else result.status.lower()
        assert ended == ending, (seed, result.story)
        ends[ending] += 1
        ends.update({translate(plan).net.transitions[n].act.split(":")[0] for n in run})
    assert ends["completed"] > 10, ends
    assert ends["dead"] > 3, ends
    assert ends["failed"] > 3, ends
    assert ends["cancels"] > 3, ends
    assert ends["triggers"] > 3, ends
    assert ends["expires"] > 3, ends


def test_deadlocks_that_proofs_find_happen_in_the_kernel() -> None:
    """Each is replayed by its run; those of what the replay cannot steer are left out."""
    kinds: Counter[str] = Counter()
    for seed in range(200):
        tree, plan = _random_plan(Random(seed))
        report = verify(plan)
        certificate = report.about("deadlock").certificate
        if not isinstance(certificate, DeadRun):
            continue
        assert report.net is not None
        definition = parse_definition(json.dumps(tree), "net.json")
        try:
            replayed = replay(definition, report.net, certificate.run)
        except Unreplayable as error:
            kinds[str(error)] += 1
        else:
            assert replayed.stuck, (seed, report.about("deadlock").run, replayed.story)
            kinds["stuck"] += 1
    assert kinds["stuck"] > 10, kinds


# -- definitions in which every choice hangs on what an activity returns


def _plan(tree: dict[str, Any]) -> Plan:
    return compile_plan(parse_definition(json.dumps(tree), "net.json"))


def _random_plan(random: Random) -> tuple[dict[str, Any], Plan]:
    for _ in range(100):
        tree = _random_tree(random)
        try:
            return tree, _plan(tree)
        except DefinitionError:
            continue
    raise AssertionError("no valid definition in 100 draws")


def _activity(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", **fields}


def _chain(length: int) -> dict[str, Any]:
    steps = [_activity(f"s{n}", next=f"s{n + 1}") for n in range(length)]
    return {"id": "chain", "version": "1", "steps": [*steps, _activity(f"s{length}")]}


def _random_tree(random: Random) -> dict[str, Any]:
    """A fork of branches that choose, may fail and meet in a join, or a DAG."""
    width = random.randint(2, 3)
    if random.random() < 0.3:
        steps = [
            _activity(
                f"s{n}", needs=sorted({f"s{random.randrange(n)}" for _ in range(2)} if n else [])
            )
            for n in range(random.randint(2, 6))
        ]
        for step in steps:
            if len(step["needs"]) == 2:
                step["join"] = random.choice(["all", "any", "all_done", {"at_least": 2}])
        if random.random() < 0.6:
            by = random.choice(steps)
            others = [step["id"] for step in steps if step is not by]
            by["cancels"] = sorted(random.sample(others, min(len(others), 2)))
        return {"id": "dag", "version": "1", "steps": steps}
    rule: Any = random.choice(["all", {"at_least": random.randint(1, width)}])
    other = "end" if rule == "all" else "join"  # arrivals that exclude each other are refused
    steps = [_activity("fork", split="all", next=[{"to": f"a{n}"} for n in range(width)])]
    for n in range(width):
        steps += [
            _activity(
                f"a{n}",
                next=[{"when": "$.output.to == 0", "to": f"b{n}"}, {"to": other}],
                on_error=[{"next": f"b{n}"}] if random.random() < 0.4 else [],
            ),
            _activity(f"b{n}", next=random.choice(["join", "join", "end"])),
        ]
    body = {"id": "inside", "steps": [_activity("x", next="y"), _activity("y")], "next": "end"}
    steps += [_activity("join", join=rule, next="inside"), body]
    tree: dict[str, Any] = {"id": "machine", "version": "1", "start": "fork", "steps": steps}
    if random.random() < 0.4:
        steps += [_activity("mend", next=random.choice(["join", "end"]))]
        if rule == "all":
            steps[-1]["next"] = "end"
        tree |= {"deadline": "1h", "on_error": [{"next": "mend"}]}
    elif random.random() < 0.4:
        steps += [_activity("noted")]
        tree["handlers"] = [{"event": "note", "actions": [{"trigger": {"step": "noted"}}]}]
    return tree


def _random_run(plan: Plan, random: Random) -> tuple[list[int], str]:
    """A random run: bookkeeping at once, as the kernel does it, then something that comes to pass:
    what a step does, an event, the deadline."""
    net = translate(plan).net
    marking, run = net.initial, list[int]()
    for _ in range(200):
        if net.is_final(marking):
            return run, "completed"
        enabled = [n for n in range(len(net.transitions)) if net.enabled(marking, n)]
        if all(net.transitions[n].outside for n in enabled):
            return run, "dead"
        chosen = _drawn(plan, net, enabled, run, random)
        run.append(chosen)
        if net.transitions[chosen].ending:
            return run, net.transitions[chosen].ending
        marking = net.fire(marking, chosen)
    raise AssertionError("the run does not end")


def _drawn(plan: Plan, net: Net, enabled: list[int], run: list[int], random: Random) -> int:
    acts = {n: net.transitions[n].act for n in enabled}
    eager = [n for n in enabled if not acts[n] or _follows(plan, net, n)]
    eager = eager or [n for n in enabled if acts[n].startswith("takes:")]
    if eager:
        return random.choice(eager)
    triggered = sum(net.transitions[n].act.startswith("triggers") for n in run)
    calm = [
        n
        for n in enabled
        if net.transitions[n].ending != "failed"
        and not (acts[n].startswith("triggers") and triggered > 1)
        and not (acts[n] == "expires" and random.random() < 0.6)
        and (_told(plan, net.transitions[n].step) or net.transitions[n].outside)
    ]
    told = [n for n in enabled if _told(plan, net.transitions[n].step)]
    return random.choice(calm if calm and random.random() < 0.9 else told)


def _follows(plan: Plan, net: Net, number: int) -> bool:
    """Whether it is the end of a step that nobody decides any more: of a body, after cancelling."""
    each = net.transitions[number]
    canceled = any(net.places[place].id.startswith("canceled_") for place, _ in each.inputs)
    return each.act.startswith("completes") and (canceled or not _told(plan, each.step))


def _told(plan: Plan, step: str | None) -> bool:
    return step is not None and plan.steps[plan.step_by_id[step]].kind == "activity"


@dataclass
class _Told:
    """What lets the kernel do the same as a run of the net: the k-th thing after k seconds."""

    outcomes: dict[str, list[Any]] = field(default_factory=dict)  # by step, one for each visit
    expected: list[tuple[str, str]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    deadline_ms: int | None = None

    def script(self, call: Call) -> Any:
        told = self.outcomes.get(call.step, [])
        return told[call.visit - 1] if call.visit <= len(told) else NEVER


NEVER: Final = Returns(None, after_ms=10_000_000)


def _scripted(plan: Plan, run: list[int]) -> _Told:
    net, told, now = translate(plan).net, _Told(), 0
    opened: dict[int, deque[int]] = {}
    for place, count in enumerate(net.initial):
        opened.setdefault(place, deque([0] * count))
    for position, number in enumerate(run):
        each = net.transitions[number]
        verb, step = each.act.split(" ")[0], each.step or ""
        if verb in ("completes", "fails"):
            told.expected.append((step, verb))
        if verb in ("completes", "fails", "cancels") and not _follows(plan, net, number):
            now += SECOND_MS
            after_ms = now - opened[net.place_index[f"step_{step}"]].popleft()
            way = {"to": 0 if _next_takes_first(plan, net, run[position + 1 :], step) else 1}
            outcome: Any = Returns(way, after_ms=after_ms)
            if verb == "fails":
                outcome = Raises("A", "as drawn", after_ms=after_ms)
            told.outcomes.setdefault(step, []).append(outcome)
        elif verb.startswith("triggers"):
            now += SECOND_MS
            told.happenings.append(Happening(at_ms=now, event=("note", None)))
        elif verb == "expires":
            told.deadline_ms = now = now + SECOND_MS
        for place, _ in each.drains:
            withdrawn = opened.pop(place, deque())
            if net.places[place].id.startswith("step_"):
                told.outcomes.setdefault(net.places[place].step or "", []).extend(
                    NEVER for _ in withdrawn
                )
        for place, _ in each.outputs:
            opened.setdefault(place, deque()).append(now)
    return told


def _next_takes_first(plan: Plan, net: Net, rest: list[int], step: str) -> bool:
    routes = plan.steps[plan.step_by_id[step]].routes
    for number in rest:
        each = net.transitions[number]
        if each.step == step and each.act.startswith("takes:"):
            return bool(routes) and f"takes:{routes[0].number}" == each.act
    return False
