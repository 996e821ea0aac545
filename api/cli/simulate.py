"""`simulate FILE`: run a definition in virtual time, without a cluster, and tell its story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.functions import simulable_named
from heliostat.api.cli.inputs import read_value
from heliostat.api.cli.options import format_option
from heliostat.api.cli.output import Output
from heliostat.engine.values import to_json

if TYPE_CHECKING:
    from heliostat.engine.simulator import SimulationResult

_EXIT_CODES: Final = {"Completed": 0, "Failed": 1, "Canceled": 3}
_EXIT_UNENDED: Final = 1


def _read(text: str | None, option: str) -> Any:
    """JSON, `@file`, `-`, or a file's path without anything before it."""
    if text is not None and text != "-" and not text.startswith(("@", "{", "[")):
        text = f"@{text}"
    return read_value(text, option)


@click.command()
@click.argument("file", metavar="FILE[:FUNCTION]")
@click.option(
    "--input", "-i", "input_", metavar="JSON|@FILE|-", help="Input, a file with it, or stdin."
)
@click.option(
    "--outcomes", metavar="FILE|JSON", help="What attempts, children and people do, by step."
)
@click.option(
    "--timeline", metavar="FILE|JSON", help="Signals, events, pauses, … each at its instant."
)
@click.option(
    "--with",
    "definitions",
    metavar="FILE[:FUNCTION]",
    multiple=True,
    help="A workflow that FILE starts, to be run as well; repeatable.",
)
@click.option("--seed", type=int, default=0, help="Draws the order of what happens at one instant.")
@click.option("--storm", is_flag=True, help="Have hosts and runners fail at random, by the seed.")
@format_option
@click.pass_context
def simulate(
    context: click.Context,
    file: str,
    input_: str | None,
    outcomes: str | None,
    timeline: str | None,
    definitions: tuple[str, ...],
    seed: int,
    storm: bool,
    output: Output,
) -> None:
    """Run the definition in FILE in virtual time and print its history as a story.

    Nothing is registered or started, no step's code is called, and no time passes: attempts come to
    what --outcomes says, by default to null at once. shop.py:checkout names a workflow in Python,
    and those that it starts run as well. docs/simulator.md tells how to write outcomes and
    timelines. Exit codes: 0 Completed, 1 Failed or not ended, 3 Canceled.
    """
    from heliostat.engine.simulator import QUIET, STORMY
    from heliostat.engine.simulator import simulate as simulated

    simulable, *others = simulable_named((file, *definitions))
    result = simulated(
        simulable,
        read_value(input_, "--input"),
        _read(outcomes, "--outcomes"),
        timeline=_read(timeline, "--timeline") or (),
        definitions=others,
        seed=seed,
        faults=STORMY if storm else QUIET,
    )
    output.result(_as_json(result), lambda: result.story)
    if not result.ended:
        output.note("the execution has not ended: nothing that it waits for was told to come")
    context.exit(_EXIT_CODES.get(result.status, _EXIT_UNENDED) if result.ended else _EXIT_UNENDED)


def _as_json(result: SimulationResult) -> dict[str, Any]:
    from heliostat.engine.kernel.codec import event_to_builtins

    return {
        "id": result.execution_id,
        "status": result.status,
        "ended": result.ended,
        "output": to_json(result.output),
        "failure": None
        if result.failure is None
        else {"type": result.failure.type, "message": result.failure.message},
        "elapsed_ms": result.elapsed_ms,
        "story": result.story.splitlines(),
        "events": [event_to_builtins(event) for event in result.events],
        "others": {id: _as_json(other) for id, other in result.others.items()},
    }
