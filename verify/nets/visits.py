"""The places of a step, and the ways in which a visit of it ends.

How a visit goes on behind that (routes, arrivals, needs) belongs to the scope: `machines.py` and
`dags.py`. Attempts, back-offs, people, waits and timers all lie within the one place of an open
visit, since none of them changes what may follow; time is a free choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.nets.parts import (
    Draft,
    Finish,
    Members,
    ScopeNet,
    StepNet,
    recovers,
)

COPIES_MAX: Final = 2
"""Items of a body's `foreach` that a proof's net holds side by side: enough for any two to meet."""

REPLAYED_MAX: Final = 4
"""Likewise in a net on which histories are replayed, where each item has to have its place."""

APART_MAX: Final = 8
"""Branches of a parallel step, up to which the failure of each is told apart."""

VISITS_MAX: Final = 2
"""Visits of a body that a net holds side by side, where more than one may be open."""

OpenScope = Callable[[int, str, bool], ScopeNet]
"""Translates a scope: its number, the prefix of its names, whether its failure ends all."""

Arcs = list[tuple[int, int]]


def step_net(
    draft: Draft,
    plan: Plan,
    step: StepPlan,
    prefix: str,
    *,
    escapes: bool,
    scope: OpenScope,
    several: bool = False,
) -> StepNet:
    """The places of a step and how its visits end.

    Args:
        escapes: whether its failing for good ends the whole execution.
        several: whether more than one visit may be open at once.
    """
    return _Visits(draft, plan, step, escapes=escapes, scope=scope).net(prefix, several=several)


class _Visits:
    """Translates the visits of one step."""

    def __init__(
        self, draft: Draft, plan: Plan, step: StepPlan, *, escapes: bool, scope: OpenScope
    ) -> None:
        self._draft, self._net, self._plan, self._step = draft, draft.builder, plan, step
        self._open_scope = scope
        self._escapes = escapes and step.retry.max_attempts <= 1 and not step.on_error
        used = [(draft.resources[n], count) for n, count in step.uses if n in draft.resources]
        self._held: Arcs = [] if step.foreach is not None else used
        self._per_item: Arcs = [] if step.foreach is None else used

    def net(self, prefix: str, *, several: bool) -> StepNet:
        step, net, id = self._step, self._net, prefix + self._step.id
        uses = bool(self._held or self._per_item)
        at = net.place(f"step_{id}", step.name or step.id, step=step.id)
        made = StepNet(at=at, entry=[(at, 1)], own=[at], members={at: tuple(self._held)})
        nested = step.kind in ("body", "parallel")
        if nested or uses:
            made.ready = net.place(f"ready_{id}", f"Ready {step.name or step.id}", step=step.id)
            made.entry = [(made.ready, 1)]
            made.own.append(made.ready)
            made.members[made.ready] = ()
            made.queued = made.ready
        if uses and made.ready is not None:
            made.queued = net.place(f"queued_{id}", f"{step.id} waits for permits", step=step.id)
            made.own.append(made.queued)
            made.members[made.queued] = ()
            net.transition(f"queue_{id}", [(made.ready, 1)], [(made.queued, 1)], step=step.id)
        if step.foreach is not None:
            self._draft.abstract("foreach", step.id, "a list of any length, its items in any order")
        if step.child is not None and not step.child.detached:
            self._draft.abstract("sub-workflow", step.id, "the child ends somehow, at some time")
        made.alone = several and nested
        if nested:
            self._nested(made, prefix)
        else:
            self._simple(made, prefix)
        if made.alone:
            self._copies(made, prefix)
        if made.ready is not None:  # its `input` or `vars` had no value, or its deadline passed
            made.losses.append(Finish(inputs=[(made.ready, 1)]))
        if uses and step.deadline is not None and made.queued is not None:
            made.losses.append(Finish(inputs=[(made.queued, 1)], outside=True))
        return made

    def _nested(self, made: StepNet, prefix: str) -> None:
        """One copy of what a step has inside."""
        step = self._step
        if step.kind == "parallel":
            self._parallel(made, prefix)
        elif step.foreach is None:
            self._body(made, prefix)
        else:
            self._items(made, prefix)

    def _copies(self, made: StepNet, prefix: str) -> None:
        """More copies, each opened where those before it are open; and a token that stays for ever
        where one visit more would open, so that no proof overlooks it."""
        step = self._step
        net, id = self._net, prefix + step.id
        assert made.queued is not None
        ats = [made.at]
        for copy in range(2, VISITS_MAX + 1):
            at = net.place(f"step_{id}", step.name or step.id, step=step.id)
            one = StepNet(
                at=at, entry=[], ready=made.ready, queued=made.queued, busy=list(ats), alone=True
            )
            one.own, one.members = [at], {at: tuple(self._held)}
            self._nested(one, f"{id}#{copy}/")
            ats.append(at)
            made.own += one.own
            made.members.update(one.members)
            made.inner += one.inner
            made.finishes += one.finishes
            made.losses += one.losses
        overflow = net.place(f"overflow_{id}", f"More visits of {step.id}", step=step.id)
        self._draft.overflows[overflow] = step.id
        open = [(at, 1) for at in ats]
        net.transition(
            f"overflow_{id}",
            [(made.queued, 1), *self._held, *open],
            [(overflow, 1), *open],
            step=step.id,
        )

    def _open(self, made: StepNet, prefix: str, held: Arcs, puts: Arcs) -> None:
        step = self._step
        assert made.queued is not None
        busy = [(at, 1) for at in made.busy]
        self._net.transition(
            f"open_{prefix}{step.id}",
            [(made.queued, 1), *held, *busy],
            [*puts, *busy],
            inhibitors=[made.at] if made.alone else [],
            step=step.id,
        )

    def _simple(self, made: StepNet, prefix: str) -> None:
        step = self._step
        net, id = self._net, prefix + step.id
        inhibitors: list[int] = []
        drains: Members = {}
        if made.queued is not None:
            net.transition(
                f"acquire_{id}", [(made.queued, 1), *self._held], [(made.at, 1)], step=step.id
            )
        if self._per_item:
            item = net.place(f"item_{id}", f"Items of {step.id}", step=step.id)
            made.own.append(item)
            made.members[item] = tuple(self._per_item)
            net.transition(
                f"begin_item_{id}",
                [(made.at, 1), *self._per_item],
                [(made.at, 1), (item, 1)],
                act="items",
            )
            net.transition(f"end_item_{id}", [(item, 1)], self._per_item, act="items")
            early = step.foreach is not None and step.foreach.completion.kind in ("any", "at_least")
            inhibitors = [] if early else [item]
            drains = {item: tuple(self._per_item)}
        made.finishes.append(
            Finish(
                inputs=[(made.at, 1)],
                gives=self._held,
                inhibitors=inhibitors,
                drains={} if inhibitors else drains,
            )
        )
        made.losses.append(Finish(inputs=[(made.at, 1)], gives=self._held, drains=drains))
        if self._held and step.retry.max_attempts > 1:
            assert made.queued is not None
            net.transition(
                f"again_{id}", [(made.at, 1)], [(made.queued, 1), *self._held], step=step.id
            )

    def _body(self, made: StepNet, prefix: str) -> None:
        step = self._step
        assert made.queued is not None
        inner = self._open_scope(step.scopes[0], prefix, self._escapes)
        assert inner.closed is not None
        self._open(made, prefix, self._held, [(made.at, 1), *inner.start])
        made.inner.append(inner)
        made.members.update(inner.members)
        made.finishes.append(Finish(inputs=[(made.at, 1), (inner.closed, 1)], gives=self._held))
        # what goes wrong behind the scope's end: its output, the step's `assign` or `next`
        self._lose(made, prefix, Finish(inputs=[(made.at, 1), (inner.closed, 1)], gives=self._held))
        self._lose_scope(made, prefix, inner, [(made.at, 1)], {})
        if step.deadline is not None:
            drains = dict(inner.members)
            at = [(made.at, 1)]
            late = Finish(inputs=at, gives=self._held, drains=drains, outside=True)
            self._lose(made, prefix, late)

    def _lose(self, made: StepNet, prefix: str, loss: Finish, *, repeats: bool = False) -> None:
        """The step fails so, or is tried again.

        Args:
            repeats: whether `retry` may say so; a person may after any failure.
        """
        step = self._step
        made.losses.append(loss)
        asks = any(clause.human is not None for clause in step.on_error)
        if not asks and not (repeats and step.retry.max_attempts > 1):
            return
        assert made.queued is not None
        self._net.transition(
            f"again_{prefix}{step.id}",
            loss.inputs,
            [(made.queued, 1), *loss.gives],
            drains=list(loss.drains.items()),
            step=step.id,
            outside=loss.outside,
        )
        self._draft.abstract("retry", step.id, "tried again any number of times")

    def _lose_scope(
        self, made: StepNet, prefix: str, inner: ScopeNet, inputs: Arcs, drains: Members
    ) -> None:
        """The step fails, or is tried again, as a scope of it has failed."""
        if inner.failed is not None:
            taken = [*inputs, (inner.failed, 1)]
            loss = Finish(inputs=taken, gives=self._held, drains=drains)
            self._lose(made, prefix, loss, repeats=True)

    def _parallel(self, made: StepNet, prefix: str) -> None:
        step = self._step
        assert made.queued is not None
        net, id = self._net, prefix + step.id
        kind, count, width = step.completion.kind, step.completion.count, len(step.scopes)
        counts = kind in ("any", "at_least")
        joined = net.place(f"join_{id}", f"Join {step.id}", step=step.id) if counts else None
        # `any` fails when each branch has: a place for each lets a proof look at one at a time;
        # `all` fails with the first: of few branches it is seen that not both it and they are done
        first = kind == "all" and width <= APART_MAX
        apart = first or (counts and count == 1)
        losses = [
            net.place(f"lost_{id}", f"Failed branches of {step.id}", step=step.id)
            for _ in range(width if apart else 1)
        ]
        made.own += losses
        made.members.update(dict.fromkeys(losses, ()))
        arrivals: list[int] = []
        opened: list[tuple[int, int]] = [(made.at, 1)]
        branches: list[tuple[int, ScopeNet]] = []
        for position, number in enumerate(step.scopes):
            name = self._plan.scopes[number].name or str(number)
            branch = net.place(f"branch_{id}_{name}", f"Branch {step.id} {name}", step=step.id)
            arrived = joined
            if arrived is None:
                arrived = net.place(f"join_{id}_{name}", f"Join {step.id}: {name}", step=step.id)
            arrivals.append(arrived)
            made.own += [branch, arrived]
            made.members.update({branch: (), arrived: ()})
            inner = self._open_scope(number, prefix, self._escapes and kind == "all")
            made.members.update(inner.members)
            opened += [(branch, 1), *inner.start]
            branches.append((branch, inner))
            assert inner.closed is not None
            net.transition(
                f"branch_{id}_{name}_to_join",
                [(branch, 1), (inner.closed, 1)],
                [(arrived, 1)],
                step=step.id,
            )
            if inner.failed is not None:
                sink = arrived if kind == "all_done" else losses[position if apart else 0]
                net.transition(
                    f"branch_{id}_{name}_failed",
                    [(branch, 1), (inner.failed, 1)],
                    [(sink, 1)],
                    step=step.id,
                )
        made.inner += [inner for _, inner in branches]
        self._open(made, prefix, self._held, opened)
        all_members = {
            place: back
            for place, back in made.members.items()
            if place not in (made.ready, made.queued)
        }
        rest = {place: back for place, back in all_members.items() if place != made.at}
        at = [(made.at, 1)]
        ends = [*at, (joined, count)] if joined is not None else [*at, *((n, 1) for n in arrivals)]
        drains = rest if counts else {}
        made.finishes.append(Finish(inputs=ends, gives=self._held, drains=drains))
        self._lose(made, prefix, Finish(inputs=ends, gives=self._held, drains=drains))
        if kind != "all_done" and any(inner.failed is not None for _, inner in branches):
            few = width - count if counts else 0  # with one more that fails it is out of reach
            *others, last = losses
            for lost in losses if first else [last]:
                short = ScopeNet(start=[], closed=None, failed=lost, members={})
                inputs = at if first else [*at, *((place, 1) for place in others)]
                if few and not apart:
                    inputs.append((last, few))
                self._lose_scope(made, prefix, short, inputs, rest)
        if step.deadline is not None:
            late = Finish(inputs=at, gives=self._held, drains=rest, outside=True)
            self._lose(made, prefix, late)

    def _items(self, made: StepNet, prefix: str) -> None:
        """A body for each element: up to two side by side, each again and again."""
        step = self._step
        assert made.queued is not None
        assert step.foreach is not None
        net, id = self._net, prefix + step.id
        kind = step.foreach.completion.kind
        slots = []
        for copy in range(min(self._draft.items_max, step.foreach.concurrency)):
            slot = net.place(
                f"slot_{id}_{copy}", f"No item in place {copy} of {step.id}", step=step.id
            )
            item = net.place(
                f"item_{id}_{copy}", f"Item in place {copy} of {step.id}", step=step.id
            )
            inner = self._open_scope(
                step.scopes[0], f"{id}[{copy}]/", self._escapes and kind == "all"
            )
            made.own += [slot, item]
            made.members.update({slot: (), item: tuple(self._per_item), **inner.members})
            slots.append((slot, item, inner))
            assert inner.closed is not None
            net.transition(
                f"open_{id}_{copy}", [(slot, 1), *self._per_item], [(item, 1), *inner.start]
            )
            net.transition(
                f"close_{id}_{copy}",
                [(item, 1), (inner.closed, 1)],
                [(slot, 1), *self._per_item],
            )
            goes_on = kind != "all" or step.retry.max_attempts > 1 or recovers(step)
            if inner.failed is not None and goes_on:
                net.transition(
                    f"item_{id}_{copy}_failed",
                    [(item, 1), (inner.failed, 1)],
                    [(slot, 1), *self._per_item],
                )
        made.inner += [inner for _, _, inner in slots]
        at = [(made.at, 1)]
        self._open(made, prefix, [], [*at, *((slot, 1) for slot, _, _ in slots)])
        rest = {
            n: back
            for n, back in made.members.items()
            if n not in (made.ready, made.queued, made.at)
        }
        idle = [*at, *((slot, 1) for slot, _, _ in slots)]
        made.finishes.append(Finish(inputs=idle))
        made.losses.append(Finish(inputs=idle))
        if kind in ("any", "at_least"):
            made.finishes.append(Finish(inputs=at, drains=rest))
            made.losses.append(Finish(inputs=at, drains=rest))
        for _, item, inner in slots:
            if inner.failed is not None and kind == "all":
                give = list(self._per_item)
                taken = [*at, (item, 1), (inner.failed, 1)]
                made.losses.append(Finish(inputs=taken, gives=give, drains=rest))
        if step.deadline is not None:
            made.losses.append(Finish(inputs=at, drains=rest, outside=True))
