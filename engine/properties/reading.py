"""The grammar that both logics share: atoms, `!`, `&`, `|`, `->`, brackets, and places of faults.

A logic says which prefixes and which infixes it has, and what each makes of what it is given. By
binding strength, the strongest first: prefixes and `!`, infixes as `U` (to the right), `&`, `|`,
`->` (to the right).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from .atoms import ACTIVE, STEP_ATOMS, SYNONYMS, WHOLE_ATOMS, Atom, Misformed

CHARS_MAX: Final = 10_000

DEPTH_MAX: Final = 50
"""Brackets and operators within one another: a formula that people understand has a few."""

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*(?:-\w+)*)|(?P<sign>->|[!&|()\[\]])|(?P<odd>\S))"
)

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a sign, and where it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A step that a formula names, and where."""

    step: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Logic(Generic[F]):
    """What a logic adds to the propositions, each by its word."""

    atom: Callable[[Atom], F]
    negation: Callable[[F], F]
    conjunction: Callable[[F, F], F]
    disjunction: Callable[[F, F], F]
    prefixes: Mapping[str, Callable[[F], F]]
    infixes: Mapping[str, Callable[[F, F], F]]
    quantified: Mapping[str, Mapping[str, Callable[[F, F], F]]]
    """Infixes that stand in square brackets behind a quantifier, as in `A[f U g]`."""


def read(text: str, logic: Logic[F]) -> tuple[F, tuple[Mention, ...]]:
    """A formula of a logic, and the steps that it names in the order of the text.

    Raises:
        Misformed: with the place and what is wrong there.
    """
    reader = _Reader(text, logic)
    return reader.whole(), tuple(reader.mentions)


def atoms_of(formula: F, parts: Callable[[F], Iterable[F]]) -> tuple[Atom, ...]:
    """The atoms of a formula of any logic, each once.

    Args:
        parts: the formulas that one is made of.
    """
    found = dict[Atom, None]()
    todo = [formula]
    while todo:
        each = todo.pop()
        if isinstance(each, Atom):
            found[each] = None
        else:
            todo.extend(parts(each))
    return tuple(found)


class _Reader(Generic[F]):
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, logic: Logic[F]) -> None:
        self._text, self._logic = text, logic
        if len(text) > CHARS_MAX:
            raise Misformed(text[:40], 0, 1, f"more than {CHARS_MAX} characters")
        self._tokens = list(self._split())
        self._at, self._depth = 0, 0
        self.mentions: list[Mention] = []

    def _split(self) -> Iterator[Token]:
        for found in _TOKEN.finditer(self._text):
            kind = found.lastgroup or "odd"
            token = Token(found[kind], found.start(kind), found.end(kind))
            if kind == "odd":
                raise self._fault(token, f"`{token.text}` means nothing here")
            yield token

    def whole(self) -> F:
        if not self._tokens:
            raise Misformed(self._text, 0, max(len(self._text), 1), "it says nothing")
        found = self._implication()
        if (left := self._next()) is not None:
            raise self._fault(left, f"`{left.text}` is one thing too many")
        return found

    # -- from the weakest binding to the strongest

    def _implication(self) -> F:
        left = self._disjunction()
        if self._takes("->"):
            right = self._deeper(self._implication)
            left = self._logic.disjunction(self._logic.negation(left), right)
        return left

    def _disjunction(self) -> F:
        found = self._conjunction()
        while self._takes("|"):
            found = self._logic.disjunction(found, self._conjunction())
        return found

    def _conjunction(self) -> F:
        found = self._infix()
        while self._takes("&"):
            found = self._logic.conjunction(found, self._infix())
        return found

    def _infix(self) -> F:
        left = self._deeper(self._prefix)
        token = self._next()
        if token is not None and token.text in self._logic.infixes:
            self._at += 1
            left = self._logic.infixes[token.text](left, self._deeper(self._infix))
        return left

    def _prefix(self) -> F:
        logic, token, following = self._logic, self._next(), self._next(1)
        if token is None:
            raise self._ended()
        if self._takes("!"):
            return logic.negation(self._deeper(self._prefix))
        if self._takes("("):
            found = self._implication()
            self._wants(")")
            return found
        if token.text in logic.prefixes and following is not None:
            self._at += 1
            return logic.prefixes[token.text](self._deeper(self._prefix))
        if token.text in logic.quantified and following is not None and following.text == "[":
            self._at += 2
            return self._bracketed(logic.quantified[token.text])
        return logic.atom(self._atom(token))

    def _bracketed(self, infixes: Mapping[str, Callable[[F, F], F]]) -> F:
        left = self._implication()
        token = self._next()
        if token is None:
            raise self._ended()
        if token.text not in infixes:
            raise self._fault(token, f"{_either(infixes)} is wanted, not `{token.text}`")
        self._at += 1
        right = self._implication()
        self._wants("]")
        return infixes[token.text](left, right)

    def _atom(self, token: Token) -> Atom:
        if not re.match(r"\w", token.text):
            raise self._fault(token, f"`{token.text}` stands where something is to be said")
        self._at += 1
        if not self._takes("("):
            return self._whole(token)
        if token.text not in STEP_ATOMS:
            known = ", ".join(f"`{name}(STEP)`" for name in STEP_ATOMS)
            raise self._fault(token, f"nothing is known of `{token.text}(…)`, but of {known}")
        step = self._next()
        if step is None:
            raise self._ended()
        if not re.match(r"\w", step.text):
            raise self._fault(step, "the id of a step is wanted")
        self._at += 1
        self._wants(")")
        self.mentions.append(Mention(step.text, step.start, step.end))
        return Atom(token.text, step.text)

    def _whole(self, token: Token) -> Atom:
        name = SYNONYMS.get(token.text, token.text)
        if name in WHOLE_ATOMS:
            return Atom(name)
        if name.startswith(ACTIVE):
            start = token.start + len(ACTIVE)
            self.mentions.append(Mention(name[len(ACTIVE) :], start, token.end))
            return Atom("open", name[len(ACTIVE) :])
        if name in STEP_ATOMS:
            raise self._fault(token, f"of which step? as `{name}(STEP)`")
        words = {*self._logic.prefixes, *self._logic.infixes, *self._logic.quantified}
        if name in words:
            raise self._fault(token, f"`{name}` is an operator, and stands alone")
        known = ", ".join(f"`{each}`" for each in WHOLE_ATOMS)
        raise self._fault(token, f"`{name}` means nothing; known are {known}, `completed(STEP)`, …")

    # -- tokens

    def _next(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _takes(self, text: str) -> bool:
        token = self._next()
        if token is None or token.text != text:
            return False
        self._at += 1
        return True

    def _wants(self, text: str) -> None:
        if not self._takes(text):
            token = self._next()
            if token is None:
                raise self._ended(f"a `{text}` is missing")
            raise self._fault(token, f"`{text}` is wanted, not `{token.text}`")

    def _deeper(self, part: Callable[[], F]) -> F:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            token = self._next() or self._tokens[-1]
            raise self._fault(token, f"more than {DEPTH_MAX} operators within one another")
        found = part()
        self._depth -= 1
        return found

    def _ended(self, message: str = "something is missing at the end") -> Misformed:
        last = self._tokens[-1]
        return self._fault(last, message)

    def _fault(self, token: Token, message: str) -> Misformed:
        return Misformed(self._text, token.start, token.end, message)


def _either(words: Mapping[str, object]) -> str:
    return " or ".join(f"`{word}`" for word in words)
