"""How much is taken at once, of how much, and whether it fits."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from heliostat.actors.dispatch.placement import needs_of
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import InputError
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan, Resources
from heliostat.engine.scheduling.nodes import Nodes, NodeView
from heliostat.verify.analyses import Subject
from heliostat.verify.certificates.certificates import GivenBack
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.verdict import Section, Verdict
from heliostat.verify.reports.diagnostics import diagnostics
from heliostat.verify.reports.words import markdown, text
from heliostat.verify.resources.analysis import verdicts
from heliostat.verify.resources.antichain import heaviest_antichain
from heliostat.verify.resources.cluster import Cluster, read_cluster
from heliostat.verify.resources.demands import UNITS, Resource, needs
from heliostat.verify.resources.giving import given_back
from heliostat.verify.resources.peaks import NotKnown, Peaks
from heliostat.verify.space.explore import explore
from tests.simulation.choices import Seeded
from tests.simulation.worlds import random_plan

CPU = Resource(kind="node", name="CPU")

TEXT = """
id: case
version: "1"
semaphores: {a: 2, llm: {per: deployment}}
steps:
  - {id: load, type: activity, activity: "m:f", needs: [], resources: {num_cpus: 2, memory: 2GiB}}
  - id: left
    type: activity
    activity: "m:f"
    needs: [load]
    resources: {num_cpus: 4}
    uses: {llm: 2}
  - id: right  # one CPU each, as nothing is said of CPUs
    type: activity
    activity: "m:f"
    needs: [load]
    foreach: "range(0, 8)"
    resources: {num_gpus: 1}
    uses: {a: 1}
  - id: body
    needs: [load]
    foreach: "$.input.items"
    concurrency: 3
    steps:
      - {id: inner, type: activity, activity: "m:f", resources: {num_cpus: 3}}
  - id: join
    type: activity
    activity: "m:f"
    needs: [left, right, body]
    resources: {num_cpus: 6}
