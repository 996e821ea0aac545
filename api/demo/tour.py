"""The story of the demonstration, and its checks: every one must hold, or the exit code is not 0.

1. 336,776 flights go through a durable workflow on a real Ray cluster: activities, a decision, a
   timer, a script, a workflow of its own, and a person, whose task is done over HTTP.
2. In the middle a runner with a step in it and the host that carries the execution are killed -9.
3. The findings are compared with figures computed directly with pyarrow; the ledger and the
   history show which steps ran again, and that each was recorded once; the events that came over
   the socket meanwhile are the history.
4. 2,000 workflows of three steps, each result durable before the next step begins.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.api.serve.door import ServeDoor
from heliostat.cluster.config import load_configuration
from heliostat.cluster.deployment import down, up
from heliostat.engine.status import TERMINAL

from . import etl
from .kills import Kills, settles_a_step
from .ledger import Entry, read_ledger, repeated
from .streaming import EventStream

FOLDER: Final = Path(__file__).parent
WORKFLOWS: Final = 2_000
STEPS: Final = 12 + 1 + 12 + 1 + 1 + 1 + 1 + 1 + 1 + 1
"""Months, weather, joins, the decision, the timer, the quarantine that is skipped, the findings,
the carriers, the headline, the publication."""

BOUND_S: Final = 150.0
"""How long any part may take before the demonstration says that it hangs."""

EDITOR: Final = "ann"
APPROVED: Final = {"approved": True, "remark": "mind the rain"}


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
    with _deployment(folder) as url, hs.connect(folder) as client, hs.connect(url) as over_http:
        console.print(f"Ready after {time.monotonic() - begun:.0f} s.")
        console.print(
            f"The page, while this runs: [bold]{url}/#/executions/flights-of-2013[/bold]\n"
        )
        _flights(client, over_http, folder / "ledger.jsonl", console, checks)
        _throughput(client, console, checks)
    return 1 if checks.failed else 0


@contextmanager
def _deployment(folder: Path) -> Iterator[str]:
    """A deployment with its HTTP door, and where that is; it ends with the demonstration."""
    configuration = load_configuration({"data_dir": folder, "http_port": 0})
    door = ServeDoor()
    report = up(configuration, door=door)
    try:
        assert report.http is not None  # the configuration does not leave it out
        yield report.http.rstrip("/")
    finally:
        down(configuration, door=door)


def _flights(
    client: Client, over_http: Client, ledger: Path, console: Console, checks: Checks
) -> None:
    console.rule("336,776 flights, two kills, and a person")
    client.register_many([FOLDER / "carriers.yaml", FOLDER / "flights.yaml"])
    handle = client.start("flights", {"ledger": str(ledger), "settle": "2s"}, id="flights-of-2013")
    stream = EventStream(over_http.get(handle.id))
    killed = _watch(client, over_http, stream, handle, ledger, console)
    output = handle.result(timeout=BOUND_S)
    table = etl.with_weather(etl.read_flights(), etl.read_weather())
    expected = etl.summarize(table)
    console.print(_findings_table(output["findings"], expected))
    checks.expect(output["findings"] == expected, "the findings equal those computed directly")
    checks.expect(output["flights"] == 336_776, "all 336,776 flights went through")
    checks.expect(
        output["ranking"] == etl.rank(table), "the workflow of its own ranked the carriers"
    )
    checks.expect(bool(output["headline"]), f"a script wrote: {output['headline']}")
    checks.expect(
        output["publication"] == APPROVED | {"completed_by": EDITOR},
        f"{EDITOR} approved it, over HTTP",
    )
    checks.expect(killed == {"host", "runner"}, "a runner and the host were killed on the way")
    _histories(handle, read_ledger(ledger), console, checks)
    events = stream.all()
    checks.expect(
        events == handle.history(),
        f"the socket told all {len(events)} events of the history, through the kills"
        + (f" ({stream.fault})" if stream.fault else ""),
    )


def _watch(
    client: Client,
    over_http: Client,
    stream: EventStream,
    handle: Handle,
    ledger: Path,
    console: Console,
) -> set[str]:
    """Show the progress, kill a runner and the host in the middle, and do a person's work."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TimeElapsedColumn(),
    )
    kills = Kills(client, ledger, console.print)
    deadline = time.monotonic() + BOUND_S
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("flights", total=STEPS)
        while time.monotonic() < deadline and stream.fault is None:
            events = list(stream.events)
            progress.update(task, completed=sum(map(settles_a_step, events)))
            if handle.status().status in TERMINAL:
                break
            kills.consider(events)
            if any(_ends(event, "headline") for event in events):
                _approve(over_http, handle, console)
            time.sleep(0.05)  # how often the picture is drawn; nothing depends on it
    return kills.done


def _ends(event: dict[str, Any], step: str) -> bool:
    return bool(event["type"] == "step.completed" and event["at"]["step"] == step)


def _approve(over_http: Client, handle: Handle, console: Console) -> None:
    """Do the task of the editors, once there is one."""
    for task in over_http.tasks(execution_id=handle.id, status=["Open"]):
        task.claim(EDITOR)
        console.print(f"  {EDITOR} is asked: {task.name}")
        task.complete(APPROVED, EDITOR)


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
