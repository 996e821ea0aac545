"""Runs the examples that documentation shows: what is simulated, and what it must lead to.

An example is a fenced block with a definition (and others that it starts, divided by `---`),
followed by one that says what the simulator is told and what must come of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from ruamel.yaml import YAML

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import (
    QUIET,
    Call,
    Faults,
    Outcome,
    Returns,
    Simulation,
    SimulationResult,
)
from heliostat.engine.simulator.outcomes import scripted
from heliostat.engine.simulator.script import read_outcomes
from heliostat.engine.simulator.timeline import read_timeline

DOCS: Final = Path(__file__).parents[2] / "docs"
_DIVIDER: Final = "\n---\n"
DRAWN_MS_MAX: Final = 1_000
"""The longest time that an attempt takes whose script says none."""


class Example(Struct, frozen=True, kw_only=True):
    """One pair of blocks."""

    id: str
    heading: str
    text: str
    told: dict[str, Any]

    @property
    def plans(self) -> list[Plan]:
        """What is simulated, and the definitions that it starts."""
        return [
            compile_plan(parse_definition(part, f"{self.id}.yaml"))
            for part in self.text.split(_DIVIDER)
        ]


def examples_of(page: Path, kind: str) -> list[Example]:
    """The pairs of blocks of a page, the second of each marked `yaml <kind>`."""
    text = page.read_text()
    found = []
    pattern = re.compile(rf"```yaml\n(.*?)```\n+```yaml {kind}\n(.*?)```", re.DOTALL)
    for pair in pattern.finditer(text):
        definition, told = pair.groups()
        headings = re.findall(r"^#{2,4} (.*)$", text[: pair.start()], re.MULTILINE)
        found.append(
            Example(
                id=definition.split()[1],
                heading=headings[-1] if headings else page.stem,
                text=definition,
                told=plain(told),
            )
        )
    return found


def plain(text: str) -> Any:
    """YAML as JSON values."""
    return json.loads(json.dumps(YAML(typ="safe").load(text)))


def simulated(
    plans: list[Plan],
    told: Mapping[str, Any],
    *,
    seed: int = 0,
    drawn: bool = False,
    faults: Faults = QUIET,
) -> SimulationResult:
    """Simulate what an example tells.

    Args:
        drawn: attempts whose script says no time take one that is drawn from the seed, so that
            they end in any order.
    """
    scripts: dict[str, Any] = dict(read_outcomes(told.get("outcomes"), plans))
    if drawn:
        for plan in plans:
            scripts[plan.id] = _drawn(scripts.get(plan.id, {}), seed)
    return Simulation(
        plans[0],
        told.get("input"),
        scripts.get(plans[0].id),
        seed=seed,
        faults=faults,
        happenings=read_timeline(told.get("timeline", ()), plans[0]),
        others=plans[1:],
        scripts=scripts,
    ).run()


def _drawn(script: Any, seed: int) -> Callable[[Call], Any]:
    def outcome(call: Call) -> Any:
        told = scripted(script, call)
        if told is None:
            told = Returns(None)
        if not isinstance(told, Outcome) or told.after_ms != 1:
            return told
        key = f"{seed} {call.workflow} {call.step} {call.visit} {call.indices} {call.nth}"
        return replace(told, after_ms=Random(key).randint(1, DRAWN_MS_MAX))

    return outcome
