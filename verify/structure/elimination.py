"""Exact elimination of sparse integer rows: rank, and all solutions of a homogeneous system.

Gauss and Jordan's elimination without fractions. A row is a dict from columns to integers other
than 0, divided by their greatest common divisor, so that numbers stay as small as the solutions
allow. Rows of few entries come first, which keeps those that follow short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd, lcm
from typing import TypeAlias

from heliostat.verify.budget import UNBOUNDED, Budget

Row: TypeAlias = dict[int, int]


@dataclass(frozen=True, slots=True)
class Eliminated:
    """Rows in reduced echelon form, by their leading column, which no other of them has."""

    rows: Mapping[int, Row]

    @property
    def rank(self) -> int:
        return len(self.rows)

    def kernel(self, columns: Iterable[int]) -> list[Row]:
        """A basis of the integer solutions, one for each of these columns that leads no row: there
        it is positive, and else it differs from 0 only at columns that lead."""
        return [self._solution(column) for column in columns if column not in self.rows]

    def _solution(self, column: int) -> Row:
        touched = {lead: row for lead, row in self.rows.items() if column in row}
        scale = lcm(*(abs(row[lead]) for lead, row in touched.items()))
        found = {lead: -row[column] * scale // row[lead] for lead, row in touched.items()}
        return divided({column: scale, **found})


def eliminated(rows: Iterable[Mapping[int, int]], budget: Budget = UNBOUNDED) -> Eliminated:
    """Eliminate.

    Raises:
        OutOfTime: the budget was over before.
    """
    leading: dict[int, Row] = {}
    having: dict[int, set[int]] = {}  # by column, the leads of the rows that have it
    for each in sorted(rows, key=len):
        budget.check()
        row = {column: value for column, value in each.items() if value}
        for lead in [column for column in row if column in leading]:
            _subtract(row, leading[lead], lead)
        if not row:
            continue
        row = divided(row)
        lead = min(row, key=lambda column: (abs(row[column]), len(having.get(column, ()))))
        for other in list(having.get(lead, ())):
            _forget(having, leading[other], other)
            _subtract(leading[other], row, lead)
            leading[other] = divided(leading[other])
            _note(having, leading[other], other)
        leading[lead] = row
        _note(having, row, lead)
    return Eliminated(leading)


def divided(row: Row) -> Row:
    """The row divided by the greatest common divisor of its entries."""
    by = gcd(*row.values())
    return row if by == 1 else {column: value // by for column, value in row.items()}


def _subtract(row: Row, other: Row, lead: int) -> None:
    """Take a multiple of the other row from a multiple of this one, so that `lead` becomes 0."""
    common = gcd(row[lead], other[lead])
    ours, theirs = other[lead] // common, row[lead] // common
    if ours != 1:
        for column in row:
            row[column] *= ours
    for column, value in other.items():
        left = row.get(column, 0) - theirs * value
        if left:
            row[column] = left
        else:
            del row[column]


def _note(having: dict[int, set[int]], row: Row, lead: int) -> None:
    for column in row:
        having.setdefault(column, set()).add(lead)


def _forget(having: dict[int, set[int]], row: Row, lead: int) -> None:
    for column in row:
        having[column].discard(lead)
