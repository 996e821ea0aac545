"""Arithmetic as formulas, over real numbers: where the language rounds, a case may exist that
these do not have, and a note says so."""

from __future__ import annotations

from heliostat.engine.expressions.ast import Arithmetic
from heliostat.engine.expressions.printing import print_expression
from heliostat.engine.expressions.signatures import ARITHMETIC_KINDS
from heliostat.verify.data.notes import ROUNDING, Notes
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import NUMERIC, Term


def computed(
    solver: Solver, node: Arithmetic, left: Term, right: Term, notes: Notes
) -> Term | None:
    """What an operator makes of two terms; None if they may be lists: these have no formula."""
    op = node.op
    for one, other in ((left, right), (right, left)):
        notes.meets(one, {*other.kinds} if other.cell is None else {"number"})
    error = solver.any(left.error, right.error)
    kinds: dict[str, Formula] = {}
    for (a, b), result in ARITHMETIC_KINDS[op].items():
        both = solver.all(left.of(a), right.of(b))
        if both is not False:
            kinds[result] = solver.any(kinds.get(result, False), both)
    if "array" in kinds:
        return None
    made = Term(kinds=kinds, error=solver.any(error, solver.no(solver.any(*kinds.values()))))
    if "string" in kinds:
        made.text = solver.joined(left.text, right.text)
    if NUMERIC & kinds.keys():
        exact = left.whole and right.whole and op in ("+", "-", "*", "//", "%")
        if not exact:
            notes.inexact[print_expression(node), ROUNDING] = None
        made.whole = exact
        if op in ("/", "//", "%"):
            zero = solver.same(right.number, solver.number_value(0))
            made.error = solver.any(made.error, zero)
        made.number = _number(solver, op, left.number, right.number, whole=exact)
    return made


def negative(solver: Solver, term: Term) -> Term:
    """A number or duration with the other sign."""
    kinds = {kind: term.of(kind) for kind in ("number", "duration") if kind in term.kinds}
    error = solver.any(term.error, solver.no(solver.any(*kinds.values())))
    number = None if term.number is None else -term.number
    return Term(kinds=kinds, error=error, number=number, whole=term.whole)


def _number(solver: Solver, op: str, left: Formula, right: Formula, *, whole: bool) -> Formula:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
    down = solver.quotient(left, right) if whole else solver.floor(left / right)
    return down if op == "//" else left - right * down
