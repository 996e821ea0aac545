"""`task …`: what people are asked, and what they do about it.

A task's id on the command line is `EXECUTION:SCOPE:STEP:VISIT:ATTEMPT`, as `task list` shows it.
Lists are read from the journal, so that they need no running deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
import msgspec

from heliostat.api.cli.completing import task_ids
from heliostat.api.cli.inputs import data_option, read_value
from heliostat.api.cli.options import format_option, page_option, reach_options, user_option
from heliostat.api.cli.output import Output, instant, json_text, table
from heliostat.engine.errors import InputError
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.status import TaskStatus
from heliostat.engine.values import to_json

if TYPE_CHECKING:
    from heliostat.actors.client import Task
    from heliostat.actors.host.api import TaskInfo
    from heliostat.api.cli.reach import Reach

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def task() -> None:
    """Human tasks: list them, look at one, claim and complete them."""


def _task(command: Command) -> Command:
    """The argument and options of a command about one task."""
    command = format_option(reach_options(command))
    return click.argument("id", metavar="ID", shell_complete=task_ids)(command)


@task.command("list")
@click.option(
    "--person",
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
@click.option(
    "--task-type", "-t", type=click.Choice(("human", "intervention")), help="Of this kind."
)
@page_option
@click.option("--limit", "-l", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--cursor", help="Goes on after a page: its `next_cursor`.")
@reach_options
@format_option
def list_(
    person: str | None,
    statuses: Sequence[TaskStatus],
    every: bool,
    execution: str | None,
    definition: str | None,
    task_type: str | None,
    page: int,
    limit: int,
    cursor: str | None,
    reach: Reach,
    output: Output,
) -> None:
    """List human tasks, newest first: those that wait for somebody, unless you say otherwise."""
    query = TaskQuery(
        namespace=reach.namespace,
        execution_id=execution,
        definition=definition,
        status=() if every else tuple(statuses) or ("Open", "Claimed"),
        person=person,
        task_type=task_type,
        limit=limit,
        offset=(page - 1) * limit,
        cursor=cursor,
    )
    with reach.reader() as reader:
        found = reader.tasks(query)

    def text() -> str | None:
        if found.next_cursor is not None:
            output.note(f"more: --cursor {found.next_cursor}")
        if not found.tasks:
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
            for each in found.tasks
        ]
        return table(("id", "task", "status", "for", "created", "deadline"), rows)

    output.result(
        {"tasks": [plain_task(each) for each in found.tasks], "next_cursor": found.next_cursor},
        text,
    )


@task.command()
@_task
def show(id: str, reach: Reach, output: Output) -> None:
    """Show what a person is asked, and the form of the answer."""
    execution_id, task_id = _parts(id)
    with reach.reader() as reader:
        found = reader.task(reach.key(execution_id), task_id)
    output.result(plain_task(found), lambda: _text(found))


task.add_command(show, "status")


@task.command()
@_task
@user_option("Who takes it on.", "--assignee", "-a")
def claim(id: str, user: str, reach: Reach, output: Output) -> None:
    """Take a task on, so that nobody else does."""
    found = _acted(reach, id, lambda task: task.claim(user))
    output.result(plain_task(found), lambda: f"task {id} is claimed by {found.claimed_by}")


@task.command()
@_task
@user_option("Who gives it back.")
@click.option("--force", is_flag=True, help="Although another person has claimed it.")
def release(
    id: str,
    user: str,
    force: bool,
    reach: Reach,
    output: Output,
) -> None:
    """Give a claimed task back."""
    found = _acted(reach, id, lambda task: task.release(user, force=force))
    output.result(plain_task(found), lambda: f"task {id} is {found.status}")


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
    reach: Reach,
    output: Output,
) -> None:
    """Give a task to others, in place of those it was given to."""
    found = _acted(
        reach,
        id,
        lambda task: task.assign(user, assignees=assignees, candidates=candidates),
    )
    people = ", ".join((*found.assignees, *found.candidates))
    output.result(plain_task(found), lambda: f"task {id} goes to {people}")


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
    reach: Reach,
    output: Output,
) -> None:
    """Submit what was asked for; the workflow goes on with it.

    Where a person decides about a failed step: {"resolution": "retry"}, {"resolution": "complete",
    "output": …} or {"resolution": "fail"}.
    """
    submitted = read_value(value, "--output")
    found = _acted(reach, id, lambda task: task.complete(submitted, user, force=force))
    output.result(plain_task(found), lambda: f"task {id} is {found.status}")


@task.command()
@_task
@click.option("--error", "-e", required=True, help="What went wrong.")
@data_option("--details", "-d", "value", help="More about it.  [default: null]")
@user_option("Who says so.")
@click.option("--force", is_flag=True, help="Although another person has claimed it.")
def fail(
    id: str,
    error: str,
    value: str | None,
    user: str,
    force: bool,
    reach: Reach,
    output: Output,
) -> None:
    """Say that what was asked for cannot be done; its step fails with that error."""
    details = read_value(value, "--details")
    execution_id, task_id = _parts(id)
    with reach.client() as client:
        ways = client._ways
        asked = ways.blocking.act_on_task(
            reach.key(execution_id), task_id, "fail", user, data=details, error=error, force=force
        )
        found = ways.finish(asked)
    output.result(plain_task(found), lambda: f"task {id} is {found.status}")


def _acted(reach: Reach, id: str, act: Callable[[Task], Task]) -> TaskInfo:
    """The task after what was done to it."""
    execution_id, task_id = _parts(id)
    with reach.client() as client:
        return act(client.task(execution_id, task_id)).info


def _parts(id: str) -> tuple[str, str]:
    """The execution's id and the task's in it; an execution's id may have colons."""
    execution_id, tilde, task_id = id.partition("~")  # as the door writes it
    if tilde and execution_id and task_id:
        return execution_id, task_id
    execution_id, *address = id.rsplit(":", 4)
    if len(address) != 4 or not execution_id:
        raise InputError(
            f"{id!r} is no task's id; it is EXECUTION:SCOPE:STEP:VISIT:ATTEMPT, as "
            f"`heliostat task list` shows it"
        )
    return execution_id, ":".join(address)


def _id(info: TaskInfo) -> str:
    return f"{info.key.execution_id}:{info.task_id}"


def plain_task(info: TaskInfo) -> dict[str, Any]:
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
