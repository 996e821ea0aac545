"""What the shell offers for an argument: ids that the deployment has, where that is cheap.

Nothing here may be slow or say anything: a shell waits for it while somebody types.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from heliostat.api.cli.reach import Reach

OFFERED_MAX: Final = 50
"""Ids, newest first: more are not read by people."""

_ANSWER_MS: Final = "1000"
"""For a deployment that is asked over HTTP."""


def execution_ids(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Executions."""

    def ids(reach: Reach) -> list[str]:
        from heliostat.engine.journal.protocol import ExecutionQuery

        query = ExecutionQuery(namespace=reach.namespace, q=begun or None, limit=OFFERED_MAX)
        with reach.reader() as reader:
            return [row.key.execution_id for row in reader.executions(query).rows]

    return _offered(context, begun, ids)


def definition_ids(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Definitions."""

    def ids(reach: Reach) -> list[str]:
        from heliostat.engine.journal.protocol import DefinitionQuery

        query = DefinitionQuery(namespace=reach.namespace, filter=begun or None, limit=OFFERED_MAX)
        with reach.reader() as reader:
            return [row.id for row in reader.definitions(query).rows]

    return _offered(context, begun, ids)


def task_ids(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Human tasks that wait for somebody."""

    def ids(reach: Reach) -> list[str]:
        from heliostat.engine.journal.protocol import TaskQuery

        query = TaskQuery(namespace=reach.namespace, status=("Open", "Claimed"), limit=OFFERED_MAX)
        with reach.reader() as reader:
            found = reader.tasks(query).tasks
            return [f"{each.key.execution_id}:{each.task_id}" for each in found]

    return _offered(context, begun, ids)


def _offered(context: click.Context, begun: str, ids: Callable[[Reach], list[str]]) -> list[str]:
    try:
        return [id for id in ids(_reach(context)) if id.startswith(begun)]
    except Exception:  # noqa: BLE001 - whatever it is, the shell has nothing to offer
        return []


def _reach(context: click.Context) -> Reach:
    from heliostat.api.cli.reach import SERVER_VARIABLE, Reach

    os.environ.setdefault("HELIOSTAT_CALL_TIMEOUT_MS", _ANSWER_MS)
    said: dict[str, Any] = context.params
    server = said.get("server") or context.find_root().params.get("server")
    return Reach(
        server or os.environ.get(SERVER_VARIABLE),
        said.get("data"),
        said.get("config"),
        said.get("namespace") or "default",
    )
