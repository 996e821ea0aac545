"""What verdicts rest on where durations were measured."""

from __future__ import annotations

from collections.abc import Iterator

from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.timing.durations import Measured
from heliostat.verify.timing.words import few


def measurements(durations: Measured) -> Iterator[Abstraction]:
    """What verdicts rest on where steps were measured."""
    steps = [id for id, each in durations.items() if each.source == "measured"]
    if steps:
        yield Abstraction(
            kind="measured",
            step=None,
            text=f"what was measured of {few(steps)} stands for all that may come",
        )
