"""What is seen while formulas are made: where they are not exact, what cells are held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from heliostat.verify.data.terms import Cell, Term

NO_FORMULA: Final = "has no formula"
ROUNDING: Final = "is computed without rounding"


@dataclass(slots=True)
class Notes:
    """What was seen on the way."""

    inexact: dict[tuple[str, str], None] = field(default_factory=dict)
    """Expressions whose formulas are not exact, and why."""
    compared: dict[Cell, set[str]] = field(default_factory=dict)
    """The kinds of what cells are compared with: those that their author thought of."""

    def meets(self, term: Term, kinds: Iterable[str]) -> None:
        """Note that a value from outside meets one of these kinds; null is nobody's thought."""
        if term.cell is not None:
            self.compared.setdefault(term.cell, set()).update({*kinds} - {"null"})
