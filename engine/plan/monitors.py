"""The properties of a definition that are watched while its executions run.

A formula in LTL, and one in CTL that says the same in LTL, is watched by a table, as
`engine/monitor/automata.py` makes it; `different_people` by who completed which step. What cannot
be watched (`X`, more states than a table may have, a formula in CTL that speaks of what could
happen) is left to proofs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from ..authoring.model import Definition
from ..monitor.automata import TooLarge, table_of
from ..monitor.monitor import Monitor
from ..properties import ctl, ltl
from ..properties.atoms import Atom

_FORMAT: Final = 1
"""Raised when the same formula gives another table: states that snapshots hold then mean nothing,
and their executions are watched no more."""

LASTING: Final = ("completed", "failed", "skipped")
"""Atoms about a step that stay true."""


def monitors_of(
    definition: Definition, step_by_id: dict[str, int], scope_of: dict[int, int]
) -> tuple[Monitor, ...]:
    """Of a definition that has passed the checks.

    Args:
        step_by_id: the plan's numbers of its steps.
        scope_of: of each step the plan's scope.
    """
    return tuple(_monitors(definition, step_by_id, scope_of))


def _monitors(
    definition: Definition, step_by_id: dict[str, int], scope_of: dict[int, int]
) -> Iterator[Monitor]:
    for each in definition.properties:
        if each.different_people is not None:
            people = tuple(step_by_id[step] for step in each.different_people)
            apart = len({scope_of[step] for step in people}) == 1
            digest = _digest("people", people)
            yield Monitor(id=each.id, digest=digest, people=people, apart=apart)
            continue
        formula = None
        if each.ltl is not None:
            formula = ltl.parse(each.ltl)
        elif each.ctl is not None:
            formula = ltl.of_ctl(ctl.parse(each.ctl))
        if formula is None:
            continue
        lasting = {atom for atom in ltl.atoms(formula) if atom.step and atom.name in LASTING}
        try:
            table = table_of(formula, lasting | {Atom("error_occurred")})
        except TooLarge:
            continue
        steps = tuple(None if a.step is None else step_by_id[a.step] for a in table.atoms)
        names = [atom.name for atom in table.atoms]
        yield Monitor(
            id=each.id,
            digest=_digest(str(formula), zip(names, steps, strict=True)),
            table=table,
            steps=steps,
            facts=tuple(map(_fact, names, steps)),
            looks="open" in names,
        )


def _fact(name: str, step: int | None) -> str | None:
    if name == "error_occurred":
        return f"{name}:"
    return f"{name}:{step}" if step is not None and name in LASTING else None


def _digest(said: str, numbers: Iterable[object]) -> str:
    text = f"{_FORMAT} {said} {list(numbers)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
