"""What a definition declares of its executions: one thing an entry, about steps that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ...expressions.time import parse_duration
from ...properties import ctl, ltl
from ...properties.atoms import Misformed
from ..diagnostics import Findings
from ..fields import PROPERTY_KINDS, DeclaredProperty
from ..model import Definition
from ..source import Path
from .control_flow import Homes
from .refused import refuse


def check(
    definition: Definition, homes: Homes, findings: Findings, *, lost: frozenset[str]
) -> None:
    """Note the faults of the declared properties."""
    known = homes.keys() | lost
    first: dict[str, int] = {}
    for index, each in enumerate(definition.properties):
        path: Path = ("properties", index)
        if each.id in first:
            message = f'the id "{each.id}" is taken by property {first[each.id] + 1} of the list'
            findings.add("HS208", (*path, "id"), message, "take another")
        first.setdefault(each.id, index)
        _kind(each, path, findings)
        _formulas(each, path, known, findings)
        _people(each, (*path, "different_people"), known, findings)
        _undone(each, (*path, "undone"), known, findings)
        if each.within is not None and parse_duration(each.within) == 0:
            findings.add("HS018", (*path, "within"), "no execution ends in no time", "more than 0")


def _kind(each: DeclaredProperty, path: Path, findings: Findings) -> None:
    said = each.kinds
    if not said:
        cure = f"one of {', '.join(f'`{kind}`' for kind in PROPERTY_KINDS)}"
        findings.add("HS010", path, "the property does not say what holds", cure)
    for kind in said[1:]:
        refuse(findings, "two kinds in one", (*path, kind), at="key", said=said[0])


def _formulas(each: DeclaredProperty, path: Path, known: Iterable[str], findings: Findings) -> None:
    for kind, text, mentions in (("ctl", each.ctl, ctl.mentions), ("ltl", each.ltl, ltl.mentions)):
        if text is None:
            continue
        place = (*path, kind)
        try:
            named = mentions(text)
        except Misformed as error:
            cure = (
                _other_logic(kind, text) or "docs/verification/properties.md lists what it may say"
            )
            span = (error.start, error.end)
            findings.add("HS221", place, error.message, cure, span=span)
            continue
        for one in named:
            _step(one.step, known, place, findings, span=(one.start, one.end))


def _other_logic(kind: str, text: str) -> str | None:
    """The logic in which the text is a formula."""
    other, read = ("ltl", ltl.parse) if kind == "ctl" else ("ctl", ctl.parse)
    try:
        read(text)
    except Misformed:
        return None
    return f"it is one of {other.upper()}: say `{other}: {text[:60]}`"


def _people(each: DeclaredProperty, path: Path, known: Iterable[str], findings: Findings) -> None:
    steps = each.different_people
    if steps is None:
        return
    if len(steps) < 2:
        findings.add("HS010", path, "people differ where there are two", "name another step")
    for index, step in enumerate(steps):
        _step(step, known, (*path, index), findings)
        if step in steps[:index]:
            findings.add("HS208", (*path, index), f'"{step}" is named twice', "name it once")


def _undone(each: DeclaredProperty, path: Path, known: Iterable[str], findings: Findings) -> None:
    if each.undone is None:
        return
    if not each.undone:
        findings.add("HS010", path, "nothing is undone", "as `charge: refund`")
    for step, by in each.undone.items():
        _step(step, known, (*path, step), findings, key=True)
        _step(by, known, (*path, step), findings)
        if step == by:
            refuse(findings, "undoing itself", (*path, step), step=step)


def _step(
    id: str,
    known: Iterable[str],
    path: Path,
    findings: Findings,
    *,
    span: tuple[int, int] | None = None,
    key: bool = False,
) -> None:
    if id in (names := sorted(known)):
        return
    close = get_close_matches(id, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    cure = f"did you mean `{close[0]}`?" if close else f"the steps are: {listed}"
    message = f'there is no step "{id}"'
    findings.add("HS201", path, message, cure, span=span, at="key" if key else "value")
