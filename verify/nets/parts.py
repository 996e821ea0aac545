"""What the parts of a translation hand to one another: scopes, steps, abstractions, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.nets.net import Arcs, Ending, NetBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstraction:
    """Where a net allows more than an execution does; a verdict that rests on it says so.

    But for `trigger`, which bounds how often something comes, they are conservative: what holds for
    all runs of the net holds for all executions. A counterexample may be a run that the data of no
    execution allows.

    Analyses also say so what they take for granted beside the definition, as that nobody else
    publishes its events: what holds then holds of the executions that keep to it.
    """

    kind: str
    step: str | None
    text: str


def may_complete(step: StepPlan) -> bool:
    """Whether a visit can have an output: a decision that says `fail` has none of its own."""
    if step.kind != "decision" or step.fail is None or step.foreach is not None:
        return True
    return recovers(step)


def recovers(step: StepPlan) -> bool:
    """Whether a clause of `on_error` lets a failed visit complete."""
    return any(each.output is not None or each.human is not None for each in step.on_error)


def completions(step: StepPlan, made: StepNet) -> list[Finish]:
    """The ways in which a visit has an output, be it one that a clause of `on_error` gives."""
    found = list(made.finishes) if may_complete(step) else []
    if recovers(step):
        found += [loss for loss in made.losses if loss.inputs != made.finishes[0].inputs]
    return found


Members = dict[int, Arcs]
"""Places of a scope or step that are emptied when it is withdrawn, with what each gives back."""


@dataclass(slots=True, kw_only=True)
class ScopeNet:
    """A scope as whoever opens it sees it."""

    start: list[tuple[int, int]]  # what opening it puts
    closed: int | None  # holds a token when it has completed; None: the root
    failed: int | None  # likewise, when it has failed; None: its failure ends the execution
    members: Members


@dataclass(slots=True, kw_only=True)
class StepNet:
    """The places of one step, in one copy of its scope."""

    at: int  # a visit is open
    entry: list[tuple[int, int]]  # what an arrival puts
    ready: int | None = None  # due; it may still be skipped, or its input have no value
    queued: int | None = None  # due, and waiting for permits; `ready` where it takes none
    alone: bool = False  # it opens only while no visit is open in this copy
    busy: list[int] = field(default_factory=list)  # earlier copies, open where this one opens
    inner: list[ScopeNet] = field(default_factory=list)
    own: list[int] = field(default_factory=list)  # control places of the step itself
    members: Members = field(default_factory=dict)
    finishes: list[Finish] = field(default_factory=list)  # ways to complete
    losses: list[Finish] = field(default_factory=list)  # ways to fail


@dataclass(slots=True, kw_only=True)
class Finish:
    """One way in which a visit ends: what it takes and what it empties."""

    inputs: list[tuple[int, int]]
    gives: list[tuple[int, int]] = field(default_factory=list)  # permits
    drains: Members = field(default_factory=dict)
    inhibitors: list[int] = field(default_factory=list)
    outside: bool = False  # it is a deadline that passes


@dataclass(slots=True)
class Draft:
    """A net in the making, with what was abstracted."""

    builder: NetBuilder
    resources: dict[str, int]  # semaphores that the net holds
    items_max: int  # of a body's `foreach`, side by side
    coarse: bool = False
    abstractions: list[Abstraction] = field(default_factory=list)
    overflows: dict[int, str] = field(default_factory=dict)  # place, step

    def end(
        self,
        finish: Finish,
        id: str,
        puts: Sequence[tuple[int, int]],
        *,
        step: str,
        act: str,
        name: str = "",
        ending: Ending = "",
        guard: str | None = None,
        takes: Sequence[tuple[int, int]] = (),
        inhibitors: Sequence[int] = (),
        drains: Members | None = None,
    ) -> None:
        """Add a net transition by which a visit ends so.

        Args:
            puts: what follows, beside the permits that it gives back.
            takes: what it takes beside the visit.
            drains: what it empties instead of what belongs to the visit.
        """
        self.builder.transition(
            id,
            [*finish.inputs, *takes],
            [*finish.gives, *puts],
            inhibitors=[*finish.inhibitors, *inhibitors],
            drains=list((finish.drains if drains is None else drains).items()),
            name=name,
            ending=ending,
            step=step,
            act=act,
            outside=finish.outside,
            guard=guard,
        )

    def abstract(self, kind: str, step: str | None, text: str) -> None:
        """Note an abstraction, once."""
        found = Abstraction(kind=kind, step=step, text=text)
        if found not in self.abstractions:
            self.abstractions.append(found)
