"""What a JSON Schema promises of a value, as a formula about its cell.

Kinds, members, bounds, lengths, `enum`, `const` and combinations have formulas. Of `pattern`,
`format`, `not`, `if` and their like nothing is assumed, so that a case may breach them; whoever
tells a case has it validated first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from heliostat.engine.expressions.types import SCHEMA_DEPTH_MAX
from heliostat.verify.data.encoding import Encoder
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import Cell, literal

_KINDS: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})


def promised(cell: Cell, schema: Any, encoder: Encoder) -> Formula:
    """That the value of a cell meets a schema, as far as that has a formula.

    Members that the schema requires get cells of their own, for a case must have them.
    """
    return _Reader(cell.solver, schema, encoder).of(cell, schema, SCHEMA_DEPTH_MAX)


class _Reader:
    def __init__(self, solver: Solver, root: Any, encoder: Encoder) -> None:
        self._solver, self._root, self._encoder = solver, root, encoder
        self._certain = True  # not within one of several alternatives

    def of(self, cell: Cell, schema: Any, depth: int) -> Formula:
        solver, term = self._solver, cell.term
        if schema is False:
            return False
        if not isinstance(schema, Mapping) or depth == 0:
            return True
        if isinstance(reference := schema.get("$ref"), str):
            return self.of(cell, self._resolved(reference), depth - 1)
        parts: list[Formula] = [self._kinds(cell, schema)]
        if "const" in schema:
            parts.append(self._encoder.equal(term, literal(solver, schema["const"])))
        if isinstance(values := schema.get("enum"), list):
            parts.append(
                solver.any(*(self._encoder.equal(term, literal(solver, each)) for each in values))
            )
        for word in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(word), list):
                certain, self._certain = self._certain, False
                parts.append(solver.any(*(self.of(cell, each, depth - 1) for each in options)))
                self._certain = certain
        if isinstance(every := schema.get("allOf"), list):
            parts += [self.of(cell, each, depth - 1) for each in every]
        parts += [
            solver.implies(term.of(kind), part)
            for kind, make in (
                ("number", self._number),
                ("string", self._string),
                ("array", self._array),
            )
            if term.of(kind) is not False
            for part in make(cell, schema, depth)
        ]
        if term.of("object") is not False:
            parts.append(solver.implies(term.of("object"), self._object(cell, schema, depth)))
        return solver.all(*parts)

    def _kinds(self, cell: Cell, schema: Mapping[str, Any]) -> Formula:
        solver, term, stated = self._solver, cell.term, schema.get("type")
        names = [stated] if isinstance(stated, str) else stated
        if not isinstance(names, list):
            return solver.any(*(term.of(kind) for kind in sorted(_KINDS)))
        parts = []
        for name in names:
            if name == "integer" and term.of("number") is not False:
                parts.append(solver.all(term.of("number"), solver.whole(term.number)))
            else:
                parts.append(term.of(name))
        if self._certain and "integer" in names and "number" not in names:
            term.whole = True
        return solver.any(*parts)

    def _number(self, cell: Cell, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        number, parts = cell.term.number, []
        for word, value in schema.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            bound = self._solver.number_value(value)
            match word:
                case "minimum":
                    parts.append(number >= bound)
                case "maximum":
                    parts.append(number <= bound)
                case "exclusiveMinimum":
                    parts.append(number > bound)
                case "exclusiveMaximum":
                    parts.append(number < bound)
                case "multipleOf" if value:
                    parts.append(self._solver.whole(number / bound))
        return parts

    def _string(self, cell: Cell, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        text = cell.term.text
        return self._lengths(schema, "minLength", "maxLength", lambda: self._solver.length(text))

    def _array(self, cell: Cell, schema: Mapping[str, Any], depth: int) -> list[Formula]:
        length = cell.term.length
        parts = self._lengths(schema, "minItems", "maxItems", lambda: length)
        least = schema.get("minItems")
        items = schema.get("items")
        if items is not None:
            # elements that are read, and those that a case must have
            read = {*cell.elements, *range(min(least, 5) if isinstance(least, int) else 0)}
            for at in sorted(read):
                element = cell.element(at)
                inside = self.of(element, items, depth - 1)
                parts.append(self._solver.implies(element.present, inside))
        return parts

    def _lengths(
        self, schema: Mapping[str, Any], least: str, most: str, length: Any
    ) -> list[Formula]:
        parts, solver = [], self._solver
        if isinstance(bound := schema.get(least), int):
            parts.append(length() >= solver.integer_value(bound))
        if isinstance(bound := schema.get(most), int):
            parts.append(length() <= solver.integer_value(bound))
        return parts

    def _object(self, cell: Cell, schema: Mapping[str, Any], depth: int) -> Formula:
        solver, parts = self._solver, []
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in schema.get("required", ()) if isinstance(name, str)]
        for name in dict.fromkeys([*required, *properties]):
            member = cell.member(name)
            inside = self.of(member, properties.get(name, True), depth - 1)
            parts.append(solver.implies(member.present, inside))
            if name in required:
                parts.append(member.present)
        return solver.all(*parts)

    def _resolved(self, reference: str) -> Any:
        if reference == "#":
            return self._root
        found = self._root
        for part in reference.removeprefix("#/").split("/") if reference[:2] == "#/" else [""]:
            if not isinstance(found, Mapping) or part not in found:
                return True
            found = found[part]
        return found
