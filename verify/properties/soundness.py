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

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Final

from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.plan import Plan
from heliostat.verify.budget import UNBOUNDED, Budget, OutOfTime
from heliostat.verify.certificates.certificates import (
    Certificate,
    CutOff,
    DeadRun,
    Explored,
    Pump,
    Reduced,
    Trapped,
)
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.nets.visits import VISITS_MAX
from heliostat.verify.properties.boundedness import bounded, only_end
from heliostat.verify.properties.deadlock import acts, deadlock
from heliostat.verify.properties.leftovers import Leftover, left_behind
from heliostat.verify.properties.verdict import Outcome, Property, Report, Verdict
from heliostat.verify.reading.models import Alarm, Model
from heliostat.verify.resources.deadlock import with_waiting
from heliostat.verify.space.explore import Graph, Inconclusive, explore
from heliostat.verify.space.visiting import unvisited, visits
from heliostat.verify.structure.reductions import Reduction, reduce, unreduced

FINE_STATES_MAX: Final = 1_000
"""Markings of the exact net before the coarse one is tried."""

STATES_MAX: Final = 50_000
"""Markings of the last exploration; with more the answer is inconclusive."""

DEADLOCKS_MAX: Final = 10
"""Deadlocks that one verdict tells of."""

WHOLE_STATES_MAX: Final = 5_000
"""Markings of the whole net, where something is wrong with the reduced one: a shorter tale."""

ON_THE_WAY_MAX: Final = 10_000
"""Net transitions that lead from a dead marking of a reduced net to one of the whole net."""

_PROPERTIES: Final[tuple[Property, ...]] = ("deadlock", "livelock", "dead steps", "boundedness")


def verify(
    plan: Plan,
    *,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
    definition: Definition | None = None,
) -> Report:
    """Verify a plan. Never hangs: what is too large is inconclusive, with the bound.

    Args:
        definition: that the plan was made of; with it a deadlock is told only if some data leads
            there, as far as that is known.
        time_max_ms: a bound on the time of all of it, by the clock `now_ms`.
    """
    name = f"{plan.id}:{plan.version}"
    budget = Budget(time_max_ms, now_ms)
    try:
        found = _looked(
            translate(plan, "proof", budget), min(states_max, FINE_STATES_MAX), budget=budget
        )
        if found.stopped is not None and found.stopped.bound == "states":
            found = _looked(translate(plan, "coarse", budget), states_max, budget=budget)
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

        report = agreed(report, definition, plan, states_max=states_max, budget=budget)
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
    look = partial(_looked, states_max=states_max, budget=Budget(time_max_ms, now_ms))
    report = _report(model.name, look(model.translation), model.steps, states_max, ends=model.ends)
    alarmed = [_alarmed(asked, look(each)) for asked, each in model.alarmed.items()]
    return replace(report, verdicts=(*report.verdicts, *alarmed))


def _looked(translation: Translation, states_max: int, *, budget: Budget) -> Space:
    def timed(net: Net, *, reduce: bool = True, states_max: int) -> Graph:
        graph = explore(
            net,
            reduce=reduce,
            states_max=states_max,
            time_max_ms=budget.left_ms(),
            now_ms=budget.now_ms,
        )
        if graph.stopped is not None and graph.stopped.bound == "time":
            graph.stopped = replace(graph.stopped, limit=budget.time_max_ms or 0)
        return graph

    reduction = reduce(translation.net, budget)
    graph = timed(reduction.net, states_max=states_max)
    return Space(
        translation=translation, reduction=reduction, graph=graph, explore=timed, budget=budget
    )


def _report(
    name: str, found: Space, steps: tuple[str, ...], states_max: int, *, ends: bool
) -> Report:
    if found.graph.dead or (ends and found.stopped is None and min(found.ends) < 0):
        found = _as_it_is(found, min(states_max, WHOLE_STATES_MAX)) or found
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


