"""`workflow migrate`: executions go on with another version of their definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec

from heliostat.api.cli.completing import definition_ids, execution_ids
from heliostat.api.cli.options import format_option, reach_options
from heliostat.api.cli.output import Output
from heliostat.api.cli.steering import workflow
from heliostat.engine.errors import HeliostatError, InputError

if TYPE_CHECKING:
    from heliostat.actors.client import Client
    from heliostat.api.cli.reach import Reach
    from heliostat.engine.plan.mapping import MigrationCheck

__all__ = ["workflow"]


@workflow.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=execution_ids)
@click.option("--to", "version", metavar="VERSION", help="[default: the one registered last]")
@click.option(
    "--all",
    "definition",
    metavar="DEFINITION",
    shell_complete=definition_ids,
    help="All executions of it that go on, in place of IDs.",
)
@click.option("--from", "from_version", metavar="VERSION", help="Only those of this version.")
@click.option("--check", is_flag=True, help="Whether all could, whatever they do; moves none.")
@click.option("--dry-run", is_flag=True, help="Whether these could now; moves none.")
@click.option("--reason", "-r", help="Recorded in the history.")
@reach_options
@format_option
@click.pass_context
def migrate(
    context: click.Context,
    ids: tuple[str, ...],
    version: str | None,
    definition: str | None,
    from_version: str | None,
    check: bool,
    dry_run: bool,
    reason: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """Have executions go on with another version of their definition.

    One is moved if all that it has is in that version, too: open scopes, active steps, arrivals.
    What runs goes on, and the version takes its result. One that cannot be moved stays as it is,
    and each place is named. Children are executions of their own. The exit code is 1 where one was
    not moved. With --check --all DEFINITION --from VERSION the two versions are compared.
    """
    if bool(ids) == (definition is not None):
        raise InputError("name executions, or say `--all DEFINITION`; one of the two")
    if ids and (check or from_version is not None):
        raise InputError("--check and --from belong to `--all DEFINITION`")
    with reach.client() as client:
        if check:
            found = _check(client, definition or "", from_version, version, output)
            context.exit(1 if found.obstacles else 0)
        if definition is not None:
            moved = client.migrate(
                definition, version, from_version=from_version, reason=reason, dry_run=dry_run
            )
        else:
            moved = {id: _moved(client, id, version, reason, dry_run) for id in ids}
    _tell(moved, dry_run, output)
    context.exit(1 if any(isinstance(each, HeliostatError) for each in moved.values()) else 0)


def _moved(
    client: Client, id: str, version: str | None, reason: str | None, dry_run: bool
) -> str | HeliostatError:
    try:
        return client.get(id).migrate(version, reason=reason, dry_run=dry_run)
    except HeliostatError as error:
        return error


def _check(
    client: Client,
    definition: str,
    from_version: str | None,
    version: str | None,
    output: Output,
) -> MigrationCheck:
    if from_version is None:
        raise InputError("--check compares two versions: say `--from VERSION`")
    found = client.migration_check(definition, from_version, version)
    told = {"maps": not found.obstacles, **msgspec.to_builtins(found)}
    output.result(told, lambda: "\n".join(_lines(found)))
    return found


def _lines(found: MigrationCheck) -> Iterator[str]:
    yield from map(str, found.obstacles)
    if not found.obstacles:
        yield "every execution could be moved"
    if found.paused:
        places = ", ".join(dict.fromkeys(each.place for each in found.paused))
        yield f"but one that is paused right before {places}: resume it first"
    if found.decided_by == "markings":
        yield "decided by the markings that executions can reach"
    elif found.bound is not None:
        yield (
            f"decided by structure, for a bound was reached ({found.bound}): some of these places "
            "executions may never come to"
        )


def _tell(moved: Mapping[str, str | HeliostatError], dry_run: bool, output: Output) -> None:
    told: list[dict[str, Any]] = []
    lines: list[str] = []
    for id, became in moved.items():
        if isinstance(became, HeliostatError):
            told.append(
                {
                    "id": id,
                    "migrated": False,
                    "code": became.code,
                    "message": became.message,
                    "details": dict(became.details),
                }
            )
            lines.append(became.message)
        else:
            told.append({"id": id, "migrated": not dry_run, "status": became})
            lines.append(f"execution {id} {'could be' if dry_run else 'is'} moved; it is {became}")
    output.result(told, lambda: "\n".join(lines) or "no execution goes on at another version")
