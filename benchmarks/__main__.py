"""Runs the benchmarks and prints a table; the raw figures go to a JSON file.

Each measurement runs in processes of its own, heliostat and raw Ray in turns, so that both see
the same machine in the same minutes and neither has the other's processes beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import reliability

FOLDER = Path(__file__).parent
PROCESS_TIMEOUT_S = 900


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One line of the table: what is run, how large, and which figure is compared."""

    name: str
    what: str
    size: int
    figure: str
    higher: bool
    aim: str
    raw: bool = False
    beside: tuple[str, ...] = ()
    """Other figures that the line shows."""
    long: bool = False
    """Only when it is asked for by name."""
    once: bool = False
    """Takes too long to be repeated."""

    @property
    def key(self) -> str:
        return f"{self.name}-{self.size}" if self.size else self.name


W1_AIM = "≥ 10 × raw Ray, ≥ 5,000/s"
ASLEEP = ("starts_per_s", "woken_s", "woken_per_s", "host_mib_asleep")

MEASUREMENTS = [
    Measurement(name="w1", what="500 workflows of 3 tiny steps, workflows/s", size=500,
                figure="workflows_per_s", higher=True, aim=W1_AIM, raw=True),
    Measurement(name="w1", what="5,000 workflows of 3 tiny steps, workflows/s", size=5000,
                figure="workflows_per_s", higher=True, aim=W1_AIM, raw=True),
    Measurement(name="w1-function", what="as W1, by a compiled function: of YAML's rate", size=2000,
                figure="of_yaml", higher=True, aim="≥ 0.9",
                beside=("yaml_per_s", "function_per_s")),
    Measurement(name="w2", what="one workflow of 3 tiny steps alone, p50 ms", size=500,
                figure="client_p50_ms", higher=False, aim="≤ 0.9 × raw Ray", raw=True,
                beside=("client_p99_ms", "http_p50_ms", "http_p99_ms")),
    Measurement(name="w3", what="fan-out over 1,000 steps and join, s", size=1000,
                figure="seconds", higher=False, aim="≤ 0.1 × raw Ray", raw=True,
                beside=("host_mib_more",)),
    Measurement(name="w4", what="one chain of 500 steps, ms/step", size=500,
                figure="ms_per_step", higher=False, aim="≤ 0.35 × raw Ray", raw=True),
    Measurement(name="w6", what="cold start to the first result, s", size=0,
                figure="seconds", higher=False, aim="≤ raw Ray + 3 s", raw=True),
    Measurement(name="w7", what="host killed among 2,000 workflows, s until progress", size=2000,
                figure="resumed_s", higher=False, aim="≤ 5 s, nothing lost or doubled",
                beside=("lost", "wrong", "effects_missing", "effects_repeated")),
    Measurement(name="w8", what="a mosaic of 40 images, 8 steps at a time, s", size=40,
                figure="seconds", higher=False, aim="close to the bound", raw=True,
                beside=("bound_s", "over_bound", "steps")),
    Measurement(name="w5-bells", what="10,000 asleep on a signal or event, bytes each", size=10_000,
                figure="resident_bytes_each", higher=False, aim="≤ 2,048", beside=ASLEEP,
                once=True),
    Measurement(name="overload", what="10 × the sustained starts, 10 s: peak of the host, MiB",
                size=10, figure="host_mib_peak", higher=False, aim="bounded, nothing lost",
                once=True, beside=("sustainable_per_s", "offered_per_s", "accepted_per_s",
                                   "refused_per_s", "lost", "status_p50_ms", "status_p99_ms",
                                   "status_max_ms", "status_failed")),
    Measurement(name="http", what="single starts over 32 HTTP connections, starts/s", size=5_000,
                figure="starts_per_s", higher=True, aim="≥ 1,000/s",
                beside=("p50_ms", "p99_ms", "bare_per_s", "of_bare", "batched_per_s", "up_s")),
    Measurement(name="finished", what="beside 1,000,000 finished: W1, of beside none",
                size=1_000_000, figure="w1_of_empty", higher=True, aim="≥ 0.9", once=True,
                beside=("start_of_empty", "w1_full_per_s", "w1_empty_per_s", "start_full_s",
                        "start_empty_s", "journal_mb")),
    Measurement(name="stored", what="100,000 stored: state over HTTP, p50 ms", size=100_000,
                figure="state_p50_ms", higher=False, aim="-", once=True,
                beside=("state_p99_ms", "client_state_p50_ms", "list_p50_ms", "list_p99_ms",
                        "list_by_status_p50_ms", "list_by_definition_p50_ms",
                        "list_page_1000_p50_ms", "list_cursor_p50_ms", "search_p50_ms")),
    Measurement(name="sockets", what="1,000 sockets at one execution, p50 of an event, ms",
                size=1_000, figure="one_late_p50_ms", higher=False, aim="p99 ≤ 250", once=True,
                beside=("one_late_p99_ms", "one_replica_cpu", "one_replica_kib_each",
                        "each_late_p50_ms", "each_late_p99_ms", "each_replica_cpu",
                        "each_replica_idle_cpu", "each_host_idle_cpu")),
    # by name only
    Measurement(name="wide", what="fan-out over 100,000 steps and join, s", size=100_000,
                figure="seconds", higher=False, aim="-", long=True, once=True,
                beside=("us_per_item", "host_mib_before", "host_mib_more")),
    Measurement(name="w5", what="100,000 asleep on timers, bytes each", size=100_000,
                figure="resident_bytes_each", higher=False, aim="≤ 2,048", beside=ASLEEP,
                long=True, once=True),
    Measurement(name="bells", what="100,000 asleep on a signal or event, bytes each", size=100_000,
                figure="resident_bytes_each", higher=False, aim="≤ 2,048", beside=ASLEEP,
                long=True, once=True),
    Measurement(name="flood", what="as overload, 60 s: peak of the host, MiB", size=60,
                figure="host_mib_peak", higher=False, aim="bounded, nothing lost",
                long=True, once=True,
                beside=("sustainable_per_s", "offered_per_s", "accepted_per_s", "refused_per_s",
                        "lost", "unanswered", "drained_s", "status_p50_ms", "status_p99_ms",
                        "status_max_ms", "status_failed")),
    Measurement(name="soak", what="load for 5 minutes: growth of the host, MiB/10,000", size=300,
                figure="mib_per_10k", higher=False, aim="0 within its error", long=True, once=True,
                beside=("mib_per_10k_plus_minus", "executions", "host_mib_warm",
                        "host_mib_last")),
]  # fmt: skip


