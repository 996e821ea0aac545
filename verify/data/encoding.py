"""Expressions as formulas: what `expressions.operators` does with values, done with terms.

Exact but for two things, which are noted. Numbers are real numbers here: where arithmetic rounds,
a case may exist that this has not. And what the solver has no theory for (filters, most functions)
is a value of its own, the same wherever the same text reads the same data.

Here is what holds other expressions together; `comparing`, `arithmetic` and `calls` have the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from heliostat.engine.expressions import ExpressionError, Type
from heliostat.engine.expressions.ast import (
    And,
    Arithmetic,
    Call,
    Compare,
    Conditional,
    Default,
    ListOf,
    Literal,
    Negative,
    Node,
    Not,
    ObjectOf,
    Or,
    Path,
)
from heliostat.engine.expressions.compile import compile_expression, is_constant
from heliostat.engine.expressions.context import EvaluationContext
from heliostat.engine.expressions.printing import print_expression
from heliostat.engine.expressions.types import ANY, BOOLEAN
from heliostat.engine.expressions.values import new_budget
from heliostat.verify.data.arithmetic import computed, negative
from heliostat.verify.data.calls import Calls, Resolve
from heliostat.verify.data.comparing import Comparisons
from heliostat.verify.data.notes import NO_FORMULA, Notes
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import Term, Unknowns, chosen, list_of, literal, object_of

Version: TypeAlias = Callable[[Node], object]
"""What stands for the present values of all that an expression reads."""


class Encoder:
    """Makes terms of expressions, in one state of the data."""

    def __init__(
        self,
        solver: Solver,
        unknowns: Unknowns,
        resolve: Resolve,
        version: Version,
        notes: Notes,
    ) -> None:
        self._solver, self._unknowns = solver, unknowns
        self._resolve, self._version = resolve, version
        self._notes = notes
        self._comparisons = Comparisons(solver, unknowns, notes)
        self.equal = self._comparisons.equal
        self._calls = Calls(
            solver,
            unknowns,
            self._comparisons,
            notes,
            term=self.term,
            resolve=resolve,
            unknown=self._unknown,
        )

    def condition(self, node: Node) -> tuple[Formula, Formula]:
        """When a condition is true, and when false; in neither case it has no value."""
        solver, term = self._solver, self.term(node)
        if isinstance(node, Path):
            self._notes.meets(term, BOOLEAN.kinds)
        valid = solver.all(solver.no(term.error), term.of("boolean"))
        return solver.all(valid, term.truth), solver.all(valid, solver.no(term.truth))

    def term(self, node: Node) -> Term:
        """What an expression evaluates to."""
        match node:
            case Literal(value=value):
                return literal(self._solver, value)
            case Path():
                found = self._resolve(node)
                return found if found is not None else self._unknown(node, ANY)
            case ListOf(items=items):
                return list_of(self._solver, tuple(self.term(item) for item in items))
            case ObjectOf(entries=entries):
                return object_of(self._solver, {key: self.term(part) for key, part in entries})
            case And(operands=operands):
                return self._junction(operands, stops=False)
            case Or(operands=operands):
                return self._junction(operands, stops=True)
            case Not(operand=operand):
                true, false = self.condition(operand)
                error = self._solver.no(self._solver.any(true, false))
                return Term(kinds={"boolean": True}, error=error, truth=false)
            case Conditional(condition=condition, then=then, otherwise=otherwise):
                true, false = self.condition(condition)
                found = chosen(self._solver, true, self.term(then), self.term(otherwise))
                undecided = self._solver.no(self._solver.any(true, false))
                found.error = self._solver.any(undecided, found.error)
                return found
            case Default(options=options):
                *first, found = [self.term(option) for option in options]
                for term in reversed(first):
                    there = self._solver.no(term.of("null"))
                    error = term.error
                    found = chosen(self._solver, there, term, found)
                    found.error = self._solver.any(error, found.error)
                return found
        if is_constant(node) and (known := self._constant(node)) is not None:
            return known
        match node:
            case Compare():
                return self._compare(node)
            case Arithmetic():
                return self._arithmetic(node)
            case Negative(operand=operand):
                return negative(self._solver, self.term(operand))
            case Call():
                return self._calls.term(node)

    def _junction(self, operands: tuple[Node, ...], *, stops: bool) -> Term:
        """`and` stops at the first false operand, `or` at the first true one."""
        solver = self._solver
        found: Formula = not stops
        valid: Formula = True
        for operand in reversed(operands):
            true, false = self.condition(operand)
            stop, on = (true, false) if stops else (false, true)
            valid = solver.any(stop, solver.all(on, valid))
            found = solver.any(true, found) if stops else solver.all(true, found)
        return Term(kinds={"boolean": True}, error=solver.no(valid), truth=found)

    def _compare(self, node: Compare) -> Term:
        solver = self._solver

        def held() -> Formula:
            return self._unknown(node, BOOLEAN).truth

        terms = [self.term(node.first), *(self.term(operand) for _, operand in node.rest)]
        # a chain evaluates an operand only when those before it have compared true
        truth: Formula = True
        error: Formula = terms[0].error
        for (op, _), left, right in zip(node.rest, terms, terms[1:], strict=False):
            true, wrong = self._comparisons.pair(op, left, right, held)
            error = solver.any(error, solver.all(truth, solver.any(right.error, wrong)))
            truth = solver.all(truth, true)
        return Term(kinds={"boolean": True}, error=error, truth=truth)

    def _arithmetic(self, node: Arithmetic) -> Term:
        left, right = self.term(node.left), self.term(node.right)
        made = computed(self._solver, node, left, right, self._notes)
        return self._unknown(node, ANY) if made is None else made

    def _unknown(self, node: Node, type: Type, error: Formula = None) -> Term:
        """Any value of the type, or an error."""
        text = print_expression(node)
        self._notes.inexact[text, NO_FORMULA] = None
        cell = self._unknowns.of(text, self._version(node), type)
        own = self._solver.boolean(f"{cell.name}:error") if error is None else error
        kept = chosen(self._solver, True, cell.term, cell.term)
        kept.error = self._solver.any(own, self._solver.boolean(f"{cell.name}:error"))
        return kept

    def _constant(self, node: Node) -> Term | None:
        try:
            run = compile_expression(node, print_expression(node))
            return literal(self._solver, run(EvaluationContext(), new_budget()))
        except ExpressionError:
            return None
