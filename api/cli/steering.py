"""`workflow …` again: starting executions, and what is asked of those that run.

Each command is one request to the deployment, answered when it is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.api.cli.inputs import data_option, read_tags, read_value
from heliostat.api.cli.options import (
    configuration,
    execution_argument,
    format_option,
    namespace_option,
    place_options,
)
from heliostat.api.cli.output import Output
from heliostat.api.cli.workflow import workflow

if TYPE_CHECKING:
    from heliostat.actors.client import Handle

__all__ = ["workflow"]


@workflow.command()
@click.argument("definition", metavar="DEFINITION")
@click.option("--version", "-v", help="Of the definition.  [default: the one registered last]")
@data_option("--input", "-i", "input_", help="Input, a file with it, or stdin.")
@click.option("--id", "execution_id", help="Id of the execution; the same again is the same start.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Searchable; repeatable.")
@namespace_option
@place_options
@format_option
def start(
    definition: str,
    version: str | None,
    input_: str | None,
    execution_id: str | None,
    tags: tuple[str, ...],
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Start an execution of a registered definition and print its id.

    `workflow result ID` waits for its end.
    """
    settings = configuration(data, config)
    value, labels = read_value(input_, "--input"), read_tags(tags)
    from heliostat.cluster.connect import attach

    with attach(settings, namespace=namespace) as client:
        handle = client.start(definition, value, id=execution_id, version=version, tags=labels)
    output.result({"id": handle.id, "status": "Running"}, lambda: handle.id)


@workflow.command()
@execution_argument
@click.option("--reason", "-r", help="Recorded in the history.")
def cancel(
    execution_id: str,
    reason: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Ask an execution to end.

    Running attempts get their grace; the end follows. Asking again before that is harmless.
    """
    status = _asked(execution_id, namespace, data, config, lambda handle: handle.cancel(reason))
    _tell(output, execution_id, status, "was asked to end")


@workflow.command()
@execution_argument
@click.option("--reason", "-r", help="Recorded in the history.")
def pause(
    execution_id: str,
    reason: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Have an execution start nothing new; what runs ends and is recorded.

    Timers that fire are held, deadlines go on. Pausing what is paused is harmless.
    """
    status = _asked(execution_id, namespace, data, config, lambda handle: handle.pause(reason))
    _tell(output, execution_id, status, "starts nothing new")


@workflow.command()
@execution_argument
def resume(
    execution_id: str, namespace: str, data: Path | None, config: Path | None, output: Output
) -> None:
    """Have a paused execution go on."""
    status = _asked(execution_id, namespace, data, config, lambda handle: handle.resume())
    _tell(output, execution_id, status, "goes on")


@workflow.command()
@execution_argument
@click.option(
    "--from", "-f", "from_step", metavar="STEP", help="A step of the root scope, to begin at."
)
def retry(
    execution_id: str,
    from_step: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Have a failed execution go on in a new run.

    What failed, and what its failure withdrew, begins again with the inputs it had; with --from all
    else is dropped and that step begins.
    """
    status = _asked(execution_id, namespace, data, config, lambda handle: handle.retry(from_step))
    _tell(output, execution_id, status, "goes on in a new run")


@workflow.command()
@execution_argument
@click.option("--name", "-n", required=True, help="The signal's name.")
@data_option("--payload", "-d", "value", help="What it carries.  [default: null]")
def signal(
    execution_id: str,
    name: str,
    value: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Give an execution a signal, for a wait that is open or the first that opens and takes it."""
    carried = read_value(value, "--payload")
    status = _asked(
        execution_id, namespace, data, config, lambda handle: handle.signal(name, carried)
    )
    _tell(output, execution_id, status, f"has the signal {name}")


def _asked(
    execution_id: str,
    namespace: str,
    data: Path | None,
    config: Path | None,
    request: Callable[[Handle], str],
) -> str:
    """The execution's status once the request is durable."""
    settings = configuration(data, config)
    from heliostat.cluster.connect import attach

    with attach(settings) as client:
        return request(client.get(execution_id, namespace=namespace))


def _tell(output: Output, execution_id: str, status: str, words: str) -> None:
    output.result(
        {"id": execution_id, "status": status},
        lambda: f"execution {execution_id} {words}; it is {status}",
    )
