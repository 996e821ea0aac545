"""Executions that start one another without end: by sub-workflows, or by events and handlers.

A *beginning* is an execution of a definition, or a token that a handler puts on a step of one. What
a beginning must set off before it can end is found like the productive symbols of a grammar: one is
*ending* if some run of it comes to an end by steps alone that set off nothing, or what is ending
already. Those that are left, and set off one another in a circle, do so for ever. A `foreach` may
have nothing to run over, a handler's `where` may refuse, and a failure that is caught leads on:
each is a way out. That a sub-workflow failed is none, for it has been started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.across.composing import names
from heliostat.verify.across.messages import Site
from heliostat.verify.budget import UNBOUNDED, Budget, OutOfTime
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.verdict import Fault, Verdict
from heliostat.verify.space.explore import explore
from heliostat.verify.structure.reductions import reduce

ASKED: Final = "starts"

STATES_MAX: Final = 5_000
"""Markings of one definition that is asked for an end; with more it is taken to have one."""

LEVELS_MAX: Final = 32
"""How deep the engine lets executions start one another; a test holds it to the engine's own."""

ALIVE: Final = Abstraction(
    kind="handlers",
    step=None,
    text="an execution with the handler is there whenever the event comes",
)


@dataclass(frozen=True, slots=True)
class Beginning:
    """An execution of a definition from its start, or a token on a step that a handler puts."""

    plan: int
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOff:
    """What a step sets off, and by what."""

    at: Site
    then: Beginning
    event: str | None = None  # None: it is a sub-workflow
    handler: int | None = None  # whose definition's handler acts on the event


def children_of(plans: Sequence[Plan]) -> dict[Site, int]:
    """By step, which of these definitions it starts as a sub-workflow."""
    return {
        Site(number, step.number): child
        for number, plan in enumerate(plans)
        for step in plan.steps
        if step.child is not None and not step.retired
        for child in _named(plans, step.child.workflow, step.child.version)
    }


def starts(
    plans: Sequence[Plan],
    own: int,
    budget: Budget = UNBOUNDED,
) -> Verdict:
    """The verdict about whether an execution of one definition sets off itself without end."""
    set_off = _set_off(plans)
    round_again = _circle(set_off, own)
    if round_again is None:
        reason = "no execution sets off another of its own definition"
        return Verdict(asked=ASKED, outcome="holds", engine="none", reason=reason)
    ends = _Ends(plans, budget)
    circle = _circle(_endless(set_off, ends), own)
    if circle is None:
        levels = f", {LEVELS_MAX} levels deep at most" if _deep(plans, round_again) else ""
        return Verdict(
            asked=ASKED,
            outcome="inconclusive" if ends.unknown else "holds",
            engine="starting graph",
            reason=ends.unknown or f"{_in_words(plans, round_again)}, and can end without{levels}",
        )
    reason = f"{_in_words(plans, circle)}, and cannot end before"
    first = circle[0]
    return Verdict(
        asked=ASKED,
        outcome="fails",
        engine="starting graph",
        reason=reason,
        rests_on=(*ends.grounds, ALIVE) if _by_events(circle) else tuple(ends.grounds),
        steps=(plans[own].steps[first.at.step].id,),
        faults=(_fault(plans, own, circle),),
    )


def _fault(plans: Sequence[Plan], own: int, circle: Sequence[SetOff]) -> Fault:
    step = plans[own].steps[circle[0].at.step].id
    told = _in_words(plans, circle)
    if _by_events(circle):
        return Fault(
            code="HS544",
            message=f"one event sets off the next without end: {told}",
            cure="let a `where` of the handler refuse the last of them, or a way end without "
            "publishing",
            step=step,
        )
    bound = "nothing bounds how many there are"
    if _deep(plans, circle):
        bound = f"{LEVELS_MAX} levels deep they fail as `RecursionTooDeep`"
    return Fault(
        code="HS543",
        message="every execution starts another of its own definition, unless it fails before: "
        f"{told}; {bound}",
        cure="let a condition lead past this step",
        step=step,
        field=("workflow",),
    )


def _deep(plans: Sequence[Plan], circle: Sequence[SetOff]) -> bool:
    """Whether the engine counts how deep it goes: of executions that somebody waits for."""
    steps = (plans[each.at.plan].steps[each.at.step] for each in circle)
    return all(step.child is not None and not step.child.detached for step in steps)


def _by_events(circle: Sequence[SetOff]) -> bool:
    return any(each.event is not None for each in circle)


def _in_words(plans: Sequence[Plan], circle: Sequence[SetOff]) -> str:
    """`b` of `a` starts `c`, `d` of `c` publishes `e`, by which a handler of `f` starts `a`."""
    called, links = names(plans), []
    for each in circle:
        then, step = plans[each.then.plan], plans[each.at.plan].steps[each.at.step].id
        what = f"starts `{called[each.then.plan]}`"
        if each.then.step is not None:
            what = f"triggers `{then.steps[each.then.step].id}`"
        if each.handler is not None:
            by = f"a handler of `{called[each.handler]}`"
            what = f"publishes `{each.event}`, by which {by} {what}"
        links.append(f"`{step}` of `{called[each.at.plan]}` {what}")
    return ", ".join(links)


def _named(plans: Sequence[Plan], id: str, version: str | None) -> Iterator[int]:
    """The first of these that a sub-workflow or a handler means."""
    found = [n for n, p in enumerate(plans) if p.id == id and version in (None, p.version)]
    yield from found[:1]


