"""What a proof costs: time over families of definitions that grow, and beside a well-known peer.

    python -m benchmarks.verify [--json PATH] [--peer]

The question: does the time follow the size of a definition and not the number of its interleavings?
Expected: about a third of a millisecond a step where the structure decides, and no more for a list
of 10,000 elements than for one of two. One process, CPU time, the best of three, of translating and
of verifying all four properties; parsing and compiling are not counted. The check of certificates
is timed apart.

`--peer` asks the same nets of pm4py, if that is installed (`pip install pm4py`; its licence keeps
it out of the product and out of our requirements): its reachability graph and ours, explored whole
and without any reduction, in states/s; its soundness check (Woflan) and ours. Both read the net
from the same PNML.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.certificates.certificates import Explored, Reduced
from heliostat.verify.certificates.checker import check
from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.nets.translation import Translation
from heliostat.verify.properties.soundness import verify, verify_model
from heliostat.verify.properties.verdict import Report
from heliostat.verify.reading.files import read
from heliostat.verify.reading.models import Model
from heliostat.verify.space.explore import explore

Steps = list[dict[str, Any]]


def _act(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", **fields}


def fork(width: int) -> Steps:
    targets = [{"to": f"b{n}"} for n in range(width)]
    split = {"id": "fork", "type": "decision", "split": "all", "next": targets}
    return [split, *(_act(f"b{n}", next="j") for n in range(width)), _act("j", join="all")]


def branches(width: int) -> Steps:
    inner = [{"name": f"b{n}", "steps": [_act(f"s{n}")]} for n in range(width)]
    return [{"id": "p", "type": "parallel", "on_error": [{"output": 1}], "branches": inner}]


def dag(size: int, skipped_percent: int = 0) -> Steps:
    random, steps = Random(1), Steps()
    for n in range(size):
        drawn = {random.randrange(max(0, n - 12), n) for _ in range(random.randint(1, 3)) if n}
        step = _act(f"s{n}", needs=[f"s{need}" for need in sorted(drawn)])
        if random.randrange(100) < skipped_percent:
            step["when"] = "$.input.x"
        steps.append(step)
    return steps


def typical(size: int) -> Steps:
    """Thirds: a sequence with choices and errors that are caught, a fork, a loop."""
    steps = fork(size // 3)
    steps[-1]["next"] = "c0"
    count = size - len(steps)
    for n in range(count):
        after = f"c{n + 1}" if n + 1 < count else "end"
        step = _act(f"c{n}", next=[{"when": "$.output", "to": after}, {"to": "c0"}])
        steps.append(step | {"on_error": [{"next": after}]})
    return steps


def philosophers(count: int, *, orderly: bool = False) -> Steps:
    """Each holds one semaphore and wants the next; orderly ones take the lower of the two first."""
    branches = []
    for n in range(count):
        first, second = n, (n + 1) % count
        if orderly and second < first:
            first, second = second, first
        inner = [_act(f"eat{n}", uses={f"f{second}": 1})]
        body = {"id": f"hold{n}", "uses": {f"f{first}": 1}, "steps": inner}
        branches.append({"name": f"p{n}", "steps": [body]})
    return [{"id": "table", "type": "parallel", "branches": branches}]


def nested(depth: int) -> Steps:
    """Two branches in a body in a branch …; failures are caught at each depth."""
    steps: Steps = [_act("core")]
    for n in range(depth):
        branches = [
            {"name": "down", "steps": steps},
            {"name": "beside", "steps": [_act(f"by{n}")]},
        ]
        inner = {"id": f"p{n}", "type": "parallel", "branches": branches}
        steps = [{"id": f"b{n}", "steps": [inner], "on_error": [{"output": 0}]}]
    return steps


def foreach(width: int) -> Steps:
    inner = [_act("fetch", next="store"), _act("store", on_error=[{"output": 0}])]
    return [{"id": "each", "foreach": f"range(0, {width})", "concurrency": 1000, "steps": inner}]


def stages(cases: int) -> Translation:
    """Cases side by side that each go from any of five stages to any other until it is closed, the
    moves written down stage by stage, not case by case."""
    builder, between = NetBuilder("stages"), range(5)
    running, begin = builder.place("running", tokens=1), builder.place("begin", tokens=1)
    at = [[builder.place(f"at{case}_{stage}") for stage in between] for case in range(cases)]
    closed = [builder.place(f"closed{case}") for case in range(cases)]
    builder.transition("fork", [(begin, 1)], [(own[0], 1) for own in at])
    for source, target in permutations(between, 2):
        for own in at:
            builder.transition("move", [(own[source], 1)], [(own[target], 1)])
    for own, done in zip(at, closed, strict=True):
        builder.transition("close", [(own[-1], 1)], [(done, 1)])
    builder.transition("end", [*((done, 1) for done in closed), (running, 1)])
    return Translation(net=builder.net(), abstractions=())


FAMILIES: dict[str, tuple[Callable[[int], Steps], tuple[int, ...]]] = {
    "fork and join": (fork, (5, 17, 100)),
    "parallel, caught": (branches, (5, 17, 50)),
    "typical": (typical, (30, 100)),
    "dag": (dag, (30, 300, 1000)),
    "dag, 30 % may be skipped": (lambda size: dag(size, 30), (30, 300, 1000)),
    "philosophers": (philosophers, (3, 5, 8)),
    "orderly philosophers": (lambda count: philosophers(count, orderly=True), (3, 5, 8)),
    "nested scopes": (nested, (2, 4, 6, 8)),
    "foreach": (foreach, (2, 10_000)),
}


def measured() -> Iterator[dict[str, Any]]:
    for name, (make, sizes) in FAMILIES.items():
        for size in sizes:
            tree: dict[str, Any] = {"id": "bench", "version": "1", "steps": make(size)}
            if "philosophers" in name:
                tree["semaphores"] = {f"f{n}": 1 for n in range(size)}
            plan = compile_plan(parse_definition(json.dumps(tree), "bench.json"))
            yield {"family": name, "size": size, **_figures(*_best(partial(verify, plan)))}
    for size in (4, 8, 32):
        model = Model(name="stages", translation=stages(size), steps=(), ends=True)
        row = {"family": "stages, free choice", "size": size}
        yield row | _figures(*_best(partial(verify_model, model)))
        explored, seconds = _best(partial(explore, model.translation.net, states_max=20_000))
        yield row | {
            "engine": "exploration alone",
            "markings": len(explored.markings),
            "verify_ms": round(seconds * 1e3, 1),
            "stopped": str(explored.stopped or ""),
        }


def _figures(report: Report, verified_s: float) -> dict[str, Any]:
    certificate = report.about("deadlock").certificate
    began = time.process_time()
    if report.net is not None and certificate is not None:
        check(report.net, certificate)
    checked_ms = (time.process_time() - began) * 1e3
    left = certificate.then if isinstance(certificate, Reduced) else certificate
    return {
        "engine": report.about("deadlock").engine,
        "markings": len(left.markings) if isinstance(left, Explored) else None,
        "verify_ms": round(verified_s * 1e3, 1),
        "check_ms": round(checked_ms, 1),
        "outcomes": [each.outcome for each in report.verdicts],
        "exact": all(each.exact for each in report.verdicts),
    }


def workflow_net(branches: int) -> str:
    """A fork, branches of two transitions that may be one after the other, a join; as PNML."""
    nodes, arcs = ["<place id='i'/>", "<place id='o'/>"], [("i", "fork"), ("join", "o")]
    nodes += ["<transition id='fork'/>", "<transition id='join'/>"]
    for n in range(branches):
        nodes += [f"<place id='{p}{n}'/>" for p in "abc"]
        nodes += [f"<transition id='{t}{n}'/>" for t in "xy"]
        arcs += [("fork", f"a{n}"), (f"a{n}", f"x{n}"), (f"x{n}", f"b{n}")]
        arcs += [(f"b{n}", f"y{n}"), (f"y{n}", f"c{n}"), (f"c{n}", "join")]
    lines = [
        f"<arc id='{n}' source='{source}' target='{target}'/>"
        for n, (source, target) in enumerate(arcs)
    ]
    body = "".join([*nodes, *lines])
    kind = "http://www.pnml.org/version-2009/grammar/pnmlcoremodel"
    final = (
        "<finalmarkings><marking><place idref='o'><text>1</text></place></marking></finalmarkings>"
    )
    begin = body.replace(
        "<place id='i'/>",
        "<place id='i'><initialMarking><text>1</text></initialMarking></place>",
    )
    return f"<pnml><net id='n' type='{kind}'><page id='g'>{begin}</page>{final}</net></pnml>"


def beside_peer() -> Iterator[dict[str, Any]]:
    pm4py = importlib.import_module("pm4py")
    graphs = importlib.import_module("pm4py.objects.petri_net.utils.reachability_graph")
    for branches in (2, 3, 4):
        text = workflow_net(branches)
        with tempfile.NamedTemporaryFile("w", suffix=".pnml") as file:
            file.write(text)
            file.flush()
            theirs = pm4py.read_pnml(file.name)
        [model] = read(text.encode())
        net = model.translation.net
        graph, graph_s = _best(partial(explore, net, reduce=False))
        states, states_s = _best(partial(graphs.construct_reachability_graph, *theirs[:2]))
        report, report_s = _best(partial(verify_model, model))
        answer, answer_s = _best(partial(pm4py.check_soundness, *theirs))
        yield {
            "branches": branches,
            "ours_states_per_s": round(len(graph.markings) / graph_s),
            "peer_states_per_s": round(len(states.states) / states_s),
            "ours_verdict_ms": round(report_s * 1e3, 1),
            "peer_verdict_ms": round(answer_s * 1e3, 1),
            "both_say_sound": report.sound and bool(answer[0]),
        }


def _best(job: Callable[[], Any]) -> tuple[Any, float]:
    """What it answers, and the least CPU seconds of three times."""
    times, found = list[float](), None
    for _ in range(3):
        began = time.process_time()
        found = job()
        times.append(time.process_time() - began)
    return found, max(min(times), 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the proofs.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", action="store_true", help="beside pm4py, if it is installed")
    arguments = parser.parse_args()
    rows = []
    for row in beside_peer() if arguments.peer else measured():
        print(row, flush=True)
        rows.append(row)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
