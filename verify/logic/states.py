"""All states that formulas speak of: markings, with what has happened on the way to them.

A marking does not say what has completed. So a state is a marking and, of the atoms that a formula
asks for, those that have come true. All of them are explored, without reductions: formulas may ask
for any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from heliostat.engine.properties.atoms import Atom
from heliostat.verify.nets.net import Marking, Net, NetTransition, TooManyTokens
from heliostat.verify.space.explore import Inconclusive

_VERBS: Final = {"completes": "completed", "fails": "failed", "skips": "skipped"}

State = tuple[Marking, frozenset[Atom]]

_FAILED: Final = Atom("failed")
_ERROR: Final = Atom("error_occurred")


@dataclass(kw_only=True)
class States:
    """A graph; state 0 is the initial one."""

    net: Net
    states: list[State] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)  # net transition, target
    stopped: Inconclusive | None = None

    def holds(self, atom: Atom, number: int) -> bool:
        """Whether an atom is true of a state."""
        marking, happened = self.states[number]
        if atom.name == "open":
            return any(
                count and self.net.places[place].step == atom.step
                for place, count in enumerate(marking)
                if self.net.places[place].id.startswith(("step_", "ready_", "queued_"))
            )
        if atom.step is not None or atom in (_FAILED, _ERROR):
            return atom in happened
        failed, done = _FAILED in happened, self.net.is_final(marking)
        match atom.name:
            case "done":
                return done and not failed
            case "ended":
                return done or failed
            case "stuck":
                return (
                    not done and not failed and all(self._outside(n) for n in self._fired(number))
                )
            case _:
                return atom.name == "true"

    def own(self, number: int) -> list[int]:
        """Where things lead that come about in the end: what waits for something outside need not,
        nor need a step fail that can do anything else."""
        going_on = {
            self.net.transitions[fired].step
            for fired, _ in self.edges[number]
            if not self._fails(fired)
        }
        return [
            target
            for fired, target in self.edges[number]
            if not self._outside(fired)
            and not (self._fails(fired) and self.net.transitions[fired].step in going_on - {None})
        ]

    def _fails(self, fired: int) -> bool:
        each = self.net.transitions[fired]
        return each.ending == "failed" or each.act.startswith("fails")

    def _fired(self, number: int) -> list[int]:
        return [fired for fired, _ in self.edges[number]]

    def _outside(self, fired: int) -> bool:
        return self.net.transitions[fired].outside


def states_of(
    net: Net,
    asked: Iterable[Atom],
    *,
    states_max: int,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> States:
    """Explore all states of a net, as far as these atoms tell them apart."""
    found, wanted = States(net=net), frozenset(asked)
    numbers: dict[State, int] = {}
    deadline = None if time_max_ms is None or now_ms is None else now_ms() + time_max_ms

    def number_of(state: State) -> int:
        if state not in numbers:
            numbers[state] = len(found.states)
            found.states.append(state)
            found.edges.append([])
        return numbers[state]

    number_of((net.initial, frozenset()))
    at = 0
    while at < len(found.states):
        marking, happened = found.states[at]
        over = net.is_final(marking) or _FAILED in happened
        for fired, each in enumerate(() if over else net.transitions):
            if not net.enabled(marking, fired):
                continue
            try:
                after = marking if each.ending == "failed" else net.fire(marking, fired)
            except TooManyTokens as error:
                found.stopped = Inconclusive(bound="tokens", limit=255, place=error.place)
                return found
            state = after, happened | (_coming_true(each) & (wanted | {_FAILED}))
            found.edges[at].append((fired, number_of(state)))
        at += 1
        if len(found.states) > states_max:
            found.stopped = Inconclusive(bound="states", limit=states_max)
            return found
        if deadline is not None and now_ms is not None and now_ms() > deadline:
            found.stopped = Inconclusive(bound="time", limit=time_max_ms or 0)
            return found
    return found


def _coming_true(each: NetTransition) -> frozenset[Atom]:
    found = {_FAILED} if each.ending == "failed" else set[Atom]()
    name = _VERBS.get(each.act.split(" ")[0])
    if name is not None and each.step is not None:
        found.add(Atom(name, each.step))
    if name == "failed":
        found.add(_ERROR)
    return frozenset(found)
