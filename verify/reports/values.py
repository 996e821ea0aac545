"""A report as plain data, for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import Act, Deadlock, Fix, Outcome, Pattern, Verdict


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """The outcome of all together: one that fails decides, then one that is not known."""
    found = {verdict.outcome for verdict in verdicts}
    if "fails" in found:
        return "fails"
    return "inconclusive" if "inconclusive" in found else "holds"


def verdict_value(verdict: Verdict) -> dict[str, Any]:
    """A verdict, without its certificate."""
    return {
        "property": verdict.asked,
        "formula": verdict.formula,
        "outcome": verdict.outcome,
        "engine": verdict.engine,
        "reason": verdict.reason,
        "exact": verdict.exact,
        "rests_on": [_abstraction(each) for each in verdict.rests_on],
        "run": _run(verdict.run),
        "loop": _run(verdict.loop),
        "steps": list(verdict.steps),
        "witness": None if verdict.witness is None else dict(verdict.witness),
        "deadlocks": [_deadlock(each) for each in verdict.deadlocks],
        "section": None if verdict.section is None else dict(verdict.section.value),
    }


def _abstraction(each: Abstraction) -> dict[str, Any]:
    return {"kind": each.kind, "step": each.step, "text": each.text}


def _run(run: Iterable[Act]) -> list[dict[str, str]]:
    return [{"step": each.step, "act": each.act} for each in run]


def _deadlock(deadlock: Deadlock) -> dict[str, Any]:
    return {
        "description": deadlock.description,
        "case": deadlock.case,
        "run": _run(deadlock.run),
        "pattern": _tagged(deadlock.pattern),
        "fix": _tagged(deadlock.fix),
        "marking": deadlock.marking,
        "blocked": [
            {
                "transition": each.transition,
                "missing": [
                    {"place": one.place, "required": one.required, "available": one.available}
                    for one in each.missing
                ],
            }
            for each in deadlock.blocked
        ],
    }


def _tagged(part: Pattern | Fix) -> dict[str, Any]:
    """Its fields, and which kind it is."""
    return {"type": type(part).__name__} | {
        each.name: getattr(part, each.name) for each in fields(part)
    }
