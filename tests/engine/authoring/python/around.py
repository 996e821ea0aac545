"""What is around a program: its steps' code, people, servers, senders of signals and events.

Both runs, plain and compiled, have one made from the same seed. What happens is drawn as it is
asked for, so that both see the same as long as they ask in the same order; `log` is that order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import heliostat as hs

ASKED_MAX = 200
ACT_MS = 60_000
"""From the opening of a task to what somebody does with it."""


class Ended(BaseException):
    """A run took too long to be compared."""


class Around:
    """What the steps of one run meet; `boom` gives the program's own class of errors."""

    def __init__(self, seed: int, boom: Callable[[], type[Exception]]) -> None:
        self.chance, self.boom = random.Random(seed), boom
        self.log: list[Any] = []

    def tick(self, label: Any) -> Any:
        """One step: it gives one thing after the other, or raises."""
        choice = self._drawn(label, 8)
        if choice == 0:
            raise self.boom()(f"tick {len(self.log)}")
        return [label, len(self.log), [1, 2], "t", None, 0, True][choice - 1]

    def script(self, given: Any) -> Any:
        """A script's output."""
        choice = self._drawn(["script", given], 5)
        if choice == 0:
            raise type("ScriptFailed", (hs.ScriptError,), {})("exit status 1")
        return [given, {"n": choice}, None, 7][choice - 1]

    def http(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
        """A server's answer."""
        choice = self._drawn(["http", method, url, body, headers], 6)
        if choice == 0:
            both = (hs.UnexpectedStatus, hs.TransientServiceError)
            raise type("Status503", both, {})("503 Service Unavailable")
        if choice == 1:
            raise type("InvalidRequest", (hs.PermanentServiceError,), {})("no such host")
        return {
            "status": 200 + choice,
            "headers": {"x": "y"},
            "body": [body, None, 3, "t"][choice - 2],
        }

    def human(self, task: str, shown: Any) -> tuple[str, Any]:
        """What becomes of a task: `complete` with a form, `fail` with words, or `nothing`."""
        choice = self._drawn([task, shown], 6)
        if choice < 2:
            return (("fail", f"no {task}"), ("nothing", None))[choice]
        if task.startswith("yes"):
            return "complete", choice % 2 == 0
        if task.startswith("few"):
            return "complete", [choice, 1]
        if task.startswith("some"):
            return "complete", {"k": choice}
        return "complete", {"ok": choice % 2 == 0} | ({"words": "w"} if choice > 3 else {})

    def arrival(self, wait: str) -> tuple[str, str, Any] | None:
        """What comes while a wait is open: a signal or an event, its name and its data."""
        choice = self._drawn(wait, 6)
        kinds = [None, ("signal", "stop"), ("signal", "go"), ("event", "paid"), ("event", "lost")]
        found = kinds[choice % 5]
        return None if found is None else (*found, {"v": choice % 3, "by": "ann"})

    def _drawn(self, what: Any, sides: int) -> int:
        self.log.append(what)
        if len(self.log) > ASKED_MAX:
            raise Ended
        return self.chance.randrange(sides)
