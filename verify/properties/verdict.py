"""What proofs answer: verdicts with reasons, counterexamples, and how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from heliostat.engine.authoring.diagnostics import Severity
from heliostat.engine.authoring.source import Path
from heliostat.engine.values import Json
from heliostat.verify.certificates.certificates import Certificate
from heliostat.verify.certificates.order import TakenInOrder
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.parts import Abstraction

Property = Literal[
    "deadlock", "livelock", "dead steps", "boundedness", "proper completion", "safeness"
]

Outcome = Literal["holds", "fails", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One step of a run, as the user knows it: `ship` completes, and goes on to `bill`."""

    step: str
    act: str  # completes, fails, skips

    def __str__(self) -> str:
        return f"{self.step} {self.act}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A place that holds less than a blocked net transition needs."""

    place: str
    required: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A net transition that cannot happen where tokens wait for it, and what it lacks."""

    transition: str
    missing: tuple[Shortage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircularWait:
    """Steps that each wait for what another of them holds."""

    places: tuple[str, ...]
    transitions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStarvation:
    """Permits that are lacking and that nobody is going to give back."""

    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingTransition:
    """Arrivals that nothing brings to a join any more."""

    from_places: tuple[str, ...]
    to_places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InconsistentConditions:
    """Conditions led one way to a join, and another way past it."""

    decision_step: str  # that led past it
    conditions: tuple[str, ...]  # its own, as written
    against: tuple[str, ...]  # conditions of other steps that led to the join
    data: tuple[str, ...]  # what both read


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """None of the known patterns."""


Pattern: TypeAlias = (
    CircularWait | ResourceStarvation | InconsistentConditions | MissingTransition | Unknown
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakDependencyCycle:
    """Let these steps wait for one another no more."""

    steps: tuple[str, ...]
    transitions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncreaseResources:
    """Give these semaphores more permits."""

    resource_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTransition:
    """Let these steps lead to those on every way."""

    from_steps: tuple[str, ...]
    to_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FixConditions:
    """Let these conditions of a step agree with those of others."""

    step_id: str
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generic:
    """Look at it: no pattern is known."""


Fix: TypeAlias = BreakDependencyCycle | IncreaseResources | FixConditions | AddTransition | Generic


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlock:
    """A marking in which nothing can happen although the execution is not at its end."""

    marking: dict[str, int]
    run: tuple[Act, ...]
    blocked: tuple[Blocked, ...]
    pattern: Pattern
    fix: Fix
    description: str
    case: str = ""  # of the data in which the run is taken, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that a proof found, before it has a place in a file."""

    code: str
    message: str
    cure: str | None = None
    step: str | None = None
    field: Path = ()  # of the step; without a step, of the definition
    severity: Severity = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What an analysis tells beside its verdict: figures, for a report."""

    title: str
    summary: tuple[str, ...]  # the lines that a terminal gets, and a page above the table
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    value: Mapping[str, Any]  # the same as plain data
    notes: tuple[str, ...] = ()  # of a page, below the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer about one property of one definition."""

    asked: str  # a `Property`, the name of an analysis, or a formula as it is written
    outcome: Outcome
    engine: str  # that decided
    reason: str  # for people
    rests_on: tuple[Abstraction, ...] = ()  # empty: the answer is exact
    run: tuple[Act, ...] = ()  # a counterexample
    loop: tuple[Act, ...] = ()  # that follows on the run, for ever
    deadlocks: tuple[Deadlock, ...] = ()
    steps: tuple[str, ...] = ()  # that the answer is about
    formula: str | None = None  # of a declared property, which is asked for by its id
    faults: tuple[Fault, ...] = ()  # that an analysis words itself
    witness: Mapping[str, Json] | None = None  # data that a counterexample begins with
    section: Section | None = None
    certificate: Certificate | None = None
    order: TakenInOrder | None = None  # of the plan's semaphores, where there is one
    net: Net | None = None  # that the certificate speaks of, if it is not the report's

    @property
    def exact(self) -> bool:
        """Whether it holds of executions as it does of the net."""
        return not self.rests_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was asked about a definition, and the net that certificates speak of."""

    definition: str
    verdicts: tuple[Verdict, ...]
    net: Net | None = None

    @property
    def sound(self) -> bool:
        """Whether every run can always come to its end, and every step may run; of a model that is
        asked for it also whether nothing ends twice."""
        return all(
            verdict.outcome == "holds"
            for verdict in self.verdicts
            if verdict.asked not in ("boundedness", "safeness")
        )

    def about(self, property: Property) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.asked == property)
