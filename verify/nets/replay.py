"""Whether a history is a run of the net: the net and the kernel must agree.

A history says what steps did; the net transitions in between (joins, opened scopes, permits) are
bookkeeping, silent in it. So the replay keeps the set of all markings in which the net may be, and
lets each event move them. An empty set means that the kernel did what the net does not allow: the
model is wrong, or the history was tampered with.

What the net does not hold ends the replay early, and `stopped` says why: an operator's cancel or
retry, an outcome of the whole execution, a scope that is stuck, more visits of a body side by side
than it has places for (`VISITS_MAX`). Items of a body's `foreach` are followed where no more than
`REPLAYED_MAX` are open at once; those of a single step are a count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    BranchFailed,
    CancelRequested,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionMigrated,
    ExecutionRedirected,
    ExecutionRetried,
    Failure,
    HandlerFired,
    ScopeClosing,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskOpened,
)
from heliostat.engine.kernel.state import ROOT
from heliostat.engine.plan.plan import Plan
from heliostat.verify.nets.net import Marking
from heliostat.verify.nets.translation import Translation
from heliostat.verify.nets.visits import REPLAYED_MAX

MARKINGS_MAX: Final = 2_000
"""Markings that one replay keeps side by side."""


class Disagreement(Exception):
    """An event that no run of the net has at this place."""

    def __init__(self, number: int, what: str, markings: Iterable[dict[str, int]]) -> None:
        super().__init__(number, what, list(markings))
        self.number, self.what, self.markings = number, what, self.args[2]

    def __str__(self) -> str:
        held = " or ".join(str(each) for each in self.markings[:3])
        return f"event {self.number}, {self.what}, is no step of the net, which stood at {held}"


class Replay:
    """Follows one execution's history on its plan's net."""

    def __init__(self, plan: Plan, translation: Translation) -> None:
        self._plan, self._net = plan, translation.net
        self._overflows = translation.overflows
        self._items: set[int] = set()  # scopes of items
        self._crowded: set[int] = set()  # steps with more items at once than the net has
        self._failed_itself: set[str] = set()  # steps that call a failure of theirs `Stuck`
        self._silent: list[int] = []
        self._speaking: dict[tuple[str, str], list[int]] = {}
        for number, each in enumerate(self._net.transitions):
            if each.act in ("", "cancels"):
                self._silent.append(number)
                continue
            verb = each.act.split()[0]
            kind, _, of = verb.partition(":")
            key = (kind, of) if of else (verb, each.step or "")
            self._speaking.setdefault(key, []).append(number)
        self.ended: set[str] = set()
        self._late = False  # the execution's deadline has passed
        self._number = 0
        self.stopped = ""
        self.markings = self._settle({self._net.initial})

    def follow(self, events: Iterable[ExecutionEvent]) -> None:
        """Follow events to the end, or to what the net does not hold.

        Raises:
            Disagreement: one of them is not what the net allows.
        """
        for event in events:
            self._number += 1
            if self.stopped:
                return
            self._event(event)

    def _is_hidden(self, number: int) -> bool:
        """Whether it lies within items that are not followed."""
        owner = self._plan.scopes[self._plan.steps[number].scope].owner
        return owner is not None and (owner in self._crowded or self._is_hidden(owner))

    def _note_items(self, opened: Activation) -> None:
        foreach = self._plan.steps[opened.step].foreach
        if foreach is None or opened.width is None or opened.first_scope is None:
            return
        self._items.update(range(opened.first_scope, opened.first_scope + opened.width))
        if min(opened.width, foreach.concurrency) > REPLAYED_MAX:
            self._crowded.add(opened.step)

    def _is_item(self, at: Address) -> bool:
        """Whether it happened in an item, or beside the workflow."""
        return at.scope in self._items or self._is_beside(at) or self._is_hidden(at.step)

    def _is_beside(self, at: Address) -> bool:
        """Whether it happened beside the workflow, in a handler."""
        scope = self._plan.scopes[self._plan.steps[at.step].scope]
        return scope.owner is None and scope is not self._plan.root

    def _is_unfollowed(self, at: Address) -> bool:
        """Whether it happened where the net has no places for it, however a visit there goes."""
        crowded = at.step in self._crowded and at.scope in self._items
        return crowded or self._is_beside(at) or self._is_hidden(at.step)

    def _note_failure(self, event: StepFailed | AttemptFailed | TaskOpened | StepCompleted) -> None:
        failure = event.recovered if isinstance(event, StepCompleted) else event.failure
        own = self._plan.steps[event.at.step].id
        if failure is not None and failure.type == "Stuck" and failure.step == own:
            self._failed_itself.add(own)

    def _is_stuck(self, failure: Failure | None) -> bool:
        """Whether a join waits in vain: the failure names it, and it has not failed itself.

        What an activity raises and a clause of `on_error` says may be called `Stuck`, too.
        """
        if failure is None or failure.type != "Stuck" or failure.step in self._failed_itself:
            return False
        return any(each.id == failure.step and each.join.kind != "any" for each in self._plan.steps)

    def _event(self, event: ExecutionEvent) -> None:
        activated: tuple[Activation, ...] = getattr(event, "activated", ())
        for each in activated:
            self._note_items(each)
        if isinstance(event, StepFailed | AttemptFailed | TaskOpened | StepCompleted):
            self._note_failure(event)
        match event:
            case StepFailed(at=at) | AttemptFailed(at=at) | TaskOpened(at=at) if (
                self._is_unfollowed(at)
            ):
                pass
            case (
                StepFailed(failure=failure)
                | AttemptFailed(failure=failure)
                | TaskOpened(failure=failure)
                | BranchFailed(failure=failure)
                | ExecutionRedirected(failure=failure)
            ) if self._is_stuck(failure):
                self._stop_at(failure)
            case StepCompleted(recovered=failure) if self._is_stuck(failure):
                self._stop_at(failure)
            case StepCompleted(at=at) | StepSkipped(at=at) | StepFailed(at=at) if self._is_item(at):
                pass
            case StepCompleted() | StepSkipped() | StepFailed():
                step = self._plan.steps[event.at.step]
                verb = {
                    StepCompleted: "completes",
                    StepSkipped: "skips",
                    StepFailed: "fails",
                }[type(event)]
                self._step(verb, step.id, event.taken)
            case HandlerFired():
                for each in activated:
                    if each.scope == ROOT and ("triggers", str(each.step)) in self._speaking:
                        self._come(("triggers", str(each.step)))
            case CancelRequested() | ExecutionCanceled() | ExecutionRetried() | ExecutionMigrated():
                self.stopped = "an operator's request"
            case ScopeClosing(failure=failure) if self._is_stuck(failure):
                self._stop_at(failure)
            case (
                ScopeClosing(failure=failure)
                | ExecutionFailed(failure=failure)
                | ExecutionRedirected(failure=failure)
            ) if failure is not None and not self._late and _is_late(failure):
                self._late = True
                if ("expires", "") not in self._speaking:
                    self._stop_at(failure)
                else:
                    self._come(("expires", ""))
                if isinstance(event, ExecutionFailed):
                    self.stopped = self.stopped or "the end"
            case ExecutionCompleted():
                fine = any(self._net.is_final(each) for each in self.markings)
                if not fine and "completed" not in self.ended and event.recovered is None:
                    raise self._disagreement("the execution's completion")
                self.stopped = "the end"
            case ExecutionFailed(failure=failure):
                if "failed" not in self.ended:
                    self._stop_at(failure)
                self.stopped = self.stopped or "the end"
            case _:
                pass

    def _come(self, key: tuple[str, str]) -> None:
        """Something comes from outside: an event that a handler takes, the deadline."""
        found: set[Marking] = set()
        for number in self._speaking[key]:
            found |= {
                self._net.fire(marking, number)
                for marking in self.markings
                if self._net.enabled(marking, number)
            }
        if not found and not self.ended:
            raise self._disagreement(f"what {' '.join(key).rstrip()}")
        self.markings = self._settle(found or self.markings)

    def _stop_at(self, failure: Failure | None) -> None:
        if self._is_stuck(failure):
            # the net has no failure for it: it is the deadlock that proofs look for
            if not self._crowded and not any(self._waits(each) for each in self.markings):
                raise self._disagreement("a join that waits in vain")
            self.stopped = "stuck"
        else:
            self.stopped = "an outcome of the whole execution"

    def _waits(self, marking: Marking) -> bool:
        """Whether something waits at a join."""
        places = self._net.places
        return any(
            count and places[n].id.startswith(("arrived_", "join_"))
            for n, count in enumerate(marking)
        )

    def _step(self, verb: str, step: str, taken: tuple[int, ...]) -> None:
        states: set[tuple[Marking | str, tuple[int, ...]]] = set()
        for marking in self.markings:
            states |= self._fire_all(marking, (verb, step), taken)
        for ending in self.ended:
            # a failure that nothing catches was settled by bookkeeping; its event says the same
            if verb == "fails" and ending == "failed":
                states.add((ending, ()))
        for _ in range(2 * len(taken) + 8):
            rest = {state for state in states if state[1] and isinstance(state[0], bytes)}
            if not rest:
                break
            states -= rest
            for came_to, left in rest:
                assert isinstance(came_to, bytes)
                for quiet in self._settle({came_to}):
                    states |= self._fire_all(quiet, ("takes", str(left[0])), left)
        arrived = {m for m, left in states if not left and isinstance(m, bytes)}
        self.ended |= {m for m, _ in states if isinstance(m, str)}
        if not states:
            raise self._disagreement(f"step {step!r} {verb} {taken or ''}".rstrip())
        if "failed" in self.ended:
            # the end is settled, but what is around the failed scope may go on until that closes
            arrived |= self.markings
        self.markings = self._settle(arrived)

    def _fire_all(
        self, marking: Marking, key: tuple[str, str], taken: tuple[int, ...]
    ) -> set[tuple[Marking | str, tuple[int, ...]]]:
        found: set[tuple[Marking | str, tuple[int, ...]]] = set()
        for number in self._speaking.get(key, ()):
            each = self._net.transitions[number]
            takes = tuple(int(w[6:]) for w in each.act.split() if w.startswith("takes:"))
            if takes != taken[: len(takes)] or not self._net.enabled(marking, number):
                continue
            after: Marking | str = each.ending or self._net.fire(marking, number)
            found.add((after, taken[len(takes) :]))
        return found

    def _settle(self, markings: set[Marking]) -> set[Marking]:
        """All markings that bookkeeping leads to."""
        found, todo = set(markings), list(markings)
        while todo:
            marking = todo.pop()
            for number in self._silent:
                if not self._net.enabled(marking, number):
                    continue
                ending = self._net.transitions[number].ending
                if ending:
                    self.ended.add(ending)
                    continue
                after = self._net.fire(marking, number)
                if after not in found:
                    found.add(after)
                    todo.append(after)
                    for place, step in self._overflows.items():
                        if after[place]:  # a visit is open that has no places of its own
                            self.stopped = f"more visits of {step!r} at once than the net holds"
                            return found
                    if len(found) > MARKINGS_MAX:
                        self.stopped = f"{MARKINGS_MAX} markings side by side"
                        return found
        return found

    def _disagreement(self, what: str) -> Disagreement:
        held = [self._net.tokens(each) for each in sorted(self.markings)[:3]]
        return Disagreement(self._number, what, held)


def _is_late(failure: Failure) -> bool:
    """Whether it is the execution's own deadline that passed."""
    return failure.type == "DeadlineExceeded" and failure.step is None
