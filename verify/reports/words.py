"""A report for people: as lines on a terminal, or as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import Act, Outcome, Section, Verdict
from heliostat.verify.reports.values import overall

_SUMS: Final[dict[Outcome, str]] = {
    "holds": "all that was asked holds",
    "fails": "not all that was asked holds",
    "inconclusive": "not all that was asked is known",
}


def text(name: str, verdicts: Sequence[Verdict], found: Iterable[Diagnostic]) -> str:
    """A line for each verdict, what the answers rest on, and the diagnostics."""
    lines = [f"{name}: {_SUMS[overall(verdicts)]}"]
    width = max((len(each.asked) for each in verdicts), default=0)
    for verdict in verdicts:
        told = f"{verdict.outcome:<12}  {verdict.reason} ({verdict.engine})"
        lines.append(f"  {verdict.asked:<{width}}  {told}")
        if verdict.formula is not None:
            lines.append(f"  {'':<{width}}  {verdict.formula}")
    lines += [f"  rests on {_ground(each)}" for each in _grounds(verdicts)]
    for section in _sections(verdicts):
        lines += [f"  {line}" for line in section.summary]
    return "\n".join([*lines, *(f"\n{each}" for each in found)])


def markdown(name: str, verdicts: Sequence[Verdict], found: Sequence[Diagnostic]) -> str:
    """A page: a table of the verdicts, the counterexamples, and what to do about them."""
    lines = [
        f"# Verification of {name}",
        "",
        f"In short: {_SUMS[overall(verdicts)]}.",
        "",
        "| property | outcome | reason | engine |",
        "| --- | --- | --- | --- |",
    ]
    for verdict in verdicts:
        asked = verdict.asked
        if verdict.formula is not None:
            asked += f": `{verdict.formula}`"
        cells = (asked, f"**{verdict.outcome}**", verdict.reason, verdict.engine)
        lines.append(f"| {' | '.join(_cell(each) for each in cells)} |")
    grounds = _grounds(verdicts)
    if grounds:
        lines += ["", "The answers rest on:", "", *(f"- {_ground(each)}" for each in grounds)]
    for verdict in verdicts:
        if verdict.outcome == "fails" and (verdict.run or verdict.loop):
            lines += ["", f"## A run against: {verdict.asked}", "", *_numbered(verdict.run, 1)]
            if verdict.loop:
                after = _numbered(verdict.loop, len(verdict.run) + 1)
                lines += ["", "And then, again and again:", "", *after]
    for section in _sections(verdicts):
        lines += _table(section)
    if found:
        lines += ["", "## What to do", ""]
    for each in found:
        place = f" (line {each.line})" if each.line else ""
        subject = f"step `{each.step}`{place}: " if each.step else ""
        cure = f" Cure: {each.cure}." if each.cure else ""
        lines.append(f"- **{each.code}** {subject}{each.message}.{cure}")
    return "\n".join(lines) + "\n"


def _sections(verdicts: Iterable[Verdict]) -> list[Section]:
    return [verdict.section for verdict in verdicts if verdict.section is not None]


def _table(section: Section) -> list[str]:
    """A section of a page."""
    lines = ["", f"## {section.title}", "", *(f"- {line}" for line in section.summary)]
    if section.rows:
        lines += ["", f"| {' | '.join(section.columns)} |", "| --- " * len(section.columns) + "|"]
        lines += [f"| {' | '.join(_cell(each) for each in row)} |" for row in section.rows]
    if section.notes:
        lines += ["", *section.notes]
    return lines


def _numbered(run: Iterable[Act], first: int) -> list[str]:
    return [f"{number}. `{act.step}` {act.act}" for number, act in enumerate(run, first)]


def _grounds(verdicts: Iterable[Verdict]) -> list[Abstraction]:
    return list(dict.fromkeys(each for verdict in verdicts for each in verdict.rests_on))


def _ground(each: Abstraction) -> str:
    return f"{each.kind} of `{each.step}`: {each.text}" if each.step else each.text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
