"""The reference says what the code does: every code, every field, everything not built."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from heliostat.engine.authoring import bundle, not_built, yaml12
from heliostat.engine.authoring.aliases import policies, words
from heliostat.engine.authoring.checks.slots import DATA_FIELDS, EXPRESSION_FIELDS
from heliostat.engine.authoring.diagnostics import ALL_CODES
from heliostat.engine.authoring.fields import (
    Action,
    Alternative,
    Custom,
    DeclaredProperty,
    ErrorClause,
    Escalation,
    Handler,
    InterventionPoint,
    NextClause,
    Publication,
    Recipient,
    ResourceNeeds,
    RetryPolicy,
    Signalling,
    Starting,
    Triggering,
)
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import STEP_TYPES, Branch, Definition

DOCS = Path(__file__).parents[3] / "docs"
DEFINITIONS = (DOCS / "definitions.md").read_text(encoding="utf-8")
DIAGNOSTICS = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<names>`[^|]*`) \| (?P<kind>expression|data|constant|) ?\|", re.MULTILINE)


def classes() -> dict[str, str]:
    """Field → class, from the tables of the reference."""
    return {
        name: row["kind"].strip()
        for row in ROW.finditer(DEFINITIONS)
        for name in re.findall(r"`([^`]+)`", row["names"])
    }


def test_the_table_of_codes_is_that_of_the_code() -> None:
    table = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(ALL_CODES.items()))
    assert DIAGNOSTICS.endswith("| code | means |\n| --- | --- |\n" + table)


@pytest.mark.parametrize("model", [Definition, *STEP_TYPES.values()])
def test_every_field_is_in_a_table_with_its_class(model: type[BaseModel]) -> None:
    told = classes()
    for name, info in model.model_fields.items():
        field = info.alias or name
        assert field in told, f"docs/definitions.md has no row for `{field}`"
        if told[field]:
            expected = (
                "expression"
                if field in EXPRESSION_FIELDS
                else "data"
                if field in DATA_FIELDS and field != "type"
                else "constant"
            )
            assert told[field] == ("data" if field == "fail" else expected), field


@pytest.mark.parametrize(
    "model",
    [
        Action,
        Alternative,
        Branch,
        Custom,
        DeclaredProperty,
        ErrorClause,
        Escalation,
        Handler,
        InterventionPoint,
        NextClause,
        Publication,
        Recipient,
        ResourceNeeds,
        RetryPolicy,
        Signalling,
        Starting,
        Triggering,
    ],
)
def test_every_part_of_a_field_is_named(model: type[BaseModel]) -> None:
    for field in model.model_fields:
        assert re.search(rf"\b{field}\b", DEFINITIONS), field


def test_everything_not_built_is_listed() -> None:
    _, _, told = DEFINITIONS.partition("## Not built yet")
    names = {*not_built.DEFINITION_FIELDS, *not_built.STEP_FIELDS}
    names |= {field for fields in not_built.OTHER_FIELDS.values() for field in fields}
    names |= {f"{field}: {value}" for field, value in not_built.VALUES}
    assert set(re.findall(r"`([^`]+)`", told)) - {"HS012", "on_error"} == names


def test_all_other_words_are_listed() -> None:
    _, _, told = DEFINITIONS.partition("## Other words")
    for word in (*policies.POLICIES, *words.ACTIONS):
        assert f"`{word}`" in told, word


def test_the_examples_are_definitions() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DEFINITIONS, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        parse_definition(example)


def test_bounds_are_those_of_the_code() -> None:
    for bound in (yaml12.TEXT_CHARS_MAX, yaml12.DEPTH_MAX, yaml12.NODES_MAX):
        assert f"{bound:,}" in DEFINITIONS
    assert f"{bundle.BUNDLE_BYTES_MAX // 2**20} MiB" in DEFINITIONS
