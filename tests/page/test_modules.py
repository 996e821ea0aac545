"""The page's pure modules, in the browser that runs them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from playwright.sync_api import Browser, Page

from .browser import opened, probe
from .histories import graphs, histories


@pytest.fixture(scope="module")
def folded(request: pytest.FixtureRequest) -> Any:
    """Every history, folded by the page; one trip to the browser."""
    browser: Browser = request.getfixturevalue("browser")
    told = [{"graph": each.graph, "events": each.events} for each in histories()]
    with opened(browser, request.getfixturevalue("files").url) as page:
        page.goto("/page/vendor/d3/LICENSE")
        return probe(page, "fold", told)


class TestFold:
    """What the page draws of a moment is what the server said when it was."""

    def test_the_steps_of_a_history_are_what_the_server_says(self, folded: Any) -> None:
        wrong = [
            f"{told.name}: {id}.{field}: {mine.get(field)} {step.get(field)}"
            for told, ours in zip(histories(), folded, strict=True)
            for id, step in told.steps.items()
            for mine in [ours["steps"].get(id, {"status": "Pending", "visits": 0})]
            for field in ("status", "visits", "items")
            if not _agree(field, mine, step)
        ]
        assert not wrong, f"{len(wrong)} differ\n" + "\n".join(wrong[:20])

    def test_every_earlier_moment_can_be_drawn_again(self, folded: Any) -> None:
        assert all(each["replays"] for each in folded)

    def test_a_status_at_each_end(self, folded: Any) -> None:
        for told, ours in zip(histories(), folded, strict=True):
            ends = [e["type"].removeprefix("execution.") for e in told.events]
            last = next(
                (e for e in reversed(ends) if e in ("completed", "failed", "canceled")), None
            )
            if last == ends[-1]:
                assert ours["status"].lower() == last


def _agree(field: str, mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if field == "items" and (theirs.get("items") is None or mine.get("items") is None):
        return True  # the server keeps branches of a parallel step there as well
    if field == "status" and theirs.get("phase") in ("queued", "held"):
        return True  # waiting for a semaphore: no event says so
    return bool(mine.get(field) == theirs.get(field))


class TestLayout:
    """A graph can be read: nothing overlaps, and what is inside a box is drawn inside it."""

    def test_steps_of_a_scope_do_not_overlap_and_lie_within_their_box(self, modules: Page) -> None:
        placed = probe(modules, "place", graphs())
        for graph, one in zip([g for g in graphs() for _ in range(3)], placed, strict=True):
            boxes = {box["id"]: box for box in one["boxes"]}
            assert len(boxes) == len(graph["nodes"])
            owners = {scope["id"]: scope["step"] for scope in graph["scopes"]}
            for box in boxes.values():
                assert 0 <= box["x"] <= one["width"], graph["definition_id"]
                assert box["x"] + box["width"] <= one["width"] + 1
                owner = boxes.get(owners[box["scope"]])
                assert owner is None or _within(box, owner), (graph["definition_id"], box["id"])
                for other in boxes.values():
                    same = other["scope"] == box["scope"] and other is not box
                    assert not (same and _overlap(box, other)), (box["id"], other["id"])
            assert all(isinstance(x, int | float) for edge in one["edges"] for x in edge)

    def test_three_thousand_steps_are_placed_while_one_waits(self, modules: Page) -> None:
        took = probe(modules, "placeMany", 3000)
        assert took["nodes"] == 3000
        assert took["ms"] < 30_000  # minutes, with the layout that small graphs have


def _within(box: dict[str, float], owner: dict[str, float]) -> bool:
    return (
        box["x"] >= owner["x"]
        and box["y"] >= owner["y"]
        and box["x"] + box["width"] <= owner["x"] + owner["width"]
        and box["y"] + box["height"] <= owner["y"] + owner["height"]
    )


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"]
        and b["y"] < a["y"] + a["height"]
    )


FORM = {
    "type": "object",
    "required": ["approved", "amount"],
    "properties": {
        "approved": {"type": "boolean"},
        "amount": {"type": "number", "minimum": 0, "exclusiveMaximum": 100},
        "count": {"type": "integer"},
        "kind": {"enum": ["a", "b", 3]},
        "name": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "who": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string"}, "age": {"type": ["integer", "null"]}},
        },
        "lines": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2},
        "ref": {"$ref": "#/$defs/small"},
    },
    "$defs": {"small": {"type": "integer", "maximum": 5}},
}
VALUES: list[Any] = [
    {"approved": True, "amount": 3},
    {},
    {"approved": "yes", "amount": 3},
    {"approved": True, "amount": -1},
    {"approved": True, "amount": 100},
    {"approved": True, "amount": 1, "count": 1.5},
    {"approved": True, "amount": 1, "count": 2.0},
    {"approved": True, "amount": 1, "kind": "c"},
    {"approved": True, "amount": 1, "kind": 3},
    {"approved": True, "amount": 1, "name": "x"},
    {"approved": True, "amount": 1, "name": "abcde"},
    {"approved": True, "amount": 1, "name": "AB"},
    {"approved": True, "amount": 1, "who": {}},
    {"approved": True, "amount": 1, "who": {"id": "1", "age": None}},
    {"approved": True, "amount": 1, "who": {"id": "1", "age": "old"}},
    {"approved": True, "amount": 1, "lines": []},
    {"approved": True, "amount": 1, "lines": [1, "2"]},
    {"approved": True, "amount": 1, "lines": [1, 2, 3]},
    {"approved": True, "amount": 1, "ref": 6},
    {"approved": True, "amount": 1, "ref": 5},
    [],
    None,
]


class TestForm:
    def test_faults_are_found_where_the_server_finds_them(self, modules: Page) -> None:
        found = probe(
            modules,
            "schemaFaults",
            [FORM, VALUES],
        )
        checker = jsonschema.Draft202012Validator(FORM)
        for value, paths in zip(VALUES, found, strict=True):
            wanted = {_place(error) for error in checker.iter_errors(value)}
            assert {tuple(path) for path in paths} == wanted, value

    def test_fields_come_as_written_and_where_that_is_lost_the_required_first(
        self, modules: Page
    ) -> None:
        written, lost = (
            {"type": "object", "required": ["b"], "properties": {name: {} for name in names}}
            for names in ("cab", "abc")
        )
        assert probe(modules, "fieldNames", [written, lost]) == [[*"cab"], [*"bac"]]

    def test_a_refusal_is_led_to_its_field(self, modules: Page) -> None:
        paths = probe(
            modules,
            "paths",
            ["output.lines[0].sku", "amount", "$.who.id", "output", ""],
        )
        assert paths == [["lines", 0, "sku"], ["amount"], ["who", "id"], [], []]


def _place(error: jsonschema.ValidationError) -> tuple[Any, ...]:
    """Where a form shows it: a missing field at the field."""
    path = tuple(error.absolute_path)
    if error.validator == "required":
        return (*path, error.message.split("'")[1])
    return path


class TestSmallParts:
    def test_addresses_keep_whatever_an_id_may_hold(self, modules: Page) -> None:
        ids = ["a/b", "<img src=x>", "50%", "?q=#", "a b", "é~1:2", "..", "%2F"]
        back = probe(
            modules,
            "addresses",
            ids,
        )
        for id, place in zip(ids, back, strict=True):
            assert place == {"parts": ["executions", id], "query": {"step": id}}

    def test_what_is_wrong_with_a_text_as_json_is_told_with_its_place(self, modules: Page) -> None:
        told = self.json_faults(
            modules,
            ['{"a": 1,\n  b: 2}', '{"a": ', "[1, 2,]", '{"a" 1}', "[1 2]", "'a'", "{} x", '"a\\q"'],
        )
        assert told == [
            "line 2, column 3: a name in double quotes is wanted here",
            "line 1, column 7: the text ends too early; a value is wanted here",
            "line 1, column 7: no “,” may stand before “]”",
            "line 1, column 6: “:” is wanted here",
            "line 1, column 4: “,” or “]” is wanted here",
            "line 1, column 1: texts stand in double quotes",
            "line 1, column 4: nothing may follow here",
            "line 1, column 1: this text has no end, or holds what must be written with \\",
        ]

    def test_the_page_and_python_agree_on_what_is_json(self, modules: Page) -> None:
        texts = [
            *(
                "0",
                "-1.5e+3",
                "01",
                "1.",
                ".5",
                "+1",
                "NaN",
                "truex",
                "[]",
                "[[]]",
                "{}",
                '{"": null}',
            ),
            *(
                '"\\u00e9"',
                '"\\u00e"',
                '"a\nb"',
                "[1,]",
                "[,1]",
                "{,}",
                '{"a":1 "b":2}',
                "nul",
                "-",
            ),
            *("1 ", " [ 1 , { } ] ", '{"a":{"b":[1,"x",false]}}', "[1][2]", '"a" "b"', "\u00a01"),
        ]
        for text, fault in zip(texts, self.json_faults(modules, texts), strict=True):
            assert (fault is None) == is_json(text), (text, fault)

    def json_faults(self, modules: Page, texts: list[str]) -> Any:
        return probe(
            modules,
            "jsonFaults",
            texts,
        )

    def test_back_off_grows_to_its_bound_and_never_vanishes(self, modules: Page) -> None:
        waits = probe(modules, "backoffs", 40)
        assert all(0 < low < high <= 8_000 * 1.3 for low, high in waits)
        assert waits[0][1] < 500

    def test_durations_read_as_people_say_them(self, modules: Page) -> None:
        told = probe(
            modules,
            "durations",
            [0, 999, 4_200, 61_000, 3_600_000, 90_061_000],
        )
        assert told == ["0 ms", "999 ms", "4.2 s", "1 min 1 s", "1 h", "1 d 1 h"]


def is_json(text: str) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


class TestLanes:
    def test_a_crowded_lane_tells_how_many_ran_at_one_instant(self, modules: Page) -> None:
        """Those that follow each other within one column of the picture were not at once."""
        one_after_the_other = [[0, 10]] * 8 + [[10, 20]] * 8
        assert probe(modules, "peak", one_after_the_other) == 8
        assert probe(modules, "peak", [[5, 5]] * 8) == 0
