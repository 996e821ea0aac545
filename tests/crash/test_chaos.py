"""Every process of a deployment, killed or frozen at random moments: nothing is lost or doubled.

First a storm of single faults, while executions are started; then the raylet, the GCS and at last
every process at once, each followed by `heliostat up`. A new client then reads every result and
every history, and compares them with what the steps wrote to a ledger.

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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.cluster.connect import attach
from heliostat.cluster.reading import read_counts
from heliostat.engine.errors import ResultTimeout
from tests.cluster.conftest import Place
from tests.crash.chaos_steps import expected
from tests.crash.victims import Victims

SEED = int(os.environ.get("HELIOSTAT_CHAOS_SEED", "1"))
STORM_S = float(os.environ.get("HELIOSTAT_CHAOS_SECONDS", "10"))

BATCH, BATCH_EVERY_S = 20, 0.5
"""Executions that are started at once, and how often, during the storm."""
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

HERE = Path(__file__).parent


@pytest.fixture
def place() -> Iterator[Place]:
    """A deployment by the command line; its path is short, since sockets lie below it."""
    place = Place(Path(tempfile.mkdtemp(prefix="hs-")))
    for name in ("chaos.yaml", "chaos_steps.py"):
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
    with attach(place.configuration) as client:
        client.register(place.home / "chaos.yaml")
        storm(client, work, victims, chance)
    for hit in (lambda: victims.kill_one("raylet"), lambda: victims.kill_one("gcs")):
        with attach(place.configuration) as client:
            work.start(client, WHOLE)
        assert hit(), f"seed {SEED}: found nothing to kill"
        up(place)
    with attach(place.configuration) as client:
        work.start(client, WHOLE)
    victims.kill_all()
    interrupted = read_counts(place.configuration).get("Running", 0)
    up(place)

    story = f"HELIOSTAT_CHAOS_SEED={SEED}; harmed: {dict(victims.harmed)}"
    assert interrupted > 0, f"all had ended before the last fault: {story}"
    with attach(place.configuration) as client:
        faults = work.faults(client)
    assert not faults, f"{story}\n{len(faults)} faults:\n" + "\n".join(faults[:20])
    assert work.repeated > 0, f"no attempt was hit, this was the easy road: {story}"


def storm(client: Client, work: Work, victims: Victims, chance: random.Random) -> None:
    """Start batches; meanwhile harm a process, again and again. What is frozen thaws soon after."""
    with Starting(client, work):
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


class Starting:
    """A thread that starts batches, in a `with` block; its error is raised at the block's end."""

    def __init__(self, client: Client, work: Work) -> None:
        self._client, self._work = client, work
        self._enough = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> None:
        self._done = self._pool.submit(self._start)

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._done.result(BOUND_S)
        self._pool.shutdown()

    def _start(self) -> None:
        while not self._enough.wait(BATCH_EVERY_S):
            self._work.start(self._client, BATCH)


