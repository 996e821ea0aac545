"""`event …`: what is published for all executions that wait for it or handle it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.api.cli.inputs import data_option
from heliostat.api.cli.options import format_option, reach_options
from heliostat.api.cli.output import Output

if TYPE_CHECKING:
    from heliostat.api.cli.reach import Reach


@click.group()
def event() -> None:
    """Events: publish them."""


@event.command()
@click.option(
    "--event-type", "-e", "type_", required=True, metavar="TYPE", help="Its type, as order.paid."
)
@data_option("--payload", "-d", "value", help="What it carries.  [default: null]")
@click.option("--id", "event_id", help="Its id; the same again is the same event.")
@click.option("--correlation", "-c", metavar="ID", help="What it belongs to.")
@reach_options
@format_option
def publish(
    type_: str,
    value: str | None,
    event_id: str | None,
    correlation: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Publish an event for all executions of the namespace that wait for its type, or handle it."""
    from heliostat.api.cli.reach import carried

    reach, sent = carried(reach, value, "--payload")
    with reach.client() as client:
        published = client.publish(type_, sent, id=event_id, correlation_id=correlation)
    output.result({"id": published, "type": type_}, lambda: published)
