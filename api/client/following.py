"""Following one execution over the door's live socket: its state, and then each event.

A socket that breaks is opened anew after the last event that was told; so no event is left out or
told twice, whether the network, the door or a host went away meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec

from heliostat.engine.errors import HeliostatError, InputError, NotFound, Unreachable
from heliostat.engine.identity import ExecutionKey

from .refusals import error_of
from .sender import Sender, part

HEARTBEAT_S: Final = 10.0
"""Between two pings of an open socket; one that stays without an answer is broken."""

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one frame: the state of an execution with tens of thousands of steps."""

_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 2.0
"""Between two openings."""

_UNKNOWN: Final = 4404
_BAD_REQUEST: Final = 4400

Frame = Mapping[str, Any]


async def frames(
    sender: Sender, key: ExecutionKey, *, after: int | None
) -> AsyncGenerator[Frame, None]:
    """What the socket says: one `state`, then each `event` after `after` once and in order, with
    `notice`s between, and an `end` whenever a run has ended.

    After a break the state is told again, as `state` of a later `seq`. Never ends by itself: an
    ended execution may be retried.

    Args:
        after: None: only events that follow the state which is told first.

    Raises:
        NotFound: there is no such execution.
        Unreachable: no socket came up within the bound of a call.
    """
    position = after
    pause_s, silent_since = _PAUSE_S, time.monotonic()
    while True:
        why = "the socket was closed"
        try:
            async with aclosing(_socket(sender, key, position)) as said:
                async for frame in said:
                    pause_s, silent_since = _PAUSE_S, time.monotonic()
                    seq = frame.get("seq") or 0
                    if frame["type"] == "event":
                        if position is not None and seq <= position:
                            continue  # told before
                        position = seq
                    elif frame["type"] == "state" and position is None:
                        position = seq
                    yield frame
        except _Broken as broken:
            why = str(broken)
        if time.monotonic() - silent_since > sender.call_timeout_s:
            raise Unreachable(
                f"no live socket of {sender.url} came up within {sender.call_timeout_s:g} s: {why}"
            )
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 2, _PAUSE_MAX_S)


async def _socket(
    sender: Sender, key: ExecutionKey, after: int | None
) -> AsyncGenerator[Frame, None]:
    """The frames of one socket, until it breaks."""
    import aiohttp

    url = sender.socket_url(f"/ws/executions/{part(key.execution_id)}")
    query = {"namespace": key.namespace}
    if after is not None:
        query["after"] = str(after)
    try:
        async with sender.session().ws_connect(
            url.with_query(query), heartbeat=HEARTBEAT_S, max_msg_size=FRAME_BYTES_MAX
        ) as socket:
            async for message in _messages(socket):
                yield message
            raise _broken(socket.close_code, key)
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(error.status, sender.url) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _Broken(f"{type(error).__name__}: {error}") from error


async def _messages(socket: Any) -> AsyncIterator[Frame]:
    import aiohttp

    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            frame = msgspec.json.decode(message.data)
            if frame["type"] == "error":
                raise error_of(
                    {
                        "code": "INVALID_INPUT",
                        "message": frame.get("error"),
                        "details": frame.get("details"),
                    },
                    400,
                )
            yield frame


class _Broken(Exception):
    """A socket is no more; another may be opened."""


def _broken(code: int | None, key: ExecutionKey) -> Exception:
    if code == _UNKNOWN:
        return NotFound("execution", key.execution_id, f"its namespace is {key.namespace!r}")
    if code == _BAD_REQUEST:
        return InputError(f"the door does not follow execution {key.execution_id!r} so")
    return _Broken(f"it was closed with code {code}")


def _refused(status: int, url: str) -> HeliostatError | _Broken:
    if status in (429, 500, 502, 503, 504):
        return _Broken(f"it was refused with {status}")
    return InputError(
        f"{url} opens no live socket (it answers {status}): a proxy before it lets none through, "
        f"or it is no heliostat deployment"
    )
