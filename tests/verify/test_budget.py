"""One budget bounds a whole proof: making a net, reducing it, exploring it, and all analyses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.verify import analyses
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.budget import Budget
from heliostat.verify.certificates.checker import check
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.structure.reductions import reduce


def ticking(step_ms: int = 1) -> Callable[[], float]:
    """A clock that goes on whenever somebody looks at it."""
    count = itertools.count(step=step_ms)
    return lambda: float(next(count))


def definition_of(*steps: dict[str, Any]) -> Definition:
    tree = {"id": "d", "version": "1", "steps": list(steps)}
    return parse_definition(json.dumps(tree), "d.json")


def chain(length: int) -> Plan:
    steps = [{"id": f"s{n}", "type": "activity", "activity": "m:f"} for n in range(length)]
    for one, other in itertools.pairwise(steps):
        one["next"] = other["id"]
    return compile_plan(definition_of(*steps))


@pytest.mark.parametrize("time_max_ms", [20, 100, 350])  # in the making, in the reducing, behind it
def test_a_proof_ends_soon_after_its_time_is_over(time_max_ms: int) -> None:
    clock = ticking()
    report = verify(chain(100), time_max_ms=time_max_ms, now_ms=clock)
    assert report.about("livelock").outcome == "inconclusive"
    assert f"more than {time_max_ms} ms" in report.about("livelock").reason
    assert clock() < time_max_ms + 1_500  # each look costs next to nothing


def test_what_was_reduced_when_the_time_was_over_is_a_reduction_all_the_same() -> None:
    net = translate(chain(50), "proof").net
    whole, part = reduce(net), reduce(net, Budget(60, ticking()))
    assert 0 < len(part.steps) < len(whole.steps)
    assert len(whole.net.transitions) < len(part.net.transitions) < len(net.transitions)


def test_enough_time_changes_nothing() -> None:
    report = verify(chain(100), time_max_ms=10**6, now_ms=ticking())
    assert report.sound
    certificate = report.about("deadlock").certificate
    assert certificate is not None
    assert report.net is not None
    check(report.net, certificate)


def test_each_analysis_has_an_equal_part_of_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = dict[str, int | None]()

    def one_that(name: str, takes_ms: int) -> analyses.Analysis:
        def look(subject: Subject) -> list[Verdict]:
            given[name] = subject.time_max_ms
            now.append(now[-1] + takes_ms)
            return []

        return look

    table = {"idle": one_that("idle", 0), "busy": one_that("busy", 60), "last": one_that("last", 0)}
    now = [0.0]
    monkeypatch.setattr(analyses, "ANALYSES", dict.fromkeys(table, ""))
    monkeypatch.setattr(analyses, "analysis", table.__getitem__)
    subject = Subject(
        definition=definition_of({"id": "s", "type": "decision"}),
        plan=chain(1),
        time_max_ms=90,
        now_ms=lambda: now[-1],
    )
    analysed(subject, table)
    assert given == {"idle": 30, "busy": 45, "last": 30}


def test_as_many_markings_are_gone_through_for_boundedness_as_the_caller_allows() -> None:
    steps = [{"id": f"s{n}", "type": "activity", "activity": "m:f"} for n in range(4)]
    branches = [{"name": f"b{n}", "steps": [step]} for n, step in enumerate(steps)]
    inside = [{"id": "first", "type": "decision", "next": "p"}]
    inside.append({"id": "p", "type": "parallel", "branches": branches})  # type: ignore[dict-item]
    plan = compile_plan(definition_of({"id": "each", "foreach": "$.input.l", "steps": inside}))
    assert verify(plan).about("boundedness").outcome == "holds"
    assert verify(plan, states_max=1_000).about("boundedness").outcome == "inconclusive"
