"""Comparisons as formulas: equality, order, and whether one value is within another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from heliostat.engine.expressions.ast import CompareOp
from heliostat.engine.expressions.types import BOOLEAN
from heliostat.verify.data.notes import NO_FORMULA, Notes
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import NUMERIC, SIZED, Term, Unknowns, element

Held: TypeAlias = Callable[[], Formula]
"""What stands for whether a list or an object that nobody wrote out holds a value."""


class Comparisons:
    """Compares terms, in one state of the data."""

    def __init__(self, solver: Solver, unknowns: Unknowns, notes: Notes) -> None:
        self._solver, self._unknowns, self._notes = solver, unknowns, notes

    def pair(self, op: CompareOp, left: Term, right: Term, held: Held) -> tuple[Formula, Formula]:
        """When a pair compares true, and when it cannot be compared."""
        solver = self._solver
        self._meet(op, left, right)
        if op in ("==", "!="):
            same = self.equal(left, right)
            return (same if op == "==" else solver.no(same)), False
        if op in ("in", "not in"):
            true, wrong = self.within(left, right, held)
            return (true if op == "in" else solver.no(true)), wrong
        null = solver.any(left.of("null"), right.of("null"))
        parts, fitting = [], [null]
        for kind in ("number", "instant", "duration", "string"):
            both = solver.all(left.of(kind), right.of(kind))
            if both is False:
                continue
            fitting.append(both)
            holds = (
                self._ordered_texts(op, left.text, right.text)
                if kind == "string"
                else _ordered(op, left.number, right.number)
            )
            parts.append(solver.all(both, holds))
        return solver.any(*parts), solver.no(solver.any(*fitting))

    def _ordered_texts(self, op: CompareOp, left: Formula, right: Formula) -> Formula:
        """An order of its own, of which no more is known: the solver's is slow, and was seen to
        answer now so and now so."""
        lower, upper = (left, right) if op in ("<", ">=") else (right, left)
        text = f"{self._solver.spelled(lower)} < {self._solver.spelled(upper)}"
        self._notes.inexact["an order of texts", NO_FORMULA] = None
        less = self._unknowns.of(text, None, BOOLEAN).term.truth
        return less if op in ("<", ">") else self._solver.no(less)

    def _meet(self, op: CompareOp, left: Term, right: Term) -> None:
        if op in ("in", "not in"):
            for item in right.items or ():
                self._notes.meets(left, item.kinds)
            return
        for one, other in ((left, right), (right, left)):
            if other.cell is None:
                self._notes.meets(one, other.kinds)

    def equal(self, left: Term, right: Term) -> Formula:
        """Deep equality: never across kinds."""
        solver = self._solver
        parts = [solver.all(left.of("null"), right.of("null"))]
        for kind in ("boolean", *sorted(NUMERIC), "string"):
            both = solver.all(left.of(kind), right.of(kind))
            if both is False:
                continue
            if kind == "boolean":
                alike = solver.same(left.truth, right.truth)
            elif kind == "string":
                alike = solver.same(left.text, right.text)
            else:
                alike = solver.same(left.number, right.number)
            parts.append(solver.all(both, alike))
        for kind in sorted(SIZED):
            both = solver.all(left.of(kind), right.of(kind))
            if both is not False:
                parts.append(solver.all(both, self._alike(kind, left, right)))
        return solver.any(*parts)

    def _alike(self, kind: str, left: Term, right: Term) -> Formula:
        """Equality of two lists or two objects."""
        solver = self._solver
        if left.cell is not None and left.cell is right.cell:
            return True
        if kind == "array" and (left.items is not None or right.items is not None):
            count = len(left.items if left.items is not None else right.items or ())
            pairs = [(element(left, at), element(right, at)) for at in range(count)]
            if all(a is not None and b is not None for a, b in pairs):
                same = [self.equal(a, b) for a, b in pairs if a is not None and b is not None]
                return solver.all(solver.same(left.length, right.length), *same)
        if left.entries is not None and right.entries is not None:
            if left.entries.keys() != right.entries.keys():
                return False
            return solver.all(
                *(self.equal(each, right.entries[key]) for key, each in left.entries.items())
            )
        names = sorted(self._unknowns.name(each) for each in (left, right))
        written, cell = (left, right.cell) if right.entries is None else (right, left.cell)
        if kind == "object" and written.entries is not None and cell is not None:
            same = [
                solver.all(cell.member(key).present, self.equal(cell.member(key).term, each))
                for key, each in written.entries.items()
            ]
            # whether it has other members is not known
            alone = self._unknowns.of(f"{names[0]} has no more", names[1], BOOLEAN).term.truth
            return solver.all(alone, *same)
        self._notes.inexact["a comparison of lists or objects", NO_FORMULA] = None
        return self._unknowns.of(f"{names[0]} == {names[1]}", kind, BOOLEAN).term.truth

    def within(self, element: Term, container: Term, held: Held) -> tuple[Formula, Formula]:
        """When it is an element, a part of a text or a member's name, and when it cannot be."""
        solver = self._solver
        parts, fitting = [], []
        is_list = container.of("array")
        if is_list is not False:
            fitting.append(is_list)
            if container.items is not None:
                found = solver.any(*(self.equal(element, item) for item in container.items))
            else:
                found = held()
            parts.append(solver.all(is_list, found))
        texts = solver.all(element.of("string"), container.of("string"))
        if texts is not False:
            fitting.append(texts)
            parts.append(solver.all(texts, solver.within(element.text, container.text)))
        key = solver.all(element.of("string"), container.of("object"))
        if key is not False:
            fitting.append(key)
            if container.entries is not None:
                names = (solver.text_value(name) for name in container.entries)
                found = solver.any(*(solver.same(element.text, name) for name in names))
            else:
                found = held()
            parts.append(solver.all(key, found))
        return solver.any(*parts), solver.no(solver.any(*fitting))


def _ordered(op: CompareOp, left: Formula, right: Formula) -> Formula:
    match op:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return right < left
    return right <= left
