"""Driving a kernel by hand, as fast as it goes: for tests and benchmarks of its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.commands import RunStep
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import AnyStimulus, Start, StepReturned, Woke
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Value


def plan_of(text: str) -> Plan:
    """The plan of a definition in YAML."""
    return compile_plan(parse_definition(text, "driven.yaml"))


def drive(
    plan: Plan,
    state: ExecutionState,
    input: Value = None,
    output: Callable[[RunStep], Value] = lambda command: command.input,
) -> Iterator[list[ExecutionEvent]]:
    """Run an execution to its end, every attempt returning at once; the events of each turn."""
    now_ms = 1_000
    waiting: list[RunStep] = []
    stimulus: AnyStimulus = Start(now_ms=now_ms, execution_id="driven", input=input)
    while True:
        decision = settle(plan, state, stimulus)
        waiting += [command for command in decision.commands if isinstance(command, RunStep)]
        yield decision.events
        if state.ended:
            return
        now_ms += 1
        if waiting:
            command = waiting.pop()
            stimulus = StepReturned(now_ms=now_ms, at=command.at, output=output(command))
        else:
            wake_at_ms = state.wake_at_ms
            assert wake_at_ms is not None
            now_ms = max(now_ms, wake_at_ms)
            stimulus = Woke(now_ms=now_ms)


ACTIVITY_LOOP = """
id: loop
version: "1"
vars: {n: 0}
steps:
  - id: turn
    type: activity
    activity: "m:f"
    deadline: 1h
    input: {n: $.vars.n}
    assign: {n: "${ $.vars.n + 1 }"}
    next: [{when: $.vars.n < $.input.times, to: turn}, {to: end}]
"""

DECISION_LOOP = """
id: loop
version: "1"
vars: {n: 0}
steps:
  - id: turn
    type: decision
    assign: {n: "${ $.vars.n + 1 }"}
    next: [{when: $.vars.n < $.input.times, to: turn}, {to: end}]
"""

WIDE = """
id: wide
version: "1"
steps:
  - id: each
    type: activity
    activity: "m:f"
    foreach: "range(0, $.input.width)"
    concurrency: 10
    input: {x: $.item}
"""

THREE_STEPS = """
id: three
version: "1"
steps:
  - {id: a, type: activity, activity: "m:f", input: {x: $.input.x}, next: b}
  - {id: b, type: activity, activity: "m:f", input: {x: $.steps.a.output}, next: c}
  - {id: c, type: activity, activity: "m:f", input: {x: $.steps.b.output}}
"""
