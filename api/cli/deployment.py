"""`up`, `down` and `status`: the deployment of a data directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.options import configuration, format_option, place_options
from heliostat.api.cli.output import Output, instant, table

if TYPE_CHECKING:
    from heliostat.cluster.status import DeploymentStatus

_EXIT_NOT_RUNNING: Final = 4


@click.command()
@place_options
@click.option(
    "--code",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where runners find modules that no definition ships.  [default: this directory]",
)
@click.option("--runners", type=int, help="Warm runners.  [default: CPUs - 1]")
@click.option("--hosts", type=int, help="Execution hosts; 1 with a SQLite journal.  [default: 1]")
@click.option("--ray-address", help="A Ray that runs already, as host:port.  [default: start one]")
@click.option("--dashboard", is_flag=True, default=None, help="Start Ray's dashboard too.")
@format_option
def up(data: Path | None, config: Path | None, output: Output, **flags: Any) -> None:
    """Start the deployment of a data directory, in the background.

    Goes on with every execution that has not ended. When the deployment runs already, says so and
    changes nothing.
    """
    settings = configuration(data, config, **flags)
    from heliostat.cluster.deployment import up

    with output.progress(f"starting the deployment in {settings.data_dir} …") as say:
        report = up(settings, note=say)

    def text() -> str:
        if not report.started:
            return f"deployment {report.deployment_id} is up already, since {report.since}"
        lines = [f"deployment {report.deployment_id} is up after {report.seconds:.1f} s"]
        if report.dashboard:
            lines.append(f"Ray's dashboard: http://{report.dashboard}")
        return "\n".join(lines)

    output.result(report, text)


@click.command()
@place_options
@format_option
def down(data: Path | None, config: Path | None, output: Output) -> None:
    """Stop the deployment of a data directory.

    Running attempts may report for a while (drain_timeout_ms); what has not ended goes on with the
    next `up`. When nothing is up, says so and changes nothing.
    """
    settings = configuration(data, config)
    from heliostat.cluster.deployment import down

    with output.progress(f"stopping the deployment in {settings.data_dir} …") as say:
        report = down(settings, note=say)

    def text() -> str:
        if not report.was_up:
            return f"no deployment is up in {settings.data_dir}"
        drained = "" if report.drained else "; attempts that still ran will be made again"
        return f"deployment {report.deployment_id} is down after {report.seconds:.1f} s{drained}"

    output.result(report, text)


@click.command()
@place_options
@format_option
@click.pass_context
def status(context: click.Context, data: Path | None, config: Path | None, output: Output) -> None:
    """Show processes, executions by status, and recent faults.

    Exit code 4 when no deployment is up; what the journal holds is shown all the same.
    """
    settings = configuration(data, config)
    from heliostat.cluster.status import deployment_status

    found = deployment_status(settings)
    output.result(found, lambda: _status_text(found))
    if not found.up:
        context.exit(_EXIT_NOT_RUNNING)


def _load(host: Mapping[str, Any]) -> str:
    return (
        f"{host['resident']:,} executions in memory, {host['started']:,} started and "
        f"{host['ended']:,} ended in {host['uptime_ms'] / 1_000:,.0f} s, "
        f"a commit takes {host['commit_ms_mean']:.1f} ms"
    )


def _status_text(found: DeploymentStatus) -> str:
    lines = [
        f"deployment  {found.deployment_id or '-'}  {'up' if found.up else 'not up'}"
        + (f" ({found.mode})" if found.mode else ""),
        f"data        {found.data_dir}",
    ]
    if found.started_at_ms is not None:
        lines.append(f"since       {instant(found.started_at_ms)}")
    if found.address:
        lines.append(f"ray         {found.address}")
    if found.problem:
        lines.append(f"problem     {found.problem}")
    counts = "  ".join(f"{name} {count:,}" for name, count in found.executions.items())
    lines.append(f"executions  {counts or 'none'}")
    if found.processes:
        rows = [(p.name, str(p.pid), "runs" if p.alive else "gone") for p in found.processes]
        lines += ["", table(("process", "pid", "state"), rows) or ""]
    for host in found.hosts:
        lines += ["", f"host        {host['name']} (process {host['pid']})"]
        lines.append(f"            {host['state']}, {len(host['shards'])} shards, {_load(host)}")
    lines += [f"fault       {fault}" for fault in found.faults]
    return "\n".join(lines)
