"""Every process of a deployment, killed or frozen at random moments: nothing is lost or doubled.

First a storm of single faults, while executions are started, signalled and answered; then the
raylet or the GCS, and at last every process at once, each followed by `heliostat up`. A new client
then reads every result and every history, and compares them with what the steps wrote to a ledger.

`HELIOSTAT_CHAOS_SEED` draws other faults, `HELIOSTAT_CHAOS_SECONDS` makes the storm longer. A seed
repeats the choices, not the instants at which they hit.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.cluster.connect import attach
from heliostat.cluster.reading import read_counts
from heliostat.engine.errors import ResultTimeout
from heliostat.engine.journal.protocol import ExecutionRow
from tests.cluster.conftest import Place
from tests.cluster.histories import Effect, History, read_effects
from tests.crash.chaos_steps import expected, expected_steps
from tests.crash.victims import Victims

SEED = int(os.environ.get("HELIOSTAT_CHAOS_SEED", "1"))
STORM_S = float(os.environ.get("HELIOSTAT_CHAOS_SECONDS", "10"))

BATCH, BATCH_EVERY_S = 20, 0.5
"""Executions that are started at once, and how often, during the storm."""
HANDS_EVERY_S = 0.2
"""How often waiting executions get what they wait for."""
WHOLE = 60
"""Executions in flight when all of the cluster goes."""
BOUND_S = 90.0
"""Of every wait."""

FAULTS = {
    "host": 3,
    "runner": 3,
    "supervisor": 1,
    "launcher": 2,
}
"""What the storm hits, by weight."""

CORE = ("raylet", "gcs")
"""Of Ray: without one of them nothing goes on. A seed has one of them killed."""

HERE = Path(__file__).parent
DEFINITIONS = ("chaos", "chaos_child", "chaos_hears")


@pytest.fixture
def place() -> Iterator[Place]:
    """A deployment by the command line; its path is short, since sockets lie below it."""
    place = Place(Path(tempfile.mkdtemp(prefix="hs-")))
    for name in ("chaos_steps.py", *(f"{name}.yaml" for name in DEFINITIONS)):
        shutil.copy(HERE / name, place.home)
    up(place)
    yield place
    assert place.cli("down").code == 0
    shutil.rmtree(place.home, ignore_errors=True)


def up(place: Place) -> None:
    ran = place.cli("up")
    assert ran.code == 0, f"seed {SEED}: {ran.err}"


@pytest.mark.long
def test_nothing_is_lost_or_doubled(place: Place) -> None:
    chance = random.Random(SEED)
    victims = Victims(place.home / "data", chance)
    work = Work(place, chance)
    deployment_id = place.record.deployment_id
    with attach(place.configuration) as client:
        client.register_many(place.home / f"{name}.yaml" for name in DEFINITIONS)
        storm(client, work, victims, chance)
    with attach(place.configuration) as client:
        work.start(client, WHOLE)
    assert victims.kill_one(chance.choice(CORE)), f"seed {SEED}: found nothing to kill"
    up(place)
    with attach(place.configuration) as client:
        work.start(client, WHOLE)
    victims.kill_all()
    interrupted = read_counts(place.configuration).get("Running", 0)
    told = place.cli("status", "--format", "json")
    assert (told.code, told.json["up"]) == (4, False)
    assert told.json["executions"]["Running"] == interrupted
    again = place.cli("up", "--format", "json")
    assert (again.code, again.json["started"]) == (0, True), f"seed {SEED}: {again.err}"
    assert again.json["deployment_id"] == deployment_id

    story = f"HELIOSTAT_CHAOS_SEED={SEED}; harmed: {dict(victims.harmed)}"
    assert interrupted > 0, f"all had ended before the last fault: {story}"
    with attach(place.configuration) as client:
        faults = work.faults(client)
    assert not faults, f"{story}\n{len(faults)} faults:\n" + "\n".join(faults[:20])
    assert work.repeated > 0, f"no attempt was hit, this was the easy road: {story}"


def storm(client: Client, work: Work, victims: Victims, chance: random.Random) -> None:
    """Start batches; meanwhile harm a process, again and again. What is frozen thaws soon after."""
    starting = Background(lambda: work.start(client, BATCH), BATCH_EVERY_S)
    with starting, Background(Hands(client, work).work, HANDS_EVERY_S):
        end_at = time.monotonic() + STORM_S
        thaw_after = 0
        while time.monotonic() < end_at:
            time.sleep(chance.uniform(0.1, 0.7))  # the moment is what varies
            (kind,) = chance.choices([*FAULTS], [*FAULTS.values()])
            if chance.random() < 0.25:
                victims.freeze_one(kind)
                thaw_after = 2
            else:
                victims.kill_one(kind)
            thaw_after -= 1
            if thaw_after <= 0:
                victims.thaw()
        victims.thaw()


class Background:
    """A thread that does something again and again, in a `with` block; its error is raised at the
    block's end."""

    def __init__(self, what: Callable[[], object], every_s: float) -> None:
        self._what, self._every_s = what, every_s
        self._enough = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> None:
        self._done = self._pool.submit(self._go_on)

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._done.result(BOUND_S)
        self._pool.shutdown()

    def _go_on(self) -> None:
        while not self._enough.wait(self._every_s):
            self._what()


