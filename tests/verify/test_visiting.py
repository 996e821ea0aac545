"""That a step is visited is shown by a run, that it never is by a siphon or all markings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.verify.certificates.certificates import Unvisited, Visited
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.nets.net import Net
from heliostat.verify.properties.soundness import verify, verify_model
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reading.files import read
from tests.simulation.worlds import World

TERMINATED_EARLY = 80
"""A definition in which one step may end the execution before another ever begins: to withdraw what
goes on makes no difference to how it ends, and so the exploration left out that it goes on."""


def act(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", **fields}


def plan_of(*steps: dict[str, Any]) -> Plan:
    tree = {"id": "d", "version": "1", "steps": list(steps)}
    return compile_plan(parse_definition(json.dumps(tree), "d.json"))


def proved(plan: Plan) -> tuple[Net, Verdict]:
    report = verify(plan, states_max=2_000)
    assert report.net is not None
    verdict = report.about("dead steps")
    if verdict.certificate is not None:
        check(report.net, verdict.certificate)
    return report.net, verdict


def test_random_definitions_have_certificates_for_what_is_visited_and_what_is_not() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for seed in (*range(50), TERMINATED_EARLY):
        _, verdict = proved(World(seed).plan)
        seen[verdict.outcome, type(verdict.certificate).__name__] += 1
        assert (verdict.outcome, verdict.certificate) != ("fails", None), seed
    assert seen["holds", "Visited"] > 30, seen


def test_a_step_that_is_only_visited_if_no_other_terminates_first_is_not_dead() -> None:
    _, verdict = proved(World(TERMINATED_EARLY).plan)
    assert verdict.outcome == "holds"


def test_a_run_to_each_step_is_gone_through_again() -> None:
    choice = {"id": "which", "type": "decision"}
    choice["next"] = [{"when": "$.input.x", "to": "a"}, {"to": "b"}]  # type: ignore[assignment]
    net, verdict = proved(plan_of(choice, act("a"), act("b")))
    shown = verdict.certificate
    assert isinstance(shown, Visited)
    assert {*shown.steps} == {"which", "a", "b"}
    for other in (
        replace(shown, tree=shown.tree[:1]),
        replace(shown, tree=((5, 0),)),
        replace(shown, tree=((-1, 99),)),
        replace(shown, tree=(*shown.tree, (len(shown.tree) - 1, 0))),
        replace(shown, steps=(*shown.steps, "c")),
    ):
        with pytest.raises(Rejected):
            check(net, other)


def _never_behind(join: object) -> Plan:
    choice = {"id": "which", "type": "decision"}
    choice["next"] = [{"when": "$.input.x", "to": "a"}, {"to": "b"}]  # type: ignore[assignment]
    return plan_of(choice, act("a", next="j"), act("b", next="j"), act("j", join=join))


def test_what_waits_for_two_of_one_token_is_never_visited() -> None:
    net, verdict = proved(_never_behind({"at_least": 2}))
    assert verdict.steps == ("j",)
    shown = verdict.certificate
    assert isinstance(shown, Unvisited)
    assert shown.markings
    for other in (
        replace(shown, markings=shown.markings[:-1]),
        replace(shown, steps=("j", "a")),
        replace(shown, markings=(), siphon=(0,)),
        replace(shown, markings=(), siphon=(net.place_index["step_j"],)),
    ):
        with pytest.raises(Rejected):
            check(net, other)
    _, mended = proved(_never_behind("any"))
    assert mended.outcome == "holds"


def test_what_nothing_ever_leads_to_is_behind_an_empty_siphon() -> None:
    arcs = "i>a a>o x>never never>y y>last last>x"
    lines = "".join(f"<place id='{id}'/>" for id in "oxy")
    lines += "<place id='i'><initialMarking><text>1</text></initialMarking></place>"
    lines += "".join(f"<transition id='{id}'/>" for id in ("a", "never", "last"))
    for number, arc in enumerate(arcs.split()):
        source, target = arc.split(">")
        lines += f"<arc id='{number}' source='{source}' target='{target}'/>"
    [model] = read(f"<pnml><net id='n'>{lines}</net></pnml>".encode())
    report = verify_model(model)
    verdict, net = report.about("dead steps"), report.net
    assert net is not None
    assert verdict.steps == ("never", "last")
    shown = verdict.certificate
    assert isinstance(shown, Unvisited)
    assert {net.places[place].id for place in shown.siphon} >= {"x", "y"}
    check(net, shown)
    for place in ("x", "y"):
        rest = tuple(each for each in shown.siphon if net.places[each].id != place)
        with pytest.raises(Rejected):
            check(net, replace(shown, siphon=rest))
