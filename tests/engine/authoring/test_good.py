"""Definitions for every construct, and the plans they compile to, as text.

`good/*.txt` says what the kernel gets of each; `--rewrite-diagnostics` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliostat.engine.authoring.canonical import canonical_body, content_hash
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.expressions import Expression
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import END, Edge, ErrorClause, Plan, Resources, Retry, StepPlan

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
    assert render(compile_plan(again)) == render(compile_plan(definition))
    if "schema" not in body.decode() and '"form"' not in body.decode():  # these become functions
        assert compile_plan(again) == compile_plan(definition)
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


def test_forms_keep_their_order_and_the_hash_knows_nothing_of_it() -> None:
    text = """
id: d
version: "1"
intervention_points:
  - id: ops
    candidates: [ann]
    form: {{type: object, properties: {{{fields}}}}}
steps:
  - id: a
    type: human
    candidates: [ann]
    input: {{z: 1, a: 2}}
    form: {{type: object, properties: {{{fields}}}}}
"""
    one = parse_definition(text.format(fields="who: {}, amount: {}, by: {}"))
    other = parse_definition(text.format(fields="by: {}, who: {}, amount: {}"))
    assert content_hash(one) == content_hash(other)
    stored = json.loads(canonical_body(one))
    for asking in (stored["steps"][0], stored["intervention_points"][0]):
        assert list(asking["form"]["properties"]) == ["who", "amount", "by"]
    assert list(stored) == sorted(stored)
    assert list(stored["steps"][0]["input"]) == ["a", "z"]


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
    """A plan for people who review it: what is as it is by default is left out."""
    root = plan.root
    lines = [
        f"{plan.namespace}/{plan.id} {plan.version}: {root.notation}, starts at {list(root.start)}",
        f"ends: {list(root.ends)}; output: {root.output}",
        f"variables: {dict(root.variables)}; deadline: {plan.deadline}; tags: {dict(plan.tags)}",
        f"reads of input: {_reads(plan.input_reads)}",
        f"validates: {plan.validate_input is not None}, {plan.validate_output is not None}",
    ]
    lines += [f"semaphores: {dict(plan.semaphores)}"] if plan.semaphores else []
    lines += [f"awaited: {sorted(plan.awaited)}"] if plan.awaited else []
    lines += [f"handled: {sorted(plan.handled)}"] if plan.handled else []
    lines += [f"on_error: {_clause(clause)}" for clause in plan.on_error]
    for handler in plan.handlers:
        where = f" where {handler.where.source}" if handler.where else ""
        lines.append(f"handler {handler.number} {handler.name}: on {handler.event}{where}")
        lines += [f"  {_shown(action)}" for action in handler.actions]
    for scope in plan.scopes[1:]:
        named = f" branch {scope.name}" if scope.name else ""
        around = f"scope {scope.number} of {scope.owner}{named}: {scope.notation}"
        starts = f"starts at {list(scope.start)}, steps {list(scope.steps)}"
        lines += ["", f"{around}, {starts}, ends {list(scope.ends)}"]
        lines += [f"  output: {scope.output}"] if scope.output is not None else []
        lines += [f"  variables: {dict(scope.variables)}"] if scope.variables else []
    for step in plan.steps:
        inside = f", in scope {step.scope}" if step.scope else ""
        kind = step.kind if step.kind == step.type else f"{step.kind}: {step.type}"
        lines += ["", f"{step.number} {step.id} ({kind}{inside})", *_step(plan, step)]
    return "\n".join(lines) + "\n"


def _step(plan: Plan, step: StepPlan) -> list[str]:
    shown = {
        "name": step.name,
        "scopes": list(step.scopes),
        "join": step.join if step.join.kind not in ("any", "all") or step.arrivals else None,
        "needs": list(step.needs),
        "dependents": list(step.dependents),
        "arrivals": list(step.arrivals),
        "when": step.when,
        "deadline": step.deadline,
        "foreach": step.foreach,
        "completion": step.completion if step.completion != type(step.completion)() else None,
        "input": step.input,
        "uses": dict(step.uses),
        "activity": step.activity and _shown(step.activity),
        "timer": step.timer,
        "human": step.human and _shown(step.human),
        "child": step.child,
        "timeout_ms": step.timeout_ms,
        "grace_ms": step.grace_ms if step.grace_ms != 10_000 else None,
        "output": step.output,
        "fail": step.fail,
        "retry": _shown(step.retry) if step.retry != type(step.retry)() else None,
        "assign": dict(step.assign),
        "append": dict(step.append),
        "cancels": list(step.cancels),
        "split": step.split if step.split != "first" else None,
        "terminate": step.terminate,
        "reads": _reads(step.reads),
        "leads to": sorted(plan.scopes[step.scope].reachable.get(step.number, ())),
    }
    lines = [
        f"  {name}: {value}"
        for name, value in shown.items()
        if value not in (None, [], {}, False, "")
    ]
    lines += [f"  waits for {_shown(each)}" for each in step.alternatives]
    lines += [f"  on_error: {_clause(clause)}" for clause in step.on_error]
    lines += [f"  publishes {_shown(each)}" for each in step.publish]
    lines += [f"  signals {_shown(each)}" for each in step.signals]
    return lines + [f"  next: {_edge(edge)}" for edge in step.routes]


def _shown(part: Any) -> str:
    """A part of a plan with what it says beyond its defaults."""
    if isinstance(part, Expression):
        return part.source
    if isinstance(part, dict):
        return json.dumps(part, sort_keys=True)
    if isinstance(part, tuple):
        return f"[{', '.join(_shown(each) for each in part)}]"
    names = getattr(part, "__struct_fields__", None) or getattr(part, "__dataclass_fields__", None)
    if names is None:
        return str(part)
    usual = type(part)() if isinstance(part, Retry | Resources) else None
    told = {
        name: getattr(part, name)
        for name in names
        if getattr(part, name) not in (None, (), {}, "", getattr(usual, name, None))
        and getattr(part, name) != Resources()
    }
    told.pop("validate", None)
    return ", ".join(f"{name} {_shown(value)}" for name, value in told.items())


def _edge(edge: Edge) -> str:
    target = "end" if edge.target == END else str(edge.target)
    return f"edge {edge.number} to {target}" + (f" when {edge.when.source}" if edge.when else "")


def _clause(clause: ErrorClause) -> str:
    follows: object = _edge(clause.edge) if clause.edge else clause.output or clause.fail
    if clause.human is not None:
        follows = f"ask {_shown(clause.human)}"
    when = f" when {clause.when.source}" if clause.when else ""
    return f"{clause.error or 'any'}{when}: {follows}"


def _reads(reads: tuple[object, ...]) -> str:
    plain = msgspec.to_builtins(reads)
    return ", ".join(f"{read['path']}{'' if read['whole'] else ' (value)'}" for read in plain)
