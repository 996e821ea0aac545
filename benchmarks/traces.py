"""W8: a recorded workflow, imported and run, against what no run can beat and against raw Ray.

The trace is a file in WfFormat, or made here: graphs of the shapes of two workflows that are often
measured, with runtimes drawn from a seed. Each step sleeps as long as its task took, scaled; so the
time beyond the bound is what orchestration costs, whatever the number of cores. The bound for `c`
steps at a time is the greater of the critical path and all work divided by `c`.

    python -m benchmarks.traces                         # both made shapes
    python -m benchmarks.traces FILE… --scale 0.01 --concurrency 8

Raw Ray runs the same graph as tasks that take the references of those they need, all submitted at
once, on a cluster of its own with `c` CPUs. It keeps nothing.

Steps that take longer than a second may run beyond `c`: a runner that is at one step for so long
may wait for another step, so up to 8 more are started. The second part of the bound holds for
shorter ones only.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S

SEED = 8
CONCURRENCY = 8
"""Steps at a time: they sleep, so more than there are cores."""

SHAPES = ("montage", "epigenomics")
PROCESS_TIMEOUT_S = 900
WARM_ROUNDS_MAX = 20
"""Of two seconds each; a runner takes one or two to begin, and they begin one by one."""


class Shape:
    """A graph of tasks with runtimes, in the making."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.parents: dict[str, list[str]] = {}
        self.runtimes_s: dict[str, float] = {}

    def task(self, kind: str, mean_s: float, parents: Sequence[str] = ()) -> str:
        """A task whose runtime is drawn around a mean, as those of one program scatter."""
        id = f"{kind}_{len(self.parents):05}"
        self.parents[id] = list(parents)
        self.runtimes_s[id] = round(mean_s * self._random.lognormvariate(0.0, 0.35), 4)
        return id

    def wfformat(self, name: str) -> str:
        children: dict[str, list[str]] = {id: [] for id in self.parents}
        for id, parents in self.parents.items():
            for parent in parents:
                children[parent].append(id)
        tasks = [
            {"name": id.rpartition("_")[0], "id": id, "parents": parents, "children": children[id]}
            for id, parents in self.parents.items()
        ]
        runs = [{"id": id, "runtimeInSeconds": time} for id, time in self.runtimes_s.items()]
        return json.dumps(
            {
                "name": name,
                "schemaVersion": "1.5",
                "workflow": {
                    "specification": {"tasks": tasks},
                    "execution": {"makespanInSeconds": 0, "tasks": runs},
                },
            }
        )


def montage(images: int, seed: int = SEED) -> str:
    """A mosaic: images are projected, neighbours compared, backgrounds matched, all added up."""
    shape = Shape(seed)
    projected = [shape.task("project", 3.0) for _ in range(images)]
    compared = [
        shape.task("compare", 0.4, (projected[i], projected[j]))
        for i in range(images)
        for j in (i + 1, i + 2, i + 5)
        if j < images
    ]
    model = shape.task("model", 2.0, [shape.task("concat", 1.0, compared)])
    matched = [shape.task("match", 0.4, (each, model)) for each in projected]
    added = shape.task("add", 2.0, [shape.task("table", 0.5, matched)])
    shape.task("view", 0.5, [added])
    return shape.wfformat(f"montage-of-{images}")


def epigenomics(lanes: int, seed: int = SEED) -> str:
    """Reads of lanes are split, go through a pipeline in pieces, and are merged twice."""
    shape = Shape(seed)
    merged = []
    for _ in range(lanes):
        split = shape.task("split", 0.5)
        mapped = []
        for _ in range(8):
            piece = shape.task("filter", 0.3, [split])
            for kind, mean_s in (("convert", 0.2), ("pack", 0.2), ("map", 3.0)):
                piece = shape.task(kind, mean_s, [piece])
            mapped.append(piece)
        merged.append(shape.task("merge", 0.6, mapped))
    index = shape.task("index", 1.0, [shape.task("merge", 1.0, merged)])
    shape.task("pileup", 1.0, [index])
    return shape.wfformat(f"epigenomics-of-{lanes}")


def made(shape: str, size: int) -> str:
    return {"montage": montage, "epigenomics": epigenomics}[shape](size)


def durable(
    client: Any, text: str, *, scale: float, work: str, concurrency: int
) -> dict[str, float]:
    """From the call that starts the execution to its result at the client."""
    from heliostat.api.importing.definition import definition_of
    from heliostat.api.importing.wfformat import parse_trace

    imported = definition_of(parse_trace(text), scale=scale, work=work)  # type: ignore[arg-type]  # checked by argparse
    definition = client.register(imported.text)
    begun = time.perf_counter()
    client.start(definition).result(timeout=RESULT_TIMEOUT_S)
    return _figures(imported.bounds, time.perf_counter() - begun, concurrency)


