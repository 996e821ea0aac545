"""Watching declared properties: what each event is to the plan's monitors.

Part of the fold, so that it is the same whoever folds; the plan's tables say all, and nothing is
chosen here. A property that is broken for good is noted in `Watched.broken`, and `Turn.emit`
records it by an event of its own, once; again only where a retry could have mended it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionMigrated,
    ExecutionRetried,
    ExecutionStarted,
    PropertyViolated,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.state import ExecutionState, Watched
from heliostat.engine.monitor.automata import BROKEN
from heliostat.engine.monitor.monitor import Monitor
from heliostat.engine.plan.plan import Plan

_PEOPLE_MAX: Final = 1_000
"""Completions that are remembered of one property; of later ones only that they differ is seen."""

_READ: Final = frozenset(
    (
        ExecutionStarted,
        StepCompleted,
        StepSkipped,
        StepFailed,
        ExecutionCompleted,
        ExecutionFailed,
        ExecutionRetried,
    )
)
"""What changes the atoms that do not ask what is open."""

_ENDS: Final[dict[type[Any], str]] = {ExecutionCompleted: "done", ExecutionFailed: "failed"}


def watch(plan: Plan, state: ExecutionState, event: ExecutionEvent) -> None:
    """Book what an event that has just been booked is to the monitors."""
    kind = type(event)
    if kind is ExecutionStarted:
        state.watched = Watched(
            states={each.id: 0 for each in plan.monitors if each.table is not None},
            digests={each.id: each.digest for each in plan.monitors},
        )
    watched = state.watched
    if watched is None or kind is PropertyViolated:
        return
    if kind is ExecutionRetried:
        watched.told = [id for id in watched.told if id not in watched.at_end]
        watched.at_end = []
        watched.ended = ""
    elif kind is ExecutionMigrated:
        kept = {each.id for each in plan.monitors if watched.digests.get(each.id) == each.digest}
        for id in [id for id in watched.digests if id not in kept]:
            watched.digests.pop(id)
            watched.states.pop(id, None)
            watched.people.pop(id, None)
    elif kind in _ENDS:
        watched.ended = _ENDS[kind]
        failure = getattr(event, "failure", None)
        if failure is not None and failure.type == "Stuck":
            watched.ended = "stuck"
    for fact in _facts(plan, state, event):
        watched.happened[fact] = None
    for monitor in plan.monitors:
        if watched.digests.get(monitor.id) != monitor.digest or monitor.id in watched.told:
            continue
        if monitor.table is not None and (monitor.looks or kind in _READ):
            _read(plan, state, watched, monitor, ends=kind in _ENDS)
        elif monitor.people and isinstance(event, StepCompleted):
            _note_person(state, watched, monitor, event)


def _facts(plan: Plan, state: ExecutionState, event: ExecutionEvent) -> Iterator[str]:
    """What lasts of an event; of an item nothing, its step has not ended."""
    if not isinstance(event, StepCompleted | StepSkipped | StepFailed):
        return
    if _is_item(plan, state, event.at):
        return
    name = {StepCompleted: "completed", StepSkipped: "skipped", StepFailed: "failed"}[type(event)]
    steps = [(name, event.at.step)]
    if isinstance(event, StepCompleted):
        steps += [("skipped", number) for number in event.skipped]
    named = plan.watched_facts
    yield from (fact for verb, number in steps if (fact := f"{verb}:{number}") in named)
    if name == "failed" and "error_occurred:" in named:
        yield "error_occurred:"


def _is_item(plan: Plan, state: ExecutionState, at: Address) -> bool:
    if plan.steps[at.step].foreach is None:
        return False
    scope = state.scopes.get(at.scope)
    return scope is None or scope.plan_scope is None  # one that has settled is gone


def _read(
    plan: Plan, state: ExecutionState, watched: Watched, monitor: Monitor, *, ends: bool
) -> None:
    table = monitor.table
    assert table is not None
    letter = 0
    for number, fact in enumerate(monitor.facts):
        if fact is not None:
            holds = fact in watched.happened
        else:
            name, step = table.atoms[number].name, monitor.steps[number]
            holds = _is_open(plan, state, step) if name == "open" else _stands(watched, name)
        letter |= holds << number
    after = table.next[watched.states[monitor.id]][letter]
    if after == BROKEN:
        watched.broken.setdefault(monitor.id, state.seq)
        return
    watched.states[monitor.id] = after
    if ends and table.ends[after] >> letter & 1:
        watched.broken.setdefault(monitor.id, state.seq)
        watched.at_end.append(monitor.id)


def _is_open(plan: Plan, state: ExecutionState, step: int | None) -> bool:
    assert step is not None
    return any(
        visited == step
        for scope in state.scopes.values()
        if scope.plan_scope == plan.steps[step].scope
        for visited, _ in scope.active
    )


def _stands(watched: Watched, name: str) -> bool:
    """How the execution as a whole stands."""
    if name == "ended":
        return bool(watched.ended)
    return watched.ended == name or (name == "failed" and watched.ended == "stuck")


def _note_person(
    state: ExecutionState, watched: Watched, monitor: Monitor, event: StepCompleted
) -> None:
    at, output = event.at, event.output
    if at.step not in monitor.people or not isinstance(output, dict):
        return
    person = output.get("completed_by")
    if not isinstance(person, str):
        return
    known = watched.people.setdefault(monitor.id, [])
    scope = at.scope if monitor.apart else 0
    if any(who == person and where == scope and step != at.step for who, where, step in known):
        watched.broken.setdefault(monitor.id, state.seq)
    elif len(known) < _PEOPLE_MAX:
        known.append((person, scope, at.step))
