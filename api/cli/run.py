"""`run FILE`: register a definition, start an execution of it, wait, print its result."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.functions import prepared_named
from heliostat.api.cli.inputs import data_option, read_tags, read_value
from heliostat.api.cli.options import (
    configuration,
    format_option,
    namespace_option,
    place_options,
    priority_option,
)
from heliostat.api.cli.output import Output, json_text
from heliostat.api.cli.register import note_warnings
from heliostat.engine.errors import ExecutionFailed, ResultTimeout, Unreachable
from heliostat.engine.identity import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from heliostat.actors.client import Client, Handle
    from heliostat.cluster.config import Configuration

_EXIT_INTERRUPTED: Final = 130
_LOOK_S: Final = 1.0
"""How often `run` looks which steps are active, to say so on a terminal."""


@click.command()
@click.argument("file", metavar="FILE[:FUNCTION]")
@click.option(
    "--with",
    "siblings",
    metavar="FILE[:FUNCTION]",
    multiple=True,
    help="Register this definition too, which FILE calls; repeatable.",
)
@data_option("--input", "-i", "input_", help="Input, a file with it, or stdin.")
@click.option("--id", "execution_id", help="Id of the execution; the same again is the same start.")
@click.option("--detach", is_flag=True, help="Print the id and leave; needs a deployment.")
@click.option("--dev", is_flag=True, help="Register as VERSION+HASH, so that the file may change.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Searchable; repeatable.")
@priority_option
@namespace_option
@place_options
@format_option
@click.pass_context
def run(
    context: click.Context,
    file: str,
    siblings: tuple[str, ...],
    input_: str | None,
    execution_id: str | None,
    detach: bool,
    dev: bool,
    tags: tuple[str, ...],
    priority: int | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Run the definition in FILE and print its output as JSON.

    Registers the definition, ships the modules that lie beside FILE, starts an execution and waits
    for its end. Uses the deployment of the data directory; when none is up, one is started that
    ends with this command. Ctrl-C leaves the execution as it is and says how to go on.
    shop.py:checkout names a workflow in Python; its input is a mapping of its arguments.
    """
    from heliostat.cluster.connect import code_path

    settings = configuration(data, config)
    value, labels = read_value(input_, "--input"), read_tags(tags)
    prepared = prepared_named(
        (file, *siblings), dev=dev, namespace=namespace, code_path=code_path(settings)
    )
    with _client(settings, output, detach=detach) as client:
        versions = client.register_many(prepared)
        for each in versions:
            note_warnings(each.warnings, output)
        version = versions[0]
        handle = client.start(version, value, id=execution_id, tags=labels, priority=priority)
        if detach:
            output.result({"id": handle.id, "status": "Running"}, lambda: handle.id)
            return
        try:
            result = _wait(handle, output)
        except KeyboardInterrupt:
            word = "waits in the journal" if client.embedded else "goes on"
            command = _command(handle, client, settings, "result")
            output.note(f"\nexecution {handle.id} {word}; its result: {command}")
            context.exit(_EXIT_INTERRUPTED)
        except ExecutionFailed:
            command = _command(handle, client, settings, "retry")
            output.note(f"execution {handle.id} goes on where it failed with: {command}")
            raise
    answer = {"id": handle.id, "status": "Completed", "output": result}
    output.result(answer, lambda: json_text(result, indent=2))


@contextmanager
def _client(settings: Configuration, output: Output, *, detach: bool) -> Iterator[Client]:
    from heliostat.cluster.connect import NotUp, attach, embed

    try:
        client = attach(settings)
    except NotUp:
        if detach:
            raise Unreachable(
                f"no deployment is up in {settings.data_dir}; with --detach the execution has to "
                f"go on somewhere: start one with `heliostat up`"
            ) from None
        with output.progress("no deployment is up: starting one that ends with this command …"):
            client = embed(settings)
    with client:
        yield client


def _wait(handle: Handle, output: Output) -> Any:
    """The result; meanwhile a terminal shows which steps are active."""
    with output.progress(f"execution {handle.id} runs …") as say:
        while True:
            try:
                return handle.result(timeout=_LOOK_S)
            except ResultTimeout:
                _say_where(handle, say)


def _say_where(handle: Handle, say: Callable[[str], None]) -> None:
    if not sys.stderr.isatty():
        return
    view = handle.status()
    steps = ", ".join(sorted({str(active.get("step")) for active in view.active}))
    since_s = time.time() - view.created_at_ms / 1_000
    say(f"execution {handle.id}: {view.status}, {since_s:.0f} s{': ' + steps if steps else ''}")


def _command(handle: Handle, client: Client, settings: Configuration, verb: str) -> str:
    """What is typed to go on with an execution."""
    data = ("--data", str(settings.data_dir))
    scope = () if handle.namespace == DEFAULT_NAMESPACE else ("--namespace", handle.namespace)
    typed = shlex.join(("heliostat", "workflow", verb, *data, *scope, handle.id))
    return f"{shlex.join(('heliostat', 'up', *data))} && {typed}" if client.embedded else typed
