"""W1 on a journal that hosts share: on SQLite, and on PostgreSQL with one host and with several.

    python -m benchmarks.shared [--size 1000] [--rounds 2] [--hosts 1,2] [--json PATH]

One Ray for all, started once; each measurement has a deployment of its own on it, which is gone
before the next begins, and they take turns, so that all see the same minutes. The first of the
two measured batches of a deployment is named apart: its hosts and runners have just begun. The
PostgreSQL server is this benchmark's own, on this machine, with fsync on: it takes its share of
the same cores, and so does a second host. Expected on few cores: PostgreSQL below SQLite by what
its server costs (`benchmarks/journals.py`), two hosts below one, since nothing is free for them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.chains import chains
from heliostat.cluster.ray_connection import start_ray_here
from tests.postgres_server import PostgresServer, postgres_server

WARMING = 200
"""Executions before the first that count: runners start, code is loaded, statements prepared."""

BATCHES = 2


def measure(size: int, **settings: Any) -> list[dict[str, float]]:
    """W1 on a deployment of its own."""
    import heliostat as hs

    folder = Path(tempfile.mkdtemp(prefix="heliostat-bench-"))
    with hs.connect(folder, **settings) as client:
        chains(client, min(size, WARMING))
        return [chains(client, size) for _ in range(BATCHES)]


def all_of(
    size: int, rounds: int, hosts: list[int], server: PostgresServer
) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        deployments: dict[str, dict[str, Any]] = {"sqlite, 1 host": {}}
        for count in hosts:
            url = server.url_of(server.new_database())
            deployments[f"postgres, hosts: {count}"] = {"journal": url, "hosts": count}
        for name, settings in deployments.items():
            began = time.perf_counter()
            figures = measure(size, **settings)
            found.setdefault(name, []).extend(figures)
            rates = ", ".join(f"{figure['workflows_per_s']:,.0f}" for figure in figures)
            took = time.perf_counter() - began
            print(f"{name}: {rates} workflows/s, {took:.0f} s in all", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000, help="workflows (default 1000)")
    parser.add_argument("--rounds", type=int, default=2, help="deployments of each (default 2)")
    parser.add_argument("--hosts", default="1,2", help="hosts on PostgreSQL, as 1,2")
    parser.add_argument("--json", type=Path, help="where to write the figures too")
    options = parser.parse_args()
    hosts = [int(count) for count in options.hosts.split(",")]
    _, release = start_ray_here(
        Path(tempfile.mkdtemp(prefix="heliostat-bench-")), resources={}, dashboard=False
    )
    try:
        with postgres_server(fsync="on", full_page_writes="on") as server:
            found = all_of(options.size, options.rounds, hosts, server)
    finally:
        release()
    for name, figures in found.items():
        rates = [figure["workflows_per_s"] for figure in figures]
        print(f"{name}: {statistics.median(rates):,.0f} workflows/s, all: "
              f"{', '.join(f'{rate:,.0f}' for rate in rates)}")  # fmt: skip
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
