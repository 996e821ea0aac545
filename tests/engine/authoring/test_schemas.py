"""What values a schema takes, where Python's own reading of it would be another."""

from typing import Any

import pytest

from heliostat.engine.authoring.schemas import validator

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^AB$", "AB", True),
        ("^AB$", "AB\n", False),
        ("^(A$|B)", "A\n", False),
        ("^$", "\n", False),
        (r"\\$", "\\\n", False),
        (r"^a\$", "a$\n", True),
        ("^[$]", "$\n", True),
        ("^[]$]x", "$x", True),
        (r"^[\]$]x", "$x", True),
    ],
)
def test_a_dollar_is_the_end_of_the_text(pattern: str, text: str, fits: bool) -> None:
    validate = validator({"pattern": pattern})
    assert validate is not None
    assert (validate(text) is None) == fits


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"code": {"pattern": "^AB$"}}, "items": {"$ref": "#/$defs/code"}},
        {"$schema": DIALECT, "items": {"$ref": "#"}, "pattern": "^AB$"},
    ],
)
def test_it_is_so_behind_references(schema: dict[str, Any]) -> None:
    validate = validator(schema)
    assert validate is not None
    assert validate(["AB"]) is None
    assert validate(["AB\n"]) == "at `[0]`: 'AB\\n' does not match '^AB$'"
