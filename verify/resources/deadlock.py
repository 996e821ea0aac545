"""The verdict about deadlocks, with what semaphores do beyond the net.

The net that `properties.soundness` explores knows permits and no order of arrival, and two items of
a body. Where semaphores are taken in an order that is enough, whoever is side by side; where they
are not, `waiting` looks for what it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import InputError
from heliostat.engine.plan.plan import Plan
from heliostat.verify.certificates.certificates import HeldUp
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import (
    Act,
    BreakDependencyCycle,
    CircularWait,
    Deadlock,
    Report,
    Verdict,
)
from heliostat.verify.resources.order import Tangled, taken_in_order
from heliostat.verify.resources.peaks import roomy
from heliostat.verify.resources.waiting import Stuck, Waiter, explore_waiting, owner

AT_ONCE: Final = Abstraction(
    kind="order",
    step=None,
    text="what begins at one moment asks for permits in any order, and not as it is written",
)
"""How long anything takes is free, but not who comes first of those that one decision starts."""

TURNS_MAX: Final = 2_000
"""Of an execution that is simulated to see whether it gets stuck."""


def with_waiting(
    report: Report,
    plan: Plan,
    *,
    definition: Definition | None = None,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Report:
    """A report whose verdict about deadlocks holds of executions that queue for permits.

    Args:
        definition: that the plan was made of; with it a run that gets stuck is had by the
            simulator, and is exact if that gets stuck too.
    """
    verdicts = tuple(
        _looked_through(verdict, plan, definition, time_max_ms, now_ms)
        if verdict.asked == "deadlock" and verdict.outcome == "holds"
        else verdict
        for verdict in report.verdicts
    )
    return replace(report, verdicts=verdicts)


def _looked_through(
    verdict: Verdict,
    plan: Plan,
    definition: Definition | None,
    time_max_ms: int | None,
    now_ms: Callable[[], float] | None,
) -> Verdict:
    order = taken_in_order(plan)
    if isinstance(order, Tangled):  # what no step around can use up keeps nobody waiting
        order = taken_in_order(plan, roomy(plan, time_max_ms=time_max_ms, now_ms=now_ms))
    if not isinstance(order, Tangled):
        return verdict
    had = set[tuple[int, ...]]()  # runs on which the simulator gets stuck
    plainly = definition is not None and _gets_stuck_plainly(plan)

    def seen_by(stuck: Stuck) -> bool:
        if definition is not None and _gets_stuck(definition, stuck):
            had.add(stuck.run)
        return definition is None or plainly or stuck.run in had

    found = explore_waiting(plan, order, seen_by=seen_by, time_max_ms=time_max_ms, now_ms=now_ms)
    if isinstance(found, Stuck):
        grounds = found.translation.abstractions
        return _fails(
            found, rests_on=() if plainly else grounds if found.run in had else (*grounds, AT_ONCE)
        )
    if isinstance(found, str):
        names = ", ".join(sorted(order.semaphores))
        return Verdict(
            asked="deadlock",
            outcome="inconclusive",
            engine="waiting",
            reason=f"{names} are taken in no order, and {found}",
        )
    count = f"; waiting for permits in none of {found.markings}" if found.markings else ""
    return replace(verdict, reason=f"{verdict.reason}{count}")


def _fails(found: Stuck, *, rests_on: tuple[Abstraction, ...]) -> Verdict:
    net = found.translation.net
    steps = tuple(dict.fromkeys(waiter.step for waiter in found.waiters))
    run = (*_acts(net, found.run), *_arrivals(found.waiters))
    description = (
        f"break the circular wait of {', '.join(f'`{step}`' for step in steps)}: let them take "
        "their semaphores in one order, or hold them on the inner steps only"
    )
    return Verdict(
        asked="deadlock",
        outcome="fails",
        engine="waiting",
        reason=description,
        rests_on=rests_on,
        run=run,
        deadlocks=(_deadlock(net, found, run, steps, description),),
        net=net,
        certificate=HeldUp(
            net=net.content_hash,
            run=found.run,
            waiters=tuple(waiter.transition for waiter in found.waiters),
        )
        if found.alone
        else None,
    )


def _gets_stuck(definition: Definition, stuck: Stuck) -> bool:
    """Whether the kernel does, as far as it can be steered along the run."""
    from heliostat.verify.replaying import Unreplayable, replay  # few definitions need a simulator

    try:
        return replay(definition, stuck.translation.net, stuck.run).stuck
    except Unreplayable:
        return False


def _gets_stuck_plainly(plan: Plan) -> bool:
    """Whether an execution does in which no input is given and every attempt completes."""
    from heliostat.engine.simulator import SimulationFailure, simulate

    try:
        result = simulate(plan, turns_max=TURNS_MAX)
    except (InputError, SimulationFailure):  # it needs an input, or has a fault that others tell
        return False
    scopes = result.state.scopes.values()
    phases = {visit.phase for scope in scopes for visit in scope.active.values()}
    return not result.ended and "queued" in phases and phases <= {"queued", "body", "items"}


def _deadlock(
    net: Net, found: Stuck, run: tuple[Act, ...], steps: tuple[str, ...], description: str
) -> Deadlock:
    transitions = tuple(net.transitions[waiter.transition] for waiter in found.waiters)
    places = tuple(
        dict.fromkeys(
            net.places[place].id
            for each in transitions
            for place, _ in each.inputs
            if net.places[place].role == "control"
        )
    )
    names = tuple(each.id for each in transitions)
    return Deadlock(
        marking=net.tokens(found.marking),
        run=run,
        blocked=(),
        pattern=CircularWait(places=places, transitions=names),
        fix=BreakDependencyCycle(steps=steps, transitions=names),
        description=description,
    )


def _acts(net: Net, run: tuple[int, ...]) -> Iterator[Act]:
    """What steps do, and what they take."""
    for number in run:
        each = net.transitions[number]
        verb = each.act.split(" ")[0]
        taken = [p for p, _ in each.inputs if net.places[p].role == "resource"]
        if taken:
            names = (net.places[p].id.removeprefix("resource_") for p in taken)
            yield Act(step=each.step or owner(net, each), act=f"takes {' and '.join(names)}")
        elif each.step is not None and verb in ("completes", "fails", "skips"):
            yield Act(step=each.step, act=verb)


def _arrivals(waiters: tuple[Waiter, ...]) -> Iterator[Act]:
    for waiter in waiters:
        yield Act(step=waiter.step, act=f"waits for {' and '.join(waiter.semaphores)}")
