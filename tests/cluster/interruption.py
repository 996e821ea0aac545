"""Executions in the middle of something while their host is killed, and what becomes of them.

A `Case` says which definition runs, where it must be when the host goes, what is then done to it,
and what it must lead to. An `Interruption` carries a whole table of cases through one death of the
host, since a death takes seconds: each case runs twice at once, and differs in when the rest is
done to it.

`during`: while the host is frozen, before it is killed. Requests are in flight, attempts end with
nobody to hear of it.
`after`: when the next host answers. All that was in the middle has been taken over by then.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.engine.errors import (
    ExecutionCanceled,
    ExecutionFailed,
    HeliostatError,
    ResultTimeout,
)
from heliostat.engine.status import TERMINAL
from tests.cluster.conftest import BOUND_S
from tests.cluster.histories import History, read_effects

DEFINITIONS = Path(__file__).parent / "language"

When = Literal["during", "after"]
Stage = Literal["first", "holds", "behind", "timed"]
"""The second has attempts that hold runners, the third such that may wait for one behind these,
the fourth makes none and must not wait for others, since its time runs."""


def each_run(cases: Iterable[Case]) -> list[tuple[str, When]]:
    """What a test of every run is parametrised with."""
    return [(case.name, when) for case in cases for when in case.whens]


@dataclass
class Run:
    """One execution of a case, and where its steps leave their traces."""

    case: Case
    when: When
    client: Client
    folder: Path
    url: str
    prefix: str
    ready: str = "nothing was tried"
    """What has been missing for it to be in the middle; empty: nothing."""
    below: list[str] = field(default_factory=list)
    """Executions that it, or one of these, had open then."""
    faults: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.prefix}-{self.case.name}-{self.when}"

    @property
    def handle(self) -> Handle:
        return self.client.get(self.id)

    @property
    def ledger(self) -> Path:
        return self.folder / f"{self.case.name}-{self.when}.ledger"

    @property
    def gate(self) -> Path:
        return self.folder / f"{self.case.name}-{self.when}.gate"

    @property
    def input(self) -> dict[str, Any]:
        own = {"ledger": str(self.ledger), "gate": str(self.gate), "url": self.url, "id": self.id}
        return own | dict(self.case.input)

    def open(self) -> None:
        """Let the attempts that wait go on."""
        self.gate.touch()

    def signal(self, name: str = "go", data: Any = None) -> None:
        self.handle.signal(name, data)

    def noted(self) -> set[str]:
        """The steps that have had an effect, of whatever execution."""
        return {at[1] for effects in read_effects(self.ledger).values() for at in effects}

    def children(self) -> list[Handle]:
        """The executions below it that were open in the middle, or have had an effect."""
        ids = dict.fromkeys([*self.below, *read_effects(self.ledger)])
        return [self.client.get(id) for id in ids if id != self.id]

    def look_below(self) -> None:
        """Find the executions below it that are open now."""
        left = [self.handle]
        while left:
            for active in left.pop().status().active:
                if "child" in active:
                    self.below.append(active["child"])
                    left.append(self.client.get(active["child"]))

    def history(self) -> History:
        return History(self.id, self.handle.history())


@dataclass(frozen=True)
class Case:
    """A definition in the middle of something."""

    name: str
    active: tuple[str, ...] = ()
    """Steps that must be active when the host is killed."""
    begun: tuple[str, ...] = ()
    """Steps that must have had an effect by then."""
    act: Callable[[Run], object] = Run.open
    """What is done to it then."""
    output: Any = None
    status: str = "Completed"
    completed: Mapping[str, int] = field(default_factory=dict)
    """How often these steps must have completed."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """How often these events must have been recorded."""
    children: Mapping[str, int] = field(default_factory=dict)
    """How many executions that it started must end, by status."""
    tasks: tuple[str, ...] = ()
    """The statuses of its human tasks in the end."""
    definition: str | None = None
    """The name of its file; that of the case if absent."""
    input: Mapping[str, Any] = field(default_factory=dict)
    ready: Callable[[Run], bool] = lambda _: True
    """What else must be true before."""
    stage: Stage = "first"
    """When it starts: each stage when those before are where they must be."""
    whens: tuple[When, ...] = ("during", "after")

    def __post_init__(self) -> None:
        """What no runner has is the host's alone, and a next host says that it issues it again."""
        if self.kinds.get("owner.changed") == 0:
            assert set(self.active) <= set(self.begun), f"{self.name}: a runner may not have all"

    @property
    def file(self) -> Path:
        return DEFINITIONS / f"{self.definition or self.name}.yaml"

    def missing(self, run: Run) -> str:
        """What is not yet so; empty: it is in the middle."""
        active = {each["step"] for each in run.handle.status().active}
        if not set(self.active) <= active:
            return f"active are {sorted(active)}, not yet all of {self.active}"
        if not set(self.begun) <= run.noted():
            return f"effects are of {sorted(run.noted())}, not yet of all of {self.begun}"
        return "" if self.ready(run) else "it is not ready yet"


