"""`up`, `down`, `scale`, `node` and `status`: the deployment of a data directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.actors.journals import shown
from heliostat.api.cli.options import configuration, format_option, place_options
from heliostat.api.cli.output import Output, instant, table
from heliostat.engine.errors import ConfigurationError

if TYPE_CHECKING:
    from heliostat.cluster.status import DeploymentStatus

_EXIT_NOT_RUNNING: Final = 4


def _without_password(
    _context: click.Context, _parameter: click.Parameter, url: str | None
) -> str | None:
    """Refuses a URL with a password, which everybody on the machine reads in a command line."""
    if url is None or shown(url) == url:
        return url
    raise ConfigurationError(
        f"--journal {shown(url)!r} has a password, which whoever may run `ps` on this machine can "
        f"read; set HELIOSTAT_JOURNAL to the URL instead, or leave the password to a file: "
        f"postgresql://user@host/orders?passfile=/etc/heliostat/pgpass; see `Passwords` in "
        f"docs/postgres.md"
    )


@click.command()
@place_options
@click.option(
    "--code",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where runners find modules that no definition ships.  [default: this directory]",
)
@click.option("--runners", type=int, help="Warm runners.  [default: CPUs - 1]")
@click.option("--hosts", type=int, help="Execution hosts; 1 with a SQLite journal.  [default: 1]")
@click.option(
    "--journal",
    callback=_without_password,
    help="URL of a PostgreSQL database.  [default: SQLite in the data]",
)
@click.option("--ray-address", help="A Ray that runs already, as host:port.  [default: start one]")
@click.option("--dashboard", is_flag=True, default=None, help="Start Ray's dashboard too.")
@click.option(
    "--port", "http_port", type=int, help="Of the HTTP door; 0 takes a free one.  [default: 8080]"
)
@click.option("--http/--no-http", default=None, help="Open the HTTP door.  [default: yes]")
@format_option
def up(data: Path | None, config: Path | None, output: Output, **flags: Any) -> None:
    """Start the deployment of a data directory, in the background.

    Goes on with every execution that has not ended. When the deployment runs already, says so and
    changes nothing.
    """
    settings = configuration(data, config, **flags)
    from heliostat.api.serve.door import ServeDoor
    from heliostat.cluster.deployment import up

    with output.progress(f"starting the deployment in {settings.data_dir} …") as say:
        report = up(settings, door=ServeDoor(), note=say)

    def text() -> str:
        if report.started:
            lines = [f"deployment {report.deployment_id} is up after {report.seconds:.1f} s"]
        else:
            lines = [f"deployment {report.deployment_id} is up already, since {report.since}"]
        if report.http:
            who = (
                "there is no security yet, so it answers on this machine only"
                if report.here_only
                else "there is NO security yet: whoever reaches this port may do everything"
            )
            lines.append(f"{report.http} ({who})")
        if report.slower:
            lines.append(report.slower)
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
    from heliostat.api.serve.door import ServeDoor
    from heliostat.cluster.deployment import down

    with output.progress(f"stopping the deployment in {settings.data_dir} …") as say:
        report = down(settings, door=ServeDoor(), note=say)

    def text() -> str:
        if not report.was_up:
            return f"no deployment is up in {settings.data_dir}"
        drained = "" if report.drained else "; attempts that still ran will be made again"
        return f"deployment {report.deployment_id} is down after {report.seconds:.1f} s{drained}"

    output.result(report, text)


@click.command()
@place_options
@click.option("--hosts", type=click.IntRange(1, 64), required=True, help="How many from now on.")
@format_option
def scale(data: Path | None, config: Path | None, output: Output, hosts: int) -> None:
    """Have another number of hosts carry the executions of a deployment that runs.

    Needs a journal on PostgreSQL. Hosts that leave give up their shards first; executions go on.
    """
    settings = configuration(data, config)
    from heliostat.cluster.scaling import scale

    with output.progress(f"scaling the deployment in {settings.data_dir} …") as say:
        report = scale(settings, hosts, note=say)
    output.result(report, lambda: f"{report.hosts} hosts, {report.before} before")


@click.group()
def node() -> None:
    """The machines of a deployment."""


@node.command()
@click.argument("node_id")
@place_options
@click.option("--wait-ms", type=click.IntRange(0), default=10_000, show_default=True,
              help="How long its hosts let attempts report before others take over.")  # fmt: skip
@format_option
def drain(
    node_id: str, data: Path | None, config: Path | None, output: Output, wait_ms: int
) -> None:
    """Take a node out: its hosts go on elsewhere, and nothing new comes to it.

    NODE_ID is Ray's id of it, how that begins, or its address. Doing it again is harmless.
    """
    settings = configuration(data, config)
    from heliostat.cluster.connect import attach

    with attach(settings) as client, output.progress(f"draining node {node_id} …"):
        moved = client.drain_node(node_id, wait_ms=wait_ms)
    output.result(
        {"node": node_id, "moved": list(moved)},
        lambda: f"node {node_id} is drained; hosts that moved: {', '.join(moved) or 'none'}",
    )


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
        f"journal     {found.journal}",
    ]
    if found.started_at_ms is not None:
        lines.append(f"since       {instant(found.started_at_ms)}")
    if found.address:
        lines.append(f"ray         {found.address}")
    if found.http is not None:
        said = found.http.health or found.http.message or "it does not answer"
        lines.append(f"http        {found.http.address}  {said}, {found.http.replicas} replicas")
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
        if host["ray_node"]:
            lines.append(f"            on {host['node']}, Ray's node {host['ray_node']}")
    if found.scheduler is not None:
        told = found.scheduler
        lines += ["", f"scheduler   process {told['pid']} on {told['machine']}"]
        lines.append(f"            {told['held']:,} leases, {told['waiting']:,} wait")
    elif found.up:
        lines += ["", "scheduler   does not answer; what needs no capacity goes on"]
    if len(found.nodes) > 1:
        nodes = [
            (
                each.id,
                each.address,
                f"{each.cpus:g}",
                str(each.hosts),
                "draining" if each.draining else "",
            )
            for each in found.nodes
        ]
        lines += ["", table(("node", "address", "CPUs", "hosts", ""), nodes) or ""]
    lines += [f"fault       {fault}" for fault in found.faults]
    return "\n".join(lines)
