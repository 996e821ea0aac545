"""What holds for all definitions: round trips, and that nothing but a diagnostic ever comes out."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliostat.engine.authoring.canonical import canonical_body, content, content_hash
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.source import offsets_of
from heliostat.engine.authoring.versions import plan_of, register
from heliostat.engine.errors import DefinitionError
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import END, Plan

SMALL = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])

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


KINDS = ["activity", "decision", "timer", "wait", "human", "sub_workflow", "script"]
KINDS += ["service_call", "body", "parallel"]
FORM = {"type": "object", "required": ["b", "a"], "properties": {"b": {}, "a": {"type": "string"}}}
people = st.sampled_from(["ann", ["ann", "group:ops"], "$.input.who", "${ $.vars.v }"])


@st.composite
def steps(draw: st.DrawFn, id: str, depth: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS if depth else KINDS[:-2]))
    step: dict[str, Any] = {"id": id}
    if kind != "body":
        step["type"] = kind
    match kind:
        case "body":
            step["steps"] = draw(scopes(id, depth - 1))
            step["vars"] = {"own": draw(data_without_vars)}
            if draw(st.booleans()):
                step["output"] = draw(data)
            if draw(st.booleans()):
                step["retry"] = {"max_attempts": 2}
        case "parallel":
            step["branches"] = [
                {"name": name, "steps": draw(scopes(f"{id}_{name}", depth - 1))}
                for name in ("l", "r")
            ]
            step["completion"] = draw(st.sampled_from(["all", "any", {"at_least": 2}, "all_done"]))
        case "wait":
            where = draw(st.sampled_from(["$.event.data == 1", "true"]))
            one: list[dict[str, Any]] = [
                {"event": "order.paid", "where": where},
                {"name": "n", "signal": "go"},
                {"timer": draw(durations)},
            ]
            if draw(st.booleans()):
                step |= draw(st.sampled_from([one[0], {"signal": "go"}, one[2]]))
            else:
                step["any"] = draw(st.permutations(one))[: draw(st.integers(1, 3))]
        case "human":
            step |= {"assignees": draw(people), "input": draw(data)}
            if draw(st.booleans()):
                step |= {"form": FORM, "intervention_point": "ops"}
            if draw(st.booleans()):
                step["escalate"] = draw(st.sampled_from([[], [{"after": "1h", "assignees": "a"}]]))
        case "sub_workflow":
            step |= {"workflow": "w", "input": draw(data)}
            if draw(st.booleans()):
                step |= draw(st.sampled_from([{"version": "latest"}, {"detached": True}]))
        case "script":
            step |= {"language": "shell", "source": draw(texts | st.just("${HOME} $.x"))}
            step["env"] = {"B": draw(texts), "A": "$.secrets.k", "C": "x ${ $.input.x }"}
        case "service_call":
            step |= {"url": "https://x/${ $.input.x }", "body": draw(data), "query": draw(data)}
            if draw(st.booleans()):
                step |= {"expect": 204, "uses": {"llm": 1}}
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
        # side by side, outer variables may be extended only
        step["assign"] = {"seen": {"append": draw(data)}}
    if draw(st.booleans()):
        step["publish"] = [{"event": "done", "data": draw(data)}, {"event": "bare"}]
    if draw(st.booleans()):
        step["deadline"] = draw(st.sampled_from(["1h", {"business_days": 2}]))
    if kind != "parallel" and draw(st.booleans()):
        step["foreach"] = "$.input.list"
        step["completion"] = draw(st.sampled_from(["all", "any", {"at_least": 1}, "all_done"]))
    if draw(st.booleans()):
        step["when"] = draw(conditions)
    if draw(st.booleans()):
        step["on_error"] = [{"error": "A", "output": draw(data)}]
    return step


@st.composite
def scopes(draw: st.DrawFn, key: str, depth: int) -> list[dict[str, Any]]:
    """The steps of one scope, in one of the notations."""
    count = draw(st.integers(1, 5 if depth == DEPTH else 3))
    listed: list[dict[str, Any]] = [draw(steps(f"{key}{i}", depth)) for i in range(count)]
    ids = [step["id"] for step in listed]
    if draw(st.booleans()) and count > 1:
        for index, step in enumerate(listed):
            earlier = ids[:index]
            step["needs"] = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
            if step["needs"]:
                rules = ["all", "any", "all_done", {"at_least": len(step["needs"])}]
                step["join"] = draw(st.sampled_from(rules))
    else:
        for index, step in enumerate(listed[:-1]):
            clauses = [
                {
                    "when": draw(conditions),
                    "to": draw(st.sampled_from(["end", *ids])),
                }
                for _ in range(draw(st.integers(0, 2)))
            ]
            step["next"] = [*clauses, {"to": ids[index + 1]}]
    for index, step in enumerate(listed):
        others = [id for id in ids if id != step["id"]]
        if others and index and draw(st.booleans()):
            step["cancels"] = [draw(st.sampled_from(others))]
    return listed


DEPTH = 2


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "id": "d",
        "version": "1",
        "vars": {"v": draw(data_without_vars), "seen": []},
        "semaphores": {"llm": 2, "disk": 1},
        "intervention_points": [{"id": "ops", "candidates": draw(people), "form": FORM}],
        "steps": draw(scopes("s", DEPTH)),
    }
    if draw(st.booleans()):
        tree["handlers"] = [
            {"event": "e", "actions": [{"pause": {}}, {"custom": {"activity": "m:f"}}]},
            {"id": "h", "event": "f", "where": "true", "actions": [{"cancel": {"execution": "x"}}]},
        ]
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
    plan = without_forms(compile_plan(definition))
    assert without_forms(compile_plan(again)) == plan
    stored = without_forms(plan_of(register(definition)))
    assert (stored.steps, stored.scopes, stored.edges) == (plan.steps, plan.scopes, plan.edges)
    assert stored.handlers == plan.handlers


def without_forms(plan: Plan) -> Plan:
    """A plan but for the functions that forms become: they are made anew each time."""
    return replace(
        plan,
        steps=tuple(
            replace(step, human=replace(step.human, validate=None)) if step.human else step
            for step in plan.steps
        ),
    )


@SMALL
@given(definitions())
def test_a_plan_is_what_plan_py_promises(tree: Any) -> None:
    plan = compile_plan(parse_definition(json.dumps(tree)))
    assert [step.number for step in plan.steps] == [*range(len(plan.steps))]
    assert [scope.number for scope in plan.scopes] == [*range(len(plan.scopes))]
    assert [edge.number for edge in plan.edges] == [*range(len(plan.edges))]
    assert sorted(n for scope in plan.scopes for n in scope.steps) == [*range(len(plan.steps))]
    for scope in plan.scopes:
        for number in scope.steps:
            step = plan.steps[number]
            assert step.scope == scope.number
            assert not (step.routes if scope.notation == "dag" else step.needs)
            assert {edge.target for edge in step.routes} <= {*scope.steps, END}
            assert {*step.needs, *step.dependents, *step.cancels} <= {*scope.steps}
            assert all(plan.scopes[inner].owner == number for inner in step.scopes)
        assert {*scope.start, *scope.ends} <= {*scope.steps}
        assert scope.start


def shuffled(value: Any, random: Any) -> Any:
    """The same JSON with keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.shuffle(keys)
        return {key: shuffled(value[key], random) for key in keys}
    return [shuffled(item, random) for item in value] if isinstance(value, list) else value


FILES = sorted((Path(__file__).parent / "good").glob("*.yaml"))
TREES = [content(load_definition(file)) for file in FILES]
ODD_VALUES: list[Any] = [[], {}, "", "end", "$.", "${", "${ }", "$.steps.a.output", [[]], [{}]]
ODD_VALUES += [{"append": 1}, -1, 0, 1.5, "a", None, {"business_days": 1}, ["a"], [{"to": "a"}]]
ODD_VALUES += [{"at_least": 3}, "$.secrets.k", "$.event.data", "$.steps.x.items[0]", {"per": "x"}]
odd = json_values | st.sampled_from(ODD_VALUES).map(copy.deepcopy)
FIELDS = ["next", "needs", "join", "x", "on_error", "steps", "type", "end", "split", "vars", "id"]
FIELDS += ["branches", "foreach", "as", "completion", "cancels", "uses", "any", "event", "signal"]
FIELDS += ["timer", "where", "publish", "human", "trigger", "handlers", "semaphores", "deadline"]
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
