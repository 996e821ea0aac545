"""The story of the demonstration, and its checks: every one must hold, or the exit code is not 0.

1. 336,776 flights go through a durable workflow on a real Ray cluster.
2. In the middle a runner with a step in it and the host that carries the execution are killed -9.
3. The findings are compared with figures computed directly with pyarrow; the ledger and the
   history show which steps ran again, and that each was recorded once.
4. 2,000 workflows of three steps, each result durable before the next step begins.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle

from . import etl
from .ledger import Entry, read_ledger, repeated

FOLDER: Final = Path(__file__).parent
WORKFLOWS: Final = 2_000
STEPS: Final = 12 + 1 + 12 + 1 + 1 + 1 + 1
"""Months, weather, joins, the decision, the timer, the quarantine that is skipped, the findings."""

BOUND_S: Final = 150.0
"""How long any part may take before the demonstration says that it hangs."""


class Checks:
    """What the demonstration promises; each is printed as it is decided."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.failed = 0

    def expect(self, held: bool, what: str) -> None:
        """Print a promise with its outcome."""
        mark = "[green]✓[/green]" if held else "[red]✗[/red]"
        self._console.print(f"{mark} {what}")
        self.failed += not held


def run_tour(console: Console | None = None) -> int:
    """Run the demonstration; 0 when every check held, else 1."""
    console = console or Console()
    checks = Checks(console)
    folder = Path(tempfile.mkdtemp(prefix="heliostat-demo-"))
    etl.data_folder()  # says what to install, before anything is started
    console.print(f"Starting Ray and heliostat on this machine; the journal is in {folder} …")
    begun = time.monotonic()
    with hs.connect(folder) as client:
        console.print(f"Ready after {time.monotonic() - begun:.0f} s.\n")
        _flights(client, folder / "ledger.jsonl", console, checks)
        _throughput(client, console, checks)
    return 1 if checks.failed else 0


def _flights(client: Client, ledger: Path, console: Console, checks: Checks) -> None:
    console.rule("336,776 flights, and two kills")
    client.register(FOLDER / "flights.yaml")
    handle = client.start("flights", {"ledger": str(ledger), "settle": "2s"}, id="flights-of-2013")
    killed = _watch(client, handle, ledger, console)
    output = handle.result(timeout=BOUND_S)
    expected = etl.summarize(etl.with_weather(etl.read_flights(), etl.read_weather()))
    console.print(_findings_table(output["findings"], expected))
    checks.expect(output["findings"] == expected, "the findings equal those computed directly")
    checks.expect(output["flights"] == 336_776, "all 336,776 flights went through")
    checks.expect(killed == {"host", "runner"}, "a runner and the host were killed on the way")
    _histories(handle, read_ledger(ledger), console, checks)


def _watch(client: Client, handle: Handle, ledger: Path, console: Console) -> set[str]:
    """Show the progress, and kill a runner and the host in the middle."""
    killed: set[str] = set()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TimeElapsedColumn(),
    )
    deadline = time.monotonic() + BOUND_S
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("flights", total=STEPS)
        seq = settled = 0
        while time.monotonic() < deadline:
            for event in handle.history(after=seq):
                seq = event["seq"]
                settled += _settles_a_step(event)
            progress.update(task, completed=settled)
            if handle.status().status in ("Completed", "Failed", "Canceled"):
                break
            if "runner" not in killed and settled >= 3:
                running = _running(read_ledger(ledger), handle)
                if running is not None and _kill(running.pid):
                    killed.add("runner")
                    console.print(
                        f"  [red]kill -9[/red] runner {running.pid}, in step {running.step}"
                    )
            elif "runner" in killed and "host" not in killed and settled >= 8:
                for host in client.info()["hosts"]:
                    if _kill(host["pid"]):
                        killed.add("host")
                        console.print(f"  [red]kill -9[/red] host {host['pid']}")
            time.sleep(0.05)  # how often the picture is drawn; nothing depends on it
    return killed


def _settles_a_step(event: dict[str, Any]) -> bool:
    return event["type"] in ("step.completed", "step.skipped") and not event.get("collected")


def _running(entries: Sequence[Entry], handle: Handle) -> Entry | None:
    """The latest attempt that began and has not settled."""
    settled = {
        (event["at"]["step"], event["at"]["scope"])
        for event in handle.history()
        if event["type"] == "step.completed"
    }
    for entry in reversed(entries):
        _, scope, step, _ = entry.key.rsplit(":", 3)
        if (step, int(scope)) not in settled:
            return entry
    return None


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _histories(handle: Handle, entries: Sequence[Entry], console: Console, checks: Checks) -> None:
    """Compare what ran (the ledger) with what was recorded (the history)."""
    history = handle.history()
    completed = Counter(
        (event["at"]["step"], event["at"]["scope"], event["at"]["visit"])
        for event in history
        if event["type"] == "step.completed"
    )
    again = repeated(entries)
    console.print(
        f"The ledger has {len(entries)} attempts at {len({e.key for e in entries})} visits; "
        f"ran again: {', '.join(again) or 'none'}."
    )
    for event in history:
        if event["type"] == "attempt.lost":
            console.print(
                f"  history {event['seq']}: {event['at']['step']} lost ({event['cause']})"
            )
        elif event["type"] == "owner.changed":
            steps = ", ".join(str(at["step"]) for at in event["reissued"])
            console.print(f"  history {event['seq']}: a new owner issued {steps} again")
    checks.expect(max(completed.values()) == 1, "no step was recorded twice")
    checks.expect(bool(again), "the killed runner's step ran again")
    seqs = [event["seq"] for event in history]
    checks.expect(seqs == list(range(1, len(seqs) + 1)), "the history has no gap")


def _throughput(client: Client, console: Console, checks: Checks) -> None:
    console.rule(f"{WORKFLOWS:,} workflows of three steps")
    client.register(FOLDER / "chain.yaml")
    begun = time.monotonic()
    handles = client.start_many("chain", [{"n": n} for n in range(WORKFLOWS)])
    expected = {handle.id: n + 3 for n, handle in enumerate(handles)}
    results = {
        handle.id: handle.result(timeout=BOUND_S)
        for handle in client.results(handles, timeout=BOUND_S)
    }
    elapsed = time.monotonic() - begun
    checks.expect(results == expected, f"{len(results):,} results, all right")
    console.print(
        f"{WORKFLOWS / elapsed:,.0f} workflows/s, {3 * WORKFLOWS / elapsed:,.0f} durable steps/s"
    )


def _findings_table(found: dict[str, Any], expected: dict[str, Any]) -> Table:
    table = Table(title="New York, 2013")
    for title in ("finding", "workflow", "computed directly"):
        table.add_column(title, justify="left" if title == "finding" else "right")
    for name, value in expected.items():
        label = name.removesuffix("_min").replace("_", " ")
        unit = " min" if name.endswith("_min") else ""
        row = [
            f"{v:,.2f}{unit}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v
            for v in (found.get(name), value)
        ]
        table.add_row(label, *map(str, row))
    return table
