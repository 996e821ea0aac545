"""State machines: routes, splits, joins, clauses of `on_error` that lead on, cancelled regions.

A token ends where nothing is next. A machine in which one token can never become two has completed
then (`single`); in the others the scope's end asks that all its places are empty, as
docs/semantics.md says it. The root needs no such transition: it is at its end when nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from heliostat.engine.authoring.reach import Reach
from heliostat.engine.plan.plan import END, Edge, Plan, ScopePlan, StepPlan
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

AFRESH_SOURCES_MAX: Final = 4
"""Of an `at_least` join, up to which each set of sources that have not sent is looked at."""


@dataclass(slots=True, kw_only=True)
class _Joins:
    """Where arrivals wait: by source for `all`, in one place for `at_least`."""

    waiting: dict[int, dict[int, int]] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=dict)
    fired: dict[int, int] = field(default_factory=dict)
    sent: dict[int, dict[int, int]] = field(default_factory=dict)

    def aside(self) -> list[int]:
        """Places that hold a memory and no token of control."""
        return [place for number in self.fired for place in self.memory(number)]

    def memory(self, number: int) -> list[int]:
        """Those of one join: that it has fired, and who has sent to it."""
        fired = [self.fired[number]] if number in self.fired else []
        return fired + list(self.sent.get(number, {}).values())

    def places(self, number: int) -> list[int]:
        found = list(self.waiting.get(number, {}).values())
        return found + ([self.counted[number]] if number in self.counted else [])


class Machine:
    """Translates one state machine; make one, then ask for its `net`."""

    def __init__(
        self,
        draft: Draft,
        plan: Plan,
        scope: ScopePlan,
        prefix: str,
        *,
        escapes: bool,
        open_scope: OpenScope,
        triggered: frozenset[int] = frozenset(),
    ) -> None:
        """
        Args:
            escapes: whether a failure of the scope ends the execution.
            triggered: steps that handlers put tokens on.
        """
        self._draft, self._plan, self._scope, self._prefix = draft, plan, scope, prefix
        self._builder, self._escapes, self._root = draft.builder, escapes, scope.owner is None
        self._steps = {number: plan.steps[number] for number in scope.steps}
        self._triggered = triggered
        splits = any(s.split == "all" and len(s.routes) > 1 for s in self._steps.values())
        single = not triggered and not splits
        label = f"{prefix}{self._label()}"
        place = self._builder.place
        self._open = None if self._root or single else place(f"open_{label}", f"Open {label}")
        self._closed = None if self._root else place(f"closed_{label}", f"Closed {label}")
        self._failed = None if escapes else place(f"failed_{label}", f"Failed {label}")
        self._failing = None if escapes else place(f"failing_{label}", f"Failing {label}")
        several = set[int]() if single else self._several()
        self._nets: dict[int, StepNet] = {
            number: step_net(
                draft,
                plan,
                step,
                prefix,
                escapes=escapes,
                scope=open_scope,
                several=number in several,
            )
            for number, step in self._steps.items()
        }
        self._joins = _Joins()
        self._label_text = label
        self._members: Members = {}

    def _several(self) -> set[int]:
        """Steps of which more than one visit may be open at once."""
        found = self._scope.reachable
        reach = found if isinstance(found, Reach) else Reach(found)  # no sets for each of thousands
        sources = {
            number: {self._plan.edges[n].source for n in step.arrivals} - {END}
            for number, step in self._steps.items()
        }
        many = {
            number
            for number, step in self._steps.items()
            if reach.leads(number, number)
            or (step.join.kind == "any" and len(sources[number]) > 1)
            or number in self._triggered
        }
        return many | reach.behind(many)

    def _label(self) -> str:
        if self._scope.owner is None:
            return "root"
        owner = self._plan.steps[self._scope.owner].id
        return owner if self._scope.name is None else f"{owner}_{self._scope.name}"

    def net(self) -> ScopeNet:
        """Add all net transitions of the scope."""
        for number, step in self._steps.items():
            self._make_join(number, step)
        for number, step in self._steps.items():
            self._place_outcomes(number, step)
        own = [p for n in self._nets.values() for p in n.own]
        own += [place for number in self._steps for place in self._joins.places(number)]
        for made in self._nets.values():
            self._members.update(made.members)
        for place in own:
            self._members.setdefault(place, ())
        for extra in (self._open, self._closed, self._failing):
            if extra is not None:
                self._members[extra] = ()
        for place in self._joins.aside():
            self._members[place] = ()
        for number, step in self._steps.items():
            self._make_transitions(number, step)
        for number, step in self._steps.items():
            if step.join.kind == "at_least":
                self._make_afresh(number, step)
        self._make_closing(own)
        members = dict(self._members)
        if self._failed is not None:
            members[self._failed] = ()
        start = list(self._nets[self._scope.start[0]].entry)
        if self._open is not None:
            start.append((self._open, 1))
        return ScopeNet(start=start, closed=self._closed, failed=self._failed, members=members)

    @property
    def failing(self) -> int | None:
        """Holds a token when the scope has failed and nothing is withdrawn yet."""
        return self._failing

    def entry(self, number: int) -> Arcs:
        """What a token that is put on a step from elsewhere puts."""
        return list(self._nets[number].entry)

    # -- joins

    def _make_join(self, number: int, step: StepPlan) -> None:
        id, place = self._prefix + step.id, self._builder.place
        sources = sorted(
            {self._plan.edges[n].source for n in step.arrivals} - {END},
        )
        if step.join.kind == "all":
            waiting = {
                source: place(
                    f"arrived_{self._prefix}{self._steps[source].id}_{step.id}",
                    f"{self._steps[source].id} has arrived at {step.id}",
                    step=step.id,
                )
                for source in sources
            }
            self._joins.waiting[number] = waiting
            self._builder.transition(
                f"join_all_{id}",
                [(each, 1) for each in waiting.values()],
                self._nets[number].entry,
                step=step.id,
            )
        elif step.join.kind == "at_least":
            counted = place(f"join_{id}", f"Join {step.id}", step=step.id)
            fired = place(f"fired_{id}", f"{step.id} has started", role="auxiliary", step=step.id)
            self._joins.counted[number], self._joins.fired[number] = counted, fired
            self._builder.transition(
                f"join_n_{id}",
                [(counted, step.join.count)],
                [*self._nets[number].entry, (fired, 1)],
                inhibitors=[fired],
                step=step.id,
            )
            self._builder.transition(
                f"swallow_{id}", [(counted, 1), (fired, 1)], [(fired, 1)], step=step.id
            )
            self._joins.sent[number] = {
                source: place(
                    f"sent_{self._prefix}{self._steps[source].id}_{step.id}",
                    f"{self._steps[source].id} has sent to {step.id}",
                    role="auxiliary",
                    step=step.id,
                )
                for source in sources
            }

    def _make_afresh(self, number: int, step: StepPlan) -> None:
        """A join that has fired starts afresh when each source has sent, or can no longer."""
        sent, reachable = self._joins.sent[number], self._scope.reachable
        sources = list(sent)
        few = len(sources) <= AFRESH_SOURCES_MAX
        sizes = range(len(sources) + 1) if few else (0, len(sources))
        if not few:
            self._draft.abstract(
                "at_least", step.id, "starts afresh when all have sent, or none can"
            )
        for size in sizes:
            for silent in combinations(sources, size):
                alive = [
                    other
                    for other in self._steps
                    if other != number
                    and any(s == other or s in reachable.get(other, ()) for s in silent)
                ]
                if any(s == number or s in reachable.get(number, ()) for s in silent):
                    alive_places = list(self._nets[number].own)  # a join that has fired is not
                else:
                    alive_places = []
                for other in alive:
                    alive_places += [*self._nets[other].own, *self._joins.places(other)]
                self._builder.transition(
                    f"afresh_{self._prefix}{step.id}",
                    [(self._joins.fired[number], 1)]
                    + [(sent[source], 1) for source in sources if source not in silent],
                    inhibitors=[*alive_places, self._joins.counted[number]],
                    drains=[(place, ()) for place in sent.values()],
                    step=step.id,
                )

    def _arrival(self, source: int, edge: Edge) -> Arcs:
        if edge.target == END:
            return self._end()
        kind = self._steps[edge.target].join.kind
        if kind == "all":
            return [(self._joins.waiting[edge.target][source], 1)]
        if kind == "at_least":
            return [
                (self._joins.counted[edge.target], 1),
                (self._joins.sent[edge.target][source], 1),
            ]
        return list(self._nets[edge.target].entry)

    def _end(self) -> Arcs:
        """What a token leaves that ends."""
        return [] if self._root or self._open is not None else [(self._closed or 0, 1)]

    # -- outcomes

    def _place_outcomes(self, number: int, step: StepPlan) -> None:
        """Places between a step's end and what follows, where that is chosen."""
        made, id = self._nets[number], self._prefix + step.id
        if step.cancels:
            canceled = self._builder.place(
                f"canceled_{id}", f"{step.id} has cancelled", step=step.id
            )
            made.own.append(canceled)
            made.members[canceled] = ()
        if _chooses(step):
            decision = self._builder.place(
                f"decision_{id}", f"Decision {step.name or step.id}", step=step.id
            )
            made.own.append(decision)
            made.members[decision] = ()
            self._stages(number, step, decision)

    def _stages(self, number: int, step: StepPlan, decision: int) -> None:
        made, id = self._nets[number], self._prefix + step.id
        net = self._builder
        if step.split == "first":
            for edge in step.routes:
                net.transition(
                    f"condition_{id}_{self._target(edge)}",
                    [(decision, 1)],
                    self._arrival(number, edge),
                    step=step.id,
                    act=f"takes:{edge.number}",
                    guard=edge.when.source if edge.when is not None else None,
                )
            if all(edge.when is not None for edge in step.routes):
                self._fail(number, step, Finish(inputs=[(decision, 1)]), "no_way")
            return
        # `split: all`: one condition after the other, with a memory of whether one was true and
        # of the joins that have had their arrival
        conditions = [edge for edge in step.routes if edge.when is not None]
        defaults = [edge for edge in step.routes if edge.when is None]
        stages: dict[tuple[int, bool, frozenset[int]], int] = {(0, False, frozenset()): decision}
        for index, edge in enumerate(conditions):
            for (at, some, met), place in [*stages.items()]:
                if at != index:
                    continue
                for taken in (True, False):
                    join = self._is_join(edge)
                    seen = met | {edge.target} if taken and join else met
                    last = index + 1 == len(conditions)
                    puts: Arcs = []
                    if taken and not (join and edge.target in met):
                        puts = self._arrival(number, edge)
                    if last and not (some or taken):
                        key = (index + 1, False, seen)
                    elif last:
                        key = None
                    else:
                        key = (index + 1, some or taken, seen)
                    if key is not None:
                        if key not in stages:
                            stages[key] = net.place(
                                f"decision_{id}_{index + 1}_{'some' if key[1] else 'none'}",
                                f"Decision {step.id}",
                                step=step.id,
                            )
                            made.own.append(stages[key])
                            made.members[stages[key]] = ()
                        puts = [*puts, (stages[key], 1)]
                    verb = "condition" if taken else "no_condition"
                    net.transition(
                        f"{verb}_{id}_{self._target(edge)}",
                        [(place, 1)],
                        puts,
                        step=step.id,
                        act=f"takes:{edge.number}" if taken else "",
                        guard=edge.when.source if edge.when is not None and taken else None,
                    )
        none = stages[len(conditions), False, frozenset()]
        if defaults:
            self._take_all(number, step, Finish(inputs=[(none, 1)]), defaults, "default", "")
        else:
            self._fail(number, step, Finish(inputs=[(none, 1)]), "no_way")

    def _is_join(self, edge: Edge) -> bool:
        return edge.target != END and self._steps[edge.target].join.kind != "any"

    def _target(self, edge: Edge) -> str:
        return "end" if edge.target == END else self._steps[edge.target].id

    def _take_all(
        self,
        number: int,
        step: StepPlan,
        finish: Finish,
        edges: list[Edge],
        name: str,
        act: str,
    ) -> None:
        puts, met = Arcs(), set[int]()
        for edge in edges:
            if self._is_join(edge):
                if edge.target in met:
                    continue
                met.add(edge.target)
            puts += self._arrival(number, edge)
        acts = [act] if act else []
        acts += [f"takes:{edge.number}" for edge in edges]
        self._draft.end(
            finish, f"{name}_{self._prefix}{step.id}", puts, step=step.id, act=" ".join(acts)
        )

    def _make_transitions(self, number: int, step: StepPlan) -> None:
        made, id = self._nets[number], self._prefix + step.id
        if step.when is not None:
            due = made.ready if made.ready is not None else made.at
            back = list(made.members[due])
            finish = Finish(inputs=[(due, 1)], gives=back)
            self._go_on(number, step, finish, "skips")
        completed = completions(step, made)
        if step.cancels:
            for finish in completed:
                self._cancel(step, finish, id)
            completed = [Finish(inputs=[(self._builder.find(f"canceled_{id}"), 1)])]
        for finish in completed:
            if step.terminate:
                self._terminate(step, finish, id)
            else:
                self._go_on(number, step, finish, "completes")
        for loss in made.losses:
            self._fail(number, step, loss, "fail")

    def _go_on(self, number: int, step: StepPlan, finish: Finish, act: str) -> None:
        if _chooses(step):
            id = self._prefix + step.id
            decision = self._builder.find(f"decision_{id}")
            self._draft.end(
                finish,
                f"step_{id}_to_decision" if act == "completes" else f"skip_{id}",
                [(decision, 1)],
                step=step.id,
                act=act,
                name=f"{step.name or step.id} to decision",
            )
            return
        edges = list(step.routes)
        if not edges or (all(edge.target == END for edge in edges) and len(edges) == 1):
            self._draft.end(
                finish,
                f"{'end' if act == 'completes' else 'skip'}_{self._prefix}{step.id}",
                self._end(),
                step=step.id,
                act=" ".join([act, *(f"takes:{edge.number}" for edge in edges)]),
            )
            return
        name = "split" if len(edges) > 1 else f"transition_{self._target(edges[0])}_from"
        self._take_all(number, step, finish, edges, name if act == "completes" else "skip", act)

    def _cancel(self, step: StepPlan, finish: Finish, id: str) -> None:
        """First the region is emptied, then the step goes on: withdrawn attempts may take time."""
        canceled = self._builder.find(f"canceled_{id}")
        drains: Members = dict(finish.drains)
        for number in step.cancels:
            drains.update(self._nets[number].members)
            drains.update(dict.fromkeys(self._joins.places(number), ()))
            drains.update(dict.fromkeys(self._joins.memory(number), ()))
        self._draft.end(
            finish, f"cancel_{id}", [(canceled, 1)], drains=drains, step=step.id, act="cancels"
        )

    def _terminate(self, step: StepPlan, finish: Finish, id: str) -> None:
        ending: Ending = "completed" if self._root else ""
        puts = [] if self._root else [(self._closed or 0, 1)]
        self._draft.end(
            finish,
            f"terminate_{id}",
            puts,
            inhibitors=[] if self._failing is None else [self._failing],
            drains=self._members,
            ending=ending,
            step=step.id,
            act="completes",
        )

    def _fail(self, number: int, step: StepPlan, loss: Finish, name: str) -> None:
        id = self._prefix + step.id
        for clause in step.on_error:
            if clause.edge is None:
                continue
            self._draft.end(
                loss,
                f"error_{id}_{self._target(clause.edge)}",
                self._arrival(number, clause.edge),
                step=step.id,
                act=f"fails takes:{clause.edge.number}",
                guard=clause.error,
            )
        if any(
            c.edge is not None and c.error is None and c.when is None for c in step.on_error[:1]
        ):
            return  # whatever the error is, the first clause leads on
        self._draft.end(
            loss,
            f"{name}_{id}",
            [] if self._failing is None else [(self._failing, 1)],
            ending="failed" if self._failing is None else "",
            step=step.id,
            act="fails",
        )

    def _make_closing(self, own: list[int]) -> None:
        label = self._label_text
        if self._open is not None and self._closed is not None:
            inhibitors = [*([self._failing] if self._failing is not None else []), *own]
            self._builder.transition(
                f"close_{label}",
                [(self._open, 1)],
                [(self._closed, 1)],
                inhibitors=inhibitors,
                drains=[(place, ()) for place in self._joins.aside()],
            )
        if self._failing is not None and self._failed is not None:
            self._builder.transition(
                f"withdraw_{label}",
                [(self._failing, 1)],
                [(self._failed, 1)],
                drains=list(self._members.items()),
            )


def _chooses(step: StepPlan) -> bool:
    """Whether what follows a step hangs on conditions."""
    return any(edge.when is not None for edge in step.routes)
