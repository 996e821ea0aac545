"""What a JSON Schema says of a value, as a formula.

Kinds, members, bounds, lengths, `multipleOf` of whole numbers, `enum`, `const`, patterns that are
regular, required members that hang on others, and combinations have formulas; `not`, `if` and the
exclusiveness of `oneOf` where all that they are about is exact. The rest is taken for free: what is
made holds at least of what meets the schema. `format` is an annotation, as it is to validators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

from heliostat.engine.expressions.types import SCHEMA_DEPTH_MAX
from heliostat.verify.data.encoding import Encoder
from heliostat.verify.data.patterns import Irregular, pattern
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import Cell, Term, literal

Place: TypeAlias = Cell | Term
"""A value from outside, or one that an expression makes."""

_KINDS: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})

_READ: Final = frozenset(
    {
        *("$ref", "type", "const", "enum", "anyOf", "oneOf", "allOf", "not", "if", "then", "else"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "minItems", "maxItems", "items", "prefixItems"),
        *("properties", "required", "dependentRequired"),
    }
)
_SAYS_NOTHING: Final = frozenset(
    {
        *("$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default"),
        *("examples", "deprecated", "readOnly", "writeOnly", "format", "contentEncoding"),
        *("contentMediaType", "discriminator"),
    }
)

MEMBERS_MAX: Final = 300
"""Members of one value that get cells by its schema: models of models have thousands, of which
conditions read a few. Those beyond are anything."""

ELEMENTS_MAX: Final = 5
"""Elements of a list that a case must have, which get cells of their own."""


def promised(cell: Cell, schema: Any, encoder: Encoder) -> Formula:
    """That the value of a cell meets a schema, as far as that has a formula.

    Members that the schema requires get cells of their own, for a case must have them.
    """
    return _Reader(cell.solver, schema, encoder).of(cell, schema, SCHEMA_DEPTH_MAX)


def fits(solver: Solver, term: Term, schema: Any, encoder: Encoder) -> Formula:
    """The same of what an expression makes; of what nothing is declared of it is taken to be so."""
    place: Place = term if term.cell is None else term.cell
    return _Reader(solver, schema, encoder, declared=True).of(place, schema, SCHEMA_DEPTH_MAX)


class _Reader:
    def __init__(
        self, solver: Solver, root: Any, encoder: Encoder, *, declared: bool = False
    ) -> None:
        """
        Args:
            declared: say nothing of values of which nothing is declared.
        """
        self._solver, self._root, self._encoder = solver, root, encoder
        self._declared = declared
        self._members = 0
        self._certain = True  # not within one of several alternatives
        self._exact = True  # nothing was taken for free so far

    def of(self, place: Place, schema: Any, depth: int) -> Formula:
        solver = self._solver
        if schema is False:
            return False
        if schema is True:
            return True
        if not isinstance(schema, Mapping) or depth == 0 or self._undeclared(place):
            return self._free()
        if isinstance(reference := schema.get("$ref"), str):
            self._exact &= schema.keys() <= {"$ref", *_SAYS_NOTHING}
            return self.of(place, self._resolved(reference), depth - 1)
        self._exact &= schema.keys() <= _READ | _SAYS_NOTHING
        term = _term(place)
        parts = [self._kinds(term, schema), *self._values(term, schema)]
        parts += self._combined(place, schema, depth)
        for kind, make in (
            ("number", self._number),
            ("string", self._string),
            ("array", self._array),
            ("object", self._object),
        ):
            if term.of(kind) is not False:
                inside = solver.all(*make(place, schema, depth))
                parts.append(solver.implies(term.of(kind), inside))
        return solver.all(*parts)

    def _free(self) -> Formula:
        self._exact = False
        return True

    def _undeclared(self, place: Place) -> bool:
        return (
            self._declared and isinstance(place, Cell) and (place.opaque or not place.is_declared)
        )

    # -- of any kind

    def _kinds(self, term: Term, schema: Mapping[str, Any]) -> Formula:
        solver, stated = self._solver, schema.get("type")
        names = [stated] if isinstance(stated, str) else stated
        if not isinstance(names, list):
            return solver.any(*(term.of(kind) for kind in sorted(_KINDS)))
        parts = []
        for name in names:
            if name == "integer" and term.of("number") is not False:
                whole = True if term.whole else solver.whole(term.number)
                parts.append(solver.all(term.of("number"), whole))
            else:
                parts.append(term.of(name))
        if self._certain and not self._declared and "integer" in names and "number" not in names:
            term.whole = True
        return solver.any(*parts)

    def _values(self, term: Term, schema: Mapping[str, Any]) -> list[Formula]:
        parts = []
        given = [[schema["const"]]] if "const" in schema else []
        if isinstance(values := schema.get("enum"), list):
            given.append(values)
        for values in given:
            self._exact &= not any(isinstance(each, dict | list) for each in values)
            same = (self._encoder.equal(term, literal(self._solver, each)) for each in values)
            parts.append(self._solver.any(*same))
        return parts

    def _combined(self, place: Place, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        solver, parts = self._solver, list[Formula]()
        if isinstance(options := schema.get("anyOf"), list):
            parts.append(solver.any(*(self._apart(place, each, depth)[0] for each in options)))
        if isinstance(options := schema.get("oneOf"), list):
            parts.append(self._one(place, options, depth))
        if isinstance(every := schema.get("allOf"), list):
            parts += [self.of(place, each, depth - 1) for each in every]
        if "not" in schema:
            found, exact = self._apart(place, schema["not"], depth)
            parts.append(solver.no(found) if exact else self._free())
        if "if" in schema:
            parts.append(self._hanging(place, schema, depth))
        return parts

    def _one(self, place: Place, options: list[Any], depth: int) -> Formula:
        """Exactly one, if it is known of each; else at least one."""
        solver = self._solver
        found = [self._apart(place, each, depth) for each in options]
        if not all(exact for _, exact in found):
            self._exact = False
            return solver.any(*(each for each, _ in found))
        ways = []
        for at, (each, _) in enumerate(found):
            others = (other for n, (other, _) in enumerate(found) if n != at)
            ways.append(solver.all(each, *(solver.no(other) for other in others)))
        return solver.any(*ways)

    def _hanging(self, place: Place, schema: Mapping[str, Any], depth: int) -> Formula:
        solver = self._solver
        condition, exact = self._apart(place, schema["if"], depth)
        then, _ = self._apart(place, schema.get("then", True), depth)
        otherwise, _ = self._apart(place, schema.get("else", True), depth)
        if not exact:
            return self._free()
        return solver.all(
            solver.implies(condition, then), solver.implies(solver.no(condition), otherwise)
        )

    def _apart(self, place: Place, schema: Any, depth: int) -> tuple[Formula, bool]:
        """Of one of several alternatives, with whether the formula is exact."""
        certain, exact, self._certain, self._exact = self._certain, self._exact, False, True
        found = self.of(place, schema, depth - 1)
        own, self._certain = self._exact, certain
        self._exact = exact and own
        return found, own

    # -- of one kind

    def _number(self, place: Place, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        number, parts = _term(place).number, []
        for word, value in schema.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            match word:
                case "minimum":
                    parts.append(number >= self._solver.number_value(value))
                case "maximum":
                    parts.append(number <= self._solver.number_value(value))
                case "exclusiveMinimum":
                    parts.append(number > self._solver.number_value(value))
                case "exclusiveMaximum":
                    parts.append(number < self._solver.number_value(value))
                case "multipleOf" if value > 0 and value == int(value):
                    parts.append(self._multiple(_term(place), int(value)))
                case "multipleOf":  # validators divide floats, which round
                    parts.append(self._free())
        return parts

    def _multiple(self, term: Term, value: int) -> Formula:
        bound = self._solver.number_value(value)
        return self._solver.whole(term.number / bound)

    def _string(self, place: Place, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        text, solver = _term(place).text, self._solver
        parts = self._lengths(schema, "minLength", "maxLength", lambda: solver.length(text))
        if isinstance(words := schema.get("pattern"), str):
            self._exact = False  # what is read describes at least what the pattern does
            with suppress(Irregular):
                parts.append(solver.described(text, pattern(words)))
        return parts

    def _array(self, place: Place, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        term, solver = _term(place), self._solver
        parts = self._lengths(schema, "minItems", "maxItems", lambda: term.length)
        first = schema.get("prefixItems")
        first, items = first if isinstance(first, list) else [], schema.get("items")
        if not first and items is None:
            return parts
        self._exact &= term.items is not None
        least = schema.get("minItems")
        # elements that are read, and those that a case must have
        must = min(least, ELEMENTS_MAX) if isinstance(least, int) else 0
        if isinstance(place, Cell):
            read = sorted({*place.elements, *(() if self._declared else range(must))})
            elements: list[tuple[int, Formula, Place]] = [
                (at, place.element(at).present, place.element(at)) for at in read
            ]
        else:
            elements = [(at, True, _place(each)) for at, each in enumerate(term.items or ())]
        for at, present, element in elements:
            inner = first[at] if at < len(first) else True if items is None else items
            parts.append(solver.implies(present, self.of(element, inner, depth - 1)))
        return parts

    def _lengths(
        self, schema: Mapping[str, Any], least: str, most: str, length: Callable[[], Formula]
    ) -> list[Formula]:
        parts, solver = [], self._solver
        if isinstance(bound := schema.get(least), int):
            parts.append(length() >= solver.integer_value(bound))
        if isinstance(bound := schema.get(most), int):
            parts.append(length() <= solver.integer_value(bound))
        return parts

    def _object(self, place: Place, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        solver, parts = self._solver, list[Formula]()
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in schema.get("required", ()) if isinstance(name, str)]
        for name in dict.fromkeys([*required, *properties]):
            present, member = self._member(place, name)
            if name in required:
                parts.append(present)
            if member is not None:
                inside = self.of(member, properties.get(name, True), depth - 1)
                parts.append(solver.implies(present, inside))
        hanging = schema.get("dependentRequired")
        for name, others in (hanging if isinstance(hanging, Mapping) else {}).items():
            there = solver.all(*(self._member(place, other)[0] for other in others))
            parts.append(solver.implies(self._member(place, name)[0], there))
        return parts

    def _member(self, place: Place, name: str) -> tuple[Formula, Place | None]:
        """Whether an object has a member, and the member."""
        if isinstance(place, Cell):
            self._members += name not in place.members
            if self._members > MEMBERS_MAX:
                return self._free(), None
            cell = place.member(name)
            if self._declared and not cell.is_declared:
                return self._free(), None
            return cell.present, cell
        if place.entries is None:
            return self._free(), None
        found = place.entries.get(name)
        return found is not None, None if found is None else _place(found)

    def _resolved(self, reference: str) -> Any:
        if reference == "#":
            return self._root
        found = self._root
        for part in reference.removeprefix("#/").split("/") if reference[:2] == "#/" else [""]:
            if not isinstance(found, Mapping) or part not in found:
                return self._free()
            found = found[part]
        return found


def _term(place: Place) -> Term:
    return place.term if isinstance(place, Cell) else place


def _place(term: Term) -> Place:
    return term if term.cell is None else term.cell