def run(module: str, measurement: Measurement, repeats: int) -> list[dict[str, float]]:
    """One process; its figures, one object a repeat."""
    command = [sys.executable, "-m", module, measurement.name, str(measurement.size), str(repeats)]
    done = subprocess.run(
        command, cwd=FOLDER.parent, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    figures: list[dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpus": os.cpu_count(),
        "cpu_model": model,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "ray": version("ray"),
        "heliostat": version("heliostat"),
    }


def median(figures: list[dict[str, float]], name: str) -> float:
    return statistics.median(figure[name] for figure in figures)


def _beside(measurement: Measurement, figures: list[dict[str, float]]) -> list[str]:
    return [f"{name} {_short(median(figures, name))}" for name in measurement.beside]


def _short(figure: float) -> str:
    return f"{figure:,.2f}" if abs(figure) < 10 else f"{figure:,.1f}"


def main() -> None:
    if sys.argv[1:2] == ["reliability"]:
        reliability.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="what to run, also what takes long: "
        + ", ".join(each.name for each in MEASUREMENTS)
        + ", reliability; absent, all that is short",
    )
    parser.add_argument("--only", default="", help="names, as w1,w4; all by default")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default 3)")
    parser.add_argument("--json", type=Path, default=FOLDER / "results.json")
    options = parser.parse_args()
    wanted = {*options.names, *options.only.split(",")} - {""}
    unknown = wanted - {each.name for each in MEASUREMENTS}
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    console = Console()
    table = Table(title=f"medians of {options.repeats} repeats")
    for title in ("measurement", "heliostat", "raw Ray", "ratio", "aim"):
        table.add_column(title, justify="left" if title in ("measurement", "aim") else "right")
    record: dict[str, Any] = {
        "machine": machine(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "repeats": options.repeats,
        "figures": {},
    }
    for measurement in MEASUREMENTS:
        if measurement.name not in wanted and (wanted or measurement.long):
            continue
        repeats = 1 if measurement.once else options.repeats
        console.print(f"[dim]{measurement.key} …[/dim]")
        rounds = repeats if measurement.name == "w6" else 1
        durable: list[dict[str, float]] = []
        raw: list[dict[str, float]] = []
        for _ in range(rounds):
            if measurement.raw:
                raw += run("benchmarks.raw_ray", measurement, repeats)
            durable += run("benchmarks.durable", measurement, repeats)
        record["figures"][measurement.key] = {"heliostat": durable, "raw_ray": raw}
        ours = median(durable, measurement.figure)
        theirs = median(raw, measurement.figure) if raw else None
        table.add_row(
            "\n  ".join([measurement.what, *_beside(measurement, durable)]),
            f"{ours:,.2f}",
            f"{theirs:,.2f}" if theirs is not None else "–",
            f"{ours / theirs:.2f}" if theirs else "–",
            measurement.aim,
        )
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    console.print(table)
    console.print(f"raw figures: {options.json}")


if __name__ == "__main__":
    main()
