"""What a net transition means to the data: what it writes, what its conditions say.

A net transition of a plan's net belongs to a step, in one copy of its scope, which the prefix of
its places names. What it does to the data comes in this order: it opens scopes, its step ends with
an output and assigns, and conditions of `next` hold or do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from heliostat.engine.expressions import Expression
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.nets.net import Net, NetTransition

_PLACE: Final = re.compile(r"(step|decision|ready|queued|canceled)_((?:.*/)?)")
_ANY: Final = re.compile(r"[a-z]+_((?:.*/)?)")
_STAGE: Final = re.compile(r"_(\d+)_(?:some|none)(?:#\d+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A scope that is opened, with its variables."""

    scope: int
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A net transition, as the data sees it."""

    step: StepPlan | None = None
    prefix: str = ""
    ended: Literal["", "completes", "skips", "fails"] = ""
    asked: bool = False  # `when` was asked, and had a value
    opened: tuple[Opened, ...] = ()
    conditions: tuple[tuple[Expression, bool], ...] = ()  # of `next`, with what they come to
    no_way: bool = False  # none of them holds, and there is no default
    decides: bool = False  # it is chosen by conditions, in the moment in which its step ends


NOTHING: Final = Happening()


def happenings(net: Net, plan: Plan) -> list[Happening]:
    """By net transition of a plan's net."""
    return [_happening(net, plan, each) for each in net.transitions]


def place_of(net: Net, place: int) -> tuple[str, str] | None:
    """What a place of a step is for, and the prefix of the copy that it is in."""
    found = _PLACE.match(net.places[place].id)
    return None if found is None or net.places[place].step is None else (found[1], found[2])


def _happening(net: Net, plan: Plan, each: NetTransition) -> Happening:
    opened = _opened(net, plan, each) if each.id.startswith("open_") else ()
    number = plan.step_by_id.get(each.step or "")
    if number is None:
        return Happening(opened=opened) if opened else NOTHING
    step = plan.steps[number]
    at = next(
        (
            (place, found)
            for place, _ in each.inputs
            if net.places[place].step == each.step and (found := place_of(net, place)) is not None
        ),
        None,
    )
    if at is None:
        # a step of a DAG that no need leads to: its `when` is not asked
        ended: Literal["", "skips"] = "skips" if each.act.startswith("skips") else ""
        return Happening(step=step, prefix=_prefix(net, each), ended=ended, opened=opened)
    place, (what, prefix) = at
    words = each.act.split()
    if what == "decision":
        conditions, no_way = _decided(net, plan, step, each, place)
        return Happening(
            step=step, prefix=prefix, conditions=conditions, no_way=no_way, decides=True
        )
    first = words[0] if words else ""
    ends: Literal["", "completes", "skips", "fails"] = ""
    if first == "completes":
        ends = "completes"
    elif first == "skips":
        ends = "skips"
    elif first == "fails":
        ends = "fails"
    asked = ends in ("completes", "skips")
    return Happening(step=step, prefix=prefix, ended=ends, asked=asked, opened=opened)


def _prefix(net: Net, each: NetTransition) -> str:
    """By the places of a step that are named otherwise."""
    found = (_ANY.match(net.places[place].id) for place, _ in each.inputs)
    return next((one[1] for one in found if one is not None), "")


def _decided(
    net: Net, plan: Plan, step: StepPlan, each: NetTransition, place: int
) -> tuple[tuple[tuple[Expression, bool], ...], bool]:
    """The conditions that a way stands for, and whether it is that there is none."""
    taken = [int(word[6:]) for word in each.act.split() if word.startswith("takes:")]
    routes = [(edge.number, edge.when) for edge in step.routes if edge.when is not None]
    if each.act.startswith("fails"):
        if step.split == "all":
            return (), True  # its stages have said so
        return tuple((when, False) for _, when in routes), True
    if step.split == "first":
        found = []
        for number, when in routes:
            found.append((when, number in taken))
            if number in taken:
                break
        return tuple(found), False
    stage = _STAGE.search(net.places[place].id)
    at = int(stage[1]) if stage is not None else 0
    if at >= len(routes):
        return (), False  # the defaults, where none held
    number, when = routes[at]
    return ((when, number in taken),), False


def _opened(net: Net, plan: Plan, each: NetTransition) -> tuple[Opened, ...]:
    """The scopes whose first places get tokens: those of other steps than the one that opens."""
    found = dict[Opened, None]()
    inputs = {place for place, _ in each.inputs}
    for place, _ in each.outputs:
        at, step = place_of(net, place), net.places[place].step
        number = plan.step_by_id.get(step or "")
        if at is None or number is None or place in inputs or step == each.step:
            continue
        found[Opened(scope=plan.steps[number].scope, prefix=at[1])] = None
    return tuple(found)
