"""LTL as people write it: `G (completed(charge) -> F (completed(ship) | completed(refund)))`.

    ever       G f       at some time   F f       next       X f
    f U g      f until g, and g comes
    f W g      f until g, or f for ever
    f R g      g until both hold, or g for ever
    and        !f   f & g   f | g   f -> g

Everything is read to negation, `&`, `|`, `X`, `U` and `R`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from . import ctl
from .atoms import FALSE, TRUE, Atom
from .reading import Logic, Mention, atoms_of, read


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    inner: Formula

    def __str__(self) -> str:
        return f"!{self.inner}"


@dataclass(frozen=True, slots=True)
class And:
    """Both."""

    left: Formula
    right: Formula

    def __str__(self) -> str:
        return f"({self.left} & {self.right})"


@dataclass(frozen=True, slots=True)
class Or:
    """One of them, or both."""

    left: Formula
    right: Formula

    def __str__(self) -> str:
        return f"({self.left} | {self.right})"


@dataclass(frozen=True, slots=True)
class Next:
    """X: after the next thing that happens; where nothing does, now."""

    inner: Formula

    def __str__(self) -> str:
        return f"X {self.inner}"


@dataclass(frozen=True, slots=True)
class Until:
    """U: the second comes at some time, and the first holds until then."""

    left: Formula
    right: Formula

    def __str__(self) -> str:
        return f"F {self.right}" if self.left == TRUE else f"({self.left} U {self.right})"


@dataclass(frozen=True, slots=True)
class Release:
    """R: the second holds until both do, or for ever."""

    left: Formula
    right: Formula

    def __str__(self) -> str:
        return f"G {self.right}" if self.left == FALSE else f"({self.left} R {self.right})"


Formula: TypeAlias = Atom | Not | And | Or | Next | Until | Release


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
        case And(left, right) | Or(left, right) | Until(left, right) | Release(left, right):
            return left, right
        case Not(inner) | Next(inner):
            return (inner,)


def normal(formula: Formula, *, negated: bool = False) -> Formula:
    """The same formula, or its negation, with `Not` before atoms only, and constants folded."""
    match formula:
        case Atom("true") | Atom("false"):
            return TRUE if (formula.name == "true") is not negated else FALSE
        case Atom():
            return Not(formula) if negated else formula
        case Not(inner):
            return normal(inner, negated=not negated)
        case Next(inner):
            after = normal(inner, negated=negated)
            return after if after in (TRUE, FALSE) else Next(after)
        case And(left, right) | Or(left, right):
            both = isinstance(formula, And) is not negated
            return (_both if both else _either)(
                normal(left, negated=negated), normal(right, negated=negated)
            )
        case Until(left, right) | Release(left, right):
            until = isinstance(formula, Until) is not negated
            one, other = normal(left, negated=negated), normal(right, negated=negated)
            if other in (TRUE, FALSE):
                return other
            if one == (FALSE if until else TRUE):
                return other
            return Until(one, other) if until else Release(one, other)


def of_ctl(formula: ctl.Formula) -> Formula | None:
    """The formula of LTL that says the same, if one is known.

    Of CTL's formulas on all ways those in which at most one side of `|` and of `U` is temporal
    say in LTL what they say without their quantifiers (M. Maidl, "The Common Fragment of CTL and
    LTL", 2000). `AX` is none of them here: where nothing happens any more it says nothing, `X`
    speaks of that moment again.
    """
    match formula:
        case Atom():
            return formula
        case ctl.Always(inner):
            ever = of_ctl(inner)
            return None if ever is None else Release(FALSE, ever)
        case ctl.Inevitable(inner):
            return Until(TRUE, plain) if (plain := _plain(inner)) is not None else None
        case ctl.Not(ctl.And(left, right)):  # !left | !right
            return _guarded(ctl.Not(left), ctl.Not(right)) or _guarded(
                ctl.Not(right), ctl.Not(left)
            )
        case ctl.Not(ctl.Until(left, right)):  # A[!right W (!left & !right)], and as A[f W g]
            return _weak(left, right)
        case ctl.Not(ctl.Not(inner)):
            return of_ctl(inner)
        case ctl.And(left, right):
            one, other = of_ctl(left), of_ctl(right)
            return And(one, other) if one is not None and other is not None else None
        case _:
            return _plain(formula)


def _guarded(guard: ctl.Formula, then: ctl.Formula) -> Formula | None:
    plain, temporal = _plain(guard), of_ctl(then)
    return Or(plain, temporal) if plain is not None and temporal is not None else None


def _weak(left: ctl.Formula, right: ctl.Formula) -> Formula | None:
    """Not E[left U right]: `right` comes only after `left` has ceased."""
    one, other = _plain(left), _plain(right)
    if one is None or other is None:
        return None
    return Not(Until(one, other))


def _plain(formula: ctl.Formula) -> Formula | None:
    """A formula without operators of time."""
    match formula:
        case Atom():
            return formula
        case ctl.Not(inner):
            found = _plain(inner)
            return None if found is None else Not(found)
        case ctl.And(left, right):
            one, other = _plain(left), _plain(right)
            return And(one, other) if one is not None and other is not None else None
        case _:
            return None


def _both(left: Formula, right: Formula) -> Formula:
    if FALSE in (left, right):
        return FALSE
    if left in (TRUE, right):
        return right
    return left if right == TRUE else And(left, right)


def _either(left: Formula, right: Formula) -> Formula:
    if TRUE in (left, right):
        return TRUE
    if left in (FALSE, right):
        return right
    return left if right == FALSE else Or(left, right)


def _negation(inner: Formula) -> Formula:
    return Not(inner)


_LOGIC: Final = Logic[Formula](
    atom=lambda atom: atom,
    negation=_negation,
    conjunction=And,
    disjunction=Or,
    prefixes={
        "G": lambda inner: Release(FALSE, inner),
        "F": lambda inner: Until(TRUE, inner),
        "X": Next,
    },
    infixes={
        "U": Until,
        "W": lambda left, right: Release(right, Or(left, right)),
        "R": Release,
    },
    quantified={},
)
