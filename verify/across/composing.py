"""One net of several definitions: an execution of each side by side, and what goes between them.

Each definition's net is as `nets.translation` makes it. A message is a token on a place that the
completion of whoever sends it fills; a bound wait ends only with one. Who is started by another of
them as a sub-workflow begins there, and lets that step end when it has ended itself. Failures that
nothing catches lead nowhere, as in every net here: an execution that might fail is not stuck.

A message that is there is taken by the wait, where at most one visit in the definition can wait for
it at a time. Elsewhere an event goes to all that wait, and a place that is emptied by the first
would have the others wait in vain: there a message that has been sent stays sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.across.messages import Message, Site, Traffic, around
from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.nets.net import Arcs, Net, NetTransition, Place
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation, translate

CLOSED: Final = Abstraction(
    kind="closed world",
    step=None,
    text="what one of these definitions sends nobody else sends; conditions of waits accept",
)
ONE_OF_EACH: Final = Abstraction(
    kind="one of each",
    step=None,
    text="one execution of each, all there from the start but for those that one starts",
)
STAYS: Final = Abstraction(
    kind="messages", step=None, text="a message that was sent once is there for every wait"
)


@dataclass(frozen=True, kw_only=True)
class Composed:
    """The net of several definitions."""

    translation: Translation
    waiting: Mapping[str, Site]
    """By the id of the place that holds a token while a bound wait is open."""


def compose(
    plans: Sequence[Plan],
    traffic: Traffic,
    children: Mapping[Site, int],
    budget: Budget = UNBOUNDED,
    *,
    stays: bool = False,
) -> Composed:
    """Put definitions together.

    Args:
        children: by step, which of them it starts as a sub-workflow.
        stays: whether no message is ever used up; then the net has no counters.

    Raises:
        TooManyTokens: a semaphore has more permits than a marking counts.
        OutOfTime: the budget is used up.
    """
    return _Composer(plans, traffic, children, budget, stays=stays).composed()


def names(plans: Sequence[Plan]) -> list[str]:
    """What definitions are called beside one another."""
    ids = [plan.id for plan in plans]
    return [p.id if ids.count(p.id) == 1 else f"{p.id}:{p.version}" for p in plans]


def step_name(plans: Sequence[Plan], site: Site) -> str:
    """What a step is called, with its definition where there are several."""
    id = plans[site.plan].steps[site.step].id
    return id if len(plans) == 1 else f"{names(plans)[site.plan]}.{id}"


class _Composer:
    def __init__(
        self,
        plans: Sequence[Plan],
        traffic: Traffic,
        children: Mapping[Site, int],
        budget: Budget,
        *,
        stays: bool,
    ) -> None:
        self._plans, self._traffic, self._children = plans, traffic, children
        self._nets = [translate(plan, "proof", budget) for plan in plans]
        self._offsets = [0]
        for each in self._nets:
            self._offsets.append(self._offsets[-1] + len(each.net.places))
        self._places: list[Place] = []
        self._initial = bytearray()
        self._transitions: list[NetTransition] = []
        self._messages: dict[Message, int] = {}
        self._once: dict[int, int] = {}  # by child: a token until it is started
        self._due: dict[int, int] = {}  # by child: a token where a step starts it and goes on
        self._begun: dict[int, int] = {}  # of some waits: open, by the place where one is due
        self._start: dict[int, list[tuple[int, int]]] = {}  # by child: what starting it puts
        self._kept = {
            message
            for number in range(len(plans))
            for message in self._of(number)
            if stays or not self._taken_once(message)
        }

    def composed(self) -> Composed:
        waiting = dict[str, Site]()
        for number in range(len(self._plans)):
            self._copy_places(number)
        for number in range(len(self._plans)):
            self._split(number)
        for message in dict.fromkeys(m for sent in self._traffic.sends.values() for m in sent):
            label = f"{message.kind}_{message.key}_to_{self._called[message.to]}"
            self._messages[message] = self._place(f"sent_{label}", f"{message} is sent")
        for child in sorted({*self._children.values()}):
            self._unstarted(child)
        for number in range(len(self._plans)):
            waiting |= self._copy_transitions(number)
        net = Net(
            id=" beside ".join(each.net.id for each in self._nets),
            places=tuple(self._places),
            transitions=tuple(self._transitions),
            initial=bytes(self._initial),
        )
        grounds = [*dict.fromkeys(each for made in self._nets for each in made.abstractions)]
        if self._kept:
            grounds.append(STAYS)
        overflows = {
            place + self._offsets[number]: step
            for number, made in enumerate(self._nets)
            for place, step in made.overflows.items()
        }
        translation = Translation(
            net=net, abstractions=(CLOSED, ONE_OF_EACH, *grounds), overflows=overflows
        )
        return Composed(translation=translation, waiting=waiting)

    @property
    def _called(self) -> list[str]:
        return names(self._plans)

    def _of(self, number: int) -> Iterator[Message]:
        """The messages that bound waits of a definition wait for."""
        for site, messages in self._traffic.waits.items():
            if site.plan == number:
                yield from messages

    def _taken_once(self, message: Message) -> bool:
        """Whether only one visit at a time can wait for it."""
        plan = self._plans[message.to]
        waits = [
            step
            for step in plan.steps
            if any(
                (each.kind, each.key) == (message.kind, message.key) for each in step.alternatives
            )
        ]
        one = len(waits) == 1 and all(
            _alone(plan, each) for each in (waits[0], *around(plan, waits[0]))
        )
        return one or _one_by_one(plan)

    # -- places

    def _place(self, id: str, name: str, *, control: bool = False, tokens: int = 0) -> int:
        self._places.append(Place(id=id, name=name, role="control" if control else "auxiliary"))
        self._initial.append(tokens)
        return len(self._places) - 1

    def _copy_places(self, number: int) -> None:
        net, called = self._nets[number].net, self._called[number]
        for place in net.places:
            id = place.id if len(self._plans) == 1 else f"{place.id}@{called}"
            self._places.append(replace(place, id=id, step=self._named(number, place.step)))
        started = number in self._children.values()
        self._initial += bytes(
            0 if started and net.places[at].role == "control" else count
            for at, count in enumerate(net.initial)
        )

    def _named(self, number: int, step: str | None) -> str | None:
        if step is None or len(self._plans) == 1:
            return step
        return f"{self._called[number]}.{step}"

    def _unstarted(self, child: int) -> None:
        called, net, offset = self._called[child], self._nets[child].net, self._offsets[child]
        once = self._once[child] = self._place(f"unstarted_{called}", "Not started", tokens=1)
        due = self._due[child] = self._place(f"due_{called}", "To be started", control=True)
        self._start[child] = [
            (place + offset, count)
            for place, count in enumerate(net.initial)
            if count and net.places[place].role == "control"
        ]
        self._transition(f"start_{called}", [(due, 1), (once, 1)], self._start[child])
        self._transition(f"started_{called}", [(due, 1)], inhibitors=(once,))

    # -- net transitions

    def _transition(
        self,
        id: str,
        inputs: Sequence[tuple[int, int]],
        outputs: Sequence[tuple[int, int]] = (),
        inhibitors: tuple[int, ...] = (),
    ) -> None:
        made = NetTransition(
            id=id,
            name=id,
            inputs=tuple(sorted(inputs)),
            outputs=tuple(sorted(outputs)),
            inhibitors=inhibitors,
        )
        self._transitions.append(made)

    def _copy_transitions(self, number: int) -> dict[str, Site]:
        """Those of one definition, tied to the messages and children of its steps."""
        plan, net, offset = self._plans[number], self._nets[number].net, self._offsets[number]
        steps = {step.id: step.number for step in plan.steps if not step.retired}
        opens = {
            at: Site(number, steps[place.step])
            for at, place in enumerate(net.places)
            if place.id.startswith("step_") and place.step in steps
        }
        for at, site in opens.items():
            child = self._children.get(site)
            if child is not None and not _detached(plan, site):
                shifted = at + offset
                begun = [*self._start[child], (shifted, 1)]
                id = f"begin_{self._places[shifted].id}"
                self._transition(id, [(self._once[child], 1), (shifted, 1)], begun)
        for each in net.transitions:
            shifted_one = _shifted(each, offset)
            step = None if each.step is None else Site(number, steps[each.step])
            held = next((opens[place] for place, _ in each.inputs if place in opens), None)
            skips = held is None or each.act.startswith("skips")
            shifted_one = _behind_when(shifted_one, self._begun, skips=skips)
            made = replace(
                shifted_one,
                id=each.id if len(self._plans) == 1 else f"{each.id}@{self._called[number]}",
                step=self._named(number, each.step),
                outside=each.outside and not each.act.startswith("triggers"),
                ending="failed" if each.ending == "failed" else "",
            )
            if step is not None and each.act.split(" ")[0] == "completes":
                made = self._sending(made, step)
            if held is None or skips:
                self._transitions.append(made)
            else:
                self._transitions += self._held(made, held)
        places = {site: at + offset for at, site in opens.items() if site in self._traffic.waits}
        return {
            self._places[self._begun.get(place, place)].id: site for site, place in places.items()
        }

    def _split(self, number: int) -> None:
        """A bound wait with a `when` may be skipped while it is due, and not once it is open: it
        has a place more for that."""
        plan, offset = self._plans[number], self._offsets[number]
        skipped = {
            plan.steps[site.step].id
            for site in self._traffic.waits
            if site.plan == number and plan.steps[site.step].when is not None
        }
        for at, each in enumerate(self._nets[number].net.places):
            if each.step in skipped and each.id.startswith("step_"):
                due = at + offset
                begun = self._begun[due] = len(self._places)
                place = self._places[due]
                self._places.append(replace(place, id=f"begun_{place.id}"))
                self._initial.append(0)
                self._transition(f"begin_{place.id}", [(due, 1)], [(begun, 1)])

    def _sending(self, made: NetTransition, site: Site) -> NetTransition:
        """What a completion sends, and the child that it starts and leaves to itself."""
        puts, drains = list(made.outputs), list(made.drains)
        for message in self._traffic.sends.get(site, ()):
            place = self._messages[message]
            puts.append((place, 1))
            if message in self._kept:
                drains.append((place, ()))
        child = self._children.get(site)
        if child is not None and _detached(self._plans[site.plan], site):
            puts.append((self._due[child], 1))
        return replace(made, outputs=tuple(sorted(puts)), drains=tuple(sorted(drains)))

    def _held(self, made: NetTransition, site: Site) -> Iterator[NetTransition]:
        """Ways in which a visit ends that hangs on a message or on the end of a child."""
        child = self._children.get(site)
        if child is not None and not _detached(self._plans[site.plan], site):
            offset = self._offsets[child]
            inside = [place + offset for place in self._nets[child].net.control]
            inside += [self._begun[place] for place in inside if place in self._begun]
            empty = (*made.inhibitors, self._once[child], self._due[child], *inside)
            yield replace(made, inhibitors=tuple(dict.fromkeys(empty)))
            return
        messages = self._traffic.waits.get(site)
        if messages is None:
            yield made
            return
        for number, message in enumerate(messages):
            place = (self._messages[message], 1)
            back = [place] if message in self._kept and place not in made.outputs else []
            yield replace(
                made,
                id=made.id if not number else f"{made.id}:{number + 1}",
                inputs=tuple(sorted([*made.inputs, place])),
                outputs=tuple(sorted([*made.outputs, *back])),
            )


def _behind_when(each: NetTransition, begun: Mapping[int, int], *, skips: bool) -> NetTransition:
    """A net transition where due and open are two places."""
    if not begun:
        return each
    twice = tuple((begun[place], back) for place, back in each.drains if place in begun)
    return replace(
        each,
        inputs=each.inputs
        if skips
        else tuple(sorted((begun.get(place, place), weight) for place, weight in each.inputs)),
        inhibitors=each.inhibitors + tuple(begun[p] for p in each.inhibitors if p in begun),
        drains=tuple(sorted(each.drains + twice)),
    )


def _detached(plan: Plan, site: Site) -> bool:
    child = plan.steps[site.step].child
    return child is not None and child.detached


def _shifted(each: NetTransition, offset: int) -> NetTransition:
    def arcs(some: Arcs) -> Arcs:
        return tuple((place + offset, weight) for place, weight in some)

    return replace(
        each,
        inputs=arcs(each.inputs),
        outputs=arcs(each.outputs),
        inhibitors=tuple(place + offset for place in each.inhibitors),
        drains=tuple((place + offset, arcs(back)) for place, back in each.drains),
    )


def _one_by_one(plan: Plan) -> bool:
    """Whether an execution never has two visits open side by side."""
    return all(
        plan.scopes[step.scope].notation == "state_machine"
        and step.kind != "parallel"
        and _alone(plan, step)
        for step in plan.steps
        if not step.retired
    )


def _alone(plan: Plan, step: StepPlan) -> bool:
    """Whether at most one visit in its scope can be open."""
    scope = plan.scopes[step.scope]
    if step.foreach is not None:
        return False
    if scope.notation == "dag":
        return True
    triggered = scope.owner is None and any(
        action.step is not None for handler in plan.handlers for action in handler.actions
    )
    return not triggered and not any(plan.steps[n].split == "all" for n in scope.steps)
