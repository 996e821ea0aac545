"""What a withdrawal books: attempts are told to stop, all else ends at once.

A scope that closes, a `foreach` or parallel step whose outcome is settled, and a step that cancels
a region withdraw visits. Those that make attempts, or have a child execution, end when these have;
a visit with inner scopes ends with the last of what they held. Nothing here is a choice.

What a failure withdrew (`keep`) is not forgotten but becomes `Fallen`, with the scopes around it:
a retry of the execution puts it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from heliostat.engine.identity import Address
from heliostat.engine.kernel.beginning import hand_on
from heliostat.engine.kernel.closing import (
    close_visit,
    drop_inner,
    settle_child,
    settle_step,
    settled_items,
)
from heliostat.engine.kernel.events import AttemptEnded
from heliostat.engine.kernel.state import (
    Closing,
    ExecutionState,
    Fallen,
    ScopeState,
    Settled,
    Visit,
)
from heliostat.engine.kernel.visits import is_item, owner_of, set_due, set_phase
from heliostat.engine.plan.plan import Plan


def withdraw(
    plan: Plan,
    state: ExecutionState,
    visits: Iterable[tuple[ScopeState, Visit]],
    *,
    keep: bool,
) -> None:
    """Withdraw visits, with all that runs within them; each attempt has its own step's grace."""
    marked = list(visits)
    for scope, visit in marked:
        _mark(state, scope, visit, keep=keep)
    # First those that wait for a semaphore, so that none is handed to one that ends as well.
    for scope, visit in list(within(state, marked)):
        if visit.phase == "queued":
            _end(plan, state, scope, visit)
    hand_on(plan, state)
    for scope, visit in list(within(state, marked)):
        if scope.active.get((visit.step, visit.visit)) is visit:
            _stop(plan, state, scope, visit)


def active_in(scopes: Iterable[ScopeState]) -> Iterator[tuple[ScopeState, Visit]]:
    """The active visits of scopes."""
    for scope in scopes:
        for visit in scope.active.values():
            yield scope, visit


def inner_scopes(state: ExecutionState, visit: Visit) -> list[ScopeState]:
    """The scopes that a visit has opened and that have not ended."""
    if visit.inner is not None:
        numbers: Iterable[int] = (visit.inner,)
    elif visit.items is not None:
        first = visit.items.first_scope
        numbers = range(first, first + visit.items.next_index)
    else:
        return []
    return [state.scopes[number] for number in numbers if number in state.scopes]


def within(
    state: ExecutionState, visits: Iterable[tuple[ScopeState, Visit]]
) -> Iterator[tuple[ScopeState, Visit]]:
    """Visits and all within them, inner ones first."""
    for scope, visit in visits:
        yield from within(state, active_in(inner_scopes(state, visit)))
        yield scope, visit


def _mark(state: ExecutionState, scope: ScopeState, visit: Visit, *, keep: bool) -> None:
    visit.withdrawn = True
    visit.deadline_at_ms = visit.closing_deadline_at_ms = None
    if keep and visit.kept_phase is None:
        visit.kept_phase = visit.phase
    if visit.items is not None:
        visit.items.closing, visit.items.failure = True, None
    for inner in inner_scopes(state, visit):
        if not is_item(inner):
            inner.closing = Closing(withdrawn=True)
        for each in inner.active.values():
            _mark(state, inner, each, keep=keep)


def _stop(plan: Plan, state: ExecutionState, scope: ScopeState, visit: Visit) -> None:
    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
    if visit.phase == "stopping":
        visit.failure = None  # nothing follows its end
    elif visit.phase in ("running", "child"):
        set_phase(state, visit, "stopping")
        set_due(state, at, visit, state.at_ms + plan.steps[visit.step].grace_ms)
    elif visit.phase in ("items", "body") and any(
        inner.active for inner in inner_scopes(state, visit)
    ):
        pass  # ends with the last of them
    else:
        _end(plan, state, scope, visit)


def attempt_ended(
    plan: Plan, state: ExecutionState, scope: ScopeState, visit: Visit, ended: AttemptEnded
) -> None:
    """A withdrawn attempt, or child, is over: what it returned in its grace can be read."""
    _end(plan, state, scope, visit, ended)


def _end(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    visit: Visit,
    ended: AttemptEnded | None = None,
) -> None:
    """A withdrawn visit is over; with the last of a scope, so is what opened that."""
    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
    kept_phase = visit.kept_phase
    keep = kept_phase is not None
    output = output_bytes = extracts = None
    if ended is not None:
        output, output_bytes, extracts = ended.output, ended.output_bytes, ended.extracts
    elif visit.kept is not None:
        kept = visit.kept
        output, output_bytes, extracts = kept.output, kept.output_bytes, kept.extracts
    before = scope.settled.get(visit.step)
    close_visit(plan, state, scope, at, keep=keep)
    if kept_phase is not None:
        scope.fallen[visit.step, visit.visit] = Fallen(
            visit=visit, phase=kept_phase, before=None if is_item(scope) else before
        )
    if is_item(scope):
        _item_over(plan, state, scope, keep, output, output_bytes or 0, extracts)
        return
    settled = Settled(
        visit=visit.visit,
        status="Canceled",
        output=output,
        output_bytes=output_bytes or 0,
        extracts=extracts,
        items=settled_items(visit, keep=keep),
        collected=visit.items is not None,
    )
    settle_step(plan, scope, at, settled)
    closing = scope.closing
    if closing is None or not closing.withdrawn or scope.active:
        return
    if scope.index is not None:  # a branch
        _item_over(plan, state, scope, keep, None, 0, None)
        return
    parent, owner = owner_of(state, scope)
    if not keep:
        drop_inner(state, owner)
    _end(plan, state, parent, owner)


def _item_over(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    keep: bool,
    output: object,
    output_bytes: int,
    extracts: dict[str, object] | None,
) -> None:
    parent, owner = owner_of(state, scope)
    settle_child(
        state,
        scope,
        "Canceled",
        output=output,
        output_bytes=output_bytes,
        extracts=extracts,
        keep=keep,
    )
    assert owner.items is not None
    if owner.withdrawn and not owner.items.in_flight:
        _end(plan, state, parent, owner)
