"""The OpenAPI document and docs/http.md say what there is, and their examples work."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from heliostat.actors.client import values
from heliostat.api.http import asking, bringing, errors, gathering, inspecting
from heliostat.api.http.app import OPERATIONS, create_app
from heliostat.api.http.document import document
from heliostat.api.http.door import Way
from heliostat.api.http.routes import executions, starting
from heliostat.api.http.routing import Operation
from heliostat.engine.errors import HeliostatError, Unreachable
from tests.http.conftest import Door

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
ALL = list(chain(*OPERATIONS))


NEVER_SENT = {"SYNTAX_PROBLEM", "DATA_PROBLEMS", "HISTORY_MISFIT"}
"""Become diagnostics where a definition is checked, or what a host says of an execution that does
not go on; nobody else meets them."""


def nobody() -> Way:
    raise Unreachable("only the document is wanted")


TOLD: dict[str, Any] = document(create_app(nobody), ALL)


def told_of(each: Operation) -> dict[str, Any]:
    found: dict[str, Any] = TOLD["paths"][each.path][each.method.lower()]
    return found


def checked(value: Any, schema: Any) -> None:
    """Fails unless the value has the schema, with references into the document."""
    Draft202012Validator({**schema, "components": TOLD["components"]}).validate(value)


def subclasses(kind: type[HeliostatError]) -> set[type[HeliostatError]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


@pytest.mark.parametrize("each", ALL, ids=lambda each: f"{each.method} {each.path}")
class TestOperation:
    def test_it_is_on_the_page(self, each: Operation) -> None:
        path = each.path.removeprefix("/api/v1")
        short = path.rpartition("}")[2]
        assert f"{each.method} {path}" in PAGE or (short and f"`{short}" in PAGE)

    def test_it_says_what_it_is_for(self, each: Operation) -> None:
        assert told_of(each)["summary"]

    def test_the_example_of_its_answer_has_its_shape(self, each: Operation) -> None:
        for status, answer in told_of(each)["responses"].items():
            content = answer["content"]["application/json"]
            if status in ("200", "201") and "example" in content:
                checked(content["example"], content["schema"])

    def test_the_examples_of_its_body_have_its_shape(self, each: Operation) -> None:
        if each.body is None:
            return
        content = told_of(each)["requestBody"]["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            checked(example["value"], content["schema"])
            each.body.model_validate(example["value"])

    def test_its_faults_are_documented(self, each: Operation) -> None:
        answers = told_of(each)["responses"]
        wanted = {"400", "503"} | ({"413", "415", "403"} if each.body is not None else set())
        wanted |= {"404"} if "{id}" in each.path and "validate" not in each.path else set()
        assert wanted <= set(answers)
        assert "422" not in answers


def test_every_code_is_on_the_page_with_its_status() -> None:
    section = PAGE.partition("## Errors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", section, re.MULTILINE)
    told = {code: int(status) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert told == dict(errors.STATUSES)


def test_every_error_of_ours_has_a_status() -> None:
    public = [each for each in subclasses(HeliostatError) if each.__module__.endswith(".errors")]
    codes = {each.code for each in public if each.code not in NEVER_SENT}
    assert {errors.WIRE_CODES.get(code, code) for code in codes} <= set(errors.STATUSES)


def test_every_bound_has_its_value_on_the_page() -> None:
    mib = 1024 * 1024
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", PAGE.partition("## Bounds")[2], re.MULTILINE)
    assert dict(rows[2:]) == {
        "a body": f"{asking.BODY_BYTES_MAX // mib} MiB",
        "a body with a definition": f"{bringing.TEXT_BYTES_MAX // mib} MiB",
        "nesting of JSON": f"{asking.DEPTH_MAX} levels",
        "starts of a batch": f"{starting.ITEMS_MAX:,}",
        "starts that wait in a replica": f"{gathering.QUEUED_MAX:,}",
        "rows of a page": "100",
        "events of a part of a history": "1,000",
        "waiting for a result": f"{executions.WAIT_S:g} s",
        "importing the modules of a definition": f"{inspecting.LOOK_S:g} s",
        "values in blobs that a result brings": f"{values.JSON_BYTES_MAX // mib} MiB",
    }


async def test_it_is_handed_out(door: Door) -> None:
    found = await door.get("/openapi.json")
    assert found["openapi"].startswith("3.1")
    assert set(found["paths"]) == set(TOLD["paths"])


async def test_nothing_of_the_answers_loads_from_elsewhere(door: Door) -> None:
    for path in ("/docs", "/redoc"):
        assert (await door.client.get(path)).status_code == 404
