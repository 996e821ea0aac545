"""Calls of the language's functions as formulas; those without one are any value of their type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from heliostat.engine.expressions import Type
from heliostat.engine.expressions.ast import Call, CompareOp, Literal, Node, Path
from heliostat.engine.expressions.functions import FUNCTIONS
from heliostat.engine.expressions.types import ANY, BOOLEAN, NUMBER
from heliostat.verify.data.arithmetic import negative
from heliostat.verify.data.comparing import Comparisons
from heliostat.verify.data.notes import Notes
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import Term, Unknowns, chosen

Resolve: TypeAlias = Callable[[Path], Term | None]
"""The term of a path from `$`; None if it has no formula."""

_STRICT_ORDER: Final[dict[str, CompareOp]] = {
    "lt_strict": "<",
    "le_strict": "<=",
    "gt_strict": ">",
    "ge_strict": ">=",
}


class Unknown(Protocol):
    """Makes the term of what has no formula: any value of a type, or an error."""

    def __call__(self, node: Node, type: Type, error: Formula = None, /) -> Term: ...


class Calls:
    """Makes terms of calls, in one state of the data."""

    def __init__(
        self,
        solver: Solver,
        unknowns: Unknowns,
        comparisons: Comparisons,
        notes: Notes,
        *,
        term: Callable[[Node], Term],
        resolve: Resolve,
        unknown: Unknown,
    ) -> None:
        """
        Args:
            term: makes the terms of arguments.
        """
        self._solver, self._unknowns, self._comparisons = solver, unknowns, comparisons
        self._notes, self._term, self._resolve, self._unknown = notes, term, resolve, unknown

    def term(self, node: Call) -> Term:
        """What a call evaluates to."""
        solver, name, arguments = self._solver, node.name, node.arguments
        if name == "has":
            return self._has(node)
        if name in _STRICT_ORDER or name == "eq_strict":
            return self._strict(node)
        terms = [self._term(argument) for argument in arguments]
        error = solver.any(*(term.error for term in terms))
        match name, terms:
            case ("len" | "len_strict", [of]):
                self._notes.meets(of, {"array"} if of.of("array") is not False else {"string"})
                return self._length(of, error, node)
            case "type", [of]:
                text = None
                for kind in of.kinds:
                    value = solver.text_value(kind)
                    text = value if text is None else solver.choose(of.of(kind), value, text)
                return Term(kinds={"string": True}, error=error, text=text)
            case "abs", [of] if of.number is not None:
                below = of.number < solver.number_value(0)
                made = negative(solver, of)
                made.number = solver.choose(below, -of.number, of.number)
                return made
            case "contains", [container, element]:
                true, wrong = self._comparisons.within(element, container, self._held(node))
                return Term(kinds={"boolean": True}, error=solver.any(error, wrong), truth=true)
            case ("min" | "max", [first, second]) if {*first.kinds, *second.kinds} == {"number"}:
                less = first.number <= second.number
                return chosen(solver, less if name == "min" else solver.no(less), first, second)
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
                    inner = chosen(solver, True, found.term, found.term)
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
        left, right = (self._term(argument) for argument in node.arguments)
        error = solver.any(left.error, right.error)
        kinds = [{*left.kinds}, {*right.kinds}]
        if any("boolean" in each for each in kinds) and kinds != [{"boolean"}, {"boolean"}]:
            return self._unknown(node, BOOLEAN, error)
        if node.name == "eq_strict":
            return Term(
                kinds={"boolean": True}, error=error, truth=self._comparisons.equal(left, right)
            )
        true, wrong = self._comparisons.pair(
            _STRICT_ORDER[node.name], left, right, self._held(node)
        )
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

    def _held(self, node: Call) -> Callable[[], Formula]:
        return lambda: self._unknown(node, BOOLEAN).truth
