"""What it costs that a workflow is written as a function: compiling it, and running what it became.

    python -m benchmarks.functions [--repeats 5]          # without Ray
    make bench ARGS="w1-function"                         # W1 by a function beside W1 by YAML

The question: is a compiled function as fast as the definition that one would write by hand? A step
is a step in both; what a function adds are decisions, for what Python says between steps, and the
schemas that its annotations say. Expected: a chain is the same but for those schemas, some 10 µs; a
statement costs some 20 µs of the kernel, less where assignments share a decision. Times are CPU
time, the two ways in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

import heliostat as hs
from benchmarks import work
from benchmarks.chains import chains
from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S
from heliostat.engine.authoring.loading import load_definition
from heliostat.engine.authoring.python.compiler import compile_function
from heliostat.engine.kernel.codec import encode_event
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from tests.engine.kernel.driving import drive

increment = hs.step(work.increment)


class Order(BaseModel):
    id: str
    total: float
    lines: list[str]


class Declined(Exception): ...


@hs.step
def charge(order: Order) -> float:
    raise NotImplementedError


@hs.step
def pack(line: str, express: bool) -> str:
    raise NotImplementedError


@hs.workflow
def bench_function(n: int) -> int:
    a = increment(n)
    b = increment(a)
    return increment(b)


@hs.block
def careful(order: Order) -> float:
    try:
        return charge(order)
    except Declined:
        return 0.0


@hs.workflow
def order(order: Order, express: bool = False) -> list[str]:
    """As a user writes one: branches, a loop, an error, a fan-out, a person, a wait."""
    if order.total > 1000:
        decision = hs.human("approve", Order, show=order, assignees=["ann"], deadline="2d")
        if not decision.lines:
            hs.fail("Rejected", f"order {order.id}")
    paid, header = hs.parallel(careful(order), pack("header", express))
    if not paid:
        return []
    bill = [header]
    for number, line in enumerate(order.lines):
        if line.startswith("#") or number > 50:
            continue
        bill.append(f"{number}: {line.strip()}")
    won = hs.wait(
        picked=hs.on_event("picked", where=hs.event.data.id == order.id), late=hs.after("3d")
    )
    packed = hs.map((pack(line, won.name == "late") for line in bill), concurrency=20)
    return [each.lower() for each in packed if each]


@hs.workflow
def loop(times: int) -> int:
    """Five statements a round, no step among them."""
    total = 0
    for number in range(times):
        twice = number * 2
        small = number < 10
        total += twice
        if small:
            total += 1
    return total


STATEMENTS_A_ROUND = 5


def chain_by_both(client: Any, count: int) -> dict[str, float]:
    """W1 by YAML, and by a function, one after the other: workflows/s, and their ratio."""
    by_yaml = chains(client, count)["workflows_per_s"]
    version = client.register(bench_function)
    began = time.perf_counter()
    handles = client.start_many(version, [{"n": number} for number in range(count)])
    for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
        handle.result()
    by_function = count / (time.perf_counter() - began)
    return {
        "yaml_per_s": by_yaml,
        "function_per_s": by_function,
        "of_yaml": by_function / by_yaml,
    }


def compiled_ms(workflow: hs.Workflow[..., Any]) -> float:
    """CPU milliseconds for one compilation, checks included."""
    began = time.process_time()
    compile_function(workflow.function, workflow.id, {})
    return 1e3 * (time.process_time() - began)


def executed_us(plan: Plan, input: Any, times: int, returned: Callable[[Any], Any]) -> float:
    """CPU microseconds of the kernel for one execution: deciding, booking, encoding."""
    began = time.process_time()
    for _ in range(times):
        for turn in drive(plan, ExecutionState(), input, returned):
            for event in turn:
                encode_event(event)
    return 1e6 * (time.process_time() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functions", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    by_yaml, by_function = compile_plan(load_definition(FOLDER / "chain.yaml")), bench_function.plan
    for _ in range(options.repeats):
        for workflow in (bench_function, loop, order):
            note(f"compiling `{workflow.id}`, ms", compiled_ms(workflow))
        note("a chain of three by YAML, µs", executed_us(by_yaml, {"n": 1}, 2_000, lambda _: 2))
        note("the same by a function, µs", executed_us(by_function, {"n": 1}, 2_000, lambda _: 2))
        rounds = 2_000
        whole = executed_us(loop.plan, {"times": rounds}, 1, lambda _: 0)
        note("a statement without a step, µs", whole / rounds / STATEMENTS_A_ROUND)
    table = Table("measurement", "median", "least", "most", title="functions, without Ray")
    for name, values in figures.items():
        shown = (statistics.median(values), min(values), max(values))
        table.add_row(name, *(f"{each:,.2f}" for each in shown))
    Console().print(table)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
