"""CTL as people write it: `AG (completed(charge) -> AF (completed(ship) | completed(refund)))`.

    on all ways     AX f   AF f   AG f   A[f U g]   A[f W g]
    on some way     EX f   EF f   EG f   E[f U g]   E[f W g]
    and         !f   f & g   f | g   f -> g

Everything is read to a core of `EX`, `EU` and fair `AF`: the others are said by these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from .atoms import TRUE, Atom
from .reading import Logic, Mention, atoms_of, read


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


def parse(text: str) -> Formula:
    """Read a formula.

    Raises:
        Misformed: with the place and what is wrong.
    """
    return read(text, _LOGIC)[0]


def mentions(text: str) -> tuple[Mention, ...]:
    """The steps that a formula names, each time with its place.

    Raises:
        Misformed: as `parse`.
    """
    return read(text, _LOGIC)[1]


def atoms(formula: Formula) -> tuple[Atom, ...]:
    """The atoms of a formula, each once."""
    return atoms_of(formula, parts)


def parts(formula: Formula) -> tuple[Formula, ...]:
    """The formulas that it is made of."""
    match formula:
        case Atom():
            return ()
        case And(left, right) | Until(left, right):
            return left, right
        case Not(inner) | Next(inner) | Always(inner) | Inevitable(inner):
            return (inner,)


def either(left: Formula, right: Formula) -> Formula:
    """Disjunction."""
    return Not(And(Not(left), Not(right)))


def _negation(inner: Formula) -> Formula:
    return Not(inner)


def _not_first(left: Formula, right: Formula) -> Formula:
    """E[!right U (!left & !right)]: the second does not come before the first has ceased."""
    return Until(Not(right), And(Not(left), Not(right)))


def _all_until(left: Formula, right: Formula) -> Formula:
    return And(Inevitable(right), Not(_not_first(left, right)))


def _all_weak(left: Formula, right: Formula) -> Formula:
    return Not(_not_first(left, right))


def _some_weak(left: Formula, right: Formula) -> Formula:
    return Not(_all_until(Not(right), And(Not(left), Not(right))))


_LOGIC: Final = Logic[Formula](
    atom=lambda atom: atom,
    negation=_negation,
    conjunction=And,
    disjunction=either,
    prefixes={
        "AX": lambda inner: Not(Next(Not(inner))),
        "AF": Inevitable,
        "AG": Always,
        "EX": Next,
        "EF": lambda inner: Until(TRUE, inner),
        "EG": lambda inner: Not(Inevitable(Not(inner))),
    },
    infixes={},
    quantified={"A": {"U": _all_until, "W": _all_weak}, "E": {"U": Until, "W": _some_weak}},
)
