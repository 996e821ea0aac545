"""Soundness: every run can always come to an end, and every step may run.

    deadlock      no marking is dead before its end
    livelock      from every marking an end can be reached (option to complete)
    dead steps    every step is visited in some run
    boundedness   no place ever holds more than some number of tokens

That nothing stays behind at the end (proper completion) needs no property of its own: an execution
is at its end when nothing is left, and what stays behind at a join is a deadlock.

The net is reduced as far as its structure allows, and one exploration with stubborn sets of what
is left decides the first three; what these preserve is said in `certificates.shrinking` and
`space.stubborn`. The net as it is comes first, then the coarse one if that was too large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.plan import Plan
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.certificates.certificates import (
    CutOff,
    DeadRun,
    Pump,
    Trapped,
)
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.boundedness import bounded, only_end
from heliostat.verify.properties.deadlock import acts, deadlock
from heliostat.verify.properties.leftovers import Leftover, left_behind
from heliostat.verify.properties.spaces import (
    STATES_MAX,
    Space,
    as_it_is,
    explored,
)
from heliostat.verify.properties.verdict import Outcome, Property, Report, Verdict
from heliostat.verify.reading.models import Alarm, Model
from heliostat.verify.resources.deadlock import with_waiting
from heliostat.verify.space.explore import Graph, Inconclusive
from heliostat.verify.space.visiting import unvisited, visits

FINE_STATES_MAX: Final = 1_000
"""Markings of the exact net before the coarse one is tried."""

DEADLOCKS_MAX: Final = 10
"""Deadlocks that one verdict tells of."""

WHOLE_STATES_MAX: Final = 5_000
"""Markings of the whole net, where something is wrong with the reduced one: a shorter tale."""

_PROPERTIES: Final[tuple[Property, ...]] = ("deadlock", "livelock", "dead steps", "boundedness")


def verify(
    plan: Plan,
    *,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
    definition: Definition | None = None,
    functions: Mapping[str, ActivityInfo] | None = None,
) -> Report:
    """Verify a plan. Never hangs: what is too large is inconclusive, with the bound.

    Args:
        definition: that the plan was made of; with it a deadlock is told only if some data leads
            there, as far as that is known.
        functions: what was seen of those that activities name, by the name.
        time_max_ms: a bound on the time of all of it, by the clock `now_ms`.
    """
    name = f"{plan.id}:{plan.version}"
    budget = Budget(time_max_ms, now_ms)
    try:
        found = explored(
            translate(plan, "proof", budget),
            states_max=min(states_max, FINE_STATES_MAX),
            budget=budget,
        )
        if found.stopped is not None and found.stopped.bound == "states":
            found = explored(
                translate(plan, "coarse", budget), states_max=states_max, budget=budget
            )
    except (TooManyTokens, OutOfTime) as error:
        reason = _reached(error) if isinstance(error, OutOfTime) else str(error)
        verdicts = [
            Verdict(asked=each, outcome="inconclusive", engine="none", reason=reason)
            for each in _PROPERTIES
        ]
        return Report(definition=name, verdicts=tuple(verdicts))
    steps = tuple(step.id for step in plan.steps)
    report = _report(name, found, steps, states_max, ends=True)
    if definition is not None and report.about("deadlock").outcome == "fails":
        from heliostat.verify.data.agreeing import agreed
        from heliostat.verify.data.places import Places

        report = agreed(
            report, Places(definition, plan, functions), states_max=states_max, budget=budget
        )
    return with_waiting(
        report, plan, definition=definition, time_max_ms=budget.part_ms(1), now_ms=now_ms
    )


def verify_model(
    model: Model,
    *,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Report:
    """Verify somebody's model, as `reading.files` reads it, likewise.

    A net without an end is not asked whether it comes to one.
    """
    look = partial(explored, states_max=states_max, budget=Budget(time_max_ms, now_ms))
    report = _report(model.name, look(model.translation), model.steps, states_max, ends=model.ends)
    alarmed = [_alarmed(asked, look(each)) for asked, each in model.alarmed.items()]
    return replace(report, verdicts=(*report.verdicts, *alarmed))


def _report(
    name: str, found: Space, steps: tuple[str, ...], states_max: int, *, ends: bool
) -> Report:
    if found.graph.dead or (ends and found.stopped is None and min(found.ends) < 0):
        found = as_it_is(found, min(states_max, WHOLE_STATES_MAX)) or found
    going = [_deadlocks(found), *([_livelock(found)] if ends else [])]
    sound = ends and all(each.outcome == "holds" for each in going)
    boundedness = bounded(
        found.translation,
        states_max,
        found.budget,
        sound=going[-1].certificate if sound else None,
    )
    verdicts = [
        *going,
        _dead_steps(found, steps, states_max),
        boundedness,
    ]
    if ends and found.stopped is not None and isinstance(boundedness.certificate, Pump):
        leftover = left_behind(found.net, boundedness.certificate, found.explore)
        if leftover is not None:
            verdicts = [_left_over(found, leftover, each) for each in verdicts]
        elif only_end(found.net) is not None and {each.outcome for each in going} == {
            "inconclusive"
        }:
            verdicts = [_one_of_both(each) for each in verdicts]
    return Report(definition=name, verdicts=tuple(verdicts), net=found.net)


def _one_of_both(verdict: Verdict) -> Verdict:
    """The verdict with what is known of an unbounded net that leaves nothing behind at its end."""
    if verdict.asked not in ("deadlock", "livelock") or verdict.outcome != "inconclusive":
        return verdict
    return replace(
        verdict,
        reason="it is unbounded, hence it gets stuck or never ends: which is not known",
    )


def _left_over(space: Space, leftover: Leftover, verdict: Verdict) -> Verdict:
    """The verdict with what an unbounded net leaves behind, if that was not known."""
    if verdict.outcome != "inconclusive":
        return verdict
    match verdict.asked, leftover.shown:
        case "deadlock", DeadRun():
            return _stuck(space, [(leftover.run, leftover.marking)])
        case "livelock", CutOff() | Trapped():
            return replace(
                _going_on(space, leftover.run, leftover.behind), certificate=leftover.shown
            )
    return verdict


def _inconclusive(asked: Property, reason: str) -> Verdict:
    return Verdict(asked=asked, outcome="inconclusive", engine="exploration", reason=reason)


def _reached(stopped: Inconclusive | OutOfTime | None) -> str:
    return f"the bound of {stopped} was reached"


_NOT_ALL: Final = "a part of the runs can never end, so the explored ones need not show all"


def _deadlocks(space: Space) -> Verdict:
    found = list[tuple[tuple[int, ...], Marking]]()
    for number in space.graph.dead:
        if found and space.budget.over:
            break  # one is enough to tell, if not the shortest
        reached = space.dead_run(number)
        if reached is not None and space.overflow(reached[1]) is None:
            found.append(reached)
    if found:
        return _stuck(space, found)
    if space.stopped is not None:
        return _inconclusive("deadlock", _reached(space.stopped))
    if space.overflown is not None:
        return _inconclusive("deadlock", space.overflown)
    if space.graph.dead or (min(space.ends) < 0 and not space.net.plain):
        return _inconclusive("deadlock", _NOT_ALL)
    count = len(space.graph.markings)
    return Verdict(
        asked="deadlock",
        outcome="holds",
        engine=space.engine,
        reason="its structure leads to an end"
        if count == 1
        else f"none of {count} markings is dead",
        rests_on=space.rests_on,
        certificate=space.certificate(),
    )


def _stuck(space: Space, found: list[tuple[tuple[int, ...], Marking]]) -> Verdict:
    """The verdict that these runs lead to dead markings, the shortest told first."""
    net = space.net
    found.sort(key=lambda each: len(each[0]))
    told = [deadlock(net, marking, run) for run, marking in found[:DEADLOCKS_MAX]]
    return Verdict(
        asked="deadlock",
        outcome="fails",
        engine="exploration",
        reason=told[0].description,
        rests_on=space.rests_on,
        run=told[0].run,
        deadlocks=tuple(told),
        certificate=DeadRun(net=net.content_hash, run=found[0][0]),
    )


def _livelock(space: Space) -> Verdict:
    if space.stopped is not None:
        return _inconclusive("livelock", _reached(space.stopped))
    if min(space.ends) >= 0:
        return Verdict(
            asked="livelock",
            outcome="holds",
            engine=space.engine,
            reason="from every marking an end can be reached",
            rests_on=space.rests_on,
            certificate=None if space.graph.dead else space.certificate(),
        )
    if space.overflown is not None:
        return _inconclusive("livelock", space.overflown)
    net = space.net
    first = next(number for number, distance in enumerate(space.ends) if distance < 0)
    try:
        run, marking = space.run_to(first)
    except TooManyTokens as error:
        return _inconclusive("livelock", str(error))
    # the explored part need not be all that lies behind: it is gone through without reduction
    there = replace(net, initial=marking)
    behind = space.explore(there, reduce=False, states_max=FINE_STATES_MAX)
    outcome: Outcome = "fails"
    if behind.stopped is not None or behind.final or behind.dead:
        outcome = "inconclusive"
    return _going_on(space, run, behind, outcome)


def _going_on(
    space: Space, run: tuple[int, ...], behind: Graph, outcome: Outcome = "fails"
) -> Verdict:
    """The verdict that behind a run nothing ends."""
    net = space.net
    steps = tuple(
        dict.fromkeys(
            each.step for edges in behind.edges for each in acts(net, [fired for fired, _ in edges])
        )
    )
    return Verdict(
        asked="livelock",
        outcome=outcome,
        engine="exploration",
        reason=f"after this run nothing but {', '.join(steps) or 'bookkeeping'} goes on, for ever",
        rests_on=space.rests_on,
        run=acts(net, run),
        steps=steps,
        certificate=CutOff(net=net.content_hash, run=run, markings=tuple(behind.markings))
        if outcome == "fails"
        else None,
    )


def _dead_steps(space: Space, steps: tuple[str, ...], states_max: int) -> Verdict:
    net, graph = space.net, space.graph
    alike = space.reduction.alike
    happened = set[int]().union(*(alike[number] for number in (-1, *space.happening)))
    known = {place.step for place in net.places} | {each.step for each in net.transitions}
    visited = _visited(net, happened)

    def missed() -> tuple[str, ...]:
        return tuple(step for step in steps if step in known and step not in visited)

    if missed():  # stubborn sets leave out what a withdrawal makes no difference to
        visited |= {*visits(net, missed(), space.budget).steps}
    idle = {net.transitions[number].step for number in space.reduction.idle}
    unsure = min(space.ends) < 0 and space.net.plain
    if idle & {*missed()} or (unsure and missed()):  # whether these ever happen was not looked at
        graph = space.explore(net, reduce=not unsure, states_max=states_max)
        visited |= _visited(net, {number for edges in graph.edges for number, _ in edges})
    shown = None
    if missed():
        shown = unvisited(net, missed(), space.budget)
        visited |= {*missed()} - {*(missed() if shown is None else shown.steps)}
    if not missed():
        told = tuple(step for step in steps if step in known)
        runs = visits(net, told, space.budget)
        return Verdict(
            asked="dead steps",
            outcome="holds",
            engine=space.engine,
            reason="every step is visited in some run",
            rests_on=space.rests_on,
            certificate=runs if len(runs.steps) == len(told) else None,
        )
    if shown is None and graph.stopped is not None:
        return _inconclusive("dead steps", _reached(graph.stopped))
    if space.overflown is not None:
        return replace(_inconclusive("dead steps", space.overflown), steps=missed())
    drains = any(each.drains for each in net.transitions)
    if shown is None and (drains or (min(space.ends) < 0 and not unsure)):
        return replace(_inconclusive("dead steps", _NOT_ALL), steps=missed())
    return Verdict(
        asked="dead steps",
        outcome="fails",
        engine="exploration",
        reason=f"no run ever comes to {', '.join(missed())}",
        rests_on=space.rests_on,
        steps=missed(),
        certificate=shown,
    )


_TWICE: Final[dict[Alarm, str]] = {
    "safeness": "two tokens may be on the way from {} at once",
    "proper completion": "{} may be reached more than once",
}


def _alarmed(asked: Alarm, space: Space) -> Verdict:
    """Whether an alarm can be raised: its token stays, so that no exploration overlooks it."""
    for number, marking in enumerate(space.graph.markings):
        raised = space.overflow(marking)
        if raised is not None:
            run, _ = space.run_to(number)
            return Verdict(
                asked=asked,
                outcome="fails",
                engine="exploration",
                reason=_TWICE[asked].format(raised),
                rests_on=space.rests_on,
                run=acts(space.net, run),
                steps=(raised,),
            )
    if space.stopped is not None:
        return _inconclusive(asked, _reached(space.stopped))
    if min(space.ends) < 0:
        return _inconclusive(asked, _NOT_ALL)
    return Verdict(
        asked=asked,
        outcome="holds",
        engine=space.engine,
        reason="nothing comes twice",
        rests_on=space.rests_on,
        certificate=None if space.graph.dead else space.certificate(),
        net=space.net,
    )


def _visited(net: Net, happened: set[int]) -> set[str | None]:
    """The steps that are visited at the start, or by what happens."""
    places = {number for number, count in enumerate(net.initial) if count}
    for number in happened:
        each = net.transitions[number]
        places.update(place for place, _ in (*each.inputs, *each.outputs))
    found = {net.places[n].step for n in places if net.places[n].visit}
    acting = (net.transitions[n] for n in happened)
    return found | {each.step for each in acting if each.act}
