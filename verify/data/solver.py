"""The SMT solver, loaded when the first question comes, and bounded by its own count of work.

z3 has no types that mypy knows, so formulas are `Any` here. Python's `True` and `False` are
formulas too: the connectives below fold them, which keeps what the solver gets small and lets
definitions whose conditions are plain never load a theory that they do not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.data.patterns import Chars, Choice, Part, Repeat, Sequence

if TYPE_CHECKING:
    from types import ModuleType

Formula: TypeAlias = Any
"""A formula of the solver, or a `bool`."""

WORK_MAX: Final = 1_000_000
"""What one question may cost in z3's units (`rlimit`): below a second, the same on any machine."""

WORK_A_MS: Final = 2_000
"""What a millisecond that is left allows."""

_ESCAPED: Final = re.compile(r"\\u\{([0-9a-fA-F]+)\}")

Answer: TypeAlias = Literal["possible", "impossible", "unknown"]


@cache
def load() -> None:
    """Load the library, and have it set itself up, as the first question would."""
    import z3

    z3.Solver(ctx=z3.Context()).check()


class Solver:
    """Gathers what is assumed and answers whether formulas can be true together.

    Each has a context of its own, so that threads do not meet in the library.
    """

    def __init__(self, *, work_max: int = WORK_MAX, budget: Budget = UNBOUNDED) -> None:
        """
        Args:
            budget: of the time of all questions together; what is left bounds the next one's work.
        """
        import z3

        self._z3: ModuleType = z3
        self.context = z3.Context()
        self._solver = z3.Solver(ctx=self.context)
        self._work_max, self._budget = work_max, budget
        self._model: Any = None
        self._impossible = False
        self._labels = 0

    def label(self, word: str) -> str:
        """A label that nobody had: unknowns of the same name are the same to the solver."""
        self._labels += 1
        return f"{word}{self._labels}"

    @property
    def over(self) -> bool:
        """Whether no time is left for questions."""
        return self._budget.over

    # -- unknowns and constants

    def boolean(self, name: str) -> Formula:
        return self._z3.Bool(name, self.context)

    def integer(self, name: str) -> Formula:
        return self._z3.Int(name, self.context)

    def real(self, name: str) -> Formula:
        return self._z3.Real(name, self.context)

    def text(self, name: str) -> Formula:
        return self._z3.String(name, self.context)

    def number_value(self, value: int | float) -> Formula:
        # by the digits that a float is printed with would not be its value: exact by its ratio
        numerator, denominator = value.as_integer_ratio()
        return self._z3.Q(numerator, denominator, self.context)

    def integer_value(self, value: int) -> Formula:
        return self._z3.IntVal(value, self.context)

    def text_value(self, value: str) -> Formula:
        escaped = "".join(c if c.isascii() and c != "\\" else f"\\u{{{ord(c):x}}}" for c in value)
        return self._z3.StringVal(escaped, self.context)

    # -- connectives

    def all(self, *parts: Formula) -> Formula:
        left = [part for part in parts if part is not True]
        if any(part is False for part in left):
            return False
        if len(left) < 2:
            return left[0] if left else True
        return self._z3.And(*left)

    def any(self, *parts: Formula) -> Formula:
        left = [part for part in parts if part is not False]
        if any(part is True for part in left):
            return True
        if len(left) < 2:
            return left[0] if left else False
        return self._z3.Or(*left)

    def no(self, part: Formula) -> Formula:
        return not part if isinstance(part, bool) else self._z3.Not(part)

    def implies(self, condition: Formula, then: Formula) -> Formula:
        return self.any(self.no(condition), then)

    def choose(self, condition: Formula, then: Any, otherwise: Any) -> Any:
        """One of two terms of one sort; of Booleans also constants."""
        if isinstance(condition, bool):
            return then if condition else otherwise
        if then is otherwise:
            return then
        if isinstance(then, bool) or isinstance(otherwise, bool):
            return self.any(self.all(condition, then), self.all(self.no(condition), otherwise))
        return self._z3.If(condition, then, otherwise)

    def same(self, left: Any, right: Any) -> Formula:
        """Equality of two terms of one sort; of Booleans also constants."""
        if isinstance(left, bool) and isinstance(right, bool):
            return left == right
        if isinstance(left, bool) or isinstance(right, bool):
            term, value = (right, left) if isinstance(left, bool) else (left, right)
            return term if value else self.no(term)
        return True if left.eq(right) else left == right

    # -- theories

    def whole(self, number: Formula) -> Formula:
        return self._z3.IsInt(number)

    def floor(self, number: Formula) -> Formula:
        return self._z3.ToReal(self._z3.ToInt(number))

    def quotient(self, left: Formula, right: Formula) -> Formula:
        """The rounded down quotient of two reals that are whole, by the theory of integers."""
        top, below = self._z3.ToInt(left), self._z3.ToInt(right)
        # z3 rounds towards the divisor's sign: down where that is positive
        return self._z3.ToReal(self._z3.If(below > 0, top / below, (-top) / (-below)))

    def to_real(self, number: Formula) -> Formula:
        return self._z3.ToReal(number)

    def length(self, text: Formula) -> Formula:
        return self._z3.Length(text)

    def joined(self, left: Formula, right: Formula) -> Formula:
        return self._z3.Concat(left, right)

    def within(self, part: Formula, text: Formula) -> Formula:
        return self._z3.Contains(text, part)

    def described(self, text: Formula, part: Part) -> Formula:
        """Whether all of a text is what a pattern describes."""
        return self._z3.InRe(text, self._language(part))

    def _language(self, part: Part) -> Any:
        z3 = self._z3
        match part:
            case Chars(ranges=ranges):
                return self._either(
                    [z3.Range(*(self.text_value(chr(each)) for each in pair)) for pair in ranges]
                )
            case Choice(options=options):
                return self._either([self._language(each) for each in options])
            case Sequence(parts=parts):
                made = [self._language(each) for each in parts]
                if not made:
                    return z3.Re(self.text_value(""))
                return made[0] if len(made) == 1 else z3.Concat(*made)
            case Repeat(part=inner, least=least, most=None):
                made = self._language(inner)
                again = z3.Star(made)
                return again if least == 0 else z3.Concat(z3.Loop(made, least, least), again)
            case Repeat(part=inner, least=least, most=most):
                return z3.Loop(self._language(inner), least, most)

    def _either(self, options: list[Any]) -> Any:
        return options[0] if len(options) == 1 else self._z3.Union(*options)

    def spelled(self, term: Formula) -> str:
        """A term as a text: equal terms have the same."""
        return str(term.sexpr())

    # -- questions

    def assume(self, formula: Formula) -> None:
        """Let a formula hold in every question from here on."""
        if formula is False:
            self._impossible = True
        elif formula is not True:
            self._solver.add(formula)

    def ask(self, *formulas: Formula) -> Answer:
        """Whether formulas can be true together; if so, `value` tells of one such case."""
        self._model = None
        asked = self.all(*formulas)
        if self._impossible or asked is False:
            return "impossible"
        self._solver.push()
        try:
            if asked is not True:
                self._solver.add(asked)
            found = self._checked()
            if found == self._z3.sat:
                self._model = self._solver.model()
                return "possible"
            return "impossible" if found == self._z3.unsat else "unknown"
        finally:
            self._solver.pop()

    def named(self, formula: Formula) -> Formula:
        """A literal that stands for a formula in `agree`."""
        literal = self._z3.FreshBool("fact", self.context)
        self.assume(self.implies(literal, formula))
        return literal

    def agree(self, literals: Iterable[Formula]) -> bool:
        """Whether the formulas of literals can be true together, as far as is known."""
        return not self._impossible and bool(self._checked(*literals) != self._z3.unsat)

    def _checked(self, *literals: Formula) -> Any:
        left_ms = self._budget.left_ms()
        if left_ms == 0:
            return self._z3.unknown
        work = self._work_max if left_ms is None else min(self._work_max, left_ms * WORK_A_MS)
        self._solver.set("rlimit", work)
        return self._solver.check(*literals)

    def first_possible(self, *formulas: Formula, wishes: Iterable[Formula]) -> Answer:
        """As `ask`, with as many of the wishes as come true one after the other: plainer cases."""
        answer = self.ask(*formulas)
        granted: list[Formula] = []
        for wish in wishes if answer == "possible" else ():
            kept = self._model
            if self.ask(*formulas, *granted, wish) == "possible":
                granted.append(wish)
            else:
                self._model = kept
        return answer

    def truth(self, formula: Formula) -> bool:
        """Of a formula, in the case that the last question found."""
        if isinstance(formula, bool):
            return formula
        return bool(self._z3.is_true(self._model.eval(formula, model_completion=True)))

    def number(self, term: Formula) -> int | float:
        found = self._model.eval(term, model_completion=True)
        if self._z3.is_algebraic_value(found):
            found = found.approx(30)
        fraction = found.as_fraction() if self._z3.is_rational_value(found) else found.as_long()
        return int(fraction) if fraction.denominator == 1 else float(fraction)

    def string(self, term: Formula) -> str:
        found: str = self._model.eval(term, model_completion=True).as_string()
        return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found)