Graph = Mapping[Beginning, Sequence[SetOff]]


def _set_off(plans: Sequence[Plan]) -> dict[Beginning, list[SetOff]]:
    """By beginning, what the steps of its definition set off when they are gone through."""
    by_plan: list[list[SetOff]] = [
        [each for step in plan.steps for each in _of_step(plans, number, step)]
        for number, plan in enumerate(plans)
    ]
    found = {Beginning(number): by_plan[number] for number in range(len(plans))}
    for each in [one for many in by_plan for one in many]:
        found.setdefault(each.then, by_plan[each.then.plan])
    return found


def _of_step(plans: Sequence[Plan], number: int, step: StepPlan) -> Iterator[SetOff]:
    at = Site(number, step.number)
    if step.retired:
        return
    if step.child is not None and step.foreach is None:
        for child in _named(plans, step.child.workflow, step.child.version):
            yield SetOff(at=at, then=Beginning(child))
    for event in dict.fromkeys(each.event for each in step.publish):
        for other, plan in enumerate(plans):
            for handler in plan.handlers:
                if handler.event != event or handler.where is not None:
                    continue
                for action in handler.actions:
                    if action.step is not None:
                        then = Beginning(other, action.step)
                        yield SetOff(at=at, then=then, event=event, handler=other)
                    elif action.kind == "start" and action.child is not None:
                        child_of = action.child
                        for child in _named(plans, child_of.workflow, child_of.version):
                            then = Beginning(child)
                            yield SetOff(at=at, then=then, event=event, handler=other)


def _circle(graph: Graph, own: int) -> list[SetOff] | None:
    """The shortest way from a beginning of a definition back to it."""
    best: list[SetOff] | None = None
    for first in [each for each in graph if each.plan == own]:
        todo, seen = [(first, list[SetOff]())], {first}
        while todo:
            at, way = todo.pop(0)
            for each in graph.get(at, ()):
                if each.then == first and (best is None or len(way) + 1 < len(best)):
                    best = [*way, each]
                if each.then not in seen:
                    seen.add(each.then)
                    todo.append((each.then, [*way, each]))
    return best


def _endless(graph: Graph, ends: _Ends) -> dict[Beginning, list[SetOff]]:
    """The beginnings that are not ending, with what they set off of one another."""
    left = {each for each in graph if ends.some(each, frozenset())}  # else it never ends anyhow
    while True:
        ending = {
            each
            for each in left
            if ends.some(each, frozenset(one.at.step for one in graph[each] if one.then in left))
        }
        if not ending:
            return {
                each: [one for one in graph[each] if one.then in left]
                for each in graph
                if each in left
            }
        left -= ending


class _Ends:
    """Whether beginnings can come to an end without some steps."""

    def __init__(self, plans: Sequence[Plan], budget: Budget) -> None:
        self._plans, self._budget = plans, budget
        self._nets: dict[int, Net] = {}
        self._known: dict[tuple[Beginning, frozenset[int]], bool] = {}
        self.grounds: dict[Abstraction, None] = {}
        self.unknown: str | None = None

    def some(self, beginning: Beginning, without: frozenset[int]) -> bool:
        """Whether some run does; also where that is not known."""
        key = beginning, without
        if key not in self._known:
            try:
                self._known[key] = self._some(beginning, without)
            except (TooManyTokens, OutOfTime) as error:
                self.unknown, self._known[key] = f"the bound of {error} was reached", True
        return self._known[key]

    def _some(self, beginning: Beginning, without: frozenset[int]) -> bool:
        plan, net = self._plans[beginning.plan], self._net(beginning.plan)
        steps = {plan.steps[number].id: plan.steps[number] for number in without}
        # a step that is not to be gone through neither completes nor takes the execution with it;
        # a sub-workflow has started when it fails
        left = tuple(
            each
            for each in net.transitions
            if each.step not in steps
            or each.act.split(" ")[0] not in ("completes", "cancels", "fails")
            or (
                each.act.startswith("fails")
                and each.ending != "failed"
                and steps[each.step].child is None
            )
        )
        initial = net.initial if beginning.step is None else _at(net, plan, beginning.step)
        graph = explore(
            reduce(replace(net, transitions=left, initial=initial), self._budget).net,
            states_max=STATES_MAX,
            time_max_ms=self._budget.left_ms(),
            now_ms=self._budget.now_ms,
        )
        if graph.stopped is not None and not graph.final:
            self.unknown = f"the bound of {graph.stopped} was reached"
            return True
        return bool(graph.final)

    def _net(self, number: int) -> Net:
        if number not in self._nets:
            made = translate(self._plans[number], "proof", self._budget)
            # what a handler triggers is a beginning of its own
            triggers = {n for n, e in enumerate(made.net.transitions) if e.act[:8] == "triggers"}
            left = [e for n, e in enumerate(made.net.transitions) if n not in triggers]
            self._nets[number] = replace(made.net, transitions=tuple(left))
        return self._nets[number]


def _at(net: Net, plan: Plan, step: int) -> Marking:
    """The marking with one token of control, where a visit of a step of the root begins."""
    id = plan.steps[step].id
    place = net.place_index.get(f"ready_{id}", net.place_index.get(f"step_{id}"))
    return bytes(
        1 if number == place else 0 if each.role == "control" else net.initial[number]
        for number, each in enumerate(net.places)
    )
