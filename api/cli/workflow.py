"""`workflow …`: executions, one by one or as a list.

Lists, states and histories are read from the journal, so that they are quick and need no running
deployment; only what must be asked of a host (`cancel`, waiting for a result) does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click
import msgspec

from heliostat.api.cli.options import (
    configuration,
    format_option,
    namespace_option,
    place_options,
)
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.engine.errors import InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import ExecutionQuery, ExecutionRow
from heliostat.engine.status import ExecutionStatus

Command = TypeVar("Command", bound=Callable[..., Any])

_FOLLOW_S: Final = 0.2
"""Between two reads of the journal by `history --follow`."""

_DETAIL_CHARS: Final = 240
"""Of an event's details in a line for people."""


@click.group()
def workflow() -> None:
    """Executions: list them, look into them, cancel them."""


def _execution(command: Command) -> Command:
    """The argument and options of a command about one execution."""
    command = format_option(place_options(namespace_option(command)))
    return click.argument("execution_id", metavar="ID")(command)


@workflow.command("list")
@click.option("--definition", metavar="ID", help="Of this definition only.")
@click.option("--version", metavar="VERSION", help="Of this version only.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(get_args(ExecutionStatus), case_sensitive=False),
    help="In this status only; repeatable.",
)
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="With this tag only.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)
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
@_execution
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
    found["seq"] = state.seq
    found["active"] = view.active()
    if state.failure is not None:
        found["failure"] = msgspec.to_builtins(state.failure)

    def text() -> str:
        lines = [
            f"execution   {execution_id}",
            f"definition  {view.row.definition} {view.row.version}",
            f"status      {state.status}",
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


@workflow.command()
@_execution
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
        output.result(events, lambda: "\n".join(map(_event_line, events)))
        return
    while True:
        ended = read_view(settings, key).state.ended  # asked first: nothing comes after the end
        for event in read_history(settings, key, after_seq=after_seq):
            output.result(event, lambda event=event: _event_line(event))  # type: ignore[misc]
            after_seq = event["seq"]
        if ended:
            return
        time.sleep(_FOLLOW_S)


@workflow.command()
@_execution
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


@workflow.command()
@_execution
@click.option("--reason", help="Recorded in the history.")
def cancel(
    execution_id: str,
    reason: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Ask an execution to end.

    Running attempts get their grace; the end follows. Asking again before that is harmless.
    """
    settings = configuration(data, config)
    from heliostat.cluster.connect import attach

    with attach(settings) as client:
        status = client.get(execution_id, namespace=namespace).cancel(reason)
    output.result(
        {"id": execution_id, "status": status},
        lambda: f"execution {execution_id} was asked to end; it is {status}",
    )


def read_tags(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` options as a mapping; raises `InputError`."""
    tags = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--tag {pair!r} is not KEY=VALUE")
        tags[key] = value
    return tags


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


def _event_line(event: dict[str, Any]) -> str:
    """One event for people: a line with what every event has and the rest as JSON, cut where it is
    long; below it the traceback and what the step printed. `--format json` has all of it."""
    rest = dict(event)
    at = rest.pop("at", None)
    place = ""
    if isinstance(at, dict):
        place = f"{at['step']} (scope {at['scope']}, visit {at['visit']}, attempt {at['attempt']})"
    seq, type_, at_ms = rest.pop("seq"), rest.pop("type"), rest.pop("at_ms")
    texts = {name: rest.pop(name) for name in ("stdout", "stderr") if rest.get(name)}
    failure = rest.get("failure")
    if isinstance(failure, dict):
        names = ("traceback", "stdout", "stderr")
        texts |= {name: failure[name] for name in names if failure.get(name)}
        rest["failure"] = {k: v for k, v in failure.items() if k not in (*names, "mro")}
    lines = [f"{seq:>5}  {instant(at_ms)}  {type_:<26}  {place}".rstrip()]
    if rest:
        details = json_text(rest)
        cut = details if len(details) <= _DETAIL_CHARS else f"{details[:_DETAIL_CHARS]} …"
        lines[0] += f"  {cut}"
    for name, text in texts.items():
        lines += [f"       {name} | {line}" for line in text.rstrip().splitlines()]
    return "\n".join(lines)
