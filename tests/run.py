"""All tests, in three lanes side by side: `make test` is `python -m tests.run [pytest's options]`.

Tests of a real Ray mostly wait for processes to start and to die, while the others compute: one
after the other they would take twice as long. Each lane is a pytest of its own, with its own
temporary files, deployments and summary; what it prints is shown as it comes, behind its name. The
last line adds the lanes up, in pytest's words. Every test is in one lane, in whichever folder it
is: `units` takes all that the lanes with a Ray do not name. These have one Ray at a time each, and
the right of way: a Ray does not come up where its processes get too little of two CPUs.

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

LATER = ("conformance", "simulation", "crash", "soak", "wheel")
"""Of `units`: what takes long comes after what is quick to say that something is wrong."""

SHARED = ("cluster",)
"""What shares one deployment."""

OWN_RAY = (
    "cluster/test_life.py",
    "cluster/test_ray_start.py",
    "parts",
    "serve/test_foreign.py",
    "serve/test_on_serve.py",
    "serve/test_over_http.py",
    "page/test_on_ray.py",
    "nodes",
    "crash/test_chaos.py",
    "deploy/test_container.py",
    "deploy/test_rayservice.py",
    "testing/test_on_ray.py",  # its deployment lives to the session's end
)
"""What starts a Ray of its own, in an order in which no two of them live at once."""

NICENESS = 5
"""Of `units`, beside which others start Rays."""

NOTHING_COLLECTED = 5
"""What pytest ends with where `-k` leaves nothing of a lane."""


def lanes() -> dict[str, list[str]]:
    """What each lane is given, in its order."""
    own = _paths(OWN_RAY)
    shared = list(_without(_paths(SHARED), own))
    suites = [
        f"tests/{path.name}"
        for path in sorted(TESTS.iterdir())
        if any(path.rglob("test_*.py")) or path.match("test_*.py")
    ]
    suites.sort(key=lambda path: path != "tests/engine")  # first what all else stands on
    suites.sort(key=lambda path: _turn(path.removeprefix("tests/")))
    units = list(_without(suites, [*own, *shared]))
    return {"units": units, "cluster": shared, "own rays": own}


def _paths(names: Sequence[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


def _turn(name: str) -> int:
    return LATER.index(name) + 1 if name in LATER else 0


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
    """One pytest, and what it says."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name, self.last = name, ""
        niceness = NICENESS if name == "units" else 0
        self.process = subprocess.Popen(
            [
                *("nice", "-n", str(niceness), sys.executable, "-m", "pytest"),
                # Each keeps its own: two that write one cache lose each other's.
                *("-o", f"cache_dir=.pytest_cache/{name.replace(' ', '-')}"),
                *arguments,
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                text = line.rstrip("\n")
                self.last = text or self.last
                sys.stdout.write(f"{self.name:>10} | {text}\n")
                sys.stdout.flush()

    def wait(self) -> int:
        """Its exit code; all that it said has been shown then."""
        code = self.process.wait()
        self._reading.join(10)  # a process that it left behind may hold the pipe open
        return code


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
    running = [Lane(name, [*given, *arguments]) for name, given in lanes().items()]

    def end(number: int, frame: FrameType | None) -> None:
        for lane in running:
            if lane.process.poll() is None:
                lane.process.send_signal(signal.SIGINT)  # pytest ends what its fixtures began

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
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
