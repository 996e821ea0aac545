"""What kind of deadlock a dead marking is, and how it is mended.

The patterns are asked in this order: a circle of waiting; a join whose missing arrivals nobody can
bring any more, be it that conditions led past it or that no way leads there; permits that are
lacking. So whoever waits for the permits of somebody who is stuck is not taken for the cause. Who
waits for whom is seen in the net: a blocked net transition lacks tokens on a place; whoever could
put them there is looked for backwards, through net transitions that are blocked too, until places
that hold tokens are met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heliostat.verify.nets.net import Marking, Net
from heliostat.verify.properties.conditions import led_past
from heliostat.verify.properties.verdict import (
    Act,
    AddTransition,
    Blocked,
    BreakDependencyCycle,
    CircularWait,
    Deadlock,
    Fix,
    FixConditions,
    Generic,
    InconsistentConditions,
    IncreaseResources,
    MissingTransition,
    Pattern,
    ResourceStarvation,
    Shortage,
    Unknown,
)
from heliostat.verify.reading.models import GOING

WAITS_MAX: Final = 5
"""Of those that wait, where no pattern says why, the ones that are named."""


def deadlock(net: Net, marking: Marking, run: Sequence[int]) -> Deadlock:
    """All about one dead marking."""
    blocked = _blocked(net, marking)
    pattern = _pattern(net, marking, blocked, run)
    fix, description = _fix(net, pattern)
    if isinstance(pattern, Unknown):
        description = _waiting(net, marking, blocked)
    return Deadlock(
        marking=net.tokens(marking),
        run=acts(net, run),
        blocked=tuple(_told(net, marking, number) for number in blocked),
        pattern=pattern,
        fix=fix,
        description=description,
    )


def acts(net: Net, run: Sequence[int]) -> tuple[Act, ...]:
    """A firing sequence as what the user's steps do in it."""
    found = []
    for number in run:
        each = net.transitions[number]
        verb = each.act.split(" ")[0]
        if each.step is not None and verb in ("completes", "fails", "skips"):
            found.append(Act(step=each.step, act=verb))
    return tuple(found)


def _blocked(net: Net, marking: Marking) -> list[int]:
    """Net transitions that something waits for: an input of theirs has tokens of control."""
    waiting = (n for n in net.control if marking[n])
    return sorted({number for place in waiting for number in net.consumers[place]})


def _missing(net: Net, marking: Marking, number: int) -> list[int]:
    return [p for p, weight in net.transitions[number].inputs if marking[p] < weight]


def _told(net: Net, marking: Marking, number: int) -> Blocked:
    each = net.transitions[number]
    return Blocked(
        transition=each.id,
        missing=tuple(
            Shortage(place=net.places[place].id, required=weight, available=marking[place])
            for place, weight in each.inputs
            if marking[place] < weight
        ),
    )


def _pattern(net: Net, marking: Marking, blocked: list[int], run: Sequence[int]) -> Pattern:
    circle = _circle(net, marking, blocked)
    if circle is not None:
        return circle
    lacking = {place for number in blocked for place in _missing(net, marking, number)}
    resources = [place for place in lacking if net.places[place].role == "resource"]
    arrivals = [p for p in lacking if net.places[p].id.startswith(("arrived_", "join_"))]
    vain = [place for place in arrivals if not _sources(net, marking, place)]
    if vain or (arrivals and not resources):
        marked = [place for place in net.control if marking[place]]
        past = led_past(net, run, vain or arrivals)
        return past or MissingTransition(
            from_places=_ids(net, marked), to_places=_ids(net, vain or arrivals)
        )
    if resources:
        return ResourceStarvation(resources=_ids(net, resources))
    return Unknown()


def _circle(net: Net, marking: Marking, blocked: list[int]) -> CircularWait | None:
    """A circle in the graph of who waits for whom."""
    waits: dict[int, dict[int, int]] = {}
    for number in blocked:
        marked = [p for p, _ in net.transitions[number].inputs if marking[p]]
        holders = {
            p for place in _missing(net, marking, number) for p in _sources(net, marking, place)
        }
        for place in marked:
            if net.places[place].role == "control":
                waits.setdefault(place, {}).update(dict.fromkeys(holders - {place}, number))
    # a place that waits only by what lies within it is no circle: follow each edge once
    for first in sorted(waits):
        path, on_path = [first], {first: 0}
        while True:
            following = [p for p in sorted(waits.get(path[-1], {})) if p in waits]
            if not following:
                break
            place = next((p for p in following if p in on_path), following[0])
            if place in on_path:
                circle = path[on_path[place] :]
                if not any(_lacks_permits(net, marking, p) for p in circle):
                    break
                ways = [waits[a][b] for a, b in zip(circle, [*circle[1:], circle[0]], strict=True)]
                return CircularWait(
                    places=_ids(net, circle),
                    transitions=tuple(sorted({net.transitions[n].id for n in ways})),
                )
            on_path[place] = len(path)
            path.append(place)
    return None


