"""What a plan has in the places of numbers that its definition uses no more.

Nothing leads there, and no visit is ever there: they keep the tuples of a plan without a gap, and
tell what an event of an earlier version speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import plan
from .numbering import ROOT, Numbering


def retired_steps(numbering: Numbering) -> Iterator[plan.StepPlan]:
    """A place for each step that is gone, with the id that it had."""
    for path, number in numbering.retired.steps.items():
        yield plan.StepPlan(
            number=number,
            id=path.rpartition("/")[2],
            scope=numbering.scopes[ROOT],
            kind="decision",
            retired=True,
        )


def retired_scopes(numbering: Numbering) -> Iterator[plan.ScopePlan]:
    """A place for each scope that is gone."""
    for path, number in numbering.retired.scopes.items():
        yield plan.ScopePlan(
            number=number,
            name=path,
            notation="state_machine",
            steps=(),
            start=(),
            variables={},
            retired=True,
        )


def retired_edges(numbering: Numbering) -> dict[int, plan.Edge]:
    """A place for each edge that is gone, with the steps at its ends."""
    return {
        number: plan.Edge(number=number, source=source, target=target)
        for number, (source, target) in numbering.retired.edges.items()
    }