"""


def subject(text_: str, **about: Any) -> Subject:
    definition = parse_definition(text_, "case.yaml")
    return Subject(definition=definition, plan=compile_plan(definition), **about)


def verdict_of(text_: str, **about: Any) -> Verdict:
    (found,) = verdicts(subject(text_, **about))
    return found


def section_of(text_: str, **about: Any) -> Section:
    section = verdict_of(text_, **about).section
    assert section is not None
    return section


def plan_of(*steps: dict[str, Any], **fields: Any) -> Plan:
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    return compile_plan(parse_definition(json.dumps(tree), "case.json"))


def act(id: str, cpus: float, **fields: Any) -> dict[str, Any]:
    resources = {"num_cpus": cpus}
    return {"id": id, "type": "activity", "activity": "m:f", "resources": resources, **fields}


def cpus(plan: Plan) -> float:
    return Peaks(plan).of(CPU).units / UNITS


class TestPeaks:
    """What is taken at once at most, and the run that reaches it."""

    def test_one_after_the_other_does_not_add_up(self) -> None:
        assert cpus(plan_of(act("a", 2, next="b"), act("b", 3))) == 3

    def test_side_by_side_adds_up(self) -> None:
        assert cpus(plan_of(act("a", 2, needs=[]), act("b", 3, needs=[]))) == 5

    def test_a_split_adds_up_and_a_choice_does_not(self) -> None:
        ways = [{"to": "a", "when": "$.input.x"}, {"to": "b"}]
        first = {"id": "start", "type": "decision", "next": ways}
        both = {**first, "split": "all", "next": [{"to": "a"}, {"to": "b"}]}
        assert cpus(plan_of(first, act("a", 2), act("b", 3))) == 3
        assert cpus(plan_of(both, act("a", 2), act("b", 3))) == 5

    def test_a_loop_that_splits_adds_up_to_what_meets(self) -> None:
        fork = {"id": "fork", "type": "decision", "split": "all"}
        fork["next"] = [{"to": "a"}, {"to": "b"}]
        plan = plan_of(
            fork,
            act("a", 2, next="j"),
            act("b", 3, next="j"),
            act("j", 4, join={"at_least": 2}, next="again"),
            {
                "id": "again",
                "type": "decision",
                "next": [{"to": "fork", "when": "$.input.x"}, {"to": "end"}],
            },
        )
        peak = Peaks(plan).of(CPU)
        assert (peak.units / UNITS, peak.exact) == (5, True)

    def test_what_wants_no_more_than_a_permit_each_is_bounded_by_permits(self) -> None:
        item = act("a", 2, foreach="$.input.items", uses={"s": 1})
        assert cpus(plan_of(item, semaphores={"s": 3})) == 6

    def test_more_permits_are_wanted_than_there_are(self) -> None:
        steps = [act(name, 1, uses={"s": 1}) for name in ("a", "b")]
        side_by_side = [{**each, "needs": []} for each in steps]
        one_by_one = [{**steps[0], "next": "b"}, steps[1]]
        permits = Resource(kind="semaphore", name="s")
        peak = Peaks(plan_of(*side_by_side, semaphores={"s": 1})).of(permits)
        assert (peak.units / UNITS, peak.exact) == (2, True)
        assert [each.step for each in peak.holdings] == ["a", "b"]
        assert Peaks(plan_of(*one_by_one, semaphores={"s": 1})).of(permits).units == UNITS

    def test_steps_that_a_semaphore_keeps_apart_are_told_as_a_bound(self) -> None:
        steps = [act(name, 2, needs=[], uses={"s": 1}) for name in ("a", "b")]
        peak = Peaks(plan_of(*steps, semaphores={"s": 1})).of(CPU)
        assert (peak.units / UNITS, peak.exact, peak.run) == (4, False, ())

    def test_so_many_branches_that_no_exploration_ends_have_a_bound(self) -> None:
        count = 14
        fork = {"id": "fork", "type": "decision", "split": "all"}
        fork["next"] = [{"to": f"s{n}"} for n in range(count)]
        peak = Peaks(plan_of(fork, *(act(f"s{n}", 1) for n in range(count)))).of(CPU)
        assert (peak.units / UNITS, peak.exact) == (count, False)

    def test_what_a_handler_triggers_is_no_bound(self) -> None:
        text_ = """
id: case
version: "1"
handlers: [{event: more, actions: [{trigger: {step: a}}]}]
steps:
  - {id: a, type: activity, activity: "m:f", resources: {num_cpus: 2}, join: any, next: b}
  - {id: b, type: decision}
