"""`import wfformat FILE`: make a definition of a workflow that was recorded elsewhere."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.options import format_option, namespace_option, place_options
from heliostat.api.cli.output import Output
from heliostat.api.cli.register import register
from heliostat.api.cli.run import run
from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.api.importing.definition import Imported, Work

_WORK: Final = ("sleep", "burn")


@click.group("import")
def import_() -> None:
    """Make definitions of workflows that were written down elsewhere."""


def _amount(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and (value < 0 or not math.isfinite(value)):
        raise click.BadParameter(f"{value:g} is no factor or time; give 0 or more", param=parameter)
    return value


@import_.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    "target",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the definition there, as JSON if it ends so.  [default: YAML to stdout]",
)
@click.option(
    "--scale",
    type=float,
    default=1.0,
    show_default=True,
    callback=_amount,
    help="Each step takes so many times what its task took.",
)
@click.option(
    "--work",
    type=click.Choice(_WORK),
    default="sleep",
    show_default=True,
    help="Whether steps wait or use a CPU meanwhile.",
)
@click.option(
    "--resources", is_flag=True, help="Steps ask for the cores and the memory of their tasks."
)
@click.option(
    "--default-runtime",
    type=float,
    metavar="SECONDS",
    callback=_amount,
    help="What tasks took of which no runtime was recorded.",
)
@click.option("--id", "id_", help="Of the definition.  [default: the trace's name]")
@click.option("--version", help="Of the definition.  [default: made from its content]")
@click.option("--register", "registers", is_flag=True, help="Register it; needs a deployment.")
@click.option("--run", "runs", is_flag=True, help="Register and run it, as `heliostat run` does.")
@namespace_option
@place_options
@format_option
@click.pass_context
def wfformat(
    context: click.Context,
    file: Path,
    target: Path | None,
    scale: float,
    work: Work,
    resources: bool,
    default_runtime: float | None,
    id_: str | None,
    version: str | None,
    registers: bool,
    runs: bool,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Make a definition of the trace in FILE, which is WfFormat 1.5 (WfCommons).

    Its steps need each other as the tasks did, and take as long as those took, times --scale.
    docs/importing.md says what is taken over and what not.
    """
    from heliostat.api.importing.definition import definition_of
    from heliostat.api.importing.wfformat import read_trace

    imported = definition_of(
        read_trace(file, default_runtime_s=default_runtime),
        scale=scale,
        work=work,
        resources=resources,
        id=id_,
        version=version,
    )
    if target is not None:
        _write(imported, target)
    shared = {"namespace": namespace, "data": data, "config": config, "output": output}
    if not registers and not runs:
        output.result(_as_json(imported, target), lambda: _as_text(imported, target))
        return
    output.note(_summary(imported))
    # A folder of its own: beside --output may lie modules, and none belongs to this definition.
    with tempfile.TemporaryDirectory(prefix="heliostat-import-") as folder:
        path = Path(folder, f"{file.stem}.yaml")
        path.write_text(imported.text, encoding="utf-8")
        if runs:
            context.invoke(run, file=str(path), **shared)
        else:
            context.invoke(register, files=(str(path),), **shared)


def _write(imported: Imported, target: Path) -> None:
    text = imported.text
    if target.suffix == ".json":
        text = json.dumps(imported.document, indent=1) + "\n"
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--output {str(target)!r} cannot be written: {error.strerror or error}; name a file "
            f"in a folder that exists"
        ) from error


def _as_json(imported: Imported, target: Path | None) -> dict[str, Any]:
    bounds = imported.bounds
    return {
        "id": imported.id,
        "version": imported.version,
        "steps": bounds.tasks,
        "needs": bounds.edges,
        "longest_chain": bounds.longest_chain,
        "critical_path_s": round(bounds.critical_path_s, 6),
        "work_s": round(bounds.work_s, 6),
        "renamed": dict(imported.renamed),
        **({"file": str(target)} if target is not None else {"definition": imported.document}),
    }


def _as_text(imported: Imported, target: Path | None) -> str:
    if target is None:
        return imported.text.removesuffix("\n")
    return f"{target}: {_summary(imported)}"


def _summary(imported: Imported) -> str:
    bounds = imported.bounds
    return (
        f"{imported.id} {imported.version}: {bounds.tasks:,} steps, {bounds.edges:,} needs, "
        f"{bounds.longest_chain} in the longest chain; at least {bounds.critical_path_s:,.3f} s, "
        f"{bounds.work_s:,.3f} s of work in all"
    )
