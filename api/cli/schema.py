"""`schema`: the JSON Schema of definitions, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from heliostat.api.cli.options import format_option
from heliostat.api.cli.output import Output


@click.command()
@click.option(
    "--output",
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of stdout.",
)
@format_option
def schema(file: Path | None, output: Output) -> None:
    """Print the JSON Schema of definitions (draft 2020-12), for editors.

    With it an editor completes fields by step type, shows what each means, and marks what is wrong.
    """
    from heliostat.engine.authoring.json_schema import definition_schema

    made = definition_schema()
    text = json.dumps(made, indent=2, ensure_ascii=False)
    if file is None:
        output.result(made, lambda: text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None
    output.result({"file": str(file)}, lambda: f"written to {file}")
