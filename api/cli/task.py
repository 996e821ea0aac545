"""`task …`: what people are asked, and what they do about it.

A task's id on the command line is `EXECUTION:SCOPE:STEP:VISIT:ATTEMPT`, as `task list` shows it.
Lists are read from the journal, so that they need no running deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
import msgspec

from heliostat.api.cli.inputs import data_option, read_value
from heliostat.api.cli.options import (
    configuration,
    format_option,
    namespace_option,
    place_options,
    user_option,
)
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.engine.errors import InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.status import TaskStatus
from heliostat.engine.values import to_json

if TYPE_CHECKING:
    from heliostat.actors.client import Task
    from heliostat.actors.host.api import TaskInfo

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def task() -> None:
    """Human tasks: list them, look at one, claim and complete them."""


def _task(command: Command) -> Command:
    """The argument and options of a command about one task."""
    command = format_option(place_options(namespace_option(command)))
    return click.argument("id", metavar="ID")(command)


@task.command("list")
@click.option(
    "--person",
    "-p",
    "--assignee",
    "-a",
    metavar="PERSON",
    help="Given to, claimable by or claimed by this person; of a group, group:NAME.",
)
@click.option(
    "--status",
    "-s",
    "statuses",
    multiple=True,
    type=click.Choice(get_args(TaskStatus), case_sensitive=False),
    help="In this status only; repeatable.  [default: Open and Claimed]",
)
@click.option("--all", "every", is_flag=True, help="In any status.")
@click.option("--execution", metavar="ID", help="Of this execution only.")
@click.option("--definition", metavar="ID", help="Of executions of this definition only.")
@click.option("--limit", "-l", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--cursor", help="Goes on after a page: its `next_cursor`.")
@namespace_option
@place_options
@format_option
def list_(
    person: str | None,
    statuses: Sequence[TaskStatus],
    every: bool,
    execution: str | None,
    definition: str | None,
    limit: int,
    cursor: str | None,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """List human tasks, newest first: those that wait for somebody, unless you say otherwise."""
    settings = configuration(data, config)
    from heliostat.cluster.reading import read_tasks

    query = TaskQuery(
        namespace=namespace,
        execution_id=execution,
        definition=definition,
        status=() if every else tuple(statuses) or ("Open", "Claimed"),
        person=person,
        limit=limit,
        cursor=cursor,
    )
    page = read_tasks(settings, query)

    def text() -> str | None:
        if page.next_cursor is not None:
            output.note(f"more: --cursor {page.next_cursor}")
        if not page.tasks:
            return "no tasks"
        rows = [
            (
                _id(each),
                each.name or each.step,
                each.status,
                each.claimed_by or ", ".join((*each.assignees, *each.candidates)) or "anybody",
                instant(each.created_at_ms),
                "" if each.deadline_at_ms is None else instant(each.deadline_at_ms),
            )
            for each in page.tasks
        ]
        return table(("id", "task", "status", "for", "created", "deadline"), rows)

    output.result(
        {"tasks": [_plain(each) for each in page.tasks], "next_cursor": page.next_cursor}, text
    )


@task.command()
@_task
def show(id: str, namespace: str, data: Path | None, config: Path | None, output: Output) -> None:
    """Show what a person is asked, and the form of the answer."""
    settings = configuration(data, config)
    from heliostat.cluster.reading import read_task

    execution_id, task_id = _parts(id)
    found = read_task(settings, ExecutionKey(namespace, execution_id), task_id)
    output.result(_plain(found), lambda: _text(found))


task.add_command(show, "status")


@task.command()
@_task
@user_option("Who takes it on.")
def claim(
    id: str, user: str, namespace: str, data: Path | None, config: Path | None, output: Output
) -> None:
    """Take a task on, so that nobody else does."""
    found = _acted(id, namespace, data, config, lambda task: task.claim(user))
    output.result(_plain(found), lambda: f"task {id} is claimed by {found.claimed_by}")


@task.command()
@_task
@user_option("Who gives it back.")
@click.option("--force", is_flag=True, help="Although another person has claimed it.")
def release(
    id: str,
    user: str,
    force: bool,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Give a claimed task back."""
    found = _acted(id, namespace, data, config, lambda task: task.release(user, force=force))
    output.result(_plain(found), lambda: f"task {id} is {found.status}")


