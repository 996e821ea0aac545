"""How often edges were taken."""

from __future__ import annotations

import pytest

import heliostat as hs
from heliostat.api.live.progress import Progress
from heliostat.engine.authoring.loading import parse_definition

LOOP = """\
id: loop
version: "1"
vars: {n: 0}
steps:
  - id: count
    type: decision
    output: $.vars.n
    assign: {n: '${ $.vars.n + 1 }'}
    next: [{to: count, when: '${ $.output < 3 }'}, {to: fork}]
  - id: fork
    type: body
    steps:
      - {id: a, type: decision, output: 1, needs: []}
      - {id: b, type: decision, output: 2, needs: []}
      - {id: never, type: decision, output: 2, needs: [a], when: "${ false }"}
      - {id: c, type: decision, output: 3, needs: [a, b]}
    next: wrong
  - {id: wrong, type: decision, fail: {type: Broken, message: it is}, on_error: [{next: done}]}
  - {id: done, type: decision, next: end}
"""


@pytest.fixture
def progress() -> Progress:
    result = hs.simulate(parse_definition(LOOP))
    assert result.status == "Completed", result.story
    made = Progress(result.plan)
    made.pass_over(result.history)
    return made


def test_edges_of_machines_and_errors(progress: Progress) -> None:
    assert progress.taken["count", "count"] == 3
    assert progress.taken["count", "fork"] == 1
    assert progress.taken["wrong", "done"] == 1


def test_needs_that_let_a_step_begin(progress: Progress) -> None:
    assert progress.taken["a", "c"] == progress.taken["b", "c"] == 1
    assert ("a", "never") not in progress.taken
