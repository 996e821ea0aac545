"""Kills or freezes every process of a deployment, one at a time, while thousands of executions run.

    python -m benchmarks.reliability [--faults host:kill,runner:stop] [--size 3000]
                                     [--journal sqlite|postgres] [--hosts 2] [--json FILE]

For each fault: the longest time in which no step had an effect, beside the same without a fault;
executions that were acknowledged and never ended (must be 0); effects that were had twice; and how
long until a process of the kind was there again. Steps note each effect in a ledger, with its time,
so nothing of it depends on a client that may itself be hit.

Not a power failure: a process that is killed leaves its writes to the system. That a commit is on
the disk before it is acknowledged rests on `fsync`, which no kill can test.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import ledger
from benchmarks.deployment import FOLDER
from benchmarks.victims import Processes, send
from heliostat.cluster.record import read_record

STEPS = 3
"""Of each execution at least."""
HARM_AT = 0.2
"""Of the effects, when the fault comes."""
HEAVY_EVERY = 50
"""One execution of so many, as `noted.yaml` says."""
BOUND_S = 240.0
"""Of every wait; what has not ended by then counts as lost."""
UP_MS = 400_000
"""Ray starts within 15 s; beside much else on the machine it has taken minutes."""
UP_TRIES = 3
POLL_S = 0.1
FILE_COLUMNS = 140
"""Of the table where it does not go to a terminal."""
STARTED = "all are started"

ONE = ("host", "runner", "launcher", "scheduler", "supervisor", "keeper")
WHOLE = ("raylet", "gcs", "everything")
"""Without these there is no Ray cluster: `heliostat up` makes another, on the same journal."""
REPAIRS = {
    "none": "-",
    "host": "kill: Ray restarts it; stop: the supervisor kills it first",
    "runner": "the host starts another; stop: the host kills it first",
    "launcher": "kill: Ray restarts it; stop: a host kills it first",
    "scheduler": "kill: Ray restarts it; stop: the supervisor kills it first",
    "supervisor": "Ray restarts it; nobody waits for it",
    "keeper": "kill: Ray restarts it; stop: the supervisor kills it first",
    "raylet": "`heliostat up`",
    "gcs": "`heliostat up`",
    "everything": "`heliostat up`",
    "postgres": "whoever runs the server; hosts reconnect",
}
DEFAULT = [
    "none",
    *(f"{kind}:{how}" for kind in ONE for how in ("kill", "stop")),
    *(f"{kind}:kill" for kind in WHOLE),
]


class Place:
    """A deployment in a folder of its own, by the command line."""

    def __init__(self, home: Path, settings: dict[str, str], server: Any = None) -> None:
        self.home, self.data = home, home / "data"
        self.server = server
        own = {"HELIOSTAT_DATA_DIR": str(self.data), "HELIOSTAT_UP_TIMEOUT_MS": str(UP_MS)}
        self._environment = os.environ | {"HELIOSTAT_HTTP": "false"} | settings | own
        self.processes = Processes(self.data)
        self._runs = 0
        self._starters: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        """`heliostat up`, again where Ray gave up, as it does on a machine with no CPU to spare."""
        for _ in range(UP_TRIES - 1):
            with suppress(SystemExit):
                self.cli("up")
                return
        self.cli("up")

    def cli(self, *arguments: str) -> None:
        """A command; raises with what it said when it fails."""
        self._call("-m", "heliostat.api.cli", *arguments)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=FOLDER.parent,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=UP_MS / 1_000 + 60,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, count: int) -> tuple[str, Path]:
        """Start executions, each acknowledged when this returns; their tag and their ledger."""
        self._runs += 1
        tag = f"r{self._runs}"
        path = self.home / f"ledger-{tag}"
        arguments = ("-m", "benchmarks.reliability", "start", tag, str(path), str(count))
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=FOLDER.parent,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._starters.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != f"{STARTED}\n":
            raise SystemExit("the executions could not be started")
        return tag, path

    def door(self) -> tuple[str, int]:
        """Where its HTTP door is reached."""
        record = read_record(self.data)
        assert record is not None
        assert record.http is not None
        return record.http.reached

    def forget_starters(self) -> None:
        """End the processes that started executions; they may hang where their Ray is gone."""
        for process in self._starters:
            process.kill()
            process.wait()
        self._starters.clear()

    def ended(self) -> dict[str, int]:
        """All executions by status, as the journal says."""
        from heliostat.cluster.config import load_configuration
        from heliostat.cluster.reading import read_counts
        from heliostat.engine.errors import HeliostatError

        configuration = load_configuration({}, environment=self._environment, directory=self.home)
        try:
            return dict(read_counts(configuration))
        except HeliostatError:  # the journal is away just now
            return {}


@contextmanager
def deployment(journal: str, hosts: int, more: Mapping[str, str] | None = None) -> Iterator[Place]:
    """Up on the journal named, with more in its environment, and down in the end."""
    home = Path(tempfile.mkdtemp(prefix="hb-"))
    settings = {"HELIOSTAT_HOSTS": str(hosts)} | dict(more or {})
    server = None
    try:
        if journal == "postgres":
            from tests.postgres_server import postgres_server

            with postgres_server() as server:
                database = server.new_database()
                settings["HELIOSTAT_JOURNAL"] = server.url_of(database)
                yield from _up(Place(home, settings, server))
        else:
            yield from _up(Place(home, settings))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _up(place: Place) -> Iterator[Place]:
    place.up()
    try:
        yield place
    finally:
        for process in place.processes.everything():
            send(process, signal.SIGCONT)
        place.cli("down")


def measure(place: Place, fault: str, size: int) -> dict[str, Any]:
    """One fault among `size` executions that run."""
    kind, _, how = fault.partition(":")
    before = place.ended().get("Completed", 0)
    _, path = place.start(size)
    _until(lambda: path.exists() and path.stat().st_size > 0, "a first effect")
    line = len(path.read_bytes().split(b"\n", 1)[0]) + 1
    _until(lambda: path.stat().st_size >= HARM_AT * size * STEPS * line, "a fifth of the effects")
    harmed_s = time.time()
    there = frozenset(place.processes.of(kind) if kind in ONE else ())
    hit = _harm(place, kind, how)
    back_s = None

    def is_back() -> bool:  # others of the kind may have been there all the time
        return bool(hit) and not there.issuperset(place.processes.of(kind))

    frozen = hit if how == "stop" else []
    end_at = time.monotonic() + BOUND_S
    while (done := place.ended().get("Completed", 0) - before) < size:
        if back_s is None and kind in ONE and is_back():
            back_s = time.time() - harmed_s
        if time.monotonic() > end_at:
            break
        time.sleep(POLL_S)
    for process in frozen:
        send(process, signal.SIGCONT)
    place.forget_starters()
    ended_s = time.time() - harmed_s
    while kind in ONE and how == "kill" and hit and back_s is None:
        if is_back():
            back_s = time.time() - harmed_s
        elif time.monotonic() > end_at:
            break
        time.sleep(POLL_S)
    effects = ledger.read(path)
    return {
        "fault": fault,
        "hit": len(hit),
        "gap_s": effects.longest_gap(harmed_s, without=_is_heavy),
        "launched_gap_s": effects.longest_gap(harmed_s, without=lambda key: not _is_heavy(key)),
        "ended_s": ended_s,
        "lost": size - done,
        "missing": effects.missing(size, STEPS),
        "repeated": effects.repeated,
        "back_s": back_s,
        "repairs": REPAIRS[kind],
    }


def _is_heavy(key: str) -> bool:
    """Whether an effect is of an execution with a step by the launcher, which is slower by itself:
    the last of those would be a gap without any fault."""
    return int(key.rsplit(":", 3)[0].rpartition(".")[2]) % HEAVY_EVERY == 0


def _harm(place: Place, kind: str, how: str) -> list[Any]:
    """Hit a process of the kind, or several; what makes the cluster whole again is done at once."""
    if kind == "none":
        return []
    if kind == "postgres":
        place.server.kill()
        place.server.start()
        return [place.server]
    if kind in WHOLE:
        found = place.processes.everything() if kind == "everything" else place.processes.of(kind)
        for process in found:
            send(process, signal.SIGKILL)
        place.up()
        return found
    found = place.processes.of(kind)[:1]
    for process in found:
        send(process, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    return found


def _until(holds: Any, what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not holds():
        if time.monotonic() > end_at:
            raise SystemExit(f"waited {BOUND_S:g} s for {what}")
        time.sleep(0.02)


def start(tag: str, path: Path, count: int) -> None:
    """In a process of its own, which may hang when Ray goes: start executions and leave."""
    from heliostat.cluster.config import load_configuration
    from heliostat.cluster.connect import attach

    with attach(load_configuration()) as client:
        version = client.register(FOLDER / "noted.yaml")
        inputs = [{"n": n, "ledger": str(path)} for n in range(count)]
        client.start_many(version, inputs, ids=[f"{tag}.{n}" for n in range(count)])
        print(STARTED, flush=True)
        time.sleep(1)  # leaving takes some time of its own; the fault is not to wait for it


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["start"]:
        start(arguments[1], Path(arguments[2]), int(arguments[3]))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--faults", default="", help="as host:kill,runner:stop; all by default")
    parser.add_argument("--size", type=int, default=3_000, help="executions of each (default 3000)")
    parser.add_argument("--journal", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--json", type=Path, default=FOLDER / "reliability.json")
    options = parser.parse_args(arguments)
    faults = [each for each in options.faults.split(",") if each] or [
        *DEFAULT,
        *(["postgres:kill"] if options.journal == "postgres" else []),
    ]
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    figures = []
    with deployment(options.journal, options.hosts) as place:
        for fault in faults:
            console.print(f"[dim]{fault} …[/dim]")
            figures.append(measure(place, fault, options.size))
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(_table(figures, options))
    if any(each["lost"] or each["missing"] for each in figures):
        sys.exit("something was lost")


def _table(figures: Sequence[dict[str, Any]], options: Any) -> Table:
    title = f"{options.size:,} executions, {options.journal}, {options.hosts} host(s)"
    table = Table(title=title)
    names = (
        "no progress, s",
        "launched, s",
        "back, s",
        "all ended, s",
        "lost",
        "effects twice",
        "repaired by",
    )
    for name in ("fault", *names):
        table.add_column(name, justify="left" if name in ("fault", "repaired by") else "right")
    for each in figures:
        there = each["hit"] or each["fault"] == "none"
        table.add_row(
            each["fault"] if there else f"{each['fault']} (there is none)",
            f"{each['gap_s']:.2f}",
            f"{each['launched_gap_s']:.2f}",
            "-" if each["back_s"] is None else f"{each['back_s']:.1f}",
            f"{each['ended_s']:.1f}",
            str(each["lost"] + each["missing"]),
            str(each["repeated"]),
            each["repairs"],
        )
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