@task.command()
@_task
@click.option("--assignee", "-a", "assignees", multiple=True, help="Goes to them; repeatable.")
@click.option(
    "--candidate", "-c", "candidates", multiple=True, help="May claim it; group:NAME; repeatable."
)
@user_option("Who gives it away.")
def assign(
    id: str,
    assignees: tuple[str, ...],
    candidates: tuple[str, ...],
    user: str,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Give a task to others, in place of those it was given to."""
    found = _acted(
        id,
        namespace,
        data,
        config,
        lambda task: task.assign(user, assignees=assignees, candidates=candidates),
    )
    people = ", ".join((*found.assignees, *found.candidates))
    output.result(_plain(found), lambda: f"task {id} goes to {people}")


@task.command()
@_task
@data_option("--output", "-o", "value", help="What is submitted.  [default: null]")
@user_option("Who submits it.")
@click.option("--force", is_flag=True, help="Although another person has claimed it.")
def complete(
    id: str,
    value: str | None,
    user: str,
    force: bool,
    namespace: str,
    data: Path | None,
    config: Path | None,
    output: Output,
) -> None:
    """Submit what was asked for; the workflow goes on with it.

    Where a person decides about a failed step: {"resolution": "retry"}, {"resolution": "complete",
    "output": …} or {"resolution": "fail"}.
    """
    submitted = read_value(value, "--output")
    found = _acted(
        id, namespace, data, config, lambda task: task.complete(submitted, user, force=force)
    )
    output.result(_plain(found), lambda: f"task {id} is {found.status}")


def _acted(
    id: str,
    namespace: str,
    data: Path | None,
    config: Path | None,
    act: Callable[[Task], Task],
) -> TaskInfo:
    """The task after what was done to it."""
    execution_id, task_id = _parts(id)
    settings = configuration(data, config)
    from heliostat.cluster.connect import attach

    with attach(settings, namespace=namespace) as client:
        return act(client.task(execution_id, task_id)).info


def _parts(id: str) -> tuple[str, str]:
    """The execution's id and the task's in it; an execution's id may have colons."""
    execution_id, *address = id.rsplit(":", 4)
    if len(address) != 4 or not execution_id:
        raise InputError(
            f"{id!r} is no task's id; it is EXECUTION:SCOPE:STEP:VISIT:ATTEMPT, as "
            f"`heliostat task list` shows it"
        )
    return execution_id, ":".join(address)


def _id(info: TaskInfo) -> str:
    return f"{info.key.execution_id}:{info.task_id}"


def _plain(info: TaskInfo) -> dict[str, Any]:
    """A task as JSON."""
    fields = msgspec.structs.asdict(info)
    key = fields.pop("key")
    failure = fields.pop("failure")
    found = {
        "id": _id(info),
        "execution_id": key.execution_id,
        "namespace": key.namespace,
        **fields,
    }
    if failure is not None:
        found["failure"] = msgspec.to_builtins(failure)
    return found


def _text(info: TaskInfo) -> str:
    rows = [
        ("task", info.name or info.step),
        ("id", _id(info)),
        ("step", f"{info.step} of {info.definition}"),
        ("point", info.point),
        ("status", info.status),
        ("claimed by", info.claimed_by),
        ("assignees", ", ".join(info.assignees)),
        ("candidates", ", ".join(info.candidates)),
        ("created", instant(info.created_at_ms)),
        ("deadline", None if info.deadline_at_ms is None else instant(info.deadline_at_ms)),
        ("ended", None if info.ended_at_ms is None else instant(info.ended_at_ms)),
        ("escalated", f"{info.level} times" if info.level else None),
    ]
    lines = [f"{name:<10}  {value}" for name, value in rows if value]
    if info.failure is not None:
        lines.append(f"failure     {info.failure.type}: {info.failure.message}")
    if info.input is not None:
        lines += ["", json_text(to_json(info.input), indent=2)]
    if info.form is not None:
        lines += ["", "form", json_text(info.form, indent=2)]
    return "\n".join(lines)
