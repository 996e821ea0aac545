"""`demo`: the guided tour."""

from __future__ import annotations

import click


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Take a guided tour on this machine: real flights, and two kills on the way."""
    from heliostat.api.demo.tour import run_tour

    context.exit(run_tour())
