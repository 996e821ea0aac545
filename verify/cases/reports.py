"""Cases for people and programs: as lines, a page, JSON that `heliostat simulate` reads."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Final

from heliostat.engine.values import Json
from heliostat.verify.cases.choosing import Case, Cases
from heliostat.verify.cases.goals import KINDS, Goal
from heliostat.verify.cases.unreached import Unreached

WIDTH: Final = 100
"""Characters of a line of text."""


def value(cases: Cases) -> dict[str, Any]:
    """The cases as JSON; `input`, `outcomes` and `timeline` are what `heliostat simulate` reads."""
    return {
        "definition": cases.definition,
        "version": cases.version,
        "agree": cases.agree,
        "cases": [_case_value(each) for each in cases.cases],
        "coverage": {
            words: {"covered": covered, "of": count} for words, covered, count in coverage(cases)
        },
        "uncovered": [
            {**_goal_value(each.goal), "reason": each.reason, "proved": each.proved}
            for each in cases.uncovered
        ],
        "runs": cases.runs,
        "bound": cases.bound or None,
    }


def _case_value(case: Case) -> dict[str, Any]:
    expected = case.checked.expected
    return {
        "name": case.name,
        "covers": [_goal_value(goal) for goal in case.covers],
        "input": case.told.input,
        "outcomes": case.told.outcomes,
        "timeline": case.told.timeline,
        "expected": {
            "status": expected.status,
            "failure": expected.failure,
            "output": expected.output,
            "trace": list(expected.trace),
        },
        "agrees": case.checked.agrees,
        "difference": case.checked.difference or case.checked.stray or None,
        "unpredicted": case.checked.unpredicted or None,
    }


def _goal_value(goal: Goal) -> dict[str, Json]:
    return {
        "kind": goal.kind,
        "step": goal.step or None,
        "detail": goal.detail or None,
        "goal": goal.words,
    }


def coverage(cases: Cases) -> Iterator[tuple[str, int, int]]:
    """By kind of goal: in words, how many are covered, and how many there are."""
    covered = cases.covered
    for kind, words in KINDS.items():
        goals = [goal for goal in cases.goals if goal.kind == kind]
        if goals:
            yield words, sum(goal in covered for goal in goals), len(goals)


def text(cases: Cases) -> str:
    """Cases with what they come to, the coverage, and why something is not covered."""
    lines = [_sum(cases), ""]
    for case in cases.cases:
        lines.append(f"{case.name}: {ends(case)}")
        lines.append(f"  {' '.join(case.checked.expected.trace)}")
        lines += wrap(case.purpose, WIDTH, initial_indent="  covers ", subsequent_indent="    ")
        lines += [f"  {mark}" for mark in _marks(case)]
    lines.append("")
    width = max((len(words) for words, _, _ in coverage(cases)), default=0)
    lines += [f"{words:<{width}}  {n} of {of}" for words, n, of in coverage(cases)]
    lines += [_left(each) for each in cases.uncovered]
    return "\n".join(lines)


def markdown(cases: Cases) -> str:
    """A page with a table of the cases and one of what they cover."""
    lines = [f"# Cases of {cases.definition}", "", _sum(cases), ""]
    lines += ["| case | comes to | covers |", "| --- | --- | --- |"]
    for case in cases.cases:
        lines.append(f"| `{case.name}` | {_cell(ends(case))} | {_cell(case.purpose)} |")
    lines += ["", "| of | covered |", "| --- | --- |"]
    lines += [f"| {words} | {n} of {of} |" for words, n, of in coverage(cases)]
    if cases.uncovered:
        lines += ["", "Not covered:", "", *(f"- {_left(each)}" for each in cases.uncovered)]
    marks = [f"- `{case.name}`: {mark}" for case in cases.cases for mark in _marks(case)]
    if marks:
        lines += ["", "Beside:", "", *marks]
    return "\n".join(lines) + "\n"


def ends(case: Case) -> str:
    """How a case ends, in a few words."""
    expected = case.checked.expected
    if expected.failure is not None:
        return f"{expected.status}: {expected.failure}"
    return expected.status


def _sum(cases: Cases) -> str:
    count, covered, of = len(cases.cases), len(cases.covered), len(cases.goals)
    several = "case covers" if count == 1 else "cases cover"
    told = f"{cases.definition} {cases.version}: {count} {several} {covered} of {of} goals"
    failing = sum(not case.checked.agrees for case in cases.cases)
    return told if not failing else f"{told}; {failing} of them do not come to what is expected"


def _marks(case: Case) -> Iterator[str]:
    checked = case.checked
    if checked.difference:
        yield f"does not come to what the definition says: {checked.difference}"
    if checked.stray:
        yield f"its history is no run of the net: {checked.stray}"
    if checked.unpredicted:
        yield f"as observed; not predicted: {checked.unpredicted}"


def _left(each: Unreached) -> str:
    sure = "cannot be covered" if each.proved else "not covered"
    return f"{sure}: {each.goal.words}: {each.reason}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
