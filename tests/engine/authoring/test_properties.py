"""What holds for all definitions: round trips, and that nothing but a diagnostic ever comes out."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliostat.engine.authoring import Definition, Diagnostic, parse_definition
from heliostat.engine.authoring.canonical import canonical_body, content, content_hash
from heliostat.engine.authoring.loading import load_definition
from heliostat.engine.authoring.source import offsets_of
from heliostat.engine.authoring.versions import plan_of, register
from heliostat.engine.errors import DefinitionError
from heliostat.engine.plan.compile import compile_plan

SMALL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(
    # what YAML can hold unescaped; `$` begins expressions
    st.characters(exclude_characters="$\ufffe\uffff", exclude_categories=["Cs", "Cc"]),
    max_size=8,
)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
data = json_values | st.sampled_from(
    ["$.input.x", "${ $.vars.v }", "text ${ $.input.y } text", "${ len([1]) + 1 }", "$${ literal"]
)
conditions = st.sampled_from(["$.input.x > 1", "${ $.vars.v == 2 }", "true", "has($.input.y)"])
durations = st.sampled_from(["1s", "90s", "2d", "PT5M", "${ seconds(3) }"])


@st.composite
def steps(draw: st.DrawFn, index: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(["activity", "decision", "timer"]))
    step: dict[str, Any] = {"id": f"s{index}", "type": kind}
    match kind:
        case "activity":
            step["activity"] = draw(st.sampled_from(["m:a", "pack.module:b", "registered"]))
            step["input"] = draw(st.dictionaries(st.sampled_from("abc"), data, max_size=2))
            if draw(st.booleans()):
                step["retry"] = {"max_attempts": draw(st.integers(1, 5)), "on": ["ValueError"]}
            if draw(st.booleans()):
                step["timeout"] = draw(st.sampled_from(["1s", "PT2M"]))
        case "decision":
            step["output"] = draw(data)
        case "timer":
            step["duration"] = draw(durations)
    if draw(st.booleans()):
        step["assign"] = {"v": draw(data)}
    if draw(st.booleans()):
        step["foreach"] = "$.input.list"
        step["completion"] = draw(st.sampled_from(["all", "any", {"at_least": 1}, "all_done"]))
    if draw(st.booleans()):
        step["when"] = draw(conditions)
    if draw(st.booleans()):
        step["on_error"] = [{"error": "A", "output": draw(data)}]
    return step


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 5))
    listed = [draw(steps(index)) for index in range(count)]
    if draw(st.booleans()) and count > 1:
        for index, step in enumerate(listed):
            earlier = [f"s{i}" for i in range(index)]
            step["needs"] = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
            if step["needs"]:
                rules = ["all", "any", "all_done", {"at_least": len(step["needs"])}]
                step["join"] = draw(st.sampled_from(rules))
    else:
        for index, step in enumerate(listed[:-1]):
            clauses = [
                {
                    "when": draw(conditions),
                    "to": draw(st.sampled_from(["end", *(s["id"] for s in listed)])),
                }
                for _ in range(draw(st.integers(0, 2)))
            ]
            step["next"] = [*clauses, {"to": f"s{index + 1}"}]
    tree = {"id": "d", "version": "1", "vars": {"v": draw(data_without_vars)}, "steps": listed}
    if draw(st.booleans()):
        tree["output"] = draw(data)
    return tree


data_without_vars = json_values | st.sampled_from(["$.input.x", "a ${ $.input.y }"])


@SMALL
@given(definitions(), st.randoms(use_true_random=False))
def test_canonical_json_reads_back_with_the_same_hash_and_plan(tree: Any, random: Any) -> None:
    definition = parse_definition(json.dumps(shuffled(tree, random)))
    again = parse_definition(canonical_body(definition).decode())
    assert again == Definition.model_validate(content(definition))
    assert content_hash(again) == content_hash(definition)
    plan = compile_plan(definition)
    assert compile_plan(again) == plan
    stored = plan_of(register(definition))
    assert (stored.steps, stored.scopes, stored.edges) == (plan.steps, plan.scopes, plan.edges)


def shuffled(value: Any, random: Any) -> Any:
    """The same JSON with keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.shuffle(keys)
        return {key: shuffled(value[key], random) for key in keys}
    return [shuffled(item, random) for item in value] if isinstance(value, list) else value