class Hands:
    """What is done to executions from outside: signals, a person's answers, a bell that rings."""

    def __init__(self, client: Client, work: Work) -> None:
        self._client, self._work = client, work
        self._rung = 0

    def work(self) -> None:
        """Whatever waits to be done. Each signal is sent once, each task completed once."""
        self._rung += 1
        self._client.publish("chaos.bell", {"solemn": self._rung % 4 == 0})
        while self._work.to_signal:
            n = self._work.to_signal.popleft()
            self._client.get(f"c{n}").signal("go", {"n": n})
        for task in self._client.tasks(status="Open", limit=1_000):
            if task.step == "ask":
                task.complete({"n": task.input["n"] + 1}, "ann")


class Work:
    """The executions that were started, and what must be true of them in the end."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self._ledger = place.home / "ledger"
        self._place, self._chance = place, chance
        self._started: dict[str, int] = {}
        self.to_signal: deque[int] = deque()
        """Those that wait for a signal which nobody has sent yet."""
        self.repeated = 0
        """Attempts that were made again because one was lost."""

    def start(self, client: Client, count: int) -> None:
        """Start executions; each is durable when this returns."""
        first = len(self._started)
        numbers = {f"c{n}": n for n in range(first, first + count)}
        inputs = [
            {
                "n": n,
                "ledger": str(self._ledger),
                "pause": f"{self._chance.randrange(50, 2_000)}ms",
            }
            for n in numbers.values()
        ]
        client.start_many("chaos", inputs, ids=[*numbers])
        self._started |= numbers
        self.to_signal.extend(n for n in numbers.values() if n % 8 == 1)

    def faults(self, client: Client) -> list[str]:
        """Everything that is not as it must be, one sentence each."""
        handles = {id: client.get(id) for id in self._started}
        ended = set()
        with suppress(ResultTimeout), Background(Hands(client, self).work, HANDS_EVERY_S):
            for handle in client.results(handles.values(), BOUND_S):
                ended.add(handle.id)
        faults = [_lost(handles[id]) for id in self._started if id not in ended]
        effects = read_effects(self._ledger)
        for id in sorted(ended):
            n = self._started[id]
            output = handles[id].result(BOUND_S)
            if output != expected(n):
                faults.append(f"{id} ended with {output}, not {expected(n)}")
            history = self._history(handles[id], effects, faults)
            steps, wanted = history.completed(), expected_steps(n)
            if steps != wanted:
                faults.append(f"{id} completed {dict(steps)}, not {wanted}")
        faults += self._faults_of_children(client, effects)
        faults += [f"{id} had effects and was not started" for id in effects]
        faults += [
            f"{task} is left" for task in client.tasks(status=["Open", "Claimed"], limit=1_000)
        ]
        faults += [fault for host in client.info()["hosts"] for fault in host["faults"]]
        return faults

    def _history(
        self, handle: Handle, effects: dict[str, Counter[Effect]], faults: list[str]
    ) -> History:
        history = History(handle.id, handle.history())
        faults += history.faults(effects.pop(handle.id, Counter()))
        self.repeated += len(history.told_again)
        return history

    def _faults_of_children(
        self, client: Client, effects: dict[str, Counter[Effect]]
    ) -> Iterator[str]:
        """There are as many as were to be started, and each has ended as it must."""
        part = Counter(n % 8 for n in self._started.values())
        wanted = {
            "chaos": {"Completed": len(self._started)},
            "chaos-child": {"Completed": part[0] + 2 * part[5], "Canceled": part[5]},
            "chaos-hears": {"Completed": part[6]},
        }
        for definition, by_status in wanted.items():
            rows = _all_of(client, definition)
            found = Counter(row.status for row in rows)
            if found != Counter(by_status):
                yield f"of {definition} there are {dict(found)}, not {by_status}"
            if definition == "chaos":
                continue
            for row in rows:
                faults: list[str] = []
                self._history(client.get(row.key.execution_id), effects, faults)
                yield from faults


def _all_of(client: Client, definition: str) -> list[ExecutionRow]:
    rows: list[ExecutionRow] = []
    cursor: str | None = None
    while True:
        page = client.list(definition=definition, limit=1_000, cursor=cursor)
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return rows


def _lost(handle: Handle) -> str:
    view, events = handle.status(), handle.history()
    return f"{handle.id} is {view.status}, at {view.active}; its last events: {events[-3:]}"