class Work:
    """The executions that were started, and what must be true of them in the end."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self._ledger = place.home / "ledger"
        self._place, self._chance = place, chance
        self._started: dict[str, int] = {}
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

    def faults(self, client: Client) -> list[str]:
        """Everything that is not as it must be, one sentence each."""
        handles = {id: client.get(id) for id in self._started}
        ended = set()
        with suppress(ResultTimeout):
            for handle in client.results(handles.values(), BOUND_S):
                ended.add(handle.id)
        faults = [_lost(handles[id]) for id in self._started if id not in ended]
        effects = self._effects()
        for id in sorted(ended):
            handle, n = handles[id], self._started[id]
            output = handle.result(BOUND_S)
            if output != expected(n):
                faults.append(f"{id} ended with {output}, not {expected(n)}")
            history = History(id, handle.history())
            faults += history.faults(n, effects.pop(id, Counter()))
            self.repeated += history.repeated
        faults += [f"{id} had effects and was not started" for id in effects]
        counts = read_counts(self._place.configuration)
        if counts != {"Completed": len(self._started)}:
            faults.append(f"the journal counts {counts}, {len(self._started)} were started")
        faults += [fault for host in client.info()["hosts"] for fault in host["faults"]]
        return faults

    def _effects(self) -> dict[str, Counter[Effect]]:
        """By execution: which attempt of which step wrote how often."""
        effects: dict[str, Counter[Effect]] = {}
        for line in self._ledger.read_text().splitlines():
            key, attempt = line.split()
            id, scope, step, visit = key.removeprefix("default/").split(":")
            found = effects.setdefault(id, Counter())
            found[int(scope), step, int(visit), int(attempt)] += 1
        return effects


def _lost(handle: Handle) -> str:
    view, events = handle.status(), handle.history()
    return f"{handle.id} is {view.status}, at {view.active}; its last events: {events[-3:]}"


Effect = tuple[int, str, int, int]
"""Scope instance, step, visit, attempt."""


class History:
    """The recorded events of one execution."""

    def __init__(self, id: str, events: Sequence[Mapping[str, Any]]) -> None:
        self._id, self._events = id, events
        self._completed = [event for event in events if event["type"] == "step.completed"]
        lost = [event["at"] for event in events if event["type"] == "attempt.lost"]
        reissued = [
            at for event in events if event["type"] == "owner.changed" for at in event["reissued"]
        ]
        failed = [event["at"] for event in events if event["type"] == "attempt.failed"]
        self._told_again = [*map(_effect, lost), *map(_effect, reissued)]
        self._failed = [*map(_effect, failed)]
        self.repeated = len(self._told_again)

    def faults(self, n: int, effects: Counter[Effect]) -> Iterator[str]:
        """What contradicts itself, the definition, or the effects that were seen."""
        events = self._events
        seqs = [event["seq"] for event in events]
        if seqs != list(range(1, len(events) + 1)):
            yield f"{self._id} has a gap: {seqs}"
        yield from self._doubled()
        steps = Counter(event["at"]["step"] for event in self._completed)
        last = "even" if (expected(n)["value"] - 1) % 4 == 0 else "odd"
        heavy = {"heavy": 1} if n % 16 == 0 else {}
        wanted = {"first": 1, "wide": 4, "pause": 1, "flaky": 1, "route": 1, last: 1} | heavy
        if steps != wanted:
            yield f"{self._id} completed {dict(steps)}, not {wanted}"
        yield from self._unexplained(effects)

    def _doubled(self) -> Iterator[str]:
        """A transition that is recorded twice."""
        kinds = Counter(event["type"] for event in self._events)
        for kind in ("execution.started", "execution.completed"):
            if kinds[kind] != 1:
                yield f"{self._id} has {kinds[kind]} × {kind}"
        moves = Counter((e["type"], _effect(e["at"])) for e in self._events if "at" in e)
        visits = Counter(_effect(event["at"])[:3] for event in self._completed)
        for what, count in [*moves.items(), *visits.items()]:
            if count > 1:
                yield f"{self._id} records {what} {count} times"

    def _unexplained(self, effects: Counter[Effect]) -> Iterator[str]:
        """Effects that are missing, or happened again although the history does not say so."""
        for event in self._completed:
            at = _effect(event["at"])
            if event["at"]["step"] in ("pause", "route") or event.get("collected"):
                continue
            if (count := effects.pop(at, 0)) != 1:
                yield f"{self._id} completed {at} with {count} effects"
        told = Counter([*self._told_again, *self._failed])
        for at, count in effects.items():
            if not told[at]:
                yield f"{self._id} had the effect {at}, of which its history says nothing"
            elif count > 1:
                yield f"{self._id} had the effect {at} {count} times"


def _effect(at: Mapping[str, Any]) -> Effect:
    return at["scope"], at["step"], at["visit"], at["attempt"]
