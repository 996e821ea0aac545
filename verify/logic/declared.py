"""The verdicts about the formulas that a definition declares as its properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from heliostat.engine.authoring.model import Definition
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import Budget
from heliostat.verify.logic.checking import Logic, check_formula, made_once
from heliostat.verify.properties.verdict import Fault, Verdict
from heliostat.verify.reports.diagnostics import against


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """A verdict for each property in CTL or LTL, asked for by its id.

    Each gets an equal part of the time that is left; the net is made once.
    """
    budget = Budget(subject.time_max_ms, subject.now_ms)
    due = list(_formulas(subject.definition))
    made = made_once(subject.plan, budget) if due else None
    for at, (index, id, logic, formula) in enumerate(due):
        found = check_formula(
            subject.plan,
            formula,
            logic=logic,
            made=made,
            time_max_ms=budget.part_ms(len(due) - at),
            now_ms=subject.now_ms,
        )
        verdict = replace(found, asked=id, formula=formula)
        if verdict.outcome == "fails":
            fault = Fault(
                code="HS551",
                message=f"`{id}` does not hold: `{formula}`{against(verdict)}",
                cure="take out the way that the run goes, or say what is meant",
                field=("properties", index, logic),
            )
            verdict = replace(verdict, faults=(fault,))
        yield verdict


def _formulas(definition: Definition) -> Iterator[tuple[int, str, Logic, str]]:
    for index, each in enumerate(definition.properties):
        if each.ctl is not None:
            yield index, each.id, "ctl", each.ctl
        if each.ltl is not None:
            yield index, each.id, "ltl", each.ltl
