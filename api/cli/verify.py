"""`verify FILE`: prove a definition before it runs, or a model that somebody else drew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.options import duration_ms
from heliostat.api.cli.output import Output
from heliostat.api.cli.proving import Proved, all_proved, asked_for, listed
from heliostat.api.cli.register import as_json
from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.verify.nets.net import Net

_EXIT_CODES: Final = {"holds": 0, "fails": 1, "inconclusive": 3}


@click.command()
@click.argument("files", metavar="FILE[:FUNCTION]...", nargs=-1, required=True)
@click.option(
    "--property",
    "-p",
    "properties",
    metavar="NAME|FORMULA",
    multiple=True,
    help="Ask for this alone: deadlock, livelock, dead-steps, boundedness, proper-completion, "
    "safeness, termination, error-recovery, an analysis (data, time, resources, across, recovery, "
    "people, properties), the id of a property that the definition declares, or a formula in CTL "
    "or LTL; repeatable.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown", "dot"]),
    default="text",
    help="How the report is written; dot draws the Petri net.  [default: text]",
)
@click.option(
    "--time-budget",
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long all of it may take, as 500ms or 2m.",
)
@click.option(
    "--cluster",
    metavar="FILE|SHAPE",
    help="What there is to take: a file with nodes and semaphores, or 2x8cpu,4cpu+1gpu+64GiB.",
)
@click.option(
    "--executions",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many take of it side by side.",
)
@click.option(
    "--durations",
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="How long steps took: a JSON file, or the data directory with their history.",
)
@click.option(
    "--replay",
    is_flag=True,
    help="Have the simulator do what gets stuck, and tell its story.",
)
@click.pass_context
def verify(
    context: click.Context,
    files: tuple[str, ...],
    properties: tuple[str, ...],
    format_: str,
    time_budget: str,
    cluster: str | None,
    executions: int,
    durations: Path | None,
    replay: bool,
) -> None:
    """Prove that no execution of the definition in FILE can get stuck.

    Of several files, or of all YAML and JSON files of a folder, also what one waits for and another
    sends.

    Also asked are its data, its time, what it takes, and the properties that it declares. Nothing
    is registered and no step's code is called, though modules beside FILE are imported for what
    they annotate: what is proved holds whatever attempts come to, and for all data that schemas and
    annotations allow. shop.py:checkout names a workflow in Python; files that end in
    .pnml or .bpmn are Petri nets and BPMN 2.0 models. docs/verification.md says what is decided,
    and how. Exit codes: 0 all holds, 1 something fails, 2 FILE is no definition, 3 not
    known within the bounds.
    """
    from heliostat.verify.reports.values import overall
    from heliostat.verify.resources.cluster import read_cluster

    output = Output("json" if format_ == "json" else "text")
    time_max_ms = duration_ms(time_budget, "--time-budget")
    about = {
        "cluster": None if cluster is None else read_cluster(cluster),
        "executions": executions,
    }
    asked = asked_for(properties)
    found = all_proved(
        listed(files),
        asked,
        time_max_ms,
        about,
        replay=replay,
        with_net=replay or format_ == "dot",
        durations=durations,
    )
    if not asked.analyses and not all(each.verdicts for each in found):
        of = f"{', '.join(properties)} is not asked of {' '.join(files)}"
        raise InputError(f"{of}: it is for other models")
    if format_ == "json":
        output.result([_value(each) for each in found])
    else:
        writer = {"text": _text, "markdown": _markdown, "dot": _dot}[format_]
        output.result(None, lambda: "\n\n".join(writer(each).rstrip("\n") for each in found))
    context.exit(_EXIT_CODES[overall(v for each in found for v in each.verdicts)])


def _value(proved: Proved) -> dict[str, Any]:
    from heliostat.verify.reports.values import overall, verdict_value

    return {
        "definition": proved.name,
        "outcome": overall(proved.verdicts),
        "verdicts": [verdict_value(each) for each in proved.verdicts],
        "diagnostics": as_json(proved.diagnostics),
        "replay": None if proved.story is None else proved.story.splitlines(),
    }


def _text(proved: Proved) -> str:
    from heliostat.verify.reports.words import text

    told = text(proved.name, proved.verdicts, proved.diagnostics)
    return told if proved.story is None else f"{told}\n\n{proved.story}"


def _markdown(proved: Proved) -> str:
    from heliostat.verify.reports.words import markdown

    told = markdown(proved.name, proved.verdicts, proved.diagnostics)
    return (
        told if proved.story is None else f"{told}\n## In the simulator\n\n```\n{proved.story}\n```"
    )


def _dot(proved: Proved) -> str:
    """The net, with the tokens of the first deadlock if there is one."""
    from heliostat.verify.nets.dot import dot

    net = proved.report.net
    if net is None:
        raise InputError(f"{proved.name} has no net: {proved.verdicts[0].reason}")
    stuck = next((one for each in proved.verdicts for one in each.deadlocks), None)
    return dot(net, None if stuck is None else _marking(net, stuck.marking))


def _marking(net: Net, tokens: dict[str, int]) -> bytes:
    return bytes(tokens.get(place.id, 0) for place in net.places)
