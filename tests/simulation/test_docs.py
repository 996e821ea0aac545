"""The definitions in `docs/semantics.md` mean what the page says: each is run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.simulator import (
    STORMY,
    Attempts,
    Hangs,
    Items,
    LosesRunner,
    Raises,
    simulate,
)

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
EXAMPLE = re.compile(r"```yaml\n(.*?)```\n```yaml run\n(.*?)```", re.DOTALL)
EXAMPLES = EXAMPLE.findall(PAGE.read_text())


def _id(example: tuple[str, str]) -> str:
    return example[0].split()[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
class TestExample:
    def test_ends_as_the_page_says(self, example: tuple[str, str]) -> None:
        result, wanted = _run(example)
        assert result.status == wanted["status"], result.failure
        assert result.output == wanted.get("output")
        if "failure" in wanted:
            assert result.failure is not None
            assert result.failure.type == wanted["failure"]
        if "took" in wanted:  # to the second: attempts take a millisecond
            assert round(result.elapsed_ms / 1000) * 1000 == parse_duration(wanted["took"])

    def test_so_it_does_in_a_storm(self, example: tuple[str, str]) -> None:
        for seed in range(5):
            result, wanted = _run(example, seed=seed, faults=STORMY)
            assert result.status == wanted["status"]
            assert result.output == wanted.get("output")


def test_every_definition_is_run() -> None:
    text = PAGE.read_text()
    assert len(EXAMPLES) == text.count("```yaml\n") == text.count("```yaml run\n")
    assert len(EXAMPLES) >= 12


def _run(example: tuple[str, str], **how: Any) -> tuple[Any, dict[str, Any]]:
    text, run = example
    definition = parse_definition(text, PAGE.name)
    wanted = json.loads(json.dumps(YAML(typ="safe").load(run)))
    steps = {step.id: step for step in definition.steps}
    outcomes = {
        id: _outcome(told, items=steps[id].foreach is not None)
        for id, told in wanted.get("outcomes", {}).items()
    }
    cancel = wanted.get("cancel_after")
    cancel_at_ms = parse_duration(cancel) if cancel is not None else None
    result = simulate(definition, wanted.get("input"), outcomes, cancel_at_ms=cancel_at_ms, **how)
    return result, wanted


def _outcome(told: Any, *, items: bool = False) -> Any:
    if isinstance(told, list):
        outcomes = [_outcome(each) for each in told]
        return Items(*outcomes) if items else Attempts(*outcomes)
    if isinstance(told, dict) and "raises" in told:
        return Raises(told["raises"])
    if isinstance(told, dict) and "hangs" in told:
        return Hangs(on_stop=told.get("on_stop", "ends"))
    if isinstance(told, dict) and "loses_runner" in told:
        return LosesRunner()
    return told
