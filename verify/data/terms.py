"""Values that are not known yet, as the solver sees them.

A `Term` is what an expression may evaluate to: of each kind of the language the condition under
which it is of that kind, and its value then. A `Cell` is a value that comes from outside: a part
of the input, an output, a variable. Cells have members, made when they are first read, so that
only what a definition reads takes part in a formula, and a case that the solver finds becomes the
smallest JSON that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from heliostat.engine.expressions import MISSING, Instant
from heliostat.engine.expressions.time import Duration
from heliostat.engine.expressions.types import ANY, Type
from heliostat.engine.values import Value
from heliostat.verify.data.solver import Formula, Solver

KINDS: Final = (
    "null",
    "boolean",
    "number",
    "string",
    "array",
    "object",
    "instant",
    "duration",
)
NUMERIC: Final = frozenset({"number", "instant", "duration"})
SIZED: Final = frozenset({"array", "object"})

ITEMS_MAX: Final = 1_000
"""Elements of a list that a witness writes out."""


@dataclass(slots=True, kw_only=True)
class Term:
    """What an expression may evaluate to. Conditions of kinds exclude each other; a value of a
    kind means something only where the term is of that kind and has no error."""

    kinds: Mapping[str, Formula]
    error: Formula = False
    truth: Formula = False
    number: Formula = None  # a real: a number, an instant or a duration in milliseconds
    text: Formula = None
    length: Formula = None  # of an array or object, an integer
    whole: bool = False  # its number is an integer, in the language too
    cell: Cell | None = None
    items: tuple[Term, ...] | None = None  # of a list as it is written
    entries: Mapping[str, Term] | None = None  # of an object as it is written

    def of(self, kind: str) -> Formula:
        """The condition under which it is of a kind."""
        return self.kinds.get(kind, False)


class Cell:
    """A value from outside. Its members and elements are cells too."""

    def __init__(
        self,
        solver: Solver,
        name: str,
        type: Type,
        *,
        parent: Cell | None = None,
        opaque: bool = False,
    ) -> None:
        """
        Args:
            opaque: it stands for the value of an expression that has no formula.
        """
        self.solver, self.name, self.type, self.parent = solver, name, type, parent
        self.opaque: bool = opaque or (parent is not None and parent.opaque)
        self.members: dict[str, Cell] = {}
        self.elements: dict[int, Cell] = {}
        self._term = self._made()

    @property
    def term(self) -> Term:
        return self._term

    @property
    def present(self) -> Formula:
        """Whether there is anything: a member that is missing reads as null."""
        if self.parent is None:
            return True
        return self.solver.boolean(f"{self.name}?")

    @property
    def is_declared(self) -> bool:
        """Whether anything is known of its kind."""
        return not {"null", "boolean", "number", "string"} <= self.type.kinds

    def member(self, name: str) -> Cell:
        """The member of this name; null where there is none."""
        found = self.members.get(name)
        if found is None:
            solver = self.solver
            type = self.type.member(name) or ANY
            found = self.members[name] = Cell(
                solver, f"{self.name}.{name}", _nullable(type), parent=self
            )
            solver.assume(solver.implies(found.present, self.term.of("object")))
        return found

    def element(self, index: int) -> Cell:
        """The element at an index from 0; null behind the end."""
        found = self.elements.get(index)
        if found is None:
            solver = self.solver
            found = self.elements[index] = Cell(
                solver, f"{self.name}[{index}]", _nullable(self.type.element()), parent=self
            )
            is_list = self.term.of("array")
            inside: Formula = False
            if is_list is not False:
                inside = solver.all(is_list, self.term.length > solver.integer_value(index))
            solver.assume(solver.same(found.present, inside))
        return found

    def _made(self) -> Term:
        solver, possible = self.solver, [kind for kind in KINDS if kind in self.type.kinds]
        kinds: dict[str, Formula]
        if len(possible) == 1:
            kinds = {possible[0]: True}
        else:
            tag = solver.integer(f"{self.name}:kind")
            kinds = {kind: tag == solver.integer_value(KINDS.index(kind)) for kind in possible}
            solver.assume(solver.any(*kinds.values()))
        if self.parent is not None:
            solver.assume(solver.implies(solver.no(self.present), kinds.get("null", False)))
        made = Term(kinds=kinds, cell=self)
        if "boolean" in kinds:
            made.truth = solver.boolean(f"{self.name}:truth")
        if NUMERIC & kinds.keys():
            made.number = solver.real(f"{self.name}:number")
            for kind in ("instant", "duration"):
                if kind in kinds:
                    solver.assume(solver.implies(kinds[kind], solver.whole(made.number)))
        if "string" in kinds:
            made.text = solver.text(f"{self.name}:text")
        if SIZED & kinds.keys():
            made.length = solver.integer(f"{self.name}:length")
            solver.assume(made.length >= solver.integer_value(0))
        return made

    # -- a case that the solver found

    def value(self) -> Any:
        """Its value in the case that the last question found; `MISSING` if there is none.

        Raises:
            OverflowError: a list too long to be written out.
        """
        solver, term = self.solver, self.term
        if not solver.truth(self.present):
            return MISSING
        kind = next((kind for kind in KINDS if solver.truth(term.of(kind))), "null")
        match kind:
            case "boolean":
                return solver.truth(term.truth)
            case "number":
                return solver.number(term.number)
            case "string":
                return solver.string(term.text)
            case "instant":
                return Instant(int(solver.number(term.number)))
            case "duration":
                return Duration(int(solver.number(term.number)))
            case "object":
                found = {name: each.value() for name, each in self.members.items()}
                return {name: value for name, value in found.items() if value is not MISSING}
            case "array":
                length = int(solver.number(term.length))
                if length > ITEMS_MAX:
                    raise OverflowError(length)
                given = {at: each.value() for at, each in self.elements.items() if at < length}
                return [given.get(at) for at in range(length)]
        return None

    def below(self) -> Iterator[Cell]:
        """This cell and all that were made below it."""
        yield self
        for each in (*self.members.values(), *self.elements.values()):
            yield from each.below()


def _nullable(type: Type) -> Type:
    """Where a member or element may be missing it reads as null."""
    if "null" in type.kinds:
        return type
    return Type(type.kinds | {"null"}, type.fields, type.closed, type.items)


def literal(solver: Solver, value: Value) -> Term:
    """A value that is known."""
    match value:
        case None:
            return Term(kinds={"null": True})
        case bool():
            return Term(kinds={"boolean": True}, truth=value)
        case int() | float():
            return Term(
                kinds={"number": True},
                number=solver.number_value(value),
                whole=isinstance(value, int),
            )
        case str():
            return Term(kinds={"string": True}, text=solver.text_value(value))
        case Instant(ms=ms):
            return Term(kinds={"instant": True}, number=solver.number_value(ms))
        case Duration(ms=ms):
            return Term(kinds={"duration": True}, number=solver.number_value(ms))
        case list():
            items = tuple(literal(solver, item) for item in value)
            return list_of(solver, items)
        case dict():
            return object_of(solver, {key: literal(solver, item) for key, item in value.items()})
    return Term(kinds={"null": True})


def list_of(solver: Solver, items: tuple[Term, ...]) -> Term:
    """A list as it is written."""
    return Term(
        kinds={"array": True},
        error=solver.any(*(each.error for each in items)),
        length=solver.integer_value(len(items)),
        items=items,
    )


def object_of(solver: Solver, entries: Mapping[str, Term]) -> Term:
    """An object as it is written."""
    return Term(
        kinds={"object": True},
        error=solver.any(*(each.error for each in entries.values())),
        length=solver.integer_value(len(entries)),
        entries=entries,
    )


def chosen(solver: Solver, condition: Formula, then: Term, otherwise: Term) -> Term:
    """One of two terms; a term of its own, so that its error may be set."""
    if isinstance(condition, bool):
        return replace(then if condition else otherwise)
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


def element(term: Term, at: int) -> Term | None:
    """What an index from 0 finds in a list; None if that has no formula."""
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


@dataclass(slots=True)
class Unknowns:
    """Numbers what has no formula, so that no two of them are taken for one."""

    solver: Solver
    label: str = ""
    known: dict[tuple[str, object], Cell] = field(default_factory=dict)
    met: dict[int, tuple[int, object]] = field(default_factory=dict)

    def name(self, of: Term) -> str:
        """What tells a value from all others; it is kept, so that none comes to stand where it
        stood."""
        kept = of.cell or of
        return f"#{self.met.setdefault(id(kept), (len(self.met), kept))[0]}"

    def of(self, text: str, version: object, type: Type) -> Cell:
        """The unknown value of a text that reads what `version` stands for: always the same."""
        found = self.known.get((text, version))
        if found is None:
            name = f"{self.label}?{len(self.known)}"
            found = self.known[text, version] = Cell(self.solver, name, type, opaque=True)
        return found
