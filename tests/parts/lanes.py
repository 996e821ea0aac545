"""What the tests of both lanes share: steps, assignments, gathered reports."""

from __future__ import annotations

import asyncio
import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliostat.actors.dispatch.protocol import Assignment, Noticed, Report, StepCode
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.plan.plan import Resources

NOTHING = Resources()

_count = itertools.count()


def write_steps(folder: Path) -> None:
    source = """
        import os, sys, time
        from heliostat.actors.runner.current import current

        def tiny(x=0):
            print("said", x)
            return {"x": x + 1}

        def nested():
            import ray

            @ray.remote(num_cpus=1)
            def inner():
                return os.getpid()

            return ray.get(inner.remote())

        def said(name):
            return os.environ.get(name)

        def die():
            os._exit(3)

        def fail():
            raise KeyError("nothing here")

        def full():
            raise MemoryError

        def nap(seconds):
            time.sleep(seconds)
            return "woke"

        def polite():
            attempt = current()
            while not attempt.cancelled:
                time.sleep(0.01)
            return "as far as I got"

        def table():
            import pyarrow
            return {"rows": 3, "table": pyarrow.table({"a": [1, 2, 3]})}

        def surroundings():
            import shade
            with open("colour.txt") as file:
                return [os.environ["TASTE"], file.read(), shade.NAME]

        def beat():
            for number in range(3):
                yield number
                time.sleep(0.15)
            return "beaten"
    """
    (folder / "steps.py").write_text(textwrap.dedent(source))


def step(
    function: str,
    input: Any = None,
    *,
    alone: bool = False,
    resources: Resources = NOTHING,
    timeout_ms: int | None = None,
) -> Assignment:
    return Assignment(
        key=ExecutionKey("default", f"e{next(_count)}"),
        at=Address(1, 0, 1),
        code=StepCode(
            key=f"{function}|{timeout_ms}|{resources}",
            step_id=function,
            target=f"steps:{function}",
            code=None,
            timeout_ms=timeout_ms,
            resources=resources,
        ),
        input=input,
        alone=alone,
    )


class Reports:
    """Gathers what a lane delivers."""

    def __init__(self) -> None:
        self.all: list[Report] = []
        self.notices: list[Noticed] = []

    def take(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if isinstance(report, Noticed):
                self.notices.append(report)
            else:
                self.all.append(report)

    async def hear(self, count: int, *, within: float = 60) -> list[Report]:
        async with asyncio.timeout(within):
            while len(self.all) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.all

    async def hear_of(self, step: Assignment, *, within: float = 60) -> None:
        """Return when this very attempt was told to have begun; where it is slow, others are."""
        async with asyncio.timeout(within):
            while not self._heard_of(step):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def _heard_of(self, step: Assignment) -> bool:
        return any((each.key, each.at) == (step.key, step.at) for each in self.notices)
