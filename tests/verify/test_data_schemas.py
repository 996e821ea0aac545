"""JSON Schemas as formulas: what meets one is never ruled out, and most that does not is."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.authoring.schemas import validator
from heliostat.engine.expressions import type_from_schema
from heliostat.engine.expressions.types import JSON
from heliostat.verify.data.encoding import Encoder
from heliostat.verify.data.notes import Notes
from heliostat.verify.data.patterns import Irregular, pattern
from heliostat.verify.data.schemas import MEMBERS_MAX, promised
from heliostat.verify.data.solver import Solver
from heliostat.verify.data.terms import Cell, Unknowns, literal

TEXTS = ("", "a", "b", "ab", "aa", "AB", "A1", "12", "2026-01-02", "a b", "a\n", "x@y.z", "é", "٣")

PATTERNS = (
    *("a", "^a", "a$", "^a$", "^a|b$", "^(a|b)$", "^(?:ab)+$", "^[a-z]*$", "^[^a-z]+$", "^.b$"),
    *(r"^\d{2}$", r"^\D+$", r"^\w+@\w+\.\w+$", r"^\d{4}-\d{2}-\d{2}$", "^a{2,}$", "^a{0,1}b?$"),
    *("^[A-Z][0-9]$", r"\s", r"^[\w-]+$", r"^[^\d]+$", "", "^$", "a*?b", r"^\S+ \S+$", "[.]", "é"),
)


@pytest.fixture(scope="module")
def solver() -> Solver:
    return Solver()


@pytest.mark.parametrize("words", PATTERNS)
def test_a_pattern_describes_what_validators_take(solver: Solver, words: str) -> None:
    language = pattern(words)
    takes = validator({"pattern": words})
    assert takes is not None
    for text in TEXTS:
        found = solver.ask(solver.described(solver.text_value(text), language)) == "possible"
        taken = takes(text) is None
        if text.isascii():
            assert found == taken, text
        else:
            assert found or not taken, text  # beyond ASCII dialects differ


@pytest.mark.parametrize(
    "words",
    [
        *(
            r"a\b",
            "(?=a)",
            "(?<n>a)",
            r"(a)\1",
            "a++",
            "(^a)",
            "a$b",
            "[",
            "(",
            "a{1000}",
            "*",
            "a)",
        ),
        *("[[a]]", "a{", r"\p{L}", "a" * 300, "(" * 30 + ")" * 30, "[b-a]"),
    ],
)
def test_what_is_not_regular_is_not_read(words: str) -> None:
    with pytest.raises(Irregular):
        pattern(words)


VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, 2, 3, 4.5, 6, -3, 10, "", "a", "ab", "AB", "abc"),
    *(
        [],
        [1],
        ["a"],
        [1, "a"],
        [1, 2, 3],
        {},
        {"a": 1},
        {"b": "x"},
        {"a": 1, "b": "x"},
        {"a": "x"},
    ),
)
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}

EXACT: tuple[Any, ...] = (
    {"type": "integer"},
    {"type": ["number", "null"], "exclusiveMinimum": 1, "exclusiveMaximum": 10},
    {"type": "number", "multipleOf": 3},
    {"type": "integer", "multipleOf": 2, "minimum": 1, "maximum": 6},
    {"type": "string", "minLength": 1, "maxLength": 2},
    {"type": "string", "pattern": "^[a-z]+$"},
    {"enum": ["a", 1, None, True]},
    {"const": 3},
    {"not": {"type": "string"}},
    {"type": "number", "not": {"minimum": 3}},
    {"oneOf": [{"type": "number", "minimum": 2}, {"type": "number", "multipleOf": 3}]},
    {"if": {"type": "number"}, "then": {"minimum": 2}, "else": {"type": "string"}},
    {"if": {"const": 3}, "then": False},
    {"allOf": [{"type": "number"}, {"minimum": 2}]},
    {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "boolean"}]},
    {**OBJECT, "required": ["a"]},
    {**OBJECT, "dependentRequired": {"a": ["b"]}},
    {**OBJECT, "not": {"required": ["b"]}},
    {"type": "array", "maxItems": 2, "minItems": 1},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"type": "string", "format": "date"},
)

FREE: tuple[Any, ...] = (
    {"type": "number", "multipleOf": 1.5},
    {"type": "array", "uniqueItems": True},
    {"type": "array", "contains": {"const": 1}},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"type": "object", "maxProperties": 1},
    {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
    {"not": {"type": "array", "contains": {"const": 1}}},
    {"not": {"type": "string", "pattern": "^[a-z]+$"}},
    {"type": "string", "pattern": "(?=b)"},
    {"oneOf": [{"type": "array", "uniqueItems": True}, {"type": "array", "maxItems": 1}]},
    {"if": {"type": "string", "pattern": "a"}, "then": {"minLength": 2}},
)


@pytest.mark.parametrize("schema", [*EXACT, *FREE])
def test_what_meets_a_schema_is_never_ruled_out(solver: Solver, schema: dict[str, Any]) -> None:
    fits = validator(schema)
    assert fits is not None
    for value in VALUES:
        found = possible(solver, schema, value)
        if fits(value) is None:
            assert found, value
        elif schema in EXACT:
            assert not found, value
    assert all(fits(value) is None for value in VALUES) is False


def possible(solver: Solver, schema: dict[str, Any], value: Any) -> bool:
    """Whether a value may be what a schema is promised of."""
    notes, name = Notes(), solver.label("x")
    unknowns = Unknowns(solver, name)
    encoder = Encoder(solver, unknowns, lambda path: None, lambda node: (), notes)
    cell = Cell(solver, name, JSON if "type" not in schema else type_from_schema(schema))
    if isinstance(value, list):
        for at in range(len(value)):
            cell.element(at)
    meets = promised(cell, schema, encoder)
    if isinstance(value, dict):  # it has these members, and no others that are looked at
        same = [
            *(cell.member(name).present for name in value),
            *(
                encoder.equal(cell.member(name).term, literal(solver, each))
                for name, each in value.items()
            ),
            *(solver.no(each.present) for name, each in cell.members.items() if name not in value),
            cell.term.of("object"),
        ]
    else:
        same = [encoder.equal(cell.term, literal(solver, value))]
    return solver.ask(meets, *same) == "possible"


def test_members_beyond_a_bound_are_anything() -> None:
    within = {"type": "object", "properties": {f"n{at}": {"type": "null"} for at in range(30)}}
    schema = {"type": "object", "properties": {f"m{at}": within for at in range(30)}}
    solver = Solver()
    encoder = Encoder(solver, Unknowns(solver), lambda path: None, lambda node: (), Notes())
    cell = Cell(solver, "x", JSON)
    solver.assume(promised(cell, schema, encoder))
    assert len([*cell.below()]) == 1 + MEMBERS_MAX
    first, last = (cell.member(f"m{at}").member("n0").term.of("null") for at in (0, 29))
    assert solver.ask(solver.no(first)) == "impossible"
    assert solver.ask(solver.no(last)) == "possible"
