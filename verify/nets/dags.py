"""DAGs: needs, joins over them, skips that spread, failures that are tolerated.

Each step of a DAG settles once. A step whose needs can only complete waits for one place each; one
that looks at how they settled counts settlings, completions, skips and failures apart.

A step that another one `cancels` has a token on its *gate* until it settles: it starts only while
that is there. Cancelling empties what the step holds and turns the token into one of `withdrawn`,
which settles it as skipped; where the step has settled there is none to turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.verify.nets.net import Ending
from heliostat.verify.nets.parts import (
    Draft,
    Finish,
    Members,
    ScopeNet,
    StepNet,
    completions,
)
from heliostat.verify.nets.visits import OpenScope, step_net

Arcs = list[tuple[int, int]]

SETTLED_MAX: Final = 200
"""Steps of a DAG that one place counts as they settle; a marking counts up to 255."""


@dataclass(slots=True, kw_only=True)
class _Needs:
    """How a step hears of its needs: a place for each, or counters."""

    each: dict[int, int] | None = None  # by need; None and no counters: the one need starts it
    open: bool = False  # whether it starts or is skipped, nobody knows: the coarse net
    settled: int | None = None
    completed: int | None = None
    skipped: int | None = None
    failed: int | None = None
    once: int | None = None
    off: int | None = None  # it is to be skipped: its one need was, or too few can complete

    def counters(self) -> list[int]:
        """Places that may hold something when all has settled."""
        found = [self.settled, self.completed, self.skipped, self.failed]
        return [place for place in found if place is not None]

    def places(self) -> list[int]:
        """All of them."""
        rest = [place for place in (self.once, self.off) if place is not None]
        return [*self.counters(), *rest, *(self.each or {}).values()]


@dataclass(frozen=True, slots=True)
class _Cancelled:
    """Of a step that another one cancels."""

    gate: int  # it has not settled
    withdrawn: int  # it was cancelled and is to settle as skipped


class Dag:
    """Translates one DAG; make one, then ask for its `net`."""

    def __init__(
        self,
        draft: Draft,
        plan: Plan,
        scope: ScopePlan,
        prefix: str,
        *,
        escapes: bool,
        open_scope: OpenScope,
    ) -> None:
        self._draft, self._plan, self._scope, self._prefix = draft, plan, scope, prefix
        self._builder, self._root = draft.builder, scope.owner is None
        self._steps = {number: plan.steps[number] for number in scope.steps}
        label = "root"
        if scope.owner is not None:
            owner = plan.steps[scope.owner].id
            label = prefix + (owner if scope.name is None else f"{owner}_{scope.name}")
        self._label = label
        place = self._builder.place
        self._done = [
            place(f"settled_{label}", f"Settled steps of {label}")
            for _ in range(0, len(self._steps), SETTLED_MAX)
        ]
        self._settled = {
            number: self._done[at // SETTLED_MAX] for at, number in enumerate(scope.steps)
        }
        self._closed = None if self._root else place(f"closed_{label}", f"Closed {label}")
        self._failed = None if escapes else place(f"failed_{label}", f"Failed {label}")
        self._failing = None if escapes else place(f"failing_{label}", f"Failing {label}")
        self._cancelled = {
            number: _Cancelled(
                place(f"gate_{prefix}{self._steps[number].id}", role="auxiliary"),
                place(f"withdrawn_{prefix}{self._steps[number].id}"),
            )
            for number in sorted({n for step in self._steps.values() for n in step.cancels})
        }
        self._may_skip, self._may_fail = self._colours()
        self._nets: dict[int, StepNet] = {}
        for number, step in self._steps.items():
            fatal = number not in self._may_fail
            self._nets[number] = step_net(
                draft, plan, step, prefix, escapes=escapes and fatal, scope=open_scope
            )
        self._needs = {number: self._hearing(draft, step) for number, step in self._steps.items()}
        self._members: Members = {}

    def _colours(self) -> tuple[set[int], set[int]]:
        """Steps that may be skipped, and those whose failure something may do without."""
        skip, fail = set(self._cancelled), set[int]()
        for number, step in self._steps.items():
            dependents = [self._plan.steps[n].join.kind for n in step.dependents]
            if dependents and "all" not in dependents:
                fail.add(number)
        changed = True
        while changed:
            changed = False
            for number, step in self._steps.items():
                if number in skip:
                    continue
                silent = sum(need in skip or need in fail for need in step.needs)
                out = (
                    step.join.kind == "all" and step.needs and all(n in skip for n in step.needs)
                ) or (
                    step.join.kind in ("any", "at_least")
                    and bool(step.needs)
                    and silent > len(step.needs) - step.join.count
                )
                if step.when is not None or out:
                    skip.add(number)
                    changed = True
        return skip, fail

    def _hearing(self, draft: Draft, step: StepPlan) -> _Needs:
        id, place, gated = (
            self._prefix + step.id,
            self._builder.place,
            step.number in self._cancelled,
        )
        if not step.needs:
            return _Needs()
        # with one that is bound to complete the others may be skipped; none of them may fail
        uncertain = all(n in self._may_skip for n in step.needs)
        if draft.coarse and step.join.kind == "all" and uncertain:
            draft.abstract("skips", step.id, "starts or is skipped, whatever its needs did")
            return _Needs(each=self._apart(step), open=True)
        if step.join.kind == "all" and uncertain and len(step.needs) == 1:
            off = place(f"off_{id}", f"The need of {step.id} was skipped", step=step.id)
            return _Needs(off=off, each=self._apart(step) if gated else None)
        counted = step.join.kind in ("any", "at_least") or (step.join.kind == "all" and uncertain)
        if counted:
            one_shot = step.join.kind != "all"

            def counter(name: str) -> int:
                return place(f"{name}_{id}", f"{name} needs of {step.id}", role="auxiliary")

            return _Needs(
                settled=None if one_shot else counter("settled"),
                completed=counter("completed"),
                skipped=counter("skipped"),
                failed=counter("failed") if one_shot else None,
                once=place(f"once_{id}", f"{step.id} has not begun", step=step.id)
                if one_shot
                else None,
                off=place(f"off_{id}", f"{step.id} is out of reach", step=step.id)
                if one_shot
                else None,
            )
        return _Needs(each=self._apart(step) if gated or len(step.needs) > 1 else None)

    def _apart(self, step: StepPlan) -> dict[int, int]:
        """A place for each need."""
        return {
            need: self._builder.place(
                f"need_{self._prefix}{self._steps[need].id}_{step.id}", step=step.id
            )
            for need in step.needs
        }

    def net(self) -> ScopeNet:
        """Add all net transitions of the scope."""
        for number, made in self._nets.items():
            step = self._steps[number]
            if step.cancels:
                canceled = self._builder.place(
                    f"canceled_{self._prefix}{step.id}", f"{step.id} has cancelled", step=step.id
                )
                made.own.append(canceled)
                made.members[canceled] = ()
            self._members.update(made.members)
            for place in made.own:
                self._members.setdefault(place, ())
        for needs in self._needs.values():
            self._members.update(dict.fromkeys(needs.places(), ()))
        for each in self._cancelled.values():
            self._members.update({each.gate: (), each.withdrawn: ()})
        for extra in (*self._done, self._closed, self._failing):
            if extra is not None:
                self._members[extra] = ()
        for number, step in self._steps.items():
            self._start(number, step)
        for number, step in self._steps.items():
            self._settle(number, step)
        self._close()
        start: Arcs = []
        for number in self._scope.start:
            start += self._nets[number].entry
        start += [(n.once, 1) for n in self._needs.values() if n.once is not None]
        start += [(each.gate, 1) for each in self._cancelled.values()]
        members = dict(self._members)
        if self._failed is not None:
            members[self._failed] = ()
        return ScopeNet(start=start, closed=self._closed, failed=self._failed, members=members)

    def _start(self, number: int, step: StepPlan) -> None:
        needs, id, total = self._needs[number], self._prefix + step.id, len(step.needs)
        net, gate = self._builder, self._gate(number)
        entry = [*self._nets[number].entry, *gate]
        if needs.each is not None:
            kind = "join_done" if step.join.kind == "all_done" else "join_all"
            waits = [*((place, 1) for place in needs.each.values()), *gate]
            net.transition(f"{kind}_{id}", waits, entry, step=step.id)
            if needs.open:
                skipped = self._outcome(number, "skipped")
                net.transition(f"unreached_{id}", waits, skipped, step=step.id, act="skips")
        if needs.off is not None and needs.completed is None:
            skipped, unmet = self._outcome(number, "skipped"), [(needs.off, 1), *gate]
            net.transition(f"unreached_{id}", unmet, skipped, step=step.id, act="skips")
        if needs.completed is None:
            return
        assert needs.skipped is not None
        off = self._outcome(number, "skipped")
        counters = [(place, ()) for place in needs.counters()]
        if step.join.kind == "all":
            assert needs.settled is not None
            net.transition(
                f"join_all_{id}",
                [(needs.settled, total), (needs.completed, 1), *gate],
                entry,
                drains=counters,
                step=step.id,
            )
            net.transition(
                f"unreached_{id}",
                [(needs.skipped, total), (needs.settled, total), *gate],
                off,
                step=step.id,
                act="skips",
            )
            return
        assert needs.once is not None
        assert needs.failed is not None
        assert needs.off is not None
        count = step.join.count
        once = (needs.once, 1)
        name = "join_any" if step.join.kind == "any" else "join_n"
        enough = [once, (needs.completed, count), *gate]
        net.transition(f"{name}_{id}", enough, entry, step=step.id)
        lost = total - count + 1
        for failed in range(lost + 1):
            terms = [(needs.failed, failed), (needs.skipped, lost - failed)]
            inputs = [once, *gate, *(term for term in terms if term[1])]
            if failed == 0:
                # decided at once: what fails before the skip is booked changes nothing
                net.transition(
                    f"unreached_{id}",
                    inputs,
                    [(needs.off, 1)],
                    inhibitors=[needs.failed],
                    step=step.id,
                )
                net.transition(f"off_{id}", [(needs.off, 1)], off, step=step.id, act="skips")
            else:
                self._scope_fails(Finish(inputs=inputs), f"unreachable_{id}", step.id, "")

    def _gate(self, number: int) -> Arcs:
        """What a step of which another may cancel needs to start, and gives up as it settles."""
        cancelled = self._cancelled.get(number)
        return [] if cancelled is None else [(cancelled.gate, 1)]

    def _outcome(self, number: int, how: str) -> Arcs:
        """What a step leaves that has settled so."""
        puts: Arcs = [(self._settled[number], 1)]
        for dependent in self._steps[number].dependents:
            needs = self._needs[dependent]
            if needs.off is not None and needs.completed is None and how == "skipped":
                puts.append((needs.off, 1))
                continue
            if needs.each is not None:
                puts.append((needs.each[number], 1))
            elif needs.completed is None:
                puts += self._nets[dependent].entry
            else:
                if needs.settled is not None:
                    puts.append((needs.settled, 1))
                place = {
                    "completed": needs.completed,
                    "skipped": needs.skipped,
                    "failed": needs.failed,
                }[how]
                if place is not None:
                    puts.append((place, 1))
        return puts

    def _settle(self, number: int, step: StepPlan) -> None:
        made, id, end = self._nets[number], self._prefix + step.id, self._draft.end
        gate = self._gate(number)
        if step.when is not None:
            due = made.ready if made.ready is not None else made.at
            end(
                Finish(inputs=[(due, 1)], gives=list(made.members[due])),
                f"skip_{id}",
                self._outcome(number, "skipped"),
                takes=gate,
                step=step.id,
                act="skips",
                guard=step.when.source,
            )
        finished = completions(step, made)
        if step.cancels:
            for finish in finished:
                self._cancel(step, finish, id)
            finished = [Finish(inputs=[(self._builder.find(f"canceled_{id}"), 1)])]
        for finish in finished:
            if step.terminate:
                self._terminate(step, finish, id)
                continue
            completed = self._outcome(number, "completed")
            end(finish, f"settle_{id}", completed, takes=gate, step=step.id, act="completes")
        cancelled = self._cancelled.get(number)
        if cancelled is not None:
            withdrawn = Finish(inputs=[(cancelled.withdrawn, 1)])
            end(
                withdrawn, f"withdrawn_{id}", self._outcome(number, "skipped"), step=step.id, act=""
            )
        for loss in made.losses:
            if number in self._may_fail:
                failed = self._outcome(number, "failed")
                end(loss, f"tolerate_{id}", failed, takes=gate, step=step.id, act="fails")
            else:
                self._scope_fails(loss, f"fail_{id}", step.id, "fails")

    def _cancel(self, step: StepPlan, finish: Finish, id: str) -> None:
        """First the region is emptied, then the step goes on: withdrawn attempts may take time."""
        canceled = self._builder.find(f"canceled_{id}")
        drains: Members = dict(finish.drains)
        for number in step.cancels:
            cancelled, needs = self._cancelled[number], self._needs[number]
            drains.update(self._nets[number].members)
            drains[cancelled.gate] = ((cancelled.withdrawn, 1),)
            if needs.once is not None:
                drains[needs.once] = ()
            if needs.off is not None and needs.completed is not None:
                drains[needs.off] = ((cancelled.withdrawn, 1),)  # its gate is behind it
        self._draft.end(
            finish, f"cancel_{id}", [(canceled, 1)], drains=drains, step=step.id, act="cancels"
        )

    def _scope_fails(self, finish: Finish, id: str, step: str, act: str) -> None:
        self._draft.end(
            finish,
            id,
            [] if self._failing is None else [(self._failing, 1)],
            ending="failed" if self._failing is None else "",
            step=step,
            act=act,
        )

    def _terminate(self, step: StepPlan, finish: Finish, id: str) -> None:
        ending: Ending = "completed" if self._root else ""
        self._draft.end(
            finish,
            f"terminate_{id}",
            [] if self._closed is None else [(self._closed, 1)],
            inhibitors=[] if self._failing is None else [self._failing],
            drains=self._members,
            ending=ending,
            step=step.id,
            act="completes",
        )

    def _close(self) -> None:
        left = [place for needs in self._needs.values() for place in needs.counters()]
        for number in self._cancelled:  # what it needed may have settled after it was cancelled
            left += self._needs[number].places()
        self._builder.transition(
            f"close_{self._label}",
            [
                (place, min(SETTLED_MAX, len(self._steps) - chunk * SETTLED_MAX))
                for chunk, place in enumerate(self._done)
            ],
            [] if self._closed is None else [(self._closed, 1)],
            inhibitors=[] if self._failing is None else [self._failing],
            drains=[(place, ()) for place in left],
        )
        if self._failing is not None and self._failed is not None:
            self._builder.transition(
                f"withdraw_{self._label}",
                [(self._failing, 1)],
                [(self._failed, 1)],
                drains=list(self._members.items()),
            )
