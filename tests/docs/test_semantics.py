"""The definitions in `docs/semantics.md` mean what the page says: each is run."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.simulator import QUIET, STORMY, Faults, SimulationResult
from tests.docs.running import DOCS, Example, examples_of, simulated
from tests.docs.words import alphabet, fits, projected, word_of

PAGE = DOCS / "semantics.md"
EXAMPLES = examples_of(PAGE, "run")
STORMS = 5
EXPECTED = frozenset(["status", "output", "failure", "took", "trace", "refused", "published"])
KEYS = EXPECTED | {"input", "outcomes", "timeline", "calm"}


CALM = [example for example in EXAMPLES if example.told.get("calm")]
"""Their ends depend on what comes first, and a storm changes that."""


class TestExample:
    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
    def test_ends_as_the_page_says(self, example: Example) -> None:
        assert example.told.keys() <= KEYS
        result = _check(example, seed=0, faults=QUIET)
        if "took" in example.told:  # to the second: attempts take a millisecond
            took = round(result.elapsed_ms / 1000) * 1000
            assert took == parse_duration(example.told["took"]), result.story
        if "trace" in example.told:
            trace = example.told["trace"]
            word = projected(word_of(result), alphabet([trace]))
            assert fits(trace, word), f"{' '.join(word)}\n{result.story}"
        if "refused" in example.told:
            assert [each.code for each in result.refusals] == example.told["refused"]
        if "published" in example.told:
            told = [{"event": name, "data": data} for _, name, data in result.published]
            assert told == example.told["published"]

    @pytest.mark.parametrize(
        "example",
        [example for example in EXAMPLES if example not in CALM],
        ids=lambda example: example.id,
    )
    def test_so_it_does_in_a_storm(self, example: Example) -> None:
        for seed in range(STORMS):
            _check(example, seed=seed, faults=STORMY)


def _check(example: Example, *, seed: int, faults: Faults) -> SimulationResult:
    told: dict[str, Any] = example.told
    result = simulated(example.plans, told, seed=seed, faults=faults)
    assert result.status == told["status"], result.story
    assert result.output == told.get("output"), result.story
    if "failure" in told:
        assert result.failure is not None
        assert result.failure.type == told["failure"]
    return result


def test_every_definition_is_run() -> None:
    text = PAGE.read_text()
    assert len(EXAMPLES) == text.count("```yaml\n") == text.count("```yaml run\n")


def test_every_run_is_of_a_definition_of_its_own() -> None:
    ids = [example.id for example in EXAMPLES]
    assert len(ids) == len(set(ids))
