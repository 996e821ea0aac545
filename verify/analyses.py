"""What is asked of a definition beside its soundness, each by an analysis of its own.

An analysis is a function of a `Subject` that answers with verdicts; it says what it found as their
`faults`. Its verdicts are asked for by its name here. A module is loaded when its analysis is asked
for: who does not ask for data needs no solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias

from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.plan import Plan
from heliostat.verify.budget import Budget
from heliostat.verify.properties.verdict import Verdict

if TYPE_CHECKING:
    from heliostat.verify.resources.cluster import Cluster
    from heliostat.verify.timing.durations import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A definition that is asked about, and how long an answer may take."""

    definition: Definition
    plan: Plan
    time_max_ms: int | None = None  # of all that is asked, by the clock `now_ms`
    now_ms: Callable[[], float] | None = None
    measured: Mapping[str, Duration] | None = None  # by step id, how long attempts have taken
    figures: bool = True  # whether a report is wanted beside the verdicts; registration wants none
    starts_at_ms: int | None = None  # when an execution starts, UTC; for deadlines at an instant
    beside: tuple[Subject, ...] = ()  # the others that are asked about together with this one
    cluster: Cluster | None = None  # what there is to take
    executions: int = 1  # side by side, which take of it
    functions: Mapping[str, ActivityInfo] = field(default_factory=dict)
    """What was seen of the functions that activities name, by the name; of others nothing is known.
    """


Analysis: TypeAlias = Callable[[Subject], Iterable[Verdict]]

ANALYSES: Final[dict[str, str]] = {
    "time": "timing.analysis:verdicts",
    "across": "across.analysis:verdicts",
    "recovery": "recovery.analysis:verdicts",
    "people": "people.analysis:verdicts",
    "resources": "resources.analysis:verdicts",
    "properties": "logic.declared:verdicts",
    "data": "data.analysis:verdicts",  # last: to load the solver takes of the time that is left
}
"""By name, `module:function` below `heliostat.verify`; told in this order."""

AT_REGISTRATION: Final = frozenset(
    {
        "across",
        "data",
        "people",
        "properties",
        "recovery",
        "time",
    }
)
"""Those that registration makes: quick, and worth a warning that nobody asked for."""

DECIDES: Final = {
    "ctl": "properties",
    "ltl": "properties",
    "different_people": "people",
    "undone": "recovery",
    "within": "time",
}
"""By the kind of a declared property, the analysis with a verdict by the property's id."""


def analysis(name: str) -> Analysis:
    """The analysis of this name."""
    module, _, function = ANALYSES[name].partition(":")
    found: Analysis = getattr(import_module(f"heliostat.verify.{module}"), function)
    return found


def analysed(subject: Subject, names: Iterable[str]) -> list[Verdict]:
    """The verdicts of these analyses, in the order of the table.

    Each is given an equal part of the time that is left, so that what one does not need is the
    others', and none can take it all.
    """
    asked = frozenset(names)
    due = [name for name in ANALYSES if name in asked]
    budget = Budget(subject.time_max_ms, subject.now_ms)
    found = list[Verdict]()
    for at, name in enumerate(due):
        part = replace(subject, time_max_ms=budget.part_ms(len(due) - at))
        found += analysis(name)(part)
    return found
