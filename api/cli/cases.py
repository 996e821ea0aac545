"""`cases FILE`: cases for tests, made from a definition, run, and what they cover."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.api.cli.options import duration_ms
from heliostat.api.cli.output import Output, json_text, printable
from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.engine.authoring.python.compiler import Compiled
    from heliostat.engine.authoring.python.decorators import WorkflowFunction
    from heliostat.verify.cases.choosing import Cases


@click.command()
@click.argument("file", metavar="FILE[:FUNCTION]")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown", "pytest"]),
    default="text",
    help="How the cases are written; pytest is a module of tests.  [default: text]",
)
@click.option(
    "--output",
    "-o",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which must not be there yet, instead of stdout.",
)
@click.option(
    "--time-budget",
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long the search may take, as 500ms or 2m.",
)
@click.pass_context
def cases(
    context: click.Context, file: str, format_: str, path: Path | None, time_budget: str
) -> None:
    """Make cases that test the definition in FILE: each way, error policy, list and loop.

    Each has an input, outcomes for the steps, and what must come of it; each is run in the
    simulator and held against a second reading of the definition. shop.py:checkout names a
    workflow in Python. docs/testing.md says what is covered, and how. Exit codes: 0 all come to
    what is expected, 1 one does not, 2 FILE is no definition, 3 the search came to its bound.
    """
    from heliostat.api.cli.functions import definition_named, plan_named, workflow_named
    from heliostat.verify.cases.choosing import cases_of
    from heliostat.verify.cases.reports import markdown, text, value

    if path is not None and path.exists():
        raise InputError(f"--output {path} is there already: what was edited in it would be lost")
    workflow = workflow_named(file)
    definition = definition_named(file)
    made = cases_of(
        definition,
        plan_named(file, definition),
        schemas={} if workflow is None else _returned(workflow.compiled),
        time_max_ms=duration_ms(time_budget, "--time-budget"),
        now_ms=lambda: time.monotonic() * 1_000,
    )
    if format_ == "json":
        written = json_text(value(made), indent=2)
    elif format_ == "pytest":
        written = _module(made, file, workflow, path).rstrip("\n")
    else:
        written = (markdown if format_ == "markdown" else text)(made).rstrip("\n")
    if path is None:
        click.echo(printable(written))
    else:
        try:
            path.write_text(f"{written}\n", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"--output {str(path)!r} cannot be written: {error.strerror or error}; name a file "
                f"in a folder that exists"
            ) from error
        Output("text").note(f"{len(made.cases)} cases are in {path}")
    context.exit(1 if not made.agree else 3 if made.bound else 0)


def _returned(compiled: Compiled) -> dict[str, dict[str, Any]]:
    """By step, the JSON Schema of what its function says that it returns."""
    from heliostat.engine.authoring.model import ActivityStep, SubWorkflowStep
    from heliostat.engine.authoring.python.types import hints, schema_of
    from heliostat.engine.authoring.scopes import scopes_of

    found: dict[str, dict[str, Any]] = {}
    for step in (each for scope in scopes_of(compiled.definition) for each in scope.steps):
        marked: Any = None
        if isinstance(step, ActivityStep):
            marked = compiled.steps.get(step.activity)
        elif isinstance(step, SubWorkflowStep):
            marked = compiled.workflows.get(step.workflow)
        if marked is not None:
            schema = schema_of(hints(marked.function).get("return", Any), output=True)
            if schema is not None:
                found[step.id] = schema
    return found


def _module(
    made: Cases, file: str, workflow: WorkflowFunction[..., object] | None, path: Path | None
) -> str:
    """A module of tests, which finds the definition from where it lies."""
    from heliostat.verify.cases.modules import module

    if workflow is not None:
        name = workflow.function.__name__
        source = workflow.function.__module__
        imports = f"from {source} import {name}\n\nimport heliostat as hs"
        return module(made, imports=imports, workflow=f"{name}.plan")
    folder = path.parent if path is not None else Path()
    found = Path(os.path.relpath(file, folder)).as_posix()
    imports = (
        "from pathlib import Path\n\nimport heliostat as hs\n\n"
        f'DEFINITION = Path(__file__).parent / "{found}"'
    )
    return module(made, imports=imports, workflow="DEFINITION")
