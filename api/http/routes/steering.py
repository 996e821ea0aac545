"""What is asked of one execution: to end, to pause, to go on, to try again, to take a signal.

Each answers when the request is durable. One that got no answer was done or was not; sent again
with its `Idempotency-Key` it is the same request.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from heliostat.actors.host.api import Accepted as Done

from ..errors import json_response
from ..models.executions import Accepted, Cancel, Migrate, Pause, Resume, Retry, Signal
from ..routing import REPEATED, Ask, Decorator, Operations, operation

operations = Operations("executions")

_Body = TypeVar("_Body", bound=BaseModel)

_ID: Final = {"id": "order-o-1"}


def _answer(done: Done, message: str) -> Response:
    return json_response(
        {"workflow_id": done.key.execution_id, "status": done.status, "message": message}
    )


def _example(status: str, message: str) -> dict[str, Any]:
    return {"workflow_id": "order-o-1", "status": status, "message": message}


def _asked(
    action: str, body: type[_Body], status: str, message: str, *, body_optional: bool = False
) -> Decorator[Any, _Body]:
    """What is asked of one execution, with the status and the words of an answer."""
    return operation(
        operations,
        "POST",
        f"/workflows/{{id}}/{action}",
        body=body,
        body_optional=body_optional,
        answer=Accepted,
        example=_example(status, message),
        errors=(404, 409, 429),
        headers=(REPEATED,),
        ids=_ID,
    )


@_asked("cancel", Cancel, "Running", "it was asked to end", body_optional=True)
async def cancel_workflow(ask: Ask[Any, Cancel]) -> Response:
    """Ask an execution to end.

    The end follows when the attempts that run have ended, or their grace is over. `INVALID_STATE`
    when it has ended already.
    """
    done = await ask.connection.cancel(ask.key, ask.body.reason, request_id=ask.request_id)
    return _answer(done, "it was asked to end")


@_asked("pause", Pause, "Paused", "nothing new starts", body_optional=True)
async def pause_workflow(ask: Ask[Any, Pause]) -> Response:
    """Ask that nothing new starts.

    Attempts that run end, and are recorded; timers that fire are held, deadlines go on.
    `INVALID_STATE` when it has ended.
    """
    done = await ask.connection.pause(ask.key, ask.body.reason, request_id=ask.request_id)
    return _answer(done, "nothing new starts")


@_asked("resume", Resume, "Running", "it goes on", body_optional=True)
async def resume_workflow(ask: Ask[Any, Resume]) -> Response:
    """Go on after a pause.

    `INVALID_STATE` when it is not paused.
    """
    done = await ask.connection.resume(ask.key, request_id=ask.request_id)
    return _answer(done, "it goes on")


@_asked("retry", Retry, "Running", "run 2 begins", body_optional=True)
async def retry_workflow(ask: Ask[Any, Retry]) -> Response:
    """Have a failed execution go on in a new run.

    From where it failed, with the inputs it had; or from a step of the root scope, with all else
    dropped. `INVALID_STATE` when it has not failed.
    """
    done = await ask.connection.retry(ask.key, ask.body.from_activity, request_id=ask.request_id)
    return _answer(done, f"run {done.run} begins")


@_asked("migrate", Migrate, "Running", "it goes on with version 3", body_optional=True)
async def migrate_workflow(ask: Ask[Any, Migrate]) -> Response:
    """Go on with another version of its definition.

    Attempts, timers, tasks and children that are under way stay as they are. `UNMAPPED` when it has
    something that the version has not: `details.obstacles` names each place. `INVALID_STATE` when
    it has ended, or is at that version.
    """
    body = ask.body
    done = await ask.connection.migrate(
        ask.key,
        body.version,
        reason=body.reason,
        dry_run=body.dry_run,
        request_id=ask.request_id,
    )
    version = f"version {body.version}" if body.version else "the version registered last"
    return _answer(done, f"it {'would go' if body.dry_run else 'goes'} on with {version}")


@_asked("signal", Signal, "Running", "the signal is kept")
async def signal_workflow(ask: Ask[Any, Signal]) -> Response:
    """Give an execution a signal.

    For a wait that is open, or for the first that opens and takes it. `INVALID_STATE` when it has
    ended. Without an `Idempotency-Key` a signal that is sent again may be given twice.
    """
    done = await ask.connection.signal(
        ask.key, ask.body.signal_name, ask.body.signal_data, request_id=ask.request_id
    )
    return _answer(done, "the signal is kept")
