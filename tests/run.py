"""All tests, in lanes side by side: `make test` is `python -m tests.run [pytest's options]`.

Tests of a real Ray mostly wait for processes to start and to die, while the others compute: one
after the other they would take twice as long. Each lane is a pytest of its own, with its own
temporary files, deployments and summary; what it prints is shown as it comes, behind its name. The
last line adds the lanes up, in pytest's words. Every test is in one lane, in whichever folder it
is: `units` takes all that no other names, `long units` those of them that are long. Of the lanes
with a Ray two run at a time, with one Ray each, and with the right of way: a Ray does not come up
where its processes get too little of two CPUs. `nodes` begins when `cluster` has ended.

A lane that fails ends no other. Interrupted or told to end, the lanes are, and are waited for.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

LONG = ("conformance", "simulation", "crash", "soak", "wheel", "page", "host")
"""Of the units."""

SHARED = ("cluster",)
"""What shares one deployment."""

OWN_RAY = (
    "cluster/test_life.py",
    "cluster/test_ray_start.py",
    "parts",
    "serve/test_foreign.py",
    "serve/test_on_serve.py",
    "serve/test_over_http.py",
    "serve/test_page.py",
    "crash/test_chaos.py",
    "testing/test_on_ray.py",  # its deployment lives to the session's end
)
"""What starts a Ray of its own, in an order in which no two of them live at once."""

NODES = ("nodes", "deploy/test_container.py", "deploy/test_rayservice.py")
"""What starts a Ray of several nodes, or one as it is deployed."""

AFTER = {"nodes": "cluster"}
"""Lanes that begin when another one has ended."""

NICE = ("units", "long units")
NICENESS = 5
"""Of lanes beside which others start Rays."""

NOTHING_COLLECTED = 5
"""What pytest ends with where `-k` leaves nothing of a lane."""


def lanes() -> dict[str, list[str]]:
    """What each lane is given, in its order."""
    own, nodes = _paths(OWN_RAY), _paths(NODES)
    shared = list(_without(_paths(SHARED), own))
    suites = [
        f"tests/{path.name}"
        for path in sorted(TESTS.iterdir())
        if any(path.rglob("test_*.py")) or path.match("test_*.py")
    ]
    suites.sort(key=lambda path: path != "tests/engine")  # first what all else stands on
    units = list(_without(suites, [*own, *nodes, *shared]))
    long = [path for path in units if path.split("/")[1] in LONG]
    short = [path for path in units if path not in long]
    return {
        "units": short,
        "long units": long,
        "cluster": shared,
        "own rays": own,
        "nodes": nodes,
    }


def _paths(names: Sequence[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


def _without(suites: Iterable[str], taken: Sequence[str]) -> Iterator[str]:
    """The suites; in place of one of which others take a part, what else is in it."""
    for suite in suites:
        if any(name.startswith(f"{suite}/") for name in taken):
            inside = sorted((ROOT / suite).rglob("test_*.py"))
            files = [str(file.relative_to(ROOT)) for file in inside]
        else:
            files = [suite]
        yield from (name for name in files if name not in taken)


class Lane:
    """One pytest, and what it says; begun when another lane has ended, if there is one before."""

    def __init__(self, name: str, arguments: Sequence[str], *, after: Lane | None = None) -> None:
        self.name, self.last = name, ""
        self._arguments, self._after = arguments, after
        self._ended, self._starting = False, threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._begun = threading.Event()
        self._reading = threading.Thread(target=self._run, daemon=True)
        self._reading.start()

    def _run(self) -> None:
        if self._after is not None:
            self._after.wait()
        with self._starting:
            self._process = None if self._ended else self._pytest()
        self._begun.set()
        if self._process is None or self._process.stdout is None:
            return
        with self._process.stdout as said:
            for line in said:
                text = line.rstrip("\n")
                self.last = text or self.last
                sys.stdout.write(f"{self.name:>10} | {text}\n")
                sys.stdout.flush()

    def _pytest(self) -> subprocess.Popen[str]:
        niceness = NICENESS if self.name in NICE else 0
        return subprocess.Popen(
            [
                *("nice", "-n", str(niceness), sys.executable, "-m", "pytest"),
                # Each keeps its own: two that write one cache lose each other's.
                *("-o", f"cache_dir=.pytest_cache/{self.name.replace(' ', '-')}"),
                *self._arguments,
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def wait(self) -> int:
        """Its exit code; all that it said has been shown then."""
        self._begun.wait()
        if self._process is None:
            return -signal.SIGINT
        code = self._process.wait()
        self._reading.join(10)  # a process that it left behind may hold the pipe open
        return code

    def end(self) -> None:
        """Have pytest end what its fixtures began, and then itself."""
        with self._starting:
            self._ended = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)


def added_up(closing_lines: Iterable[str]) -> Counter[str]:
    """What pytest's closing lines count, together: `1 failed, 20 passed in 3.00s`."""
    counts: Counter[str] = Counter()
    for line in closing_lines:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        for count, what in re.findall(r"(\d+) ([a-z]+)(?=,| in )", plain):
            counts[what.removesuffix("s") if what in ("errors", "warnings") else what] += int(count)
    return counts


def main(arguments: Sequence[str]) -> int:
    """Run the lanes; 0 when all of them pass."""
    began = time.monotonic()
    begun: dict[str, Lane] = {}

    def end(number: int, frame: FrameType | None) -> None:
        for lane in list(begun.values()):
            lane.end()

    # Before a lane begins: what is ignored here, as in a shell's background, is ignored there too.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for name, given in lanes().items():
        before = begun.get(AFTER.get(name, ""))
        begun[name] = Lane(name, [*given, *arguments], after=before)
    running = list(begun.values())
    codes = [lane.wait() for lane in running]
    print()
    for lane in running:
        print(f"{lane.name:>10} | {lane.last.strip('= ')}")
    counts = added_up(lane.last for lane in running)
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"==== {said or 'nothing ran'} in {time.monotonic() - began:.2f}s ====")
    return exit_code(codes)


def exit_code(codes: Sequence[int]) -> int:
    """Of all lanes: 0 when those that had something to run passed."""
    if set(codes) == {NOTHING_COLLECTED}:
        return NOTHING_COLLECTED
    return int(any(code not in (0, NOTHING_COLLECTED) for code in codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