def _lacks_permits(net: Net, marking: Marking, place: int) -> bool:
    return any(
        net.places[missing].role == "resource"
        for number in net.consumers[place]
        for missing in _missing(net, marking, number)
    )


def _sources(net: Net, marking: Marking, place: int) -> set[int]:
    """Places with tokens from which tokens for this one would have to come."""
    found: set[int] = set()
    seen, todo = {place}, [place]
    while todo:
        for number in net.producers[todo.pop()]:
            inputs = net.transitions[number].inputs
            if any(source == place for source, _ in inputs):
                continue  # it would have to take first what is lacking
            for source, weight in inputs:
                if net.places[source].role == "resource":
                    continue
                if marking[source] and net.places[source].role == "control":
                    found.add(source)
                if marking[source] < weight and source not in seen:
                    seen.add(source)
                    todo.append(source)
    return found


def _fix(net: Net, pattern: Pattern) -> tuple[Fix, str]:
    match pattern:
        case CircularWait(places=places, transitions=transitions):
            steps = _steps(net, places)
            return (
                BreakDependencyCycle(steps=steps, transitions=transitions),
                (
                    f"break the circular wait of {_named(steps)}: let them take their semaphores "
                    "in one order, or hold them on the inner steps only"
                ),
            )
        case ResourceStarvation(resources=resources):
            names = tuple(name.removeprefix("resource_") for name in resources)
            return (
                IncreaseResources(resource_ids=names),
                f"give {_named(names)} more permits, or let the step around hold none",
            )
        case InconsistentConditions(decision_step=step, conditions=conditions, data=data):
            both = f", though both read {_named(data)}" if data else ""
            against = f" while {_named(pattern.against)} led there" if pattern.against else ""
            return (
                FixConditions(step_id=step, conditions=conditions),
                (
                    f"the conditions of `{step}` ({_named(conditions)}) led past a join{against}"
                    f"{both}: let them agree, or say `join: any` or `{{at_least: n}}`"
                ),
            )
        case MissingTransition(from_places=sources, to_places=targets):
            from_steps = tuple(
                dict.fromkeys(
                    place[len("arrived_") :].rsplit("_" + step, 1)[0]
                    for place in targets
                    for step in _steps(net, (place,))
                    if place.startswith("arrived_")
                )
            )
            to_steps = _steps(net, targets)
            return (
                AddTransition(from_steps=from_steps or _steps(net, sources), to_steps=to_steps),
                (
                    f"the join {_named(to_steps)} waits for "
                    f"{_named(from_steps) if from_steps else 'more arrivals'}, and nothing leads "
                    "there any more: add a transition on every way, or say `join: any` or "
                    "`{at_least: n}`"
                ),
            )
        case _:
            return Generic(), ""


def _waiting(net: Net, marking: Marking, blocked: list[int]) -> str:
    """Who waits for what, where no pattern says why."""
    waits: dict[str, dict[str, None]] = {}
    for number in blocked:
        each = net.transitions[number]
        lacking = _names(net, _missing(net, marking, number))
        if lacking:
            waits.setdefault(each.step or each.name, {}).update(dict.fromkeys(lacking))
    if not waits:
        left = _names(net, [place for place in net.control if marking[place]])
        return f"nothing takes what is left on {_named(left)}: let something follow there"
    told = [f"`{who}` waits for {_named([*what])}" for who, what in waits.items()]
    if len(told) > WAITS_MAX:
        told[WAITS_MAX - 1 :] = [f"{len(told) - WAITS_MAX + 1} more wait too"]
    return f"{', '.join(told)}, and nothing brings these any more: check what should"


def _names(net: Net, places: Sequence[int]) -> list[str]:
    """As people know them; a place that the reader of a model added is none of theirs."""
    return [name for name in (net.places[place].name for place in places) if name != GOING]


def _ids(net: Net, places: Sequence[int]) -> tuple[str, ...]:
    return tuple(net.places[place].id for place in sorted(places))


def _steps(net: Net, places: Sequence[str]) -> tuple[str, ...]:
    found = (net.places[net.place_index[place]].step for place in places)
    return tuple(dict.fromkeys(step for step in found if step is not None))


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "what it needs"
