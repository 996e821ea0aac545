"""`register FILE…`: put versions of definitions into a deployment, and start nothing."""

from __future__ import annotations

from pathlib import Path

import click

from heliostat.api.cli.options import (
    configuration,
    format_option,
    namespace_option,
    place_options,
)
from heliostat.api.cli.output import Output


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--dev", is_flag=True, help="Register as VERSION+HASH, so that the files may change.")
@namespace_option
@place_options
@format_option
def register(
    files: tuple[Path, ...],
    dev: bool,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Register the definitions in FILEs with the modules that lie beside them.

    Several may call each other: each is registered after those that it calls, and pinned to them.
    The same content again is harmless; other content under a used version is refused. Needs a
    deployment that is up.
    """
    from heliostat.actors.client.registration import prepare
    from heliostat.cluster.connect import attach, code_path

    settings = configuration(data, config)
    # Before anybody is asked: faults in a file need no deployment.
    prepared = [
        prepare(file, dev=dev, namespace=namespace, code_path=code_path(settings)) for file in files
    ]
    with attach(settings, namespace=namespace) as client:
        versions = client.register_many(prepared)
    output.result(
        [
            {"id": each.id, "version": each.version, "namespace": each.namespace}
            for each in versions
        ],
        lambda: "\n".join(f"{each.id} {each.version}" for each in versions),
    )
