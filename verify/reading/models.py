"""What readers of models make: a net, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.nets.translation import Translation

Alarm = Literal["safeness", "proper completion"]

GOING: Final = "Not at its end"
"""What the place is called that readers add to a net: it holds a token until the end, if any."""

ALARMS: Final[tuple[Alarm, ...]] = ("safeness", "proper completion")


@dataclass(frozen=True, kw_only=True)
class Model:
    """Somebody's model as a net."""

    name: str
    translation: Translation
    steps: tuple[str, ...]  # its tasks, events or transitions, as runs name them
    ends: bool  # whether it has an end that should always be reached
    alarmed: Mapping[Alarm, Translation] = field(default_factory=dict)
    """Nets in which a token on one of `overflows` tells that the property does not hold."""


def end_at(builder: NetBuilder, marking: Sequence[tuple[int, int]]) -> int:
    """Let a net end with just this marking: it is taken once, and then nothing may be left.

    Returns:
        The place that holds a token until then.
    """
    running = builder.place("running", GOING, tokens=1)
    builder.transition("end", [*marking, (running, 1)])
    return running
