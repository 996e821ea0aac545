"""`workflow diagram`: a workflow as a picture, in the text that drawing tools read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from heliostat.api.cli.definitions import workflow
from heliostat.api.cli.options import format_option
from heliostat.api.cli.output import Output

if TYPE_CHECKING:
    from heliostat.engine.authoring.drawing import Language

__all__ = ["workflow"]


@workflow.command()
@click.argument("file", metavar="FILE[:FUNCTION]")
@click.option(
    "--language",
    "-l",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="Mermaid, as Markdown pages show it, or the DOT of Graphviz.",
)
@format_option
def diagram(file: str, language: str, output: Output) -> None:
    """Draw the definition in FILE, or that of a function, as shop.py:checkout.

    Nothing is registered and no deployment is needed.
    """
    from heliostat.api.cli.functions import definition_named
    from heliostat.engine.authoring.drawing import diagram as drawn

    definition = definition_named(file)
    text = drawn(definition, cast("Language", language))
    output.result(
        {"id": definition.id, "version": definition.version, "diagram": text},
        lambda: text.removesuffix("\n"),
    )
