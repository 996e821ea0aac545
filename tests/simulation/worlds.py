"""Random outcomes, happenings and faults, and whole random runs: one seed fixes all of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    Pause,
    Resume,
    Retry,
    SetMetadata,
    Signal,
)
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.simulator import (
    QUIET,
    STORMY,
    Acts,
    Call,
    Faults,
    Hangs,
    Happening,
    IsCanceled,
    LosesRunner,
    Outcome,
    Person,
    Raises,
    Returns,
    SimulationResult,
)
from heliostat.engine.values import Reference
from heliostat.verify.reference import Told
from tests.simulation.choices import Choices, Seeded
from tests.simulation.definitions import (
    CHILD,
    ERRORS,
    EVENTS,
    SIGNALS,
    Limits,
    parsed,
    random_definition,
    random_input,
)

DEFINITIONS_TRIED = 200
"""Draws until the checks accept one; most do."""

CHILD_PLAN = compile_plan(
    parse_definition(
        f"""
id: {CHILD}
version: "1"
steps:
  - {{id: work, type: activity, activity: "m:work", grace: 1s, next: tell}}
  - {{id: tell, type: timer, duration: 700ms, publish: [{{event: e0, data: {{n: 3}}}}]}}
"""
    )
)


def random_plan(choices: Choices, limits: Limits | None = None) -> tuple[dict[str, Any], Plan]:
    """A valid random definition and its plan."""
    for _ in range(DEFINITIONS_TRIED):
        tree = random_definition(choices, limits)
        definition = parsed(tree)
        if definition is not None:
            return tree, compile_plan(definition)
    raise AssertionError(f"{DEFINITIONS_TRIED} random definitions in a row are not valid")


def random_outcomes(
    plan: Plan, seed: int, *, calm: bool = False, timed: bool = False
) -> Callable[[Call], Any]:
    """Outcomes that depend on the call and the seed only, hence on no schedule."""
    share_of_errors = 0 if calm else Random(seed).choice((0, 10, 30))

    def outcome(call: Call) -> Any:
        place = f"{seed}:{call.step}:{call.visit}:{call.indices}:{call.nth}"
        random = Random(crc32(place.encode()))
        number = plan.step_by_id.get(call.step)
        if call.workflow == CHILD or number is None:
            number = None
        step = None if number is None else plan.steps[number]
        if step is not None and step.kind == "human":
            return _person(random, timed=timed)
        how: dict[str, Any] = {
            "after_ms": random.randint(1, 6_000) if timed else random.choice((0, 1, 15, 400)),
            "on_stop": random.choice(("ends", "returns", "ignores")),
            "stop_ms": random.randint(1, 900) if timed else random.choice((0, 5, 2_000)),
        }
        what = _attempt(random, plan, step, share_of_errors, calm=calm, timed=timed, how=how)
        if step is not None and any(clause.human is not None for clause in step.on_error):
            acts = _person(random, timed=timed, resolves=True).acts
            return Person(*acts, attempts=what)
        return what

    return outcome


def _attempt(
    random: Random,
    plan: Plan,
    step: StepPlan | None,
    share_of_errors: int,
    *,
    calm: bool,
    timed: bool,
    how: dict[str, Any],
) -> Outcome:
    # a recovery may begin after the execution's deadline, which then bounds nothing
    recovers = any(clause.edge is not None for clause in plan.on_error)
    bounded = step is not None and (step.timeout_ms is not None or step.deadline is not None)
    bounded |= plan.deadline is not None and not recovers
    roll = random.randrange(100)
    child = step is not None and step.child is not None
    if roll < share_of_errors:
        name = random.choice(ERRORS)
        return Raises(name, "as drawn", random.choice(((), ("C", "Exception"))), **how)
    if not calm:
        if child and roll > 85:
            return IsCanceled(**how)
        if roll > 96:
            return LosesRunner(counted=random.random() < 0.7, **how)
        if roll > 92 and bounded:
            return Hangs(value="late", **how)
    value = random.choice((roll, None, "y" * 1_500, {"a": [roll]}))
    if random.random() < 0.05 and not timed:
        return Returns(Reference("default/0", "arrow", 9), 70_000, {"$.a": 1}, **how)
    return Returns(value, **how)


def _person(random: Random, *, timed: bool, resolves: bool = False) -> Person:
    def after(low: int = 1) -> int:
        return random.randint(low, 20_000)

    data: Any = {"ok": random.random() < 0.5}
    if resolves:
        data = random.choice(
            (
                {"resolution": "retry"},
                {"resolution": "fail"},
                {"resolution": "complete", "output": 3},
                {},
            )
        )
    complete = Acts("complete", random.choice(("ann", "bob")), data, after_ms=after())
    if timed:
        return Person(complete) if random.random() < 0.8 else Person()
    acts = [
        Acts("claim", "ann", after_ms=random.randint(1, 500)),
        Acts("release", "ann", after_ms=after(400)),
        Acts("assign", "boss", None, ("bob",), (), after_ms=after()),
    ]
    random.shuffle(acts)
    acts = acts[: random.randint(0, 3)]
    # Drawn last: the worlds of all seeds stay what they were but for these.
    if random.random() < 0.3:
        acts.append(Acts("progress", "ann", {"page": 2}, after_ms=after(), progress=40))
    if random.random() < 0.1:
        acts.append(Acts("fail", "ann", {"code": 7}, after_ms=after(), error="nobody knows"))
    return Person(*acts, complete)


def random_happenings(choices: Choices, *, timed: bool) -> list[Told]:
    """What comes from outside."""
    told = []
    for _ in range(choices.integer(0, 4)):
        kind = choices.pick(("signal", "signal", "event"))
        name = choices.pick(SIGNALS if kind == "signal" else EVENTS)
        data = {"n": choices.integer(0, 4)}
        told.append(Told(choices.integer(1, 15_000), kind, name, data))
    if choices.chance(10):
        at_ms = choices.integer(1, 8_000)
        told.append(Told(at_ms, "pause"))
        told += [] if timed else [Told(at_ms + 5, "pause")]  # a second time
        told.append(Told(at_ms + choices.integer(1, 9_000), "resume"))
    if choices.chance(8):
        told.append(Told(choices.integer(1, 15_000), "cancel"))
    if not timed:
        told += [
            Told(choices.integer(1, 9_000), "event", "h0", {"n": choices.integer(0, 3)})
            for _ in range(choices.integer(0, 2))
        ]
        told.append(Told(50_000, "event", "h1", {"n": 1}))
        told.append(Told(50_001, "resume"))
        told.append(Told(30_000, "metadata", "ticket"))
        told.append(Told(90_000_000, "resume"))
        if choices.chance(40):
            told.append(Told(400_000, "retry"))
    return told


def happenings(told: list[Told], steps: tuple[str, ...] = ()) -> list[Happening]:
    """The same for the simulator."""
    return [_happening(each, number, steps) for number, each in enumerate(told)]


def _happening(told: Told, number: int, steps: tuple[str, ...]) -> Happening:
    stimulus: AnyStimulus
    id = f"client-{number}"
    match told.kind:
        case "event":
            return Happening(at_ms=told.at_ms, event=(told.name, told.data))
        case "signal":
            stimulus = Signal(now_ms=0, message_id=id, name=told.name, data=told.data)
        case "pause":
            stimulus = Pause(now_ms=0, message_id=id)
        case "resume":
            stimulus = Resume(now_ms=0, message_id=id)
        case "metadata":
            stimulus = SetMetadata(now_ms=0, message_id=id, metadata={told.name: "T-1"})
        case "retry":
            stimulus = Retry(now_ms=0, message_id=id, from_step=told.name or None)
        case _:
            stimulus = Cancel(now_ms=0, message_id=id)
    return Happening(at_ms=told.at_ms, stimulus=stimulus)


class World:
    """All that a seed fixes about one simulated execution."""

    def __init__(self, seed: int, limits: Limits | None = None) -> None:
        self.seed = seed
        choices = Seeded(seed)
        timed = limits is not None and limits.timed
        self.tree, self.plan = random_plan(choices, limits)
        self.input = random_input(choices)
        self.outcomes = random_outcomes(self.plan, seed, timed=timed)
        self.told = random_happenings(choices, timed=timed)
        self.faults: Faults = STORMY if choices.chance(75) else QUIET
        self.others = () if timed or choices.chance(30) else (CHILD_PLAN,)
        roots = [step["id"] for step in self.tree["steps"]]
        for each in self.told:
            if each.kind == "retry" and choices.chance(40):
                each.name = choices.pick(roots)

    @property
    def how(self) -> dict[str, Any]:
        """What a simulation is given beside the plan, its input and its outcomes."""
        scripts = {CHILD: self.outcomes}
        told = happenings(self.told)
        return {"happenings": told, "others": self.others, "scripts": scripts}


def result_of(result: SimulationResult) -> tuple[str, Any, int]:
    """What the reference interpreter says of a run, too."""
    if not result.ended:
        return "going on", None, 0
    output = result.output if result.status == "Completed" else None
    if result.status == "Failed" and result.failure is not None:
        output = result.failure.type
    return result.status, output, result.elapsed_ms
