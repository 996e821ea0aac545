"""What the kernel costs by itself: deciding, booking, encoding, folding. No Ray, no disk.

    python -m benchmarks.kernel [--json PATH] [--scale 0.1]

The question: does an event cost the same in a small and a huge execution, and how much? Expected,
from counting calls: some 10 µs an event, and flat memory in a loop. One process, one core; every
attempt returns at once, with its input as output. Times are CPU time, which
neighbours disturb less; they depend on the machine, counts do not. Bytecodes are counted of a small
execution of the same plan: they say what one piece of work costs beside another, whatever else the
machine does.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from heliostat.engine.kernel.codec import decode_event, encode_event, encode_snapshot, fold
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.monitor.conformance import Conformance
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.plan import Plan
from tests.engine.kernel.driving import (
    ACTIVITY_LOOP,
    DECISION_LOOP,
    THREE_STEPS,
    WIDE,
    drive,
    plan_of,
)

FOLDED_EVENTS_MAX = 20_000
"""Of a longer history only so much is kept, to be folded again."""

COUNTED = 100
"""Turns or items of the executions whose bytecodes are counted."""


def peak_mib() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 * 1024 if sys.platform == "darwin" else 1024
    )


def measure(name: str, plan: Plan, input: Any, small: Any = None) -> dict[str, Any]:
    """One execution from its start to its end; `small` is the input of one that is counted."""
    state, kept = ExecutionState(), list[bytes]()
    before_mib, events, size = peak_mib(), 0, 0
    began = time.process_time()
    for turn in drive(plan, state, input):
        for event in turn:
            body = encode_event(event)
            events, size = events + 1, size + len(body)
            if len(kept) < FOLDED_EVENTS_MAX:
                kept.append(body)
    elapsed = time.process_time() - began
    began = time.process_time()
    fold(plan, kept)
    folded = time.process_time() - began
    decoded = [decode_event(body) for body in kept]
    return {
        "name": name,
        "events": events,
        "us_per_event": round(elapsed / events * 1e6, 2),
        "us_per_event_folded": round(folded / len(kept) * 1e6, 2),
        "us_per_event_followed": followed(Tables(plan), [decoded]),
        **counted(plan, small),
        "bytes_per_event": round(size / events, 1),
        "snapshot_bytes": len(encode_snapshot(state)),
        "peak_mib": round(peak_mib(), 1),
        "peak_mib_more": round(peak_mib() - before_mib, 1),
    }


def three_steps(times: int) -> dict[str, Any]:
    """Many small executions: decide, book and encode three steps each."""
    plan = plan_of(THREE_STEPS)
    began, events, size = time.process_time(), 0, 0
    for _ in range(times):
        for turn in drive(plan, ExecutionState(), {"x": 1}, lambda command: 1):
            size += sum(map(len, _encoded(turn)))
            events += len(turn)
    elapsed = time.process_time() - began
    one = [event for turn in drive(plan, ExecutionState(), {"x": 1}, lambda _: 1) for event in turn]
    return {
        "name": f"{times:,} executions of three steps",
        "events": events,
        "us_per_event": round(elapsed / events * 1e6, 2),
        "us_per_event_followed": followed(Tables(plan), [one] * 2_000),
        **counted(plan, {"x": 1}),
        "us_per_execution": round(elapsed / times * 1e6, 1),
        "bytes_per_event": round(size / events, 1),
        "peak_mib": round(peak_mib(), 1),
    }


def graph(steps: int) -> str:
    """A DAG in which each step needs one before it, and is needed by two."""
    lines = [f"  - {{id: s{n}, type: activity, activity: 'm:f', needs: [{_need(n)}]}}"
             for n in range(steps)]  # fmt: skip
    return "\n".join(("id: graph", "version: '1'", "steps:", *lines))


def _need(number: int) -> str:
    return f"s{(number - 1) // 2}" if number else ""


def followed(tables: Tables, histories: list[list[ExecutionEvent]]) -> float:
    """CPU µs an event to hold histories against their plan, one after the other. A host does it
    between decisions, where it costs about twice as much: neither finds its own in the processor's
    caches."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for events in histories:
            conformance = Conformance(tables)
            for event in events:
                conformance.follow((event,))
        times.append(time.process_time() - began)
    return round(min(times) / sum(map(len, histories)) * 1e6, 2)


def counted(plan: Plan, input: Any) -> dict[str, float]:
    """Bytecodes an event: of deciding and encoding it, and of holding it against the plan."""
    turns = list(drive(plan, ExecutionState(), input))
    events = sum(map(len, turns))

    def decide() -> None:
        for turn in drive(plan, ExecutionState(), input):
            for event in turn:
                encode_event(event)

    def follow() -> None:
        conformance = Conformance(tables)
        for turn in turns:
            conformance.follow(turn)

    tables = Tables(plan)
    decided, checked = bytecodes(decide), bytecodes(follow)
    return {
        "bytecodes_per_event": round(decided / events, 1),
        "bytecodes_per_event_followed": round(checked / events, 1),
        "bytecodes_followed_percent": round(100 * checked / decided, 1),
    }


def bytecodes(work: Callable[[], None]) -> int:
    """How many the interpreter executes in a call, in all functions."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def _encoded(events: list[ExecutionEvent]) -> Iterator[bytes]:
    return (encode_event(event) for event in events)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures; default: nowhere")
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes (default 1)")
    options = parser.parse_args()
    loop, width = int(1_000_000 * options.scale), int(100_000 * options.scale)
    figures = [
        three_steps(int(20_000 * options.scale)),
        measure(
            f"loop of {loop:,} activities",
            plan_of(ACTIVITY_LOOP),
            {"times": loop},
            {"times": COUNTED},
        ),
        measure(
            f"loop of {loop:,} decisions",
            plan_of(DECISION_LOOP),
            {"times": loop},
            {"times": COUNTED},
        ),
        measure(f"foreach over {width:,}", plan_of(WIDE), {"width": width}, {"width": COUNTED}),
        measure("graph of 1,000 steps", plan_of(graph(1_000)), None),
    ]
    table = Table(title="the kernel alone")
    columns = ("events", "us_per_event", "us_per_event_folded", "us_per_event_followed",
               "bytecodes_followed_percent", "bytes_per_event", "snapshot_bytes",
               "peak_mib")  # fmt: skip
    for title in ("measurement", *columns):
        table.add_column(title, justify="left" if title == "measurement" else "right")
    for each in figures:
        shown = (f"{each[name]:,}" if name in each else "–" for name in columns)
        table.add_row(each["name"], *shown)
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    else:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