@dataclass(kw_only=True)
class Space:
    """A net, what it was reduced to, and what was explored of that."""

    translation: Translation
    reduction: Reduction
    graph: Graph
    explore: Callable[..., Graph]  # in the time that the caller gave
    budget: Budget

    @property
    def net(self) -> Net:
        return self.translation.net

    @property
    def rests_on(self) -> tuple[Abstraction, ...]:
        return self.translation.abstractions

    @property
    def stopped(self) -> Inconclusive | None:
        return self.graph.stopped

    @cached_property
    def ends(self) -> list[int]:
        return distances(self.graph)

    @cached_property
    def overflown(self) -> str | None:
        """That more visits of a step may be open than the net holds, in words."""
        seen = (self.overflow(marking) for marking in self.graph.markings)
        step = next((step for step in seen if step is not None), None)
        if step is None:
            return None
        return f"more than {VISITS_MAX} visits of {step!r} may be open at once"

    def overflow(self, marking: Marking) -> str | None:
        """The step of which more visits are open there than the net holds."""
        overflows = self.translation.overflows.items()
        return next((step for place, step in overflows if marking[place]), None)

    @property
    def engine(self) -> str:
        return "reduction" if len(self.graph.markings) == 1 else "exploration"

    def certificate(self) -> Certificate:
        """That nothing is dead and, where it can, that an end can always be reached."""
        explored = Explored(
            net=self.reduction.net.content_hash,
            markings=tuple(self.graph.markings),
            stubborn=tuple(self.graph.stubborn),
            ends=tuple(self.ends) if min(self.ends) >= 0 else (),
        )
        if not self.reduction.steps:
            return explored
        return Reduced(net=self.net.content_hash, steps=self.reduction.steps, then=explored)

    def run_to(self, number: int) -> tuple[tuple[int, ...], Marking]:
        """A run of the whole net, and where it leads.

        Raises:
            TooManyTokens: on its way a place holds more than a marking counts.
        """
        run, marking = self.reduction.run(self.graph.run_to(number)), self.net.initial
        for fired in run:
            marking = self.net.fire(marking, fired)
        return run, marking

    def dead_run(self, number: int) -> tuple[tuple[int, ...], Marking] | None:
        """A run of the whole net to a dead marking: what was postponed happens at last.

        None where it leads elsewhere, or a place comes to hold more than a marking counts.
        """
        try:
            return self._dead_run(number)
        except TooManyTokens:
            return None

    def _dead_run(self, number: int) -> tuple[tuple[int, ...], Marking] | None:
        net, late = self.net, list[int]()
        run, marking = self.run_to(number)
        own = [n for n, each in enumerate(net.transitions) if not each.outside]
        enabled = {n for n in own if net.enabled(marking, n)}
        while len(late) < ON_THE_WAY_MAX and not self.budget.over:
            if not enabled:
                return (*run, *late), marking
            live = [n for n in enabled if net.transitions[n].ending != "failed"]
            if not live:
                break
            late.append(min(live))
            marking = net.fire(marking, late[-1])
            if net.is_final(marking):
                break
            near = net.watching(late[-1])
            now = {n for n in near if not net.transitions[n].outside and net.enabled(marking, n)}
            enabled = (enabled - near) | now
        return None


def _as_it_is(space: Space, states_max: int) -> Space | None:
    """The same net, explored without structural reductions; None if it is too large for that."""
    graph = space.explore(space.net, states_max=states_max)
    if graph.stopped is not None and graph.stopped.bound != "tokens":
        return None
    return replace(space, reduction=unreduced(space.net), graph=graph)


def distances(graph: Graph) -> list[int]:
    """Of each marking the number of explored steps to an end; -1 where there is none."""
    found = [-1] * len(graph.markings)
    before: list[list[int]] = [[] for _ in graph.markings]
    for number, edges in enumerate(graph.edges):
        for _, target in edges:
            before[target].append(number)
    ring = [*graph.final, *graph.dead]
    for number in ring:
        found[number] = 0
    while ring:
        ring_next = []
        for number in ring:
            for source in before[number]:
                if found[source] < 0:
                    found[source] = found[number] + 1
                    ring_next.append(source)
        ring = ring_next
    return found


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
    fired = {number for edges in graph.edges for number, _ in edges}
    happened = set[int]().union(*(space.reduction.alike[number] for number in (-1, *fired)))
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


def explored(
    translation: Translation,
    *,
    states_max: int = STATES_MAX,
    budget: Budget = UNBOUNDED,
) -> Space:
    """A net that is asked something else, reduced and explored as for soundness.

    What stays for ever where it comes about, as a token of control that nothing takes, is seen: on
    `translation.overflows` (`Space.overflow`), or as a marking that no end can be reached from.
    """
    return _looked(translation, states_max, budget=budget)


def ends_always(space: Space) -> bool:
    """Whether an end can be reached from everywhere, so that the space is its own certificate; a
    net with an alarm (`nets.watching`) then raises none."""
    return space.stopped is None and not space.graph.dead and min(space.ends) >= 0
