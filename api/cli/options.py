"""Options that several commands share, and the configuration made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from heliostat.api.cli.output import Output
from heliostat.cluster.config import Configuration, load_configuration

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


def configuration(data: Path | None, config: Path | None, **flags: Any) -> Configuration:
    """The configuration that the shared options and these flags ask for."""
    return load_configuration({"data_dir": data, **flags}, file=config)
