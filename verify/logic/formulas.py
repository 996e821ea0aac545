"""CTL as people write it: `AG (completed(charge) -> AF (completed(ship) | completed(refund)))`.

    atoms       completed(STEP)  failed(STEP)  skipped(STEP)   it has done so, at least once
                open(STEP)                                     a visit of it is open
                done  failed  ended  stuck  true  false        the execution as a whole
    error_occurred                                 some step has failed
    on all ways     AX f   AF f   AG f   A[f U g]
    on some way     EX f   EF f   EG f   E[f U g]
    and         !f   f & g   f | g   f -> g

Everything is parsed to a core of `EX`, `EU` and fair `AF`: the others are said by these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from lark import Lark, Transformer
from lark.exceptions import UnexpectedInput

STEP_ATOMS: Final = ("completed", "failed", "skipped", "open")
WHOLE_ATOMS: Final = ("done", "failed", "ended", "stuck", "error_occurred", "true", "false")

STANDARD: Final[dict[str, str]] = {
    "termination": "AF ended",
    "error recovery": "AG (error_occurred -> AF ended)",
}
"""By name, what is asked for often and is no property of its own."""

DEPTH_MAX: Final = 50
"""Operators within one another: a formula that people understand has a few."""


class Misformed(Exception):
    """A text is no formula; says where, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Atom:
    """Something that is true or false of a state; without `step` of the execution as a whole."""

    name: str
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    inner: Formula


@dataclass(frozen=True, slots=True)
class And:
    """Both."""

    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Next:
    """EX: after one thing that may happen."""

    inner: Formula


@dataclass(frozen=True, slots=True)
class Until:
    """EU: on some way the first holds until the second does."""

    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Always:
    """AG: on all ways, ever; kept as written, for the run that breaks it."""

    inner: Formula


@dataclass(frozen=True, slots=True)
class Inevitable:
    """AF: on all fair ways at some time."""

    inner: Formula


Formula: TypeAlias = Atom | Not | And | Next | Until | Always | Inevitable

_GRAMMAR: Final = r"""
?start: implication
?implication: disjunction ["->" implication]
?disjunction: conjunction ("|" conjunction)*
?conjunction: unary ("&" unary)*
?unary: "!" unary -> negation
    | QUANTIFIED unary -> quantified
    | PATH "[" implication "U" implication "]" -> until
    | "(" implication ")"
    | atom
atom: NAME ["(" NAME ")"]
QUANTIFIED.2: /[AE][XFG](?![\w-])/
PATH.2: /[AE](?=\s*\[)/
NAME: /[A-Za-z_]\w*(-\w+)*/
%ignore /\s+/
"""


def parse(text: str) -> Formula:
    """Read a formula.

    Raises:
        Misformed: with the place and what is wrong.
    """
    try:
        found: Formula = _Reader().transform(_parser.parse(text))
    except UnexpectedInput as error:
        column = getattr(error, "column", len(text) + 1)
        raise Misformed(f"{text!r} is no formula: look at column {column}") from None
    if _depth(found) > DEPTH_MAX:
        raise Misformed(f"{text!r} has more than {DEPTH_MAX} operators within one another")
    for atom in atoms(found):
        names = WHOLE_ATOMS if atom.step is None else STEP_ATOMS
        if atom.name not in names:
            shown = atom.name if atom.step is None else f"{atom.name}({atom.step})"
            raise Misformed(f"{shown!r} says nothing: known are {', '.join(names)}")
    return found


def atoms(formula: Formula) -> tuple[Atom, ...]:
    """The atoms of a formula, each once."""
    found = dict[Atom, None]()
    todo: list[Formula] = [formula]
    while todo:
        each = todo.pop()
        if isinstance(each, Atom):
            found[each] = None
        else:
            todo.extend(_parts(each))
    return tuple(found)


def either(left: Formula, right: Formula) -> Formula:
    """Disjunction."""
    return Not(And(Not(left), Not(right)))


def _parts(formula: Formula) -> tuple[Formula, ...]:
    match formula:
        case Atom():
            return ()
        case And(left, right) | Until(left, right):
            return left, right
        case Not(inner) | Next(inner) | Always(inner) | Inevitable(inner):
            return (inner,)


def _depth(formula: Formula) -> int:
    depth, level = 0, [formula]
    while level:
        depth += 1
        level = [part for each in level for part in _parts(each)]
    return depth


class _Reader(Transformer[Any, Formula]):
    """From the tree of a text to the core."""

    def atom(self, parts: list[Any]) -> Formula:
        name, step = parts
        return Atom(str(name), None if step is None else str(step))

    def negation(self, parts: list[Any]) -> Formula:
        return Not(parts[0])

    def conjunction(self, parts: list[Any]) -> Formula:
        found: Formula = parts[0]
        for each in parts[1:]:
            found = And(found, each)
        return found

    def disjunction(self, parts: list[Any]) -> Formula:
        found: Formula = parts[0]
        for each in parts[1:]:
            found = either(found, each)
        return found

    def implication(self, parts: list[Any]) -> Formula:
        left, right = parts
        return left if right is None else Not(And(left, Not(right)))

    def quantified(self, parts: list[Any]) -> Formula:
        operator, inner = str(parts[0]), parts[1]
        match operator:
            case "EX":
                return Next(inner)
            case "AX":
                return Not(Next(Not(inner)))
            case "EF":
                return Until(_TRUE, inner)
            case "AG":
                return Always(inner)
            case "AF":
                return Inevitable(inner)
            case _:  # EG
                return Not(Inevitable(Not(inner)))

    def until(self, parts: list[Any]) -> Formula:
        quantifier, left, right = parts
        if str(quantifier) == "E":
            return Until(left, right)
        broken = Until(And(left, Not(right)), And(Not(left), Not(right)))
        return And(Inevitable(right), Not(broken))


_TRUE: Final = Atom("true")
_parser: Final = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)
