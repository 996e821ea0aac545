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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
PROCESS_TIMEOUT_S = 900


class Measurement:
    """One line of the table: what is run, how large, and which figure is compared."""

    def __init__(
        self, name: str, what: str, size: int, figure: str, *, higher: bool, aim: str, raw: bool
    ) -> None:
        self.name, self.what, self.size, self.figure = name, what, size, figure
        self.higher, self.aim, self.raw = higher, aim, raw

    @property
    def key(self) -> str:
        return f"{self.name}-{self.size}" if self.size else self.name


MEASUREMENTS = [
    Measurement("w1", "500 workflows of 3 tiny steps, workflows/s", 500, "workflows_per_s",
                higher=True, aim="≥ 10 × raw Ray, ≥ 5,000/s", raw=True),
    Measurement("w1", "5,000 workflows of 3 tiny steps, workflows/s", 5000, "workflows_per_s",
                higher=True, aim="≥ 10 × raw Ray, ≥ 5,000/s", raw=True),
    Measurement("w4", "one chain of 500 steps, ms/step", 500, "ms_per_step",
                higher=False, aim="≤ 0.35 × raw Ray", raw=True),
    Measurement("w6", "cold start to the first result, s", 0, "seconds",
                higher=False, aim="≤ raw Ray + 3 s", raw=True),
    Measurement("w7", "host killed among 2,000 workflows, s until progress", 2000, "resumed_s",
                higher=False, aim="≤ 5 s, nothing lost or doubled", raw=False),
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="names, as w1,w4; all by default")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default 3)")
    parser.add_argument("--json", type=Path, default=FOLDER / "results.json")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) - {""}
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
        if wanted and measurement.name not in wanted:
            continue
        console.print(f"[dim]{measurement.key} …[/dim]")
        rounds = options.repeats if measurement.name == "w6" else 1
        durable: list[dict[str, float]] = []
        raw: list[dict[str, float]] = []
        for _ in range(rounds):
            if measurement.raw:
                raw += run("benchmarks.raw_ray", measurement, options.repeats)
            durable += run("benchmarks.durable", measurement, options.repeats)
        record["figures"][measurement.key] = {"heliostat": durable, "raw_ray": raw}
        ours = median(durable, measurement.figure)
        theirs = median(raw, measurement.figure) if raw else None
        table.add_row(
            measurement.what,
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
