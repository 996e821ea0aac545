"""The schema that editors get: what it accepts, what it refuses, and what it says of each field."""

import copy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from heliostat.engine.authoring import yaml12
from heliostat.engine.authoring.descriptions import FIELDS
from heliostat.engine.authoring.diagnostics import Findings
from heliostat.engine.authoring.json_schema import definition_schema
from heliostat.engine.authoring.model import STEP_TYPES
from heliostat.engine.authoring.source import Source

ROOT = Path(__file__).parents[3]
GOOD = sorted(
    [
        *(ROOT / "tests/engine/authoring/good").glob("*.yaml"),
        *(ROOT / "tests/engine/authoring/good").glob("*.json"),
        *(ROOT / "tests/patterns").rglob("*.yaml"),
        *(path for path in (ROOT / "examples").rglob("*.yaml") if "steps:" in path.read_text()),
    ]
)
SCHEMA = definition_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
WHOLE: dict[str, Any] = {
    "id": "d",
    "version": "1",
    "steps": [
        {"id": "a", "type": "activity", "activity": "m:a", "retry": {"max_attempts": 2}},
        {
            "id": "p",
            "type": "parallel",
            "branches": [{"name": "x", "steps": [{"id": "t", "type": "timer"}]}],
        },
        {"id": "b", "steps": [{"id": "w", "type": "wait", "any": [{"event": "e"}]}]},
    ],
}


def tree(file: Path) -> Any:
    source = Source(file.name, file.read_text(encoding="utf-8"))
    return yaml12.read(source, Findings(file.name, None, source))


def test_it_is_a_schema_of_the_2020_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("file", GOOD, ids=[file.name for file in GOOD])
def test_every_good_definition_fits(file: Path) -> None:
    assert [fault.message for fault in VALIDATOR.iter_errors(tree(file))] == []


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "stpes", []),
        (("steps", 0), "retires", 3),
        (("steps", 0), "type", "activty"),
        (("steps", 0), "output", 1),
        (("steps", 0), "timeout", 5),
        (("steps", 0), "timeout", "5 parsecs"),
        (("steps", 0), "join", "most"),
        (("steps", 0), "next", [{"if": "true", "to": "b"}]),
        (("steps", 0), "id", "no-name"),
        (("steps", 0, "retry"), "max_attempts", 0),
        (("steps", 0, "retry"), "attempts", 1),
        (("steps", 1), "steps", []),
        (("steps", 1, "branches", 0), "needs", []),
        (("steps", 1, "branches", 0, "steps", 0), "retry", {}),
        (("steps", 2), "type", "body"),
        (("steps", 2, "steps", 0, "any", 0), "evnt", "x"),
        ((), "version", 1),
        ((), "semaphores", {"llm": "many"}),
        ((), "handlers", [{"event": "e", "actions": [{"launch": {}}]}]),
    ],
)
def test_a_slip_is_refused(path: tuple[str | int, ...], key: str, value: Any) -> None:
    assert VALIDATOR.is_valid(WHOLE)
    wrong = copy.deepcopy(WHOLE)
    part: Any = wrong
    for step in path:
        part = part[step]
    part[key] = value
    assert not VALIDATOR.is_valid(wrong)


def test_every_field_says_what_it_is() -> None:
    used = set()
    for name, part in [("Definition", SCHEMA), *SCHEMA["$defs"].items()]:
        for field, found in part.get("properties", {}).items():
            assert len(found["description"]) >= len("For people."), (name, field)
            used.add(found["description"])
    assert {text for text in FIELDS.values() if text not in used} == set()


def test_a_step_is_one_of_the_types_or_a_body() -> None:
    named = {part["$ref"].rpartition("/")[2] for part in SCHEMA["$defs"]["Step"]["oneOf"]}
    assert named == {model.__name__ for model in STEP_TYPES.values()}
    for kind, model in STEP_TYPES.items():
        properties = SCHEMA["$defs"][model.__name__]["properties"]
        assert (properties["type"]["const"] == kind) if kind != "body" else "type" not in properties


def test_each_call_gives_a_tree_of_its_own() -> None:
    definition_schema()["properties"].clear()
    assert definition_schema() == SCHEMA
