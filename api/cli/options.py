"""Options that several commands share, and the configuration made from them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from heliostat.api.cli.completing import execution_ids
from heliostat.api.cli.output import Output
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.engine.errors import InputError
from heliostat.engine.expressions.time import parse_duration

_NO_DIRECTORY: Final = ("{", "[", '"', "@")
"""How a value begins that somebody gives by a flag that other tools have."""

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """`--format`; the command gets an `output`."""

    def make(_context: click.Context, _parameter: click.Parameter, value: str) -> Output:
        return Output("json" if value == "json" else "text")

    return click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        callback=make,
        help="How results and errors are written.  [default: text]",
    )(command)


def place_options(command: Command) -> Command:
    """`--data` and `--config`: which deployment is meant."""
    command = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Configuration file.  [default: heliostat.toml, if there]",
    )(command)
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Data directory: journal, blobs, running deployment.  [default: .heliostat]",
    )(command)


def reach_options(command: Command) -> Command:
    """`--server`, `--data`, `--config` and `--namespace`; the command gets a `reach`."""

    @wraps(command)
    def reached(
        *arguments: Any,
        server: str | None = None,
        data: Path | None = None,
        config: Path | None = None,
        namespace: str = "default",
        **more: Any,
    ) -> Any:
        from heliostat.api.cli.reach import SERVER_VARIABLE, Reach

        context = click.get_current_context()
        output = more.get("output")
        given = server or context.find_root().params.get("server")
        found = Reach(
            given or os.environ.get(SERVER_VARIABLE) or None,
            data,
            config,
            namespace,
            given=given is not None,
            note=output.note if isinstance(output, Output) else None,
        )
        return command(*arguments, reach=found, **more)

    asked = click.option(
        "--server",
        metavar="URL",
        help="Work over HTTP with the deployment at this address.  [env: HELIOSTAT_SERVER]",
    )(namespace_option(place_options(reached)))
    return cast("Command", asked)


def namespace_option(command: Command) -> Command:
    """`--namespace`."""
    return click.option(
        "--namespace", default="default", show_default=True, help="Scope of definitions and ids."
    )(command)


def priority_option(command: Command) -> Command:
    """`--priority` of a start."""
    return click.option(
        "--priority",
        "-p",
        type=click.IntRange(1, 10),
        metavar="1..10",
        help="10 is most urgent.  [default: the definition's, else 5]",
    )(command)


def execution_argument(command: Command) -> Command:
    """The argument and options of a command about one execution."""
    command = format_option(reach_options(command))
    return click.argument("execution_id", metavar="ID", shell_complete=execution_ids)(command)


def page_option(command: Command) -> Command:
    """`--page` of a list."""
    return click.option(
        "--page",
        "-p",
        type=click.IntRange(1, 1_000_000),
        default=1,
        show_default=True,
        help="Which page of so many.",
    )(command)


def verification_option(command: Command) -> Command:
    """`--verification` of a registration."""
    return click.option(
        "--verification",
        type=click.Choice(["error", "warn", "off"]),
        help="What to do with what a proof finds: refuse it, tell it, or not prove.  [default: as "
        "configured, else warn]",
    )(command)


def duration_ms(text: str, option: str) -> int:
    """A duration that an option says, as definitions write them.

    Raises:
        InputError: it is none, or nothing.
    """
    try:
        ms = parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r}: {error}") from None
    if ms < 1:
        raise InputError(f"{option} {text!r} must be a millisecond at least")
    return ms


def user_option(help: str, *others: str) -> Callable[[Command], Command]:
    """`--user`: the person who does something with a human task."""
    return click.option(
        "--user",
        "-u",
        *others,
        "user",
        default=getpass.getuser,
        help=f"{help}  [default: your login name]",
    )


def configuration(data: Path | None, config: Path | None, **flags: Any) -> Configuration:
    """The configuration that the shared options and these flags ask for."""
    if data is not None and (str(data).startswith(_NO_DIRECTORY) or data.is_file()):
        raise InputError(
            f"--data {str(data)!r} is no directory: --data names the data directory, values are "
            f"given by --input, --payload or --output"
        )
    return load_configuration({"data_dir": data, **flags}, file=config)
