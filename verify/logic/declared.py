"""The verdicts about the formulas that a definition declares as its properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from heliostat.verify.analyses import Subject
from heliostat.verify.logic.checking import Logic, check_formula
from heliostat.verify.properties.verdict import Fault, Verdict
from heliostat.verify.reports.diagnostics import against


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """A verdict for each property in CTL or LTL, asked for by its id."""
    for index, declared in enumerate(subject.definition.properties):
        asked: tuple[tuple[Logic, str | None], ...] = (("ctl", declared.ctl), ("ltl", declared.ltl))
        for logic, formula in asked:
            if formula is None:
                continue
            found = check_formula(
                subject.plan,
                formula,
                logic=logic,
                time_max_ms=subject.time_max_ms,
                now_ms=subject.now_ms,
            )
            verdict = replace(found, asked=declared.id, formula=formula)
            if verdict.outcome == "fails":
                fault = Fault(
                    code="HS551",
                    message=f"`{declared.id}` does not hold: `{formula}`{against(verdict)}",
                    cure="take out the way that the run goes, or say what is meant",
                    field=("properties", index, logic),
                )
                verdict = replace(verdict, faults=(fault,))
            yield verdict