"""
        peak = Peaks(subject(text_).plan).of(CPU)
        assert (peak.exact, peak.more) == (False, True)
        assert section_of(text_).summary == (
            f"wanted at once: CPU at least {peak.units / UNITS:g}",
        )

    def test_what_piles_up_is_not_known(self) -> None:
        fork = {"id": "fork", "type": "decision", "split": "all"}
        fork["next"] = [{"to": "a"}, {"to": "fork"}]
        with pytest.raises(NotKnown, match=r"tokens|markings"):
            Peaks(plan_of(fork, act("a", 1, join="any"))).of(CPU)

    def test_the_run_that_reaches_it_is_told(self) -> None:
        peak = Peaks(compile_plan(parse_definition(TEXT))).of(CPU)
        assert peak.units == 15 * UNITS
        assert [str(each) for each in peak.run] == [
            "load completes",
            "left runs",
            "right runs, 2 items side by side",
            "body is open, 3 items side by side",
            "inner runs",
        ]

    def test_no_marking_of_the_whole_net_has_more_and_some_has_as_much(self) -> None:
        """Of random definitions, their semaphores left out: the net holds two items of a body, and
        one place for all items of a step."""
        compared = exact = 0
        for seed in range(30):
            _, drawn = random_plan(Seeded(seed))
            plan = _with_cpus(drawn, Random(seed))
            most = _most_of_the_net(plan)
            if most is None:
                continue
            items = {step.id: 2 if step.scopes else 1 for step in plan.steps if step.foreach}
            peak = Peaks(plan, items).of(CPU)
            assert peak.units >= most * UNITS, seed
            compared += 1
            if peak.exact:
                assert peak.units == most * UNITS, seed
                exact += 1
        assert (compared > 20, exact > 15) == (True, True)


def _most_of_the_net(plan: Plan) -> int | None:
    """CPUs in the heaviest marking; None where there are too many."""
    made = translate(plan, "proof", semaphores=())
    graph = explore(made.net, reduce=False, states_max=2_000)
    if graph.stopped is not None:
        return None
    if any(marking[place] for marking in graph.markings for place in made.overflows):
        return None
    taken = {step.id: _cpus(step) for step in plan.steps}
    weights = [
        taken.get(place.step or "", 0) if place.id.startswith("step_") else 0
        for place in made.net.places
    ]
    return max(sum(map(int.__mul__, marking, weights)) for marking in graph.markings)


def _with_cpus(plan: Plan, random: Random) -> Plan:
    steps = []
    for step in plan.steps:
        found = replace(step, uses=())
        if step.activity is not None:
            resources = Resources(num_cpus=float(random.randint(1, 3)))
            found = replace(found, activity=replace(step.activity, resources=resources))
        steps.append(found)
    return replace(plan, steps=tuple(steps), semaphores={})


def _cpus(step: Any) -> int:
    return 0 if step.activity is None else int(step.activity.resources.num_cpus or 0)


@pytest.mark.parametrize("seed", range(40))
def test_the_heaviest_antichain_is_the_heaviest_of_all(seed: int) -> None:
    random = Random(seed)
    count = random.randint(1, 8)
    before = {
        node: [each for each in range(node) if random.random() < 0.35] for node in range(count)
    }
    weights = {node: random.randint(0, 5) for node in range(count)}
    earlier: dict[int, set[int]] = {}
    for node in range(count):
        earlier[node] = set(before[node]).union(*(earlier[each] for each in before[node]))

    def apart(nodes: tuple[int, ...]) -> bool:
        return not any(one in earlier[other] for one in nodes for other in nodes)

    every = (
        nodes
        for size in range(count + 1)
        for nodes in itertools.combinations(range(count), size)
        if apart(nodes)
    )
    most = max(sum(weights[node] for node in nodes) for nodes in every)
    weight, chosen = heaviest_antichain(weights, before)
    assert weight == most == sum(weights[node] for node in chosen)
    assert apart(tuple(chosen))


class TestCluster:
    """What there is, from a file or in short."""

    def test_short(self) -> None:
        found = read_cluster("2x8cpu,4cpu+1gpu+64GiB+2tpu")
        assert found.nodes == (
            (2, {"CPU": 8.0}),
            (1, {"CPU": 4.0, "GPU": 1.0, "memory": 64.0 * 1024**3, "tpu": 2.0}),
        )
        assert (found.total("CPU"), found.most("CPU"), found.semaphores) == (20, 8, None)

    def test_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "cluster.yaml"
        file.write_text(
            "nodes:\n  - {count: 2, cpus: 8}\n"
            "  - {cpus: 4, gpus: 1, memory: 64GiB, custom: {tpu: 2}}\n"
            "semaphores: {llm: 4}\n"
        )
        found = read_cluster(str(file))
        assert (found.total("CPU"), found.most("memory")) == (20, 64.0 * 1024**3)
        assert found.semaphores == {"llm": 4}

    @pytest.mark.parametrize("shape", ["", "8", "cpu", "2x", "8cpu;4cpu", "8cpu+", "0x"])
    def test_what_is_neither_says_how_it_is_written(self, shape: str) -> None:
        with pytest.raises(InputError, match="no file, and no shape as"):
            read_cluster(shape)

    @pytest.mark.parametrize(
        "content",
        ["nodes: [{cpu: 8}]", "nodes: [{cpus: -1}]", "nodes: [{memory: much}]", "nodes: ["],
    )
    def test_a_file_with_a_fault_is_named(self, content: str, tmp_path: Path) -> None:
        file = tmp_path / "cluster.yaml"
        file.write_text(content)
        with pytest.raises(InputError, match=r"cluster\.yaml is no cluster"):
            read_cluster(str(file))


@pytest.mark.parametrize("seed", range(20))
def test_it_fits_where_the_scheduler_says_so(seed: int) -> None:
    """And an attempt takes what dispatch says that it takes."""
    random = Random(seed)

    def amounts() -> dict[str, float]:
        return {name: random.choice((0, 0.5, 1, 2)) for name in ("CPU", "GPU", "memory", "tpu")}

    shapes = [amounts() for _ in range(random.randint(1, 3))]
    nodes = Nodes()
    views = [NodeView(id=str(n), total=shape) for n, shape in enumerate(shapes)]
    nodes.look(views, 0)
    cluster = Cluster(nodes=tuple((1, shape) for shape in shapes))
    for _ in range(20):
        wanted = amounts()
        resources = Resources(
            num_cpus=random.choice((None, wanted["CPU"])),
            num_gpus=wanted["GPU"] or None,
            memory=int(wanted["memory"]) or None,
            custom={"tpu": wanted["tpu"]} if wanted["tpu"] else {},
        )
        assert needs(resources) == needs_of(resources)
        assert cluster.holds(needs(resources)) == nodes.ever(needs_of(resources), pinned=None)


class TestFit:
    """What can never run, and its mended twin."""

    def test_an_attempt_that_no_node_has_room_for(self) -> None:
        found = verdict_of(TEXT, cluster=read_cluster("4x5cpu+8GiB,1cpu+1gpu"))
        assert (found.outcome, found.steps) == ("fails", ("join",))
        (told,) = diagnostics(subject(TEXT).definition, [found])
        assert (told.code, told.step, told.severity, told.line) == ("HS530", "join", "error", 30)
        assert told.message == (
            "no attempt can ever run: it takes 6 CPU of one node, and no node has more than 5 CPU"
        )

    def test_what_no_node_has_together(self) -> None:
        found = verdict_of(TEXT, cluster=read_cluster("8cpu,2cpu+2GiB,1cpu+1gpu"))
        assert found.outcome == "holds"
        found = verdict_of(TEXT, cluster=read_cluster("8cpu,1cpu+2GiB,1cpu+1gpu"))
        assert found.faults[0].step == "load"
        assert found.faults[0].message.endswith("and no node has all of that")

    def test_a_semaphore_that_the_deployment_has_less_of(self) -> None:
        there = Cluster(nodes=read_cluster("8cpu+8GiB+1gpu").nodes, semaphores={"llm": 1})
        (fault,) = verdict_of(TEXT, cluster=there).faults
        assert (fault.code, fault.step, fault.field) == ("HS322", "left", ("uses", "llm"))
        there = Cluster(nodes=there.nodes, semaphores={"llm": 2})
        assert verdict_of(TEXT, cluster=there).outcome == "holds"

    def test_more_at_once_than_there_is_waits_and_is_no_fault(self) -> None:
        found = verdict_of(TEXT, cluster=read_cluster("8cpu+8GiB+1gpu"), executions=2)
        assert (found.outcome, found.faults) == ("holds", ())
        assert found.section is not None
        assert "CPU: more is wanted at once than there is, the rest waits" in found.section.summary


class TestReport:
    """The section "Resources"."""

    def test_rows(self) -> None:
        section = section_of(TEXT, cluster=read_cluster("2x8cpu+8GiB+1gpu"), executions=2)
        assert [row[:4] for row in section.rows] == [
            ("semaphore llm", "", "4", ""),
            ("CPU", "16", "30", "188%"),
            ("GPU", "2", "4", "200%"),
            ("memory", "16 GiB", "4 GiB", "25%"),
            ("semaphore a", "2", "8", "400%"),
        ]
        assert section.rows[1][4] == "`left` × 2 (8), `right` × 4 (4), `inner` × 6 (18)"

    def test_the_bottleneck_bounds_executions_an_hour(self) -> None:
        tagged = TEXT.replace("uses: {llm: 2}", 'uses: {llm: 2}\n    tags: {duration_ms: "6000"}')
        there = Cluster(nodes=(), semaphores={"llm": 4})
        summary = section_of(tagged, cluster=there).summary
        assert summary[-1] == (
            "bottleneck: semaphore llm, all of it for 3s of each execution: "
            "at most 1,200 executions an hour"
        )

    def test_what_more_would_bring_and_less_would_not_take(self) -> None:
        tagged = TEXT.replace("uses: {llm: 2}", 'uses: {llm: 2}\n    tags: {duration_ms: "6000"}')
        nodes = read_cluster("8x8cpu+2GiB+1gpu").nodes
        notes = section_of(tagged, cluster=Cluster(nodes=nodes, semaphores={"llm": 2})).notes
        assert notes[-4:] == (
            "More of semaphore llm lets more executions through.",
            "No more than 23% of CPU is ever wanted at once.",
            "No more than 25% of GPU is ever wanted at once.",
            "No more than 12% of memory is ever wanted at once.",
        )

    def test_guessed_durations_make_no_bottleneck(self) -> None:
        summary = section_of(TEXT, cluster=read_cluster("8cpu")).summary
        assert not any("bottleneck" in line for line in summary)

    def test_nothing_is_said_where_nothing_is_taken(self) -> None:
        plain = 'id: case\nversion: "1"\nsteps:\n  - {id: a, type: activity, activity: "m:f"}\n'
        assert [*verdicts(subject(plain))] == []

    def test_a_page_and_a_terminal(self) -> None:
        found = [verdict_of(TEXT)]
        page = markdown("case:1", found, ())
        assert "## Resources" in page
        assert "The most of CPU is wanted so: `load` completes, `left` runs" in page
        assert "wanted at once: semaphore llm 2, CPU 15, GPU 2, memory 2 GiB" in text(
            "case:1", found, ()
        )

    def test_data(self) -> None:
        section = section_of(TEXT)
        assert json.loads(json.dumps(dict(section.value)))["resources"][1] == {
            "resource": "CPU",
            "kind": "node",
            "capacity": None,
            "peak": 15.0,
            "exact": True,
            "bound": True,
            "utilisation": None,
            "busy_ms": None,
            "steps": [
                {"step": "left", "count": 1, "amount": 4.0},
                {"step": "right", "count": 2, "amount": 2.0},
                {"step": "inner", "count": 3, "amount": 9.0},
            ],
            "run": [
                {"step": "load", "act": "completes"},
                {"step": "left", "act": "runs"},
                {"step": "right", "act": "runs, 2 items side by side"},
                {"step": "body", "act": "is open, 3 items side by side"},
                {"step": "inner", "act": "runs"},
            ],
        }


class TestGivenBack:
    """No permit is lost on any way to an end."""

    def test_every_permit_of_random_definitions_is_counted(self) -> None:
        counted = 0
        for seed in range(20):
            _, plan = random_plan(Seeded(seed))
            found = given_back(plan)
            if found is not None:
                check(*found)
                counted += 1
        assert counted > 5

    def test_a_net_that_keeps_one_is_rejected(self) -> None:
        plan = plan_of(act("a", 1, uses={"s": 2}), semaphores={"s": 2})
        found = given_back(plan)
        assert found is not None
        net, certificate = found
        check(net, certificate)
        ((place, weights),) = certificate.weights
        for number in range(len(weights)):
            other = (*weights[:number], weights[number] + 1, *weights[number + 1 :])
            with pytest.raises(Rejected):
                check(net, GivenBack(net=certificate.net, weights=((place, other),)))
        keeps = net.transitions[-1]
        arcs = tuple((p, w) for p, w in keeps.outputs if p != place)
        leaky = replace(net, transitions=(*net.transitions[:-1], replace(keeps, outputs=arcs)))
        if keeps.ending != "failed" and arcs != keeps.outputs:
            with pytest.raises(Rejected):
                check(leaky, replace(certificate, net=leaky.content_hash))
