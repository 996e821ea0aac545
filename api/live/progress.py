"""What each step of an execution does: the fold of its events. Pure.

The kernel's own `apply` folds the execution, so that what is told here cannot differ from what its
host says. Beside it stands, for each step, a summary over all its visits. After an event only those
visits are looked at that it may have concerned: its own, those that it opened or withdrew, those
around them, and those that semaphores went to. So an event costs the same in a small and in a huge
execution; what concerns everything (a pause, a retry) looks at everything.

An item of a `foreach` is no visit of its own here: it is counted with the visit that has the items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from heliostat.actors.host.rendering import render
from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.codec import check_version, decode_event
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    ExecutionEvent,
    ExecutionMigrated,
    ExecutionPaused,
    ExecutionRedirected,
    ExecutionResumed,
    ExecutionRetried,
    OwnerChanged,
    RegionCanceling,
    ScopeClosing,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.state import ROOT, ExecutionState, ScopeState, Visit, VisitRef
from heliostat.engine.kernel.visits import is_item, is_side
from heliostat.engine.kernel.withdrawing import active_in, inner_scopes, within
from heliostat.engine.plan.plan import END, Plan
from heliostat.engine.status import TERMINAL

from .steps import Ended, StepProgress

HEADS_MAX: Final = 64
"""Of each queue for semaphores, so many are looked at after an event; where all of these got theirs
at once, everything is."""

_EVERYTHING: Final = (
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRedirected,
    ExecutionRetried,
    ExecutionMigrated,
)

_ENDS: Final[Mapping[type, Ended]] = {
    StepCompleted: "Completed",
    StepFailed: "Failed",
    StepSkipped: "Skipped",
}


class Told(Struct, frozen=True):
    """An event, and what became of the execution by it."""

    seq: int
    event: dict[str, Any]
    status: str
    changes: dict[str, dict[str, Any]]
    """What the steps do now that the event changed, by id."""


class Progress:
    """An execution, from its first event on."""

    def __init__(self, plan: Plan) -> None:
        """Args:
        plan: of the version that the execution began with.
        """
        self.plan = plan
        self.state = ExecutionState()
        self.taken: dict[tuple[str, str], int] = {}
        """How often each edge was taken, by its two ends; `end` is one of these. Those of needs
        count where a step opened whose need was completed."""
        self._steps = [StepProgress(step.id) for step in plan.steps]
        self._open: dict[VisitRef, None] = {}  # visits that are active, without items
        self._changed: dict[int, None] = {}  # steps, since `_take_changes`

    @property
    def seq(self) -> int:
        """Of the last event that was folded."""
        return self.state.seq

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.state.status in TERMINAL

    def go_on_with(self, plan: Plan) -> None:
        """Have the plan of the version that the next event moves to (`OtherVersion`)."""
        self.plan = plan
        self._steps += [StepProgress(step.id) for step in plan.steps[len(self._steps) :]]

    def steps(self) -> dict[str, dict[str, Any]]:
        """What each step of the definition does; custom actions of handlers, and steps of earlier
        versions, where they ran."""
        return {
            step.id: step.told()
            for number, step in enumerate(self._steps)
            if step.visits or not ("." in step.id or self.plan.steps[number].retired)
        }

    def tell(self, body: bytes) -> Told:
        """Fold the next stored event, and say it.

        Raises:
            OtherVersion: it moves the execution to a version whose plan is needed first.
        """
        event = decode_event(body)
        self.book(event)
        changes = {self._steps[number].id: self._steps[number].told() for number in self._changed}
        self._changed.clear()
        state = self.state
        return Told(state.seq, render(self.plan, state.seq, event), state.status, changes)

    def pass_over(self, bodies: Iterable[bytes]) -> None:
        """Fold events of which nothing is told. Raises as `tell`."""
        for body in bodies:
            self.book(decode_event(body))
        self._changed.clear()

    def book(self, event: ExecutionEvent) -> None:
        """Fold one event. Raises as `tell`."""
        plan, state = self.plan, self.state
        check_version(plan, event)
        touched: dict[VisitRef, None] = {}
        for ref in self._concerned(event):
            self._touch(touched, ref)
        heads = [(uses, list(islice(queue, HEADS_MAX))) for uses, queue in state.queues.items()]
        apply(plan, state, event)
        for number in getattr(event, "taken", ()):
            edge = plan.edges[number]
            if edge.source != END:  # the definition's own `on_error` comes from no step
                self._take(edge.source, edge.target)
        for activation in getattr(event, "activated", ()):
            self._touch(touched, (activation.scope, activation.step, activation.visit))
            self._take_needs(activation)
        for at in state.begun:
            self._touch(touched, (at.scope, at.step, at.visit))
        state.begun.clear()
        state.task_changes.clear()
        if self._granted(touched, heads) or isinstance(event, _EVERYTHING) or self.ended:
            touched.update(self._open)
            touched.update(dict.fromkeys(self._active()))
        for ref in touched:
            self._reconcile(ref, event)
        self._note(event)

    def _take(self, source: int, target: int) -> None:
        ends = (self._steps[source].id, "end" if target == END else self._steps[target].id)
        self.taken[ends] = self.taken.get(ends, 0) + 1

    def _take_needs(self, activation: Activation) -> None:
        needs = self.plan.steps[activation.step].needs
        scope = self.state.scopes.get(activation.scope)
        if not needs or scope is None or is_item(scope) or activation.skipped:
            return
        for need in needs:
            settled = scope.settled.get(need)
            if settled is not None and settled.status == "Completed":
                self._take(need, activation.step)

    # which visits an event may concern

    def _concerned(self, event: ExecutionEvent) -> Iterator[VisitRef]:
        """Before it is booked: its own visit, and those that it withdraws."""
        state = self.state
        at = getattr(event, "at", None)
        if at is not None:
            yield at.scope, at.step, at.visit
        if isinstance(event, ScopeClosing):
            yield from self._within(event)
            return
        if isinstance(event, OwnerChanged):
            for reissued in event.reissued:
                yield reissued.scope, reissued.step, reissued.visit
            return
        scope_number = getattr(event, "scope", None)
        if scope_number is not None:  # a branch
            scope = state.scopes.get(scope_number)
            if scope is not None and scope.parent is not None:
                yield scope.parent
        if isinstance(event, StepCompleted | RegionCanceling):
            cancels = self.plan.steps[event.at.step].cancels
            scope = state.scopes.get(event.at.scope)
            if cancels and scope is not None:
                region = [(scope, each) for each in scope.active.values() if each.step in cancels]
                yield from self._refs(region)

    def _within(self, event: ScopeClosing) -> Iterator[VisitRef]:
        state = self.state
        scope = state.scopes[event.scope]
        closed: list[ScopeState] = [scope]
        if event.step is not None and event.visit is not None:
            yield event.scope, event.step, event.visit
            closed = inner_scopes(state, scope.active[event.step, event.visit])
        elif event.scope == ROOT:
            closed += [each for each in state.scopes.values() if is_side(each)]
        if scope.parent is not None:
            yield scope.parent
        yield from self._refs(active_in(closed))

    def _refs(self, visits: Iterable[tuple[ScopeState, Visit]]) -> Iterator[VisitRef]:
        for scope, visit in within(self.state, visits):
            yield scope.number, visit.step, visit.visit

    def _touch(self, touched: dict[VisitRef, None], ref: VisitRef) -> None:
        """Have a visit looked at, and those around it: their items count it."""
        scopes = self.state.scopes
        around: VisitRef | None = ref
        while around is not None and around not in touched:
            scope = scopes.get(around[0])
            if scope is None:
                return
            if not is_item(scope):
                touched[around] = None
            around = scope.parent

    def _granted(
        self, touched: dict[VisitRef, None], heads: list[tuple[Any, list[VisitRef]]]
    ) -> bool:
        """Have those looked at that wait for semaphores no more; whether these may not be all."""
        queues = self.state.queues
        for uses, waited in heads:
            left = queues.get(uses, {})
            gone = [ref for ref in waited if ref not in left]
            for ref in gone:
                self._touch(touched, ref)
            if len(gone) == HEADS_MAX:
                return True
        return False

    def _active(self) -> Iterator[VisitRef]:
        for scope in self.state.scopes.values():
            if not is_item(scope):
                for step, visit in scope.active:
                    yield scope.number, step, visit

    # what became of them

    def _reconcile(self, ref: VisitRef, event: ExecutionEvent) -> None:
        scope_number, step, number = ref
        scope = self.state.scopes.get(scope_number)
        visit = None if scope is None else scope.active.get((step, number))
        summary = self._steps[step]
        if visit is not None:
            self._open[ref] = None
            if summary.active(ref, visit, event.at_ms):
                self._changed[step] = None
        elif ref in self._open:
            del self._open[ref]
            at = getattr(event, "at", None)
            own = at is not None and (at.scope, at.step, at.visit) == ref
            summary.over(
                ref, _ENDS.get(type(event), "Canceled") if own else "Canceled", event.at_ms
            )
            self._changed[step] = None

    def _note(self, event: ExecutionEvent) -> None:
        """What an event says of its own step, beyond how its visit goes."""
        state = self.state
        if isinstance(event, StepCompleted | StepFailed | AttemptFailed):
            scope = state.scopes.get(event.at.scope)
            if scope is None or not is_item(scope):
                summary = self._steps[event.at.step]
                if summary.note(event, self._output_of(event, scope)):
                    self._changed[event.at.step] = None
        if isinstance(event, StepCompleted | RegionCanceling):
            for number in event.skipped:
                self._steps[number].skip(event.at_ms)
                self._changed[number] = None
        if isinstance(event, ExecutionRetried) and event.from_step is not None:
            self._start_over()

    def _output_of(self, event: ExecutionEvent, scope: ScopeState | None) -> Any:
        if not isinstance(event, StepCompleted):
            return None
        if scope is not None and (event.collected or event.holds):
            settled = scope.settled.get(event.at.step)
            if settled is not None and settled.visit == event.at.visit:
                return settled.value
        return event.output

    def _start_over(self) -> None:
        """A DAG goes on from a step: what depends on it is as if it had not run."""
        root = self.state.scopes[ROOT]
        if self.plan.root.notation != "dag":
            return
        for number in self.plan.root.steps:
            if number not in root.settled and self._steps[number].forget():
                self._changed[number] = None
