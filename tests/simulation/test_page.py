"""The examples of `docs/simulator.md` are what the simulator takes and says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import heliostat as hs
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.schemas import validator
from heliostat.engine.errors import InputError
from heliostat.engine.expressions import parse_duration
from heliostat.engine.simulator import OUTCOMES_SCHEMA, TIMELINE_SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
TEXT = PAGE.read_text()
EXAMPLE = re.compile(
    r"((?:```yaml\n.*?```\n)+)```yaml simulate\n(.*?)```\n(?:```text\n(.*?)```)?", re.DOTALL
)
EXAMPLES = EXAMPLE.findall(TEXT)


def _id(example: tuple[str, str, str]) -> str:
    return example[0].split()[2]


def _told(example: tuple[str, str, str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(example[1])))
    return told


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
class TestExample:
    def test_comes_to_what_the_page_says(self, example: tuple[str, str, str]) -> None:
        texts = re.findall(r"```yaml\n(.*?)```", example[0], re.DOTALL)
        definition, *others = [parse_definition(text, PAGE.name) for text in texts]
        told, story = _told(example), example[2]

        def run() -> Any:
            return hs.simulate(
                definition,
                told.get("input"),
                told.get("outcomes"),
                timeline=told.get("timeline", ()),
                definitions=others,
            )

        if "fault" in told:
            with pytest.raises(InputError) as fault:
                run()
            assert str(fault.value) == told["fault"].rstrip("\n")
            return
        result = run()
        if story:
            assert result.story + "\n" == story
        assert result.status == told.get("status", "Completed")
        if "output" in told:
            assert result.output == told["output"]
        if "took" in told:
            assert result.elapsed_ms == parse_duration(told["took"])

    def test_fits_the_schemas(self, example: tuple[str, str, str]) -> None:
        told = _told(example)
        outcomes, timeline = validator(OUTCOMES_SCHEMA), validator(TIMELINE_SCHEMA)
        assert outcomes is not None
        assert timeline is not None
        assert (outcomes(told.get("outcomes", {})) is None) == ("fault" not in told)
        assert timeline(told.get("timeline", [])) is None


def test_every_block_is_an_example() -> None:
    assert len(EXAMPLES) == TEXT.count("```yaml simulate\n") >= 4
    assert sum(example[0].count("```yaml\n") for example in EXAMPLES) == TEXT.count("```yaml\n")


def test_the_python_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "order.yaml").write_text(re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(first.replace('assert result.status == "Completed"', ""), names)  # noqa: S102 – ours
    assert names["result"].status == "Failed"  # nobody approves
    exec(second, {"hs": hs}, names)  # noqa: S102 – ours
    completed = next(event for event in names["result"].events if hasattr(event, "output"))
    assert completed.output == "receipt for 40"
