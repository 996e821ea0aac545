"""Definitions for every construct, and the plans they compile to, as text.

`good/*.txt` says what the kernel gets of each; `--rewrite-diagnostics` writes it anew.
"""

import json
from pathlib import Path

import msgspec
import pytest

from heliostat.engine.authoring import Definition, load_definition, parse_definition
from heliostat.engine.authoring.canonical import canonical_body, content_hash
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import END, Edge, ErrorClause, Plan, StepPlan

FOLDER = Path(__file__).parent / "good"
GOOD = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*.json")])
IDS = [file.name for file in GOOD]


@pytest.mark.parametrize("file", GOOD, ids=IDS)
def test_plan_is_as_written(file: Path, request: pytest.FixtureRequest) -> None:
    printed = render(compile_plan(load_definition(file)))
    expected = file.with_suffix(".txt")
    if request.config.getoption("--rewrite-diagnostics", default=False):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", GOOD, ids=IDS)
def test_canonical_body_reads_back_as_the_same_definition(file: Path) -> None:
    definition = load_definition(file)
    body = canonical_body(definition)
    again = Definition.model_validate_json(body)
    assert canonical_body(again) == body
    assert content_hash(again) == content_hash(definition)
    assert compile_plan(again) == compile_plan(definition) or definition.input_schema
    assert canonical_body(parse_definition(body.decode(), "canonical.json")) == body


@pytest.mark.parametrize("file", GOOD, ids=IDS)
def test_hash_ignores_formatting_and_the_order_of_keys(file: Path) -> None:
    definition = load_definition(file)

    def reversed_keys(value: object) -> object:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return [reversed_keys(item) for item in value] if isinstance(value, list) else value

    other = json.dumps(reversed_keys(json.loads(canonical_body(definition))), indent=4)
    assert content_hash(parse_definition(other, "other.json")) == content_hash(definition)


def test_shorthands_and_written_defaults_do_not_change_the_hash() -> None:
    short = """
id: d
version: "1"
steps:
  - {id: a, type: activity, activity: m:a, next: b}
  - {id: b, type: decision}
"""
    long = """
id: d
version: "1"
namespace: default
steps:
  - {id: a, type: activity, activity: m:a, split: first, next: [{to: b}], timeout: null, retry: {}}
  - {id: b, type: decision, on_error: [], tags: {}}
"""
    assert content_hash(parse_definition(short)) == content_hash(parse_definition(long))


def test_a_null_in_a_data_field_is_a_value() -> None:
    text = 'id: d\nversion: "1"\nsteps: [{id: a, type: decision%s}]'
    without, with_null = parse_definition(text % ""), parse_definition(text % ", output: null")
    assert content_hash(without) != content_hash(with_null)
    assert compile_plan(without).steps[0].output is None
    assert compile_plan(with_null).steps[0].output is not None


def test_texts_are_read_by_yaml_1_2() -> None:
    step = load_definition(FOLDER / "texts.yaml").steps[0]
    assert step.type == "decision"
    assert step.output == {
        "norway": "no",
        "time": "12:30:45",
        "date": "2024-01-01",
        "under": "1_000",
        "octal": 15,
        "hex": 255,
        "float": 1000.0,
        "nothing": None,
        "empty": None,
        "literal": "$${ not an expression }",
        "block": "name: ${ $.input.name }\n",
        "tagged": "12",
    }


def test_json_is_read_with_tabs_and_surrogates() -> None:
    definition = load_definition(FOLDER / "tabs.json")
    assert definition.metadata == {"smile": "\U0001f600", "slash": "a/b", "tab": "a\tb"}


def render(plan: Plan) -> str:
    """A plan for people who review it."""
    root = plan.root
    lines = [
        f"{plan.namespace}/{plan.id} {plan.version}: {root.notation}, starts at {list(root.start)}",
        f"ends: {list(root.ends)}; output: {root.output}",
        f"variables: {dict(root.variables)}; deadline: {plan.deadline}; tags: {dict(plan.tags)}",
        f"reads of input: {_reads(plan.input_reads)}",
        f"validates: {plan.validate_input is not None}, {plan.validate_output is not None}",
    ]
    lines += [f"on_error: {_clause(clause)}" for clause in plan.on_error]
    for step in plan.steps:
        lines += ["", f"{step.number} {step.id} ({step.kind})", *_step(plan, step)]
    return "\n".join(lines) + "\n"


def _step(plan: Plan, step: StepPlan) -> list[str]:
    shown = {
        "join": step.join if step.join.kind not in ("any", "all") or step.arrivals else None,
        "needs": list(step.needs),
        "dependents": list(step.dependents),
        "arrivals": list(step.arrivals),
        "when": step.when,
        "deadline": step.deadline,
        "foreach": step.foreach,
        "input": step.input,
        "activity": step.activity,
        "timer": step.timer,
        "timeout_ms": step.timeout_ms,
        "grace_ms": step.grace_ms if step.grace_ms != 10_000 else None,
        "output": step.output,
        "fail": step.fail,
        "retry": step.retry if step.retry != type(step.retry)() else None,
        "assign": dict(step.assign),
        "append": dict(step.append),
        "split": step.split if step.split != "first" else None,
        "terminate": step.terminate,
        "reads": _reads(step.reads),
        "leads to": sorted(plan.root.reachable.get(step.number, ())),
    }
    lines = [
        f"  {name}: {value}"
        for name, value in shown.items()
        if value not in (None, [], {}, False, "")
    ]
    lines += [f"  on_error: {_clause(clause)}" for clause in step.on_error]
    return lines + [f"  next: {_edge(edge)}" for edge in step.routes]


def _edge(edge: Edge) -> str:
    target = "end" if edge.target == END else str(edge.target)
    return f"edge {edge.number} to {target}" + (f" when {edge.when.source}" if edge.when else "")


def _clause(clause: ErrorClause) -> str:
    follows = _edge(clause.edge) if clause.edge else clause.output or clause.fail
    when = f" when {clause.when.source}" if clause.when else ""
    return f"{clause.error or 'any'}{when}: {follows}"


def _reads(reads: tuple[object, ...]) -> str:
    plain = msgspec.to_builtins(reads)
    return ", ".join(f"{read['path']}{'' if read['whole'] else ' (value)'}" for read in plain)
