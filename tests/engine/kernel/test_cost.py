"""What an event costs does not grow with the execution: counts and sizes, never times."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterable
from types import FrameType
from typing import Any

import pytest

from heliostat.engine.kernel.codec import encode_event, encode_snapshot, fold
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.kernel.state import ExecutionState
from tests.engine.kernel.driving import ACTIVITY_LOOP, DECISION_LOOP, WIDE, drive, plan_of

TIMES = 20_000


class TestLoop:
    """A loop of any length takes the memory of one turn."""

    @pytest.mark.parametrize("text", [ACTIVITY_LOOP, DECISION_LOOP], ids=["activity", "decision"])
    def test_memory_is_flat(self, text: str) -> None:
        plan, state = plan_of(text), ExecutionState()
        sizes: dict[int, tuple[int, int]] = {}
        steps = 0
        tracemalloc.start()
        try:
            for events in drive(plan, state, {"times": TIMES}):
                before, steps = steps, steps + len(events)
                for mark in (2_000, 18_000):
                    if before < mark <= steps:
                        gc.collect()
                        held = tracemalloc.get_traced_memory()[0]
                        sizes[mark] = len(encode_snapshot(state)), held
        finally:
            tracemalloc.stop()
        early, late = sizes[2_000], sizes[18_000]
        assert steps > TIMES
        assert state.status == "Completed"
        assert late[0] <= early[0] + 64  # longer numbers, and how full the heap of timers is
        assert late[1] <= early[1] + 64 * 1024

    def test_stale_timers_are_swept(self) -> None:
        plan, state = plan_of(ACTIVITY_LOOP), ExecutionState()
        longest = max(len(state.timers) for _ in drive(plan, state, {"times": 2_000}))
        assert longest <= 64

    def test_snapshots_are_amortised(self) -> None:
        """Taken when the events since the last exceed its size, they cost no more than these."""
        plan, state = plan_of(WIDE), ExecutionState()
        written = since = last = snapshots = 0
        for events in drive(plan, state, {"width": 2_000}):
            size = sum(len(encode_event(event)) for event in events)
            written, since = written + size, since + size
            if since > max(last, 1_024):
                last, since = len(encode_snapshot(state)), 0
                snapshots += last
        assert snapshots <= 2 * written


class TestWideForeach:
    """A `foreach` costs the same per item at any width, and keeps no more than its results."""

    def test_one_event_an_item(self) -> None:
        events = [event for turn in _wide(3_000) for event in turn]
        assert len(events) == 3_000 + 3  # started; each item; collected; completed

    def test_bytes_of_an_event_are_constant(self) -> None:
        assert _bytes_per_item(10_000) <= _bytes_per_item(1_000) * 1.1

    def test_calls_per_event_are_constant(self) -> None:
        assert _calls_per_event(4_000) <= _calls_per_event(500) * 1.05

    def test_what_remains_are_the_results(self) -> None:
        plan, state = plan_of(WIDE), ExecutionState()
        for _ in drive(plan, state, {"width": 10_000}, lambda command: "r" * 50):
            pass
        assert len(state.scopes) == 1
        assert len(encode_snapshot(state)) <= 10_000 * 50 * 1.1

    def test_the_fold_costs_the_same_per_event(self) -> None:
        assert _fold_calls(4_000) <= _fold_calls(500) * 1.05


def _wide(width: int) -> Iterable[list[ExecutionEvent]]:
    return drive(plan_of(WIDE), ExecutionState(), {"width": width})


def _bytes_per_item(width: int) -> float:
    bodies = [encode_event(event) for events in _wide(width) for event in events]
    return sum(map(len, bodies)) / width


def _calls_per_event(width: int) -> float:
    turns = drive(plan_of(WIDE), ExecutionState(), {"width": width})
    next(turns)
    with _Counted() as counted:
        events = sum(len(each) for each in turns)
    return counted.calls / events


def _fold_calls(width: int) -> float:
    plan = plan_of(WIDE)
    turns = drive(plan, ExecutionState(), {"width": width})
    bodies = [encode_event(event) for events in turns for event in events]
    state = fold(plan, bodies[:1])
    with _Counted() as counted:
        fold(plan, bodies[1:], state)
    return counted.calls / len(bodies)


class _Counted:
    """Counts calls of Python and C functions: the same on every machine."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> _Counted:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, kind: str, argument: Any) -> None:
        self.calls += kind in ("call", "c_call")