class Interruption:
    """One death of the host, and a table of cases that go through it."""

    def __init__(
        self, client: Client, folder: Path, cases: Sequence[Case], *, prefix: str, url: str = ""
    ) -> None:
        self._client = client
        self.runs = {
            (case.name, when): Run(case, when, client, folder, url, prefix)
            for case in cases
            for when in case.whens
        }

    def go_through(self) -> None:
        """Start all, kill the host in their middle, do what is to be done, wait for the ends.

        Nothing is asserted here, so that each case is judged by a test of its own.
        """
        for stage in get_args(Stage):
            chosen = [run for run in self.runs.values() if run.case.stage == stage]
            for run in chosen:
                definition = f"lang-{run.case.file.stem.replace('_', '-')}"
                self._client.start(definition, run.input, id=run.id)
            self._await_middle(chosen)
        before = self.host()
        with ThreadPoolExecutor(len(self.runs)) as pool:
            os.kill(before["pid"], signal.SIGSTOP)
            acting = self._act(pool, "during")
            os.kill(before["pid"], signal.SIGKILL)
            eventually(lambda: self.host()["pid"] != before["pid"], "another host answers")
            acting += self._act(pool, "after")
            for run, done in acting:
                try:
                    done.result(BOUND_S)
                except (HeliostatError, AssertionError, pytest.fail.Exception) as error:
                    run.faults.append(f"what was to be done to it failed: {error}")
        end_at = time.monotonic() + BOUND_S
        for run in self.runs.values():
            self._judge(run, end_at)

    def host(self) -> dict[str, Any]:
        host: dict[str, Any] = self._client.info()["hosts"][0]
        return host

    def _await_middle(self, runs: Iterable[Run]) -> None:
        """Wait until each is where it must be; one that does not come there says so itself."""
        left = list(runs)
        end_at = time.monotonic() + BOUND_S / 2
        while left and time.monotonic() < end_at:
            for run in left:
                run.ready = run.case.missing(run)
                if not run.ready:
                    run.look_below()
            left = [run for run in left if run.ready]
            time.sleep(0.02)

    def _act(self, pool: ThreadPoolExecutor, when: When) -> list[tuple[Run, Future[object]]]:
        return [
            (run, pool.submit(run.case.act, run))
            for run in self.runs.values()
            if run.when == when and not run.ready
        ]

    def _judge(self, run: Run, end_at: float) -> None:
        """Write down what is not as the case says, and what no history may be."""
        case = run.case
        if run.ready:
            run.faults.append(f"it never was in the middle: {run.ready}")
            return
        try:
            outcome = _outcome(run.handle, max(end_at - time.monotonic(), 1.0))
        except ResultTimeout as error:
            view = run.handle.status()
            run.faults.append(f"{error}; {view.status}, at {view.active}")
            return
        if outcome != (case.status, case.output):
            run.faults.append(f"it is {outcome}, not {(case.status, case.output)}")
        ended = Counter(_end_of(child, end_at) for child in run.children())
        if ended != Counter(case.children):
            run.faults.append(f"its children are {dict(ended)}, not {dict(case.children)}")
        tasks = tuple(task.status for task in run.handle.tasks())
        if case.tasks and tasks != case.tasks:
            run.faults.append(f"its tasks are {tasks}, not {case.tasks}")
        history = run.history()
        run.faults += [
            f"{what} completed {history.completed()[what]} times, not {count}"
            for what, count in case.completed.items()
            if history.completed()[what] != count
        ]
        effects = read_effects(run.ledger)
        run.faults += [
            f"{kind} is recorded {len(found)} times, not {count}: {found}; the effects of its "
            f"steps are {dict(effects.get(run.id, {}))}"
            for kind, count in case.kinds.items()
            if len(found := history.of(kind)) != count
        ]
        run.faults += history.faults(effects.pop(run.id, Counter()))
        for child in run.children():
            told = History(child.id, child.history())
            run.faults += told.faults(effects.pop(child.id, Counter()))


def _outcome(handle: Handle, within_s: float) -> tuple[str, Any]:
    """Its status and output; of a failure, what failed and where."""
    try:
        return "Completed", handle.result(within_s)
    except ExecutionFailed as failed:
        return "Failed", {name: failed.failure.get(name) for name in ("type", "step")}
    except ExecutionCanceled:
        return "Canceled", None


def _end_of(child: Handle, end_at: float) -> str:
    """Its status, once it has ended: one that nobody waits for may take longer."""
    while (status := child.status().status) not in TERMINAL and time.monotonic() < end_at:
        time.sleep(0.02)
    return status


def eventually(condition: Callable[[], object], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"did not happen: {what}"
        time.sleep(0.02)
