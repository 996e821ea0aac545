"""What goes wrong around a kernel in a simulation, and how often."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

INJECTED: Final = "injected by the simulation"
"""The cause of losses that no script asked for."""


HostFault = Literal["commit_lost", "crash_before_commit", "crash_after_commit", "crash_before_ack"]
"""What may happen to a host between any two of deciding, storing, sending, acknowledging."""


class Faults(Struct, frozen=True, kw_only=True):
    """Probabilities, each of a turn, a report or an attempt; all 0: nothing goes wrong."""

    commit_lost: float = 0.0
    """Per turn: its events are not stored, the state is thrown away and folded again."""
    crash_before_commit: float = 0.0
    """Per turn: the host ends; its events are not stored."""
    crash_after_commit: float = 0.0
    """Per turn: the host ends; its events are stored, no command has left."""
    crash_before_ack: float = 0.0
    """Per turn: the host ends; commands have left, no report was acknowledged."""
    forget_known: float = 0.0
    """Per attempt at a take-over: its runner is not heard of by the new owner, and goes on."""
    duplicate: float = 0.0
    """Per report, message, signal and event: it comes once more, later."""
    foreign: float = 0.0
    """Per turn: a report comes that belongs to no outstanding attempt."""
    runner_lost: float = 0.0
    """Per attempt: its runner ends, through no fault of its own."""
    stop_unheard: float = 0.0
    """Per attempt told to stop: nobody reports its end, only its grace ends it."""
    snapshot: float = 0.0
    """Per turn: a snapshot is stored, and the host goes on with what can be read of it."""
    clock_jump: float = 0.0
    """Per turn: the clock jumps forward by up to `clock_jump_ms_max`."""
    clock_jump_ms_max: int = 60_000
    late_ms_max: int = 20_000
    """How late a message comes once more that was delivered before (`duplicate`)."""
    latency_ms_max: int = 5
    """Of each report and command: they overtake one another."""


QUIET: Final = Faults(latency_ms_max=0)
"""Nothing goes wrong, and everything arrives at once."""

STORMY: Final = Faults(
    commit_lost=0.05,
    crash_before_commit=0.03,
    crash_after_commit=0.03,
    crash_before_ack=0.03,
    forget_known=0.3,
    duplicate=0.1,
    foreign=0.1,
    runner_lost=0.03,
    stop_unheard=0.2,
    snapshot=0.1,
    clock_jump=0.02,
)
"""Everything goes wrong now and then; what a definition means does not change by it."""
