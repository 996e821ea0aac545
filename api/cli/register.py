"""`register FILE…`: put versions of definitions into a deployment, and start nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from heliostat.api.cli.functions import prepared_named, registrables_named
from heliostat.api.cli.options import format_option, reach_options, verification_option
from heliostat.api.cli.output import Output

if TYPE_CHECKING:
    from heliostat.actors.client.interface import Registrable
    from heliostat.actors.client.proving import Verification
    from heliostat.api.cli.reach import Reach
    from heliostat.engine.authoring.diagnostics import Diagnostic


@click.command()
@click.argument("files", metavar="FILE[:FUNCTION]...", nargs=-1, required=True)
@click.option("--dev", is_flag=True, help="Register as VERSION+HASH, so that the files may change.")
@verification_option
@reach_options
@format_option
def register(
    files: tuple[str, ...],
    dev: bool,
    verification: Verification | None,
    reach: Reach,
    output: Output,
) -> None:
    """Register the definitions in FILEs with the modules that lie beside them.

    Several may call each other: each is registered after those that it calls, and pinned to them.
    shop.py:checkout names a workflow in Python, which brings along those that it starts. The same
    content again is harmless; other content under a used version is refused. Needs a deployment
    that is up. Over HTTP no modules are sent: runners must find them.
    """
    register_files(files, dev=dev, verification=verification, reach=reach, output=output)


def register_files(
    files: Sequence[str],
    *,
    dev: bool,
    verification: Verification | None,
    reach: Reach,
    output: Output,
) -> None:
    """Register the definitions in files."""
    definitions: Sequence[Registrable]
    if reach.over_http:  # the door looks at modules itself, and takes none
        definitions = registrables_named(files)
    else:
        from heliostat.cluster.connect import code_path

        where = code_path(reach.settings)
        definitions = prepared_named(files, dev=dev, namespace=reach.namespace, code_path=where)
    with reach.client() as client:
        registered = client.register_many(definitions, dev=dev, verification=verification)
    versions = registered[: len(files)]
    for each in versions:
        note_warnings(each.warnings, output)
    output.result(
        [
            {
                "id": each.id,
                "version": each.version,
                "namespace": each.namespace,
                "warnings": as_json(each.warnings),
            }
            for each in versions
        ],
        lambda: "\n".join(f"{each.id} {each.version}" for each in versions),
    )


def note_warnings(warnings: Sequence[Diagnostic], output: Output) -> None:
    """Tell people what a proof found."""
    for each in warnings:
        output.note(str(each))


def as_json(warnings: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [msgspec.to_builtins(each) | {"text": str(each)} for each in warnings]
