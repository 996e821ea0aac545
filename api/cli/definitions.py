"""`workflow …-definition…`: registering, checking, listing, reading and deleting definitions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from heliostat.api.cli.completing import definition_ids
from heliostat.api.cli.functions import prepared_named, registrables_named
from heliostat.api.cli.migrate import workflow
from heliostat.api.cli.options import (
    format_option,
    page_option,
    reach_options,
    verification_option,
)
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.api.cli.register import as_json, note_warnings, register_files
from heliostat.engine.journal.protocol import DefinitionQuery

if TYPE_CHECKING:
    from heliostat.actors.client.proving import Verification
    from heliostat.api.cli.reach import Reach
    from heliostat.engine.authoring.changes import Differences
    from heliostat.engine.authoring.diagnostics import Diagnostic

__all__ = ["workflow"]


@workflow.command()
@click.option(
    "--filter",
    "-f",
    "filter_",
    metavar="TEXT",
    help="Part of id, name or description; or tag=value.",
)
@click.option("--versions", is_flag=True, help="Every version; otherwise the newest of each id.")
@page_option
@click.option("--limit", "-l", type=click.IntRange(1, 100), default=20, show_default=True)
@reach_options
@format_option
def list_definitions(
    filter_: str | None, versions: bool, page: int, limit: int, reach: Reach, output: Output
) -> None:
    """List registered definitions, the one registered last first."""
    name, equals, value = (filter_ or "").partition("=")
    query = DefinitionQuery(
        namespace=reach.namespace,
        filter=None if equals else filter_,
        tag=(name, value) if equals else None,
        versions=versions,
        limit=limit,
        offset=(page - 1) * limit,
        count=True,
    )
    with reach.reader() as reader:
        found = reader.definitions(query)
    rows: list[dict[str, Any]] = [
        {
            "id": row.id,
            "version": row.version,
            "name": row.name,
            "description": row.description,
            "steps": row.steps,
            "tags": dict(row.tags),
            "registered_at_ms": row.registered_at_ms,
        }
        for row in found.rows
    ]

    def text() -> str | None:
        if found.next_cursor is not None:
            output.note(f"more: --page {page + 1}")
        if not rows:
            return "no definitions"
        cells = [
            (
                row["id"],
                row["version"],
                row["name"] or "",
                str(row["steps"]),
                instant(row["registered_at_ms"]),
            )
            for row in rows
        ]
        return table(("id", "version", "name", "steps", "registered"), cells)

    output.result({"definitions": rows, "total": found.total}, text)


@workflow.command()
@click.option(
    "--file",
    "-f",
    required=True,
    metavar="FILE[:FUNCTION]",
    help="The definition, in YAML or JSON, or as a workflow in Python.",
)
@click.option("--dev", is_flag=True, help="Register as VERSION+HASH, so that the file may change.")
@verification_option
@reach_options
@format_option
def register_definition(
    file: str, dev: bool, verification: Verification | None, reach: Reach, output: Output
) -> None:
    """Register the definition in a file.

    As `heliostat register`, which takes several.
    """
    register_files([file], dev=dev, verification=verification, reach=reach, output=output)


@workflow.command()
@click.argument("id", metavar="ID", shell_complete=definition_ids)
@click.option("--version", "-v", help="This one only.  [default: all of them]")
@reach_options
@format_option
def delete_definition(id: str, version: str | None, reach: Reach, output: Output) -> None:
    """Delete a definition, or a version of it.

    Refused while an execution of it goes on, or another definition calls it. The histories of its
    executions stay readable.
    """
    with reach.client() as client:
        gone = list(client.delete_definition(id, version))
    output.result(
        {"id": id, "versions": gone}, lambda: f"definition {id} is deleted: {', '.join(gone)}"
    )


@workflow.command()
@click.option(
    "--file",
    "-f",
    required=True,
    metavar="FILE[:FUNCTION]",
    help="The definition, in YAML or JSON, or as a workflow in Python.",
)
@verification_option
@reach_options
@format_option
def validate_definition(
    file: str, verification: Verification | None, reach: Reach, output: Output
) -> None:
    """Check the definition in a file, and register nothing.

    The same checks and proofs as registering makes, but for the workflows that it calls. Without
    --server no deployment is needed.
    """
    if reach.over_http:
        warnings = _validate_there(file, verification, reach)
    else:
        from heliostat.cluster.connect import code_path, proving

        settings = reach.settings
        where = code_path(settings)
        prepared, *_ = prepared_named([file], dev=False, namespace=reach.namespace, code_path=where)
        warnings = proving(settings).proved(prepared, verification).warnings or ()
    note_warnings(warnings, output)
    value = {"valid": True, "errors": [], "warnings": as_json(warnings)}
    output.result(value, lambda: f"{file} is valid")


def _validate_there(
    file: str, verification: Verification | None, reach: Reach
) -> Sequence[Diagnostic]:
    """Have the door make the checks; raises as making them here."""
    from heliostat.api.client.connection import HttpConnection

    with reach.client() as client:
        at = client._ways.blocking
        assert isinstance(at, HttpConnection)
        what, *_ = registrables_named([file])
        return client._ways.finish(at.validate(what, verification))


@workflow.command()
@click.argument("id", metavar="ID", shell_complete=definition_ids)
@click.option("--version", "-v", help="This one.  [default: the one registered last]")
@reach_options
@format_option
def show_definition(id: str, version: str | None, reach: Reach, output: Output) -> None:
    """Print a registered definition as JSON, in its canonical form."""
    with reach.client() as client:
        content = client.definition(id, version).content
    output.result(content, lambda: json_text(content, indent=2))


@workflow.command()
@click.argument("before", metavar="A", shell_complete=definition_ids)
@click.argument("after", metavar="B", shell_complete=definition_ids)
@reach_options
@format_option
@click.pass_context
def diff(context: click.Context, before: str, after: str, reach: Reach, output: Output) -> None:
    """Show what changed from A to B: files, functions as shop.py:checkout, or ID@VERSION.

    Told in the terms of definitions: steps, ways, scopes, fields, modules. Steps are known by the
    scopes around them and their ids. ID alone is the version registered last. What lies in files
    needs no deployment. The exit code is 0 where nothing differs, else 1.
    """
    found = _differences(before, after, reach)
    output.result(msgspec.to_builtins(found), lambda: str(found))
    context.exit(1 if found else 0)


def _differences(before: str, after: str, reach: Reach) -> Differences:
    from heliostat.actors.client.comparing import described, name_of
    from heliostat.api.cli.functions import workflow_named
    from heliostat.engine.authoring.changes import differences

    compared = [workflow_named(each) or each for each in (before, after)]
    if all(name_of(each) is None for each in compared):
        from heliostat.cluster.connect import code_path

        places = () if reach.over_http else code_path(reach.settings)
        return differences(
            *(
                described(
                    Path(each) if isinstance(each, str) else each,
                    namespace=reach.namespace,
                    code_path=places,
                )
                for each in compared
            )
        )
    with reach.client() as client:
        return client.diff(*compared)
