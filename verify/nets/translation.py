"""From a plan to a net, as docs/semantics.md reads its constructs.

The net holds what decides how control moves: open visits, arrivals, needs, permits of the
definition's own semaphores, branches, what fails and where that is caught. It does not hold data
(a condition may be true or false), time (what waits goes on at some time) nor what operators do
(pause, cancel, retry of an execution). Every condition and happening is a free choice; more than
that is abstracted only where an `Abstraction` says so.

A failure that nothing catches ends the execution. Such a net transition has `ending == "failed"`
and leads nowhere: every marking that it could be taken from exists without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from heliostat.engine.plan.plan import Edge, Handler, Plan
from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.nets.dags import Dag
from heliostat.verify.nets.machines import Machine
from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.nets.parts import Abstraction, Draft, ScopeNet
from heliostat.verify.nets.visits import COPIES_MAX, REPLAYED_MAX

__all__ = ["TRIGGERS_MAX", "Translation", "translate"]

TRIGGERS_MAX: Final = 2
"""Tokens that one handler puts on a step in a net that is explored: any two may meet."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A plan's net, and where it allows more than executions do."""

    net: Net
    abstractions: tuple[Abstraction, ...]
    overflows: Mapping[int, str] = field(default_factory=dict)
    """Places that hold a token where more visits of a step are open than the net holds."""


Detail = Literal["full", "proof", "coarse"]
"""`full` is what histories are replayed on. `proof` leaves out semaphores that only steps without
an inside use: whoever holds such a permit can always go on and give it back, hence no marking is
dead because of it and none is cut off from the end. `coarse` also forgets which needs of a DAG's
step were skipped; that is an abstraction."""


def translate(
    plan: Plan,
    detail: Detail = "full",
    budget: Budget = UNBOUNDED,
    *,
    semaphores: Collection[str] | None = None,
    items: int | None = None,
) -> Translation:
    """The net of a plan.

    Args:
        semaphores: those that the net holds, instead of what the detail says.
        items: how many items of a body it holds side by side, likewise.

    Raises:
        TooManyTokens: a semaphore has more permits than a marking counts.
        OutOfTime: it is too large to be made within the budget.
    """
    builder = NetBuilder(f"{plan.id}:{plan.version}", budget)
    resources = {
        name: builder.place(f"resource_{name}", f"Resource {name}", role="resource", tokens=count)
        for name, count in plan.semaphores.items()
        if ((detail == "full" or _nests(plan, name)) if semaphores is None else name in semaphores)
    }
    items_max = items or (REPLAYED_MAX if detail == "full" else COPIES_MAX)
    draft = Draft(builder, resources, items_max, coarse=detail == "coarse")
    recoveries = [clause.edge for clause in plan.on_error if clause.edge is not None]

    def scope(number: int, prefix: str, escapes: bool) -> ScopeNet:
        made = plan.scopes[number]
        kind = Dag if made.notation == "dag" else Machine
        return kind(draft, plan, made, prefix, escapes=escapes, open_scope=scope).net()

    root_plan = plan.root
    if root_plan.notation == "dag":
        root = Dag(draft, plan, root_plan, "", escapes=True, open_scope=scope).net()
    else:
        triggers = [
            (handler, action.step)
            for handler in plan.handlers
            for action in handler.actions
            if action.step is not None
        ]
        machine = Machine(
            draft,
            plan,
            root_plan,
            "",
            escapes=not recoveries,
            open_scope=scope,
            triggered=frozenset(step for _, step in triggers),
        )
        root = machine.net()
        for handler, target in triggers:
            _trigger(draft, plan, machine, handler, target, bounded=detail != "full")
        if recoveries:
            _recover(builder, plan, machine, root, recoveries)
    builder.mark([place for place, weight in root.start for _ in range(weight)])
    return Translation(
        net=builder.net(),
        abstractions=tuple(draft.abstractions),
        overflows=draft.overflows,
    )


def _trigger(
    draft: Draft, plan: Plan, machine: Machine, handler: Handler, target: int, *, bounded: bool
) -> None:
    """A handler puts a token on a step, whenever an event comes."""
    step = plan.steps[target]
    events: list[tuple[int, int]] = []
    if bounded:
        name = f"Events that {handler.name} still takes"
        left = draft.builder.place(
            f"event_{handler.number}_{step.id}", name, role="auxiliary", tokens=TRIGGERS_MAX
        )
        events = [(left, 1)]
        draft.abstract("trigger", step.id, f"triggered at most {TRIGGERS_MAX} times by a handler")
    draft.builder.transition(
        f"trigger_{handler.number}_{step.id}",
        events,
        machine.entry(target),
        inhibitors=[] if machine.failing is None else [machine.failing],
        act=f"triggers:{target}",
        outside=True,
    )


def _recover(
    builder: NetBuilder, plan: Plan, machine: Machine, root: ScopeNet, recoveries: list[Edge]
) -> None:
    """The definition's own `on_error` leads on, once; its `deadline` bounds all of it."""
    assert root.failed is not None
    assert machine.failing is not None
    once = builder.place("once_root", "No recovery yet", role="auxiliary", tokens=1)
    for edge in recoveries:
        builder.transition(
            f"recover_{plan.steps[edge.target].id}",
            [(root.failed, 1), (once, 1)],
            machine.entry(edge.target),
        )
    first = plan.on_error[0]
    certain = first.edge is not None and first.error is None and first.when is None
    builder.transition(
        "fail_root", [(root.failed, 1)], inhibitors=[once] if certain else [], ending="failed"
    )
    if plan.deadline is not None:
        builder.transition(
            "deadline_root",
            [(builder.place("in_time_root", "In time", role="auxiliary", tokens=1), 1)],
            [(machine.failing, 1)],
            inhibitors=[machine.failing, root.failed],
            act="expires",
            outside=True,
        )


def _nests(plan: Plan, semaphore: str) -> bool:
    """Whether a step with steps inside uses it."""
    return any(
        step.scopes and any(name == semaphore for name, _ in step.uses) for step in plan.steps
    )
