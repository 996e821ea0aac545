"""Deadlocks as the simulator comes to them, and what it cannot be steered through."""

from __future__ import annotations

from typing import Final

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.certificates.certificates import DeadRun
from heliostat.verify.properties.soundness import verify
from heliostat.verify.replaying import Replayed, Unreplayable, replay
from tests.verify.test_reports import BYPASSED, CHOSEN, HEAD, STARVED

CIRCLE: Final = (
    HEAD
    + """\
semaphores: {r1: 1, r2: 1}
steps:
  - id: p
    type: parallel
    branches:
      - name: a
        steps:
          - id: a1
            uses: {r1: 1}
            steps: [{id: a2, type: activity, activity: "m:f", uses: {r2: 1}}]
      - name: b
        steps:
          - id: b1
            uses: {r2: 1}
            steps: [{id: b2, type: activity, activity: "m:f", uses: {r1: 1}}]
"""
)


def replayed(text: str) -> Replayed:
    """The replay of the definition's deadlock."""
    definition = parse_definition(text)
    report = verify(compile_plan(definition))
    certificate = report.about("deadlock").certificate
    assert isinstance(certificate, DeadRun)
    assert report.net is not None
    return replay(definition, report.net, certificate.run)


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (BYPASSED, "00:00:03.000  b fails: E4: as in the run → c"),
        (CHOSEN, "Stuck: join 'j' waits for b"),
        (CIRCLE, "a2 (queued), b2 (queued)"),
    ],
)
def test_the_kernel_gets_stuck_as_the_run_says(definition: str, told: str) -> None:
    found = replayed(definition)
    assert found.stuck
    assert told in found.story


def test_data_and_functions_play_no_part() -> None:
    """Inputs, assignments and outputs read what no run of the net has."""
    reading = CHOSEN.replace(
        "{id: a, type: decision, next: j}",
        "{id: a, type: decision, output: $.input.a.b.c, next: j}",
    )
    assert replayed(reading).stuck


def test_another_run_is_none() -> None:
    definition = parse_definition(BYPASSED)
    report = verify(compile_plan(definition))
    certificate = report.about("deadlock").certificate
    assert isinstance(certificate, DeadRun)
    assert report.net is not None
    short = certificate.run[:2]
    assert not replay(definition, report.net, short).stuck


@pytest.mark.parametrize(
    ("definition", "what"),
    [
        (STARVED, "`foreach` of step `each`"),
        (f"deadline: 1h\n{CHOSEN}", "`deadline` of the definition"),
    ],
)
def test_what_cannot_be_steered_is_said(definition: str, what: str) -> None:
    with pytest.raises(Unreplayable, match=what):
        replayed(definition)