FILES = sorted((Path(__file__).parent / "good").glob("*.yaml"))
TREES = [content(load_definition(file)) for file in FILES]
ODD_VALUES = [[], {}, "", "end", "$.", "${", "${ }", "$.steps.a.output", [[]], [{}]]
ODD_VALUES += [{"append": 1}, -1, 0, 1.5, "a", None]
odd = json_values | st.sampled_from(ODD_VALUES).map(copy.deepcopy)
FIELDS = ["next", "needs", "join", "x", "on_error", "steps", "type", "end", "split", "vars", "id"]
SNIPPETS = [
    "\t",
    "&a ",
    "*a",
    "!!x ",
    "- ",
    ": ",
    "{",
    "]",
    "|\n",
    "\n---\n",
    "%YAML 1.1\n",
    "'",
    '"',
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below one."""
    children: Any = ()
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
    found = list[tuple[Any, ...]]()
    for key, item in children:
        found += [(*path, key), *paths(item, (*path, key))]
    return found


@settings(SMALL, max_examples=300)
@given(st.sampled_from(TREES), st.data())
def test_a_damaged_definition_gives_diagnostics_and_nothing_else(
    tree: Any, draw: st.DataObject
) -> None:
    tree = json.loads(json.dumps(tree))
    for _ in range(draw.draw(st.integers(1, 3))):
        damage(tree, draw)
    told = faults(json.dumps(tree, indent=1))
    assert all(fault.line for fault in told)


def damage(tree: Any, draw: st.DataObject) -> None:
    """Replace, remove or add one value somewhere."""
    path = draw.draw(st.sampled_from(paths(tree) or [()]))
    owner = tree
    for key in path[:-1]:
        owner = owner[key]
    how = draw.draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "add" or not path:
        if isinstance(owner, dict):
            owner[draw.draw(st.sampled_from(FIELDS))] = draw.draw(odd)
        else:
            owner.append(draw.draw(odd))
    elif how == "replace":
        owner[path[-1]] = draw.draw(odd)
    else:
        owner.pop(path[-1])


@settings(SMALL, max_examples=200)
@given(st.sampled_from([file.read_text(encoding="utf-8") for file in FILES]), st.data())
def test_damaged_text_gives_diagnostics_and_nothing_else(text: str, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(text)))
    end = draw.draw(st.integers(start, min(len(text), start + 40)))
    middle = draw.draw(st.text(max_size=6) | st.sampled_from(SNIPPETS))
    faults(text[:start] + middle + text[end:])


def faults(text: str) -> Sequence[Diagnostic]:
    """What is told of a text; nothing, if it is a definition that compiles."""
    try:
        compile_plan(parse_definition(text, "damaged"))
    except DefinitionError as error:
        told = error
    else:
        return ()
    assert str(told).startswith("damaged has ")
    assert told.diagnostics
    return told.diagnostics


@SMALL
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_every_character_of_a_quoted_text_is_found(text: str) -> None:
    single = "'" + text.replace("'", "''") + "'"
    for raw, style in (
        (json.dumps(text), '"'),
        (json.dumps(text, ensure_ascii=False), '"'),
        (single, "'"),
    ):
        offsets = offsets_of(raw, text, style)
        assert len(offsets) == len(text) + 1
        assert offsets == sorted(offsets)
        for char, offset in zip(text, offsets, strict=False):
            if not char.isspace():
                assert raw[offset] in (char, "\\")
        assert raw[offsets[-1]] == raw[-1]
