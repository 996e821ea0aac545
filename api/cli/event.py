"""`event …`: what is published for all executions that wait for it or handle it."""

from __future__ import annotations

from pathlib import Path

import click

from heliostat.api.cli.inputs import data_option, read_value
from heliostat.api.cli.options import (
    configuration,
    format_option,
    namespace_option,
    place_options,
)
from heliostat.api.cli.output import Output


@click.group()
def event() -> None:
    """Events: publish them."""


@event.command()
@click.option(
    "--event-type", "-e", "type_", required=True, metavar="TYPE", help="Its type, as order.paid."
)
@data_option("--payload", "-d", "value", help="What it carries.  [default: null]")
@click.option("--id", "event_id", help="Its id; the same again is the same event.")
@namespace_option
@place_options
@format_option
def publish(
    type_: str,
    value: str | None,
    event_id: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Publish an event for all executions of the namespace that wait for its type, or handle it."""
    carried = read_value(value, "--payload")
    settings = configuration(data, config)
    from heliostat.cluster.connect import attach

    with attach(settings, namespace=namespace) as client:
        published = client.publish(type_, carried, id=event_id)
    output.result({"id": published, "type": type_}, lambda: published)
