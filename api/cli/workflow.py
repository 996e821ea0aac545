"""`workflow …`: what becomes of executions, one by one or as a list.

Lists, states and histories are read from the journal, so that they are quick and need no running
deployment; only waiting for a result does. What is asked of executions is in `steering.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec

from heliostat.api.cli.inputs import read_tags
from heliostat.api.cli.options import (
    configuration,
    execution_argument,
    format_option,
    namespace_option,
    place_options,
)
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.api.cli.story import event_lines
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import ExecutionQuery, ExecutionRow
from heliostat.engine.status import ExecutionStatus

_FOLLOW_S: Final = 0.2
"""Between two reads of the journal by `history --follow`."""


@click.group()
def workflow() -> None:
    """Executions: start them, list them, look into them, steer them."""


@workflow.command("list")
@click.option("--definition", "-d", metavar="ID", help="Of this definition only.")
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
@click.option("--limit", "-l", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--cursor", help="Goes on after a page: its `next_cursor`.")
@namespace_option
@place_options
@format_option
def list_(
    definition: str | None,
    version: str | None,
    statuses: Sequence[ExecutionStatus],
    tags: Sequence[str],
    limit: int,
    cursor: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """List executions, newest first."""
    settings = configuration(data, config)
    from heliostat.cluster.reading import read_list

    query = ExecutionQuery(
        namespace=namespace,
        definition=definition,
        version=version,
        status=tuple(statuses),
        tags=read_tags(tags),
        limit=limit,
        cursor=cursor,
    )
    page = read_list(settings, query)

    def text() -> str | None:
        if page.next_cursor is not None:
            output.note(f"more: --cursor {page.next_cursor}")
        if not page.rows:
            return "no executions"
        rows = [
            (
                row.key.execution_id,
                f"{row.definition} {row.version}",
                row.status,
                instant(row.created_at_ms),
                row.failure_type or "",
            )
            for row in page.rows
        ]
        return table(("id", "definition", "status", "created", "failure"), rows)

    output.result(
        {"executions": [_row(row) for row in page.rows], "next_cursor": page.next_cursor}, text
    )


@workflow.command()
@execution_argument
def status(
    execution_id: str, namespace: str, data: Path | None, config: Path | None, output: Output
) -> None:
    """Show what an execution does now, or how it ended."""
    settings = configuration(data, config)
    from heliostat.cluster.reading import read_view

    view = read_view(settings, ExecutionKey(namespace, execution_id))
    state = view.state
    found: dict[str, Any] = _row(view.row)
    found["status"] = state.status  # the row may lag between Running and Waiting
    found["run"] = state.run
    found["seq"] = state.seq
    found["active"] = view.active()
    if state.failure is not None:
        found["failure"] = msgspec.to_builtins(state.failure)

    def text() -> str:
        lines = [
            f"execution   {execution_id}",
            f"definition  {view.row.definition} {view.row.version}",
            f"status      {state.status}" + (f", run {state.run}" if state.run > 1 else ""),
            f"created     {instant(view.row.created_at_ms)}",
        ]
        if view.row.ended_at_ms is not None:
            lines.append(f"ended       {instant(view.row.ended_at_ms)}")
        lines += [
            f"active      {active['step']} ({active['phase']}, attempt {active['attempt']})"
            for active in found["active"]
        ]
        if state.failure is not None:
            where = f" in step {state.failure.step}" if state.failure.step else ""
            lines.append(f"failure     {state.failure.type}{where}: {state.failure.message}")
        return "\n".join(lines)

    output.result(found, text)


workflow.add_command(status, "get")


@workflow.command()
@execution_argument
@click.option("--after", "after_seq", type=click.IntRange(0), default=0, help="After this seq.")
@click.option("--follow", is_flag=True, help="Go on with new events until the execution ends.")
def history(
    execution_id: str,
    after_seq: int,
    follow: bool,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Show the recorded events of an execution.

    With --follow, JSON is written one event a line.
    """
    settings = configuration(data, config)
    from heliostat.cluster.reading import read_history, read_view

    key = ExecutionKey(namespace, execution_id)
    if not follow:
        events = read_history(settings, key, after_seq=after_seq)
        output.result(events, lambda: "\n".join(map(event_lines, events)))
        return
    while True:
        ended = read_view(settings, key).state.ended  # asked first: nothing comes after the end
        for event in read_history(settings, key, after_seq=after_seq):
            output.result(event, lambda event=event: event_lines(event))  # type: ignore[misc]
            after_seq = event["seq"]
        if ended:
            return
        time.sleep(_FOLLOW_S)


@workflow.command()
@execution_argument
@click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait.  [default: no end]")
def result(
    execution_id: str,
    timeout: float | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Wait for an execution to end and print its output as JSON.

    One that has ended needs no running deployment. Exit codes as those of `run`.
    """
    settings = configuration(data, config)
    from heliostat.actors.client.handle import error_of
    from heliostat.actors.client.values import receive
    from heliostat.cluster.connect import attach
    from heliostat.cluster.reading import read_view
    from heliostat.engine.journal.blobs import FileBlobStore

    ended = read_view(settings, ExecutionKey(namespace, execution_id)).ended
    if ended is None:
        with attach(settings) as client, output.progress(f"execution {execution_id} runs …"):
            value = client.get(execution_id, namespace=namespace).result(timeout)
    else:
        error = error_of(ended)
        if error is not None:
            raise error
        value = receive(ended.output, FileBlobStore(settings.blobs_path))
    answer = {"id": execution_id, "status": "Completed", "output": value}
    output.result(answer, lambda: json_text(value, indent=2))


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
