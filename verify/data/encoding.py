"""Expressions as formulas: what `expressions.operators` does with values, done with terms.

Exact but for two things, which are noted. Numbers are real numbers here: where arithmetic rounds,
a case may exist that this has not. And what the solver has no theory for (filters, most functions)
is a value of its own, the same wherever the same text reads the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from heliostat.engine.expressions import ExpressionError, Type
from heliostat.engine.expressions.ast import (
    And,
    Arithmetic,
    Call,
    Compare,
    CompareOp,
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
from heliostat.engine.expressions.functions import FUNCTIONS
from heliostat.engine.expressions.printing import print_expression
from heliostat.engine.expressions.signatures import ARITHMETIC_KINDS
from heliostat.engine.expressions.types import ANY, BOOLEAN, NUMBER
from heliostat.engine.expressions.values import new_budget
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import (
    KINDS,
    NUMERIC,
    SIZED,
    Cell,
    Term,
    Unknowns,
    list_of,
    literal,
    object_of,
)

Resolve = Callable[[Path], Term | None]
"""The term of a path from `$`; None if it has no formula."""

Version = Callable[[Node], object]
"""What stands for the present values of all that an expression reads."""

NO_FORMULA: Final = "has no formula"
ROUNDING: Final = "is computed without rounding"

_STRICT_ORDER: Final[dict[str, CompareOp]] = {
    "lt_strict": "<",
    "le_strict": "<=",
    "gt_strict": ">",
    "ge_strict": ">=",
}


@dataclass(slots=True)
class Notes:
    """What was seen on the way."""

    inexact: dict[tuple[str, str], None] = field(default_factory=dict)
    """Expressions whose formulas are not exact, and why."""
    compared: dict[Cell, set[str]] = field(default_factory=dict)
    """The kinds of what cells are compared with: those that their author thought of."""


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
        self._notes, self._compared = notes.inexact, notes.compared

    def condition(self, node: Node) -> tuple[Formula, Formula]:
        """When a condition is true, and when false; in neither case it has no value."""
        solver, term = self._solver, self.term(node)
        if isinstance(node, Path):
            self._meets(term, BOOLEAN.kinds)
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
                chosen = self._chosen(true, self.term(then), self.term(otherwise))
                chosen.error = self._solver.any(
                    self._solver.no(self._solver.any(true, false)), chosen.error
                )
                return chosen
            case Default(options=options):
                *first, found = [self.term(option) for option in options]
                for term in reversed(first):
                    there = self._solver.no(term.of("null"))
                    error = term.error
                    found = self._chosen(there, term, found)
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
                term = self.term(operand)
                return self._negative(term)
            case Call():
                return self._call(node)

    # -- choices

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

    def _chosen(self, condition: Formula, then: Term, otherwise: Term) -> Term:
        if isinstance(condition, bool):
            chosen = then if condition else otherwise
            return Term(
                kinds=chosen.kinds,
                error=chosen.error,
                truth=chosen.truth,
                number=chosen.number,
                text=chosen.text,
                length=chosen.length,
                whole=chosen.whole,
                cell=chosen.cell,
                items=chosen.items,
                entries=chosen.entries,
            )
        solver = self._solver
        kinds = {
            kind: solver.choose(condition, then.of(kind), otherwise.of(kind))
            for kind in KINDS
            if kind in then.kinds or kind in otherwise.kinds
        }

        def either(left: Formula, right: Formula) -> Formula:
            if left is None or right is None:
                return right if left is None else left
            return solver.choose(condition, left, right)

        return Term(
            kinds=kinds,
            error=solver.choose(condition, then.error, otherwise.error),
            truth=solver.choose(condition, then.truth, otherwise.truth),
            number=either(then.number, otherwise.number),
            text=either(then.text, otherwise.text),
            length=either(then.length, otherwise.length),
            whole=then.whole and otherwise.whole,
        )

    # -- comparisons

    def _compare(self, node: Compare) -> Term:
        solver = self._solver
        terms = [self.term(node.first), *(self.term(operand) for _, operand in node.rest)]
        # a chain evaluates an operand only when those before it have compared true
        truth: Formula = True
        error: Formula = terms[0].error
        for (op, _), left, right in zip(node.rest, terms, terms[1:], strict=False):
            true, wrong = self._pair(op, left, right, node)
            error = solver.any(error, solver.all(truth, solver.any(right.error, wrong)))
            truth = solver.all(truth, true)
        return Term(kinds={"boolean": True}, error=error, truth=truth)

    def _pair(self, op: CompareOp, left: Term, right: Term, node: Node) -> tuple[Formula, Formula]:
        """When a pair compares true, and when it cannot be compared."""
        solver = self._solver
        self._meet(op, left, right)
        if op in ("==", "!="):
            same = self.equal(left, right)
            return (same if op == "==" else solver.no(same)), False
        if op in ("in", "not in"):
            true, wrong = self._within(left, right, node)
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
        self._notes["an order of texts", NO_FORMULA] = None
        less = self._unknowns.of(text, None, BOOLEAN).term.truth
        return less if op in ("<", ">") else self._solver.no(less)

    def _meet(self, op: CompareOp, left: Term, right: Term) -> None:
        if op in ("in", "not in"):
            for item in right.items or ():
                self._meets(left, item.kinds)
            return
        for one, other in ((left, right), (right, left)):
            if other.cell is None:
                self._meets(one, other.kinds)

    def _meets(self, term: Term, kinds: Iterable[str]) -> None:
        if term.cell is not None:
            self._compared.setdefault(term.cell, set()).update({*kinds} - {"null"})

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
            pairs = [(_element(left, at), _element(right, at)) for at in range(count)]
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
        self._notes["a comparison of lists or objects", NO_FORMULA] = None
        return self._unknowns.of(f"{names[0]} == {names[1]}", kind, BOOLEAN).term.truth

    def _within(self, element: Term, container: Term, node: Node) -> tuple[Formula, Formula]:
        solver = self._solver
        parts, fitting = [], []
        is_list = container.of("array")
        if is_list is not False:
            fitting.append(is_list)
            if container.items is not None:
                held = solver.any(*(self.equal(element, item) for item in container.items))
            else:
                held = self._unknown(node, BOOLEAN).truth
            parts.append(solver.all(is_list, held))
        texts = solver.all(element.of("string"), container.of("string"))
        if texts is not False:
            fitting.append(texts)
            parts.append(solver.all(texts, solver.within(element.text, container.text)))
        key = solver.all(element.of("string"), container.of("object"))
        if key is not False:
            fitting.append(key)
            if container.entries is not None:
                names = (solver.text_value(name) for name in container.entries)
                held = solver.any(*(solver.same(element.text, name) for name in names))
            else:
                held = self._unknown(node, BOOLEAN).truth
            parts.append(solver.all(key, held))
        return solver.any(*parts), solver.no(solver.any(*fitting))

    # -- arithmetic

    def _arithmetic(self, node: Arithmetic) -> Term:
        solver, op = self._solver, node.op
        left, right = self.term(node.left), self.term(node.right)
        for one, other in ((left, right), (right, left)):
            self._meets(one, {*other.kinds} if other.cell is None else {"number"})
        error = solver.any(left.error, right.error)
        kinds: dict[str, Formula] = {}
        for (a, b), result in ARITHMETIC_KINDS[op].items():
            both = solver.all(left.of(a), right.of(b))
            if both is not False:
                kinds[result] = solver.any(kinds.get(result, False), both)
        error = solver.any(error, solver.no(solver.any(*kinds.values())))
        if "array" in kinds:
            return self._unknown(node, ANY)
        made = Term(kinds=kinds, error=error)
        if "string" in kinds:
            made.text = solver.joined(left.text, right.text)
        if NUMERIC & kinds.keys():
            exact = left.whole and right.whole and op in ("+", "-", "*", "//", "%")
            if not exact:
                self._notes[print_expression(node), ROUNDING] = None
            made.whole = exact
            if op in ("/", "//", "%"):
                zero = solver.same(right.number, solver.number_value(0))
                made.error = solver.any(made.error, zero)
            made.number = self._computed(op, left.number, right.number, whole=exact)
        return made

    def _computed(self, op: str, left: Formula, right: Formula, *, whole: bool) -> Formula:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
        down = self._solver.quotient(left, right) if whole else self._solver.floor(left / right)
        return down if op == "//" else left - right * down

    def _negative(self, term: Term) -> Term:
        solver = self._solver
        kinds = {kind: term.of(kind) for kind in ("number", "duration") if kind in term.kinds}
        error = solver.any(term.error, solver.no(solver.any(*kinds.values())))
        number = None if term.number is None else -term.number
        return Term(kinds=kinds, error=error, number=number, whole=term.whole)

    # -- functions

    def _call(self, node: Call) -> Term:
        solver, name, arguments = self._solver, node.name, node.arguments
        if name == "has":
            return self._has(node)
        if name in _STRICT_ORDER or name == "eq_strict":
            return self._strict(node)
        terms = [self.term(argument) for argument in arguments]
        error = solver.any(*(term.error for term in terms))
        match name, terms:
            case ("len" | "len_strict", [of]):
                self._meets(of, {"array"} if of.of("array") is not False else {"string"})
                return self._length(of, error, node)
            case "type", [of]:
                text = None
                for kind in of.kinds:
                    value = solver.text_value(kind)
                    text = value if text is None else solver.choose(of.of(kind), value, text)
                return Term(kinds={"string": True}, error=error, text=text)
            case "abs", [of] if of.number is not None:
                below = of.number < solver.number_value(0)
                made = self._negative(of)
                made.number = solver.choose(below, -of.number, of.number)
                return made
            case "contains", [container, element]:
                true, wrong = self._within(element, container, node)
                return Term(kinds={"boolean": True}, error=solver.any(error, wrong), truth=true)
            case ("min" | "max", [first, second]) if {*first.kinds, *second.kinds} == {"number"}:
                less = first.number <= second.number
                return self._chosen(less if name == "min" else solver.no(less), first, second)
            case "truthy", [of]:
                return self._truthy(of, error)
            case "bool", [of]:
                known = (solver.text_value("true"), solver.text_value("false"))
                true, false = (
                    solver.all(of.of("string"), solver.same(of.text, each))
                    if of.text is not None
                    else False
                    for each in known
                )
                wrong = solver.no(solver.any(of.of("boolean"), true, false))
                truth = solver.any(true, solver.all(of.of("boolean"), of.truth))
                return Term(kinds={"boolean": True}, error=solver.any(error, wrong), truth=truth)
            case "at", [of, _] if isinstance(arguments[1], Literal) and of.cell is not None:
                key = arguments[1].value
                if isinstance(key, str):
                    found = of.cell.member(key)
                    wrong = solver.any(error, solver.no(found.present))
                    inner = self._chosen(True, found.term, found.term)
                    inner.error = wrong
                    return inner
        function = FUNCTIONS.get(name)
        return self._unknown(node, ANY if function is None else function.result, error)

    def _length(self, of: Term, error: Formula, node: Node) -> Term:
        solver = self._solver
        number = None if of.length is None else solver.to_real(of.length)
        if of.of("object") is not False and of.entries is None:  # how many members it has
            counted = self._unknown(node, NUMBER).number
            number = counted if number is None else solver.choose(of.of("object"), counted, number)
        if of.text is not None:
            chars = solver.to_real(solver.length(of.text))
            number = chars if number is None else solver.choose(of.of("string"), chars, number)
        sized = solver.any(of.of("string"), of.of("array"), of.of("object"))
        return Term(
            kinds={"number": True},
            error=solver.any(error, solver.no(sized)),
            number=solver.number_value(0) if number is None else number,
            whole=True,
        )

    def _truthy(self, of: Term, error: Formula) -> Term:
        solver = self._solver
        if of.of("object") is not False and of.entries is None:
            filled = self._unknowns.of(
                f"{self._unknowns.name(of)} is empty", None, BOOLEAN
            ).term.truth
        else:
            filled = bool(of.entries)
        parts = [
            solver.all(of.of("boolean"), of.truth),
            solver.all(of.of("object"), filled),
            of.of("instant"),
        ]
        if of.number is not None:
            zero = solver.same(of.number, solver.number_value(0))
            parts.append(
                solver.all(solver.any(of.of("number"), of.of("duration")), solver.no(zero))
            )
        if of.text is not None:
            empty = solver.same(of.text, solver.text_value(""))
            parts.append(solver.all(of.of("string"), solver.no(empty)))
        if of.length is not None:
            some = of.length > solver.integer_value(0)
            parts.append(solver.all(of.of("array"), some))
        return Term(kinds={"boolean": True}, error=error, truth=solver.any(*parts))

    def _strict(self, node: Call) -> Term:
        """As Python compares: null is no number there, and a Boolean is one."""
        solver = self._solver
        left, right = (self.term(argument) for argument in node.arguments)
        error = solver.any(left.error, right.error)
        kinds = [{*left.kinds}, {*right.kinds}]
        if any("boolean" in each for each in kinds) and kinds != [{"boolean"}, {"boolean"}]:
            return self._unknown(node, BOOLEAN, error)
        if node.name == "eq_strict":
            return Term(kinds={"boolean": True}, error=error, truth=self.equal(left, right))
        true, wrong = self._pair(_STRICT_ORDER[node.name], left, right, node)
        lists = solver.all(left.of("array"), right.of("array"))
        if lists is not False:
            return self._unknown(node, BOOLEAN, error)
        null = solver.any(left.of("null"), right.of("null"))
        return Term(kinds={"boolean": True}, error=solver.any(error, wrong, null), truth=true)

    def _has(self, node: Call) -> Term:
        path = node.arguments[0]
        found = self._resolve(path) if isinstance(path, Path) and path.definite else None
        if found is None:
            return self._unknown(node, BOOLEAN)
        if found.cell is not None:
            return Term(kinds={"boolean": True}, truth=found.cell.present)
        return Term(kinds={"boolean": True}, truth=self._solver.no(found.of("null")))

    # -- what has no formula

    def _unknown(self, node: Node, type: Type, error: Formula = None) -> Term:
        """Any value of the type, or an error."""
        text = print_expression(node)
        self._notes[text, NO_FORMULA] = None
        cell = self._unknowns.of(text, self._version(node), type)
        own = self._solver.boolean(f"{cell.name}:error") if error is None else error
        kept = self._chosen(True, cell.term, cell.term)
        kept.error = self._solver.any(own, self._solver.boolean(f"{cell.name}:error"))
        return kept

    def _constant(self, node: Node) -> Term | None:
        try:
            run = compile_expression(node, print_expression(node))
            return literal(self._solver, run(EvaluationContext(), new_budget()))
        except ExpressionError:
            return None


def _ordered(op: CompareOp, left: Formula, right: Formula) -> Formula:
    match op:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return right < left
    return right <= left


def _element(term: Term, at: int) -> Term | None:
    if term.items is not None:
        return term.items[at] if at < len(term.items) else Term(kinds={"null": True})
    return term.cell.element(at).term if term.cell is not None else None


def member(term: Term, key: str | int) -> Term | None:
    """What a name or an index finds in a value; None if that has no formula."""
    if term.entries is not None:
        return term.entries.get(str(key)) if isinstance(key, str) else Term(kinds={"null": True})
    if term.items is not None:
        if isinstance(key, int) and -len(term.items) <= key < len(term.items):
            return term.items[key]
        return Term(kinds={"null": True})
    cell: Cell | None = term.cell
    if cell is not None:
        if isinstance(key, str):
            return cell.member(key).term
        return cell.element(key).term if key >= 0 else None
    return None if SIZED & term.kinds.keys() else Term(kinds={"null": True})
