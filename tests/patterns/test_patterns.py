"""The patterns in `docs/patterns.md` can do what the page says that they can, and nothing else.

Each is explored under many schedules: its attempts take times drawn from a seed, so that they end
in any order, on quiet hosts and on stormy ones.
"""

from __future__ import annotations

import re

import pytest

from heliostat.engine.simulator import QUIET, STORMY
from tests.docs.running import DOCS, Example, examples_of, simulated
from tests.docs.words import alphabet, fits, projected, word_of

PAGE = DOCS / "patterns.md"
PATTERNS = examples_of(PAGE, "traces")
SCHEDULES = 120
"""Schedules of each pattern, divided among its runs; one in ten is stormy."""


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.id)
class TestPattern:
    def test_has_the_possible_traces_and_no_impossible_one(self, pattern: Example) -> None:
        possible, impossible = pattern.told["possible"], pattern.told["impossible"]
        assert possible
        assert impossible
        words = _explore(pattern)
        found = "\n".join(sorted(" ".join(word) for word in words))
        missing = [trace for trace in possible if not any(fits(trace, word) for word in words)]
        assert not missing, f"no schedule has {missing}; they have\n{found}"
        broken = {
            f"{trace}: {' '.join(word)} (seed {words[word]})"
            for trace in impossible
            for word in words
            if fits(trace, word)
        }
        assert not broken, f"impossible, and yet:\n{broken}"


def _explore(pattern: Example) -> dict[tuple[str, ...], int]:
    """The words of all schedules, each with a seed that shows it."""
    told = pattern.told
    assert told.keys() <= {"runs", "possible", "impossible"}
    letters = alphabet([*told["possible"], *told["impossible"]])
    runs, plans = told.get("runs", [{}]), pattern.plans
    words: dict[tuple[str, ...], int] = {}
    for seed in range(SCHEDULES):
        run = runs[seed % len(runs)]
        stormy = seed // len(runs) % 10 == 9
        faults = STORMY if stormy else QUIET
        result = simulated(plans, run, seed=seed, drawn=True, faults=faults)
        assert result.ended or not stormy, result.story
        words.setdefault(projected(word_of(result), letters), seed)
    return words


def test_all_forty_three_are_there() -> None:
    numbers = [
        int(found) for found in re.findall(r"^### WCP-(\d+) ", PAGE.read_text(), re.MULTILINE)
    ]
    assert sorted(numbers) == list(range(1, 44))


def test_each_heading_has_a_definition_that_runs() -> None:
    assert len(PATTERNS) == 43
    for pattern in PATTERNS:
        number = pattern.heading.split()[0].lower()
        assert pattern.id.startswith(f"{number}-")
