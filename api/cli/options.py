"""Options that several commands share, and the configuration made from them."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from heliostat.api.cli.output import Output
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.engine.errors import InputError

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
        type=click.Path(file_okay=False, path_type=Path),
        help="Data directory: journal, blobs, running deployment.  [default: .heliostat]",
    )(command)


def namespace_option(command: Command) -> Command:
    """`--namespace`."""
    return click.option(
        "--namespace", default="default", show_default=True, help="Scope of definitions and ids."
    )(command)


def execution_argument(command: Command) -> Command:
    """The argument and options of a command about one execution."""
    command = format_option(place_options(namespace_option(command)))
    return click.argument("execution_id", metavar="ID")(command)


def user_option(help: str) -> Callable[[Command], Command]:
    """`--user`: the person who does something with a human task."""
    return click.option(
        "--user", "-u", default=getpass.getuser, help=f"{help}  [default: your login name]"
    )


def configuration(data: Path | None, config: Path | None, **flags: Any) -> Configuration:
    """The configuration that the shared options and these flags ask for."""
    if data is not None and str(data).startswith(_NO_DIRECTORY):
        raise InputError(
            f"--data {str(data)!r} is no directory: --data names the data directory, values are "
            f"given by --input, --payload or --output"
        )
    return load_configuration({"data_dir": data, **flags}, file=config)
