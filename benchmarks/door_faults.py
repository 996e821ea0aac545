"""Kills every process of the HTTP door, one at a time, while clients start executions through it.

    python -m benchmarks.door_faults [--faults replica:kill,proxy:stop] [--size 1500] [--json FILE]

For each fault: the longest time without an answer, beside the same without a fault; how many
requests were told to come again or were cut off; starts that were acknowledged and did not end
(must be 0), and effects that were had twice. Clients repeat a start under its id until it is
acknowledged, on a new connection where the last was cut off, as HTTP asks them to; nothing else
looks after the requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import ledger
from benchmarks.deployment import FOLDER
from benchmarks.reliability import BOUND_S, HARM_AT, POLL_S, STEPS, Place, deployment
from benchmarks.victims import DOOR, send

CONNECTIONS = 8
ANSWER_S = 10.0
"""A request that has no answer by then is given up, and made again."""
PAUSE_S = 0.1
"""Before a request is made again."""
DEFAULT = ["none", *(f"{kind}:{how}" for kind in DOOR for how in ("kill", "stop"))]


class Starts:
    """Starts over several connections at once, and when each was answered."""

    def __init__(self, place: Place, run: str, path: Path, size: int) -> None:
        self._reached = place.door()
        self._run, self._path, self._size = run, path, size
        self._lock = threading.Lock()
        self._next = 0
        self.answered_at_s: list[float] = []
        self.asked_again = 0
        self._clients = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]

    def begin(self) -> None:
        """Start all clients; each ends when there is nothing more to start."""
        for client in self._clients:
            client.start()

    def end(self) -> None:
        """Wait until every start was acknowledged."""
        for client in self._clients:
            client.join(BOUND_S)
            if client.is_alive():
                raise SystemExit(f"a start was not acknowledged within {BOUND_S:g} s")

    def _ask(self) -> None:
        connection = self._connected()
        while (number := self._taken()) is not None:
            while not _started(connection, self._body(number)):
                with self._lock:
                    self.asked_again += 1
                connection.close()
                time.sleep(PAUSE_S)
                connection = self._connected()
            with self._lock:
                self.answered_at_s.append(time.time())
        connection.close()

    def _taken(self) -> int | None:
        with self._lock:
            self._next += 1
            return self._next - 1 if self._next <= self._size else None

    def _body(self, number: int) -> str:
        return json.dumps(
            {
                "definition_id": "bench-noted",
                "workflow_id": f"{self._run}.{number}",
                "input": {"n": number, "ledger": str(self._path)},
            }
        )

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._reached, timeout=ANSWER_S)


def _started(connection: http.client.HTTPConnection, body: str) -> bool:
    """Whether a start is acknowledged; not where the client is to come again."""
    try:
        connection.request("POST", "/api/v1/workflows", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        told = answer.read()
    except (OSError, http.client.HTTPException):  # cut off, refused, or silent for too long
        return False
    if answer.status in (429, 503):
        return False
    if answer.status not in (200, 201):
        raise SystemExit(f"a start was answered {answer.status}: {told!r}")
    return True


def measure(place: Place, fault: str, size: int, run: str) -> dict[str, Any]:
    """One fault among `size` starts."""
    kind, _, how = fault.partition(":")
    before = place.ended().get("Completed", 0)
    path = place.home / f"ledger-{run}"
    starts = Starts(place, run, path, size)
    starts.begin()
    while len(starts.answered_at_s) < HARM_AT * size:
        time.sleep(POLL_S)
    there = frozenset(place.processes.of(kind) if kind != "none" else ())
    harmed_s = time.time()
    hit = sorted(there, key=lambda each: each.started)[:1]
    for process in hit:
        send(process, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    back_s = None
    end_at = time.monotonic() + BOUND_S
    while (done := place.ended().get("Completed", 0) - before) < size:
        if back_s is None and hit and not there.issuperset(place.processes.of(kind)):
            back_s = time.time() - harmed_s
        if time.monotonic() > end_at:
            break
        time.sleep(POLL_S)
    for process in hit:
        send(process, signal.SIGCONT)
    starts.end()
    answered = sorted(at for at in starts.answered_at_s if at > harmed_s)
    effects = ledger.read(path)
    return {
        "fault": fault,
        "hit": len(hit),
        "silent_s": max((b - a for a, b in pairwise([harmed_s, *answered])), default=0.0),
        "back_s": back_s,
        "asked_again": starts.asked_again,
        "lost": size - done,
        "missing": effects.missing(size, STEPS),
        "repeated": effects.repeated,
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.door_faults", description=__doc__)
    parser.add_argument("--faults", default="", help="as replica:kill,proxy:stop; all by default")
    parser.add_argument("--size", type=int, default=1_500, help="starts of each (default 1500)")
    parser.add_argument("--json", type=Path, default=FOLDER / "door_faults.json")
    options = parser.parse_args(arguments)
    faults = [each for each in options.faults.split(",") if each] or DEFAULT
    console = Console()
    figures = []
    with deployment("sqlite", 1, {"HELIOSTAT_HTTP": "true", "HELIOSTAT_HTTP_PORT": "0"}) as place:
        place.cli("register", str(FOLDER / "noted.yaml"))
        for number, fault in enumerate(faults):
            console.print(f"[dim]{fault} …[/dim]")
            figures.append(measure(place, fault, options.size, f"d{number}"))
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(_table(figures, options.size))
    if any(each["lost"] or each["missing"] for each in figures):
        sys.exit("something was lost")


def _table(figures: Sequence[dict[str, Any]], size: int) -> Table:
    table = Table(title=f"{size:,} starts over {CONNECTIONS} connections")
    table.add_column("fault")
    for name in ("no answer, s", "back, s", "asked again", "lost", "effects twice"):
        table.add_column(name, justify="right")
    for each in figures:
        there = each["hit"] or each["fault"] == "none"
        table.add_row(
            each["fault"] if there else f"{each['fault']} (there is none)",
            f"{each['silent_s']:.2f}",
            "-" if each["back_s"] is None else f"{each['back_s']:.1f}",
            str(each["asked_again"]),
            str(each["lost"] + each["missing"]),
            str(each["repeated"]),
        )
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
