"""`workflow …` again: starting executions, and what is asked of those that run.

Each command is one request to the deployment, answered when it is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from heliostat.api.cli.completing import definition_ids
from heliostat.api.cli.inputs import data_option, read_tags, read_value
from heliostat.api.cli.options import (
    execution_argument,
    format_option,
    priority_option,
    reach_options,
)
from heliostat.api.cli.output import Output
from heliostat.api.cli.workflow import workflow

if TYPE_CHECKING:
    from heliostat.actors.client import Handle
    from heliostat.api.cli.reach import Reach

__all__ = ["workflow"]


@workflow.command()
@click.argument("definition", metavar="DEFINITION", shell_complete=definition_ids)
@click.option("--version", "-v", help="Of the definition.  [default: the one registered last]")
@data_option("--input", "-i", "input_", help="Input, a file with it, or stdin.")
@click.option("--id", "execution_id", help="Id of the execution; the same again is the same start.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Searchable; repeatable.")
@priority_option
@click.option("--correlation", "-c", metavar="ID", help="What its starter knows it by.")
@reach_options
@format_option
def start(
    definition: str,
    version: str | None,
    input_: str | None,
    execution_id: str | None,
    tags: tuple[str, ...],
    priority: int | None,
    correlation: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Start an execution of a registered definition and print its id.

    `workflow result ID` waits for its end.
    """
    value, labels = read_value(input_, "--input"), read_tags(tags)
    with reach.client() as client:
        id = client.start(
            definition,
            value,
            id=execution_id,
            version=version,
            tags=labels,
            priority=priority,
            correlation_id=correlation,
        ).id
    output.result({"id": id, "status": "Running"}, lambda: id)


@workflow.command()
@execution_argument
@click.option("--reason", "-r", help="Recorded in the history.")
def cancel(
    execution_id: str,
    reason: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Ask an execution to end.

    Running attempts get their grace; the end follows. Asking again before that is harmless.
    """
    status = _asked(reach, execution_id, lambda handle: handle.cancel(reason))
    _tell(output, execution_id, status, "was asked to end")


@workflow.command()
@execution_argument
@click.option("--reason", "-r", help="Recorded in the history.")
def pause(
    execution_id: str,
    reason: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Have an execution start nothing new; what runs ends and is recorded.

    Timers that fire are held, deadlines go on. Pausing what is paused is harmless.
    """
    status = _asked(reach, execution_id, lambda handle: handle.pause(reason))
    _tell(output, execution_id, status, "starts nothing new")


@workflow.command()
@execution_argument
def resume(execution_id: str, reach: Reach, output: Output) -> None:
    """Have a paused execution go on."""
    status = _asked(reach, execution_id, lambda handle: handle.resume())
    _tell(output, execution_id, status, "goes on")


@workflow.command()
@execution_argument
@click.option(
    "--from",
    "--from-activity",
    "-f",
    "from_step",
    metavar="STEP",
    help="A step of the root scope, to begin at.",
)
def retry(
    execution_id: str,
    from_step: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Have a failed execution go on in a new run.

    What failed, and what its failure withdrew, begins again with the inputs it had; with --from all
    else is dropped and that step begins.
    """
    status = _asked(reach, execution_id, lambda handle: handle.retry(from_step))
    _tell(output, execution_id, status, "goes on in a new run")


@workflow.command()
@execution_argument
@click.option("--name", "-n", required=True, help="The signal's name.")
@data_option("--payload", "-d", "value", help="What it carries.  [default: null]")
def signal(
    execution_id: str,
    name: str,
    value: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Give an execution a signal, for a wait that is open or the first that opens and takes it."""
    from heliostat.api.cli.reach import carried

    reach, sent = carried(reach, value, "--payload")
    status = _asked(reach, execution_id, lambda handle: handle.signal(name, sent))
    _tell(output, execution_id, status, f"has the signal {name}")


def _asked(reach: Reach, execution_id: str, request: Callable[[Handle], str]) -> str:
    """The execution's status once the request is durable."""
    with reach.client() as client:
        return request(client.get(execution_id))


def _tell(output: Output, execution_id: str, status: str, words: str) -> None:
    output.result(
        {"id": execution_id, "status": status},
        lambda: f"execution {execution_id} {words}; it is {status}",
    )