def warm(client: Any, concurrency: int) -> None:
    """Have as many runners at work as there are going to be: they begin only when work waits."""
    from heliostat.api.importing.definition import definition_of
    from heliostat.api.importing.wfformat import parse_trace

    shape = Shape(SEED)
    for _ in range(3 * concurrency):
        shape.task("wide", 0.5)
    definition = client.register(definition_of(parse_trace(shape.wfformat("warm"))).text)
    for _ in range(WARM_ROUNDS_MAX):
        handle = client.start(definition)
        handle.result(timeout=RESULT_TIMEOUT_S)
        if len({event["runner"] for event in handle.history() if "runner" in event}) >= concurrency:
            return
    raise SystemExit(f"fewer than {concurrency} runners came up in {WARM_ROUNDS_MAX} rounds")


def raw_ray(text: str, *, scale: float, work: str, concurrency: int) -> dict[str, float]:
    """The same graph as Ray tasks; Ray is started here, and ends with the process."""
    import ray

    from heliostat.api.importing import work as functions
    from heliostat.api.importing.bounds import bounds
    from heliostat.api.importing.wfformat import parse_trace

    function = getattr(functions, work)

    @ray.remote(num_cpus=1)
    def task(seconds: float, *_: Any) -> float:
        return float(function(seconds))

    tasks = parse_trace(text).tasks
    seconds = {task.id: round(task.runtime_s * scale, 6) for task in tasks}
    ray.get([task.remote(0.2) for _ in range(concurrency)])  # warm as many workers
    begun = time.perf_counter()
    ends: dict[str, Any] = {}
    for each in tasks:
        ends[each.id] = task.remote(seconds[each.id], *(ends[need] for need in each.needs))
    ray.get(list(ends.values()))
    elapsed = time.perf_counter() - begun
    return _figures(bounds(seconds, {each.id: each.needs for each in tasks}), elapsed, concurrency)


def _figures(bound: Any, seconds: float, concurrency: int) -> dict[str, float]:
    least_s = bound.makespan_s(concurrency)
    return {
        "seconds": seconds,
        "bound_s": least_s,
        "over_bound": seconds / least_s if least_s else 0.0,
        "critical_path_s": bound.critical_path_s,
        "work_s": bound.work_s,
        "steps": float(bound.tasks),
        "ms_over_bound_per_step": 1000 * (seconds - least_s) / bound.tasks,
    }


@cache
def _warm_once(client: Any) -> None:
    warm(client, CONCURRENCY)


def w8(client: Any, size: int) -> dict[str, float]:
    """What `python -m benchmarks w8` measures: the mosaic of so many images."""
    _warm_once(client)
    return durable(client, montage(size), scale=0.02, work="sleep", concurrency=CONCURRENCY)


def w8_raw(size: int) -> dict[str, float]:
    """The same on raw Ray."""
    return raw_ray(montage(size), scale=0.02, work="sleep", concurrency=CONCURRENCY)


def _side(side: str, file: str, options: Mapping[str, Any], repeats: int) -> list[dict[str, float]]:
    """One side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.traces", file, "--side", side]
    command += ["--repeats", str(repeats)]
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        command, cwd=FOLDER.parent, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    figures: list[dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _measure(side: str, text: str, options: Mapping[str, Any], repeats: int) -> None:
    if side == "raw":
        from benchmarks.raw_ray import start

        start(num_cpus=options["concurrency"])
        figures = [raw_ray(text, **options) for _ in range(repeats)]
    else:
        from benchmarks.deployment import connect

        with connect(runners=options["concurrency"]) as client:
            warm(client, options["concurrency"])
            durable(client, text, **{**options, "scale": 0.0})  # code paths
            figures = [durable(client, text, **options) for _ in range(repeats)]
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traces", description=__doc__)
    parser.add_argument("files", nargs="*", help="WfFormat traces; absent, made ones")
    parser.add_argument("--size", type=int, default=40, help="of a made trace")
    parser.add_argument("--scale", type=float, default=0.02)
    parser.add_argument("--work", choices=("sleep", "burn"), default="sleep")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the raw figures go")
    parser.add_argument("--side", choices=("heliostat", "raw"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = {"scale": given.scale, "work": given.work, "concurrency": given.concurrency}
    if given.side:
        _measure(given.side, Path(given.files[0]).read_text(), options, given.repeats)
        return
    record: dict[str, Any] = {"options": options, "figures": {}}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(file).resolve() for file in given.files]
        for shape in () if files else SHAPES:
            size = given.size if shape == "montage" else max(1, given.size // 8)
            path = Path(folder, f"{shape}.json")
            path.write_text(made(shape, size))
            files.append(path)
        for path in files:
            sides = {
                side: _side(side, str(path), options, given.repeats)
                for side in ("raw", "heliostat")
            }
            record["figures"][path.stem] = sides
            _print(path.stem, sides)
    if given.json:
        given.json.write_text(json.dumps(record, indent=2) + "\n")


def _print(name: str, sides: Mapping[str, list[dict[str, float]]]) -> None:
    first = sides["raw"][0]
    print(f"{name}: {first['steps']:.0f} steps, bound {first['bound_s']:.3f} s")
    for side, figures in sides.items():
        best = sorted(figures, key=lambda each: each["seconds"])[len(figures) // 2]
        print(
            f"  {side:9} {best['seconds']:.3f} s, {best['over_bound']:.2f} × the bound, "
            f"{best['ms_over_bound_per_step']:.2f} ms a step beyond it"
        )


if __name__ == "__main__":
    main()
