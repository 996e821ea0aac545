"""`workflow …`: what becomes of executions, one by one or as a list.

Of a data directory, lists, states and histories are read from the journal, so that they are quick
and need no running deployment; only waiting for a result does. What is asked of executions is in
`steering.py`, what is about definitions in `definitions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

import click
import msgspec

from heliostat.api.cli.completing import definition_ids
from heliostat.api.cli.inputs import read_tags
from heliostat.api.cli.options import (
    execution_argument,
    format_option,
    page_option,
    reach_options,
)
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.api.cli.story import event_lines
from heliostat.api.cli.task import plain_task
from heliostat.engine.errors import InputError
from heliostat.engine.journal.protocol import ExecutionQuery, ExecutionRow, TaskQuery
from heliostat.engine.status import ExecutionStatus

if TYPE_CHECKING:
    from heliostat.actors.host.api import ExecutionView
    from heliostat.api.cli.reach import Reach

_TASKS_MAX: Final = 100
"""Of one execution that `status` shows; `task list --execution` has them all."""


@click.group()
def workflow() -> None:
    """Definitions and executions: register, start, list, look into and steer them."""


@workflow.command("list")
@click.option(
    "--definition",
    "-d",
    metavar="ID",
    help="Of this definition only.",
    shell_complete=definition_ids,
)
@click.option("--version", metavar="VERSION", help="Of this version only.")
@click.option(
    "--status",
    "-s",
    "statuses",
    multiple=True,
    type=click.Choice(get_args(ExecutionStatus), case_sensitive=False),
    help="In this status only; repeatable.",
)
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="With this tag only.")
@page_option
@click.option("--limit", "-l", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--cursor", help="Goes on after a page: its `next_cursor`.")
@reach_options
@format_option
def list_(
    definition: str | None,
    version: str | None,
    statuses: Sequence[ExecutionStatus],
    tags: Sequence[str],
    page: int,
    limit: int,
    cursor: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """List executions, newest first."""
    query = ExecutionQuery(
        namespace=reach.namespace,
        definition=definition,
        version=version,
        status=tuple(statuses),
        tags=read_tags(tags),
        limit=limit,
        offset=(page - 1) * limit,
        cursor=cursor,
    )
    with reach.reader() as reader:
        found = reader.executions(query)

    def text() -> str | None:
        if found.next_cursor is not None:
            output.note(f"more: --cursor {found.next_cursor}")
        if not found.rows:
            return "no executions"
        rows = [
            (
                row.key.execution_id,
                f"{row.definition} {row.version}",
                row.status,
                instant(row.created_at_ms),
                row.failure_type or "",
            )
            for row in found.rows
        ]
        return table(("id", "definition", "status", "created", "failure"), rows)

    output.result(
        {"executions": [_row(row) for row in found.rows], "next_cursor": found.next_cursor}, text
    )


workflow.add_command(list_, "list-instances")


@workflow.command()
@execution_argument
@click.option("--include-tasks", is_flag=True, help="Its human tasks too.")
@click.option("--include-variables", is_flag=True, help="Its variables too.")
def status(
    execution_id: str,
    include_tasks: bool,
    include_variables: bool,
    reach: Reach,
    output: Output,
) -> None:
    """Show what an execution does now, or how it ended."""
    key = reach.key(execution_id)
    with reach.reader() as reader:
        view = reader.view(key)
        found = _plain(view)
        if include_variables:
            found["variables"] = reader.variables(key)
        if include_tasks:
            query = TaskQuery(namespace=key.namespace, execution_id=execution_id, limit=_TASKS_MAX)
            tasks = reader.tasks(query).tasks
            found["tasks"] = [plain_task(each) for each in tasks]
        unknown = reader.waits_unknown
    if unknown:
        view = reach.reasons(view)
    found["active"] = list(view.active)

    def text() -> str:
        lines = [
            f"execution   {execution_id}",
            f"definition  {view.definition} {view.version}",
            f"status      {view.status}" + (f", run {view.run}" if view.run > 1 else ""),
            f"created     {instant(view.created_at_ms)}",
        ]
        if view.ended_at_ms is not None:
            lines.append(f"ended       {instant(view.ended_at_ms)}")
        lines += [f"violated    property {each}" for each in view.violated]
        if view.misfit is not None:
            lines.append(f"stopped     {view.misfit}")
        lines += [
            f"active      {active['step']} ({active['phase']}, attempt {active['attempt']})"
            + (f"\n            waiting: {active['waiting']}" if "waiting" in active else "")
            for active in view.active
        ]
        if view.failure is not None:
            where = f" in step {view.failure.step}" if view.failure.step else ""
            where += f" at {view.failure.place}" if view.failure.place else ""
            lines.append(f"failure     {view.failure.type}{where}: {view.failure.message}")
        lines += [
            f"variable    {name} = {json_text(value)}"
            for name, value in found.get("variables", {}).items()
        ]
        lines += [
            f"task        {each['id']} {each['name'] or each['step']}: {each['status']}"
            for each in found.get("tasks", ())
        ]
        return "\n".join(lines)

    output.result(found, text)


workflow.add_command(status, "get")


@workflow.command()
@execution_argument
@click.option("--after", "after_seq", type=click.IntRange(0), default=0, help="After this seq.")
@click.option("--follow", is_flag=True, help="Go on with new events until the execution ends.")
def history(execution_id: str, after_seq: int, follow: bool, reach: Reach, output: Output) -> None:
    """Show the recorded events of an execution.

    With --follow, JSON is written one event a line.
    """
    key = reach.key(execution_id)
    with reach.reader() as reader:
        if not follow:
            events = reader.history(key, after_seq)
            output.result(events, lambda: "\n".join(map(event_lines, events)))
            return
        for event in reader.events(key, after_seq):
            output.result(event, lambda event=event: event_lines(event))  # type: ignore[misc]


@workflow.command()
@execution_argument
@click.pass_context
def check(context: click.Context, execution_id: str, reach: Reach, output: Output) -> None:
    """Check that the recorded history of an execution is a run of its definition.

    Each event is held against those before it: a step that began without what leads to it, one that
    ended twice, a history from which something was taken. The journal of a data directory is read;
    no deployment need be up. Exit codes: 0 it is a run, 1 an event does not fit.
    """
    from heliostat.cluster import reading

    if reach.over_http:
        raise InputError("a check reads the journal itself; name its data directory with --data")
    checked = reading.read_checked(reach.settings, reach.key(execution_id))
    found: dict[str, Any] = {"id": execution_id, "events": checked.events, "fits": True}
    if (misfit := checked.misfit) is not None:
        found |= {"fits": False, "misfit": dict(misfit.details)}

    def text() -> str:
        if misfit is None:
            return f"{checked.events} events, a run of its definition"
        return f"{misfit}\n{checked.fitting} of {checked.events} events fit before it"

    output.result(found, text)
    context.exit(0 if misfit is None else 1)


@workflow.command()
@execution_argument
@click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait.  [default: no end]")
def result(execution_id: str, timeout: float | None, reach: Reach, output: Output) -> None:
    """Wait for an execution to end and print its output as JSON.

    One that has ended needs no running deployment. Exit codes as those of `run`.
    """
    with output.progress(f"execution {execution_id}: waiting for its end …", quiet=True):
        value = reach.result(execution_id, timeout)
    answer = {"id": execution_id, "status": "Completed", "output": value}
    output.result(answer, lambda: json_text(value, indent=2))


def _plain(view: ExecutionView) -> dict[str, Any]:
    """What an execution does, as JSON."""
    found: dict[str, Any] = {
        "id": view.key.execution_id,
        "namespace": view.key.namespace,
        "definition": view.definition,
        "version": view.version,
        "status": view.status,
        "run": view.run,
        "seq": view.seq,
        "created_at_ms": view.created_at_ms,
        "ended_at_ms": view.ended_at_ms,
        "wake_at_ms": view.wake_at_ms,
        "tags": dict(view.tags),
        "priority": view.priority,
        "parent": view.parent,
        "correlation_id": view.correlation_id,
        "active": list(view.active),
    }
    if view.violated:
        found["violated"] = list(view.violated)
    if view.misfit is not None:
        found["misfit"] = view.misfit
    if view.failure is not None:
        found["failure"] = msgspec.to_builtins(view.failure)
    return found


def _row(row: ExecutionRow) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": row.key.execution_id,
        "namespace": row.key.namespace,
        "definition": row.definition,
        "version": row.version,
        "status": row.status,
        "created_at_ms": row.created_at_ms,
        "ended_at_ms": row.ended_at_ms,
        "wake_at_ms": row.wake_at_ms,
        "tags": dict(row.tags),
    }
    if row.failure_type is not None:
        found["failure"] = {"type": row.failure_type, "message": row.failure_message}
    return found
