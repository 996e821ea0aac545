"""The WebSocket at an execution: the state, then its events, each once and in order.

Dead peers are found by the server's own pings (uvicorn: every 20 s, and 20 s for the answer).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from heliostat.api.http.errors import Refused
from heliostat.engine.errors import HeliostatError, InputError, NotFound

from .asked import asked, hub_of
from .frames import PONG, Frame, error_frame
from .hub import Leaving, Seat, TooMany
from .readers import TooSlow

MESSAGE_CHARS_MAX: Final = 4 * 1024
"""Of a message from a reader; there are only two, and both are short."""

MESSAGE_PAUSE_S: Final = 0.02
"""Between two messages of one reader: 50 a second are enough, and more wait at the reader's end."""

CLOSE_S: Final = 5.0
"""How long saying why may take: a reader that does not read does not hear it."""

REASON_BYTES_MAX: Final = 123
"""Of a reason, by the protocol."""

NOT_FOUND: Final = 4404
BAD_REQUEST: Final = 4400
TOO_SLOW: Final = 4409
RESTARTS: Final = 1012
TRY_LATER: Final = 1013
FAULT: Final = 1011


async def execution_socket(websocket: WebSocket) -> None:
    """Serve one socket until either end closes it."""
    await websocket.accept()
    try:
        key, after = asked(websocket)
        async with hub_of(websocket).seat(key) as seat:
            await _converse(websocket, seat, after)
    except WebSocketDisconnect:
        return
    except Exception as error:
        code = code_of(error)
        await _close(websocket, code, "a fault in heliostat" if code == FAULT else str(error))
        if code == FAULT:
            raise


async def _converse(websocket: WebSocket, seat: Seat, after: int | None) -> None:
    """Tell and listen until one of both is over; raises what it broke with."""
    telling = asyncio.create_task(_tell(websocket, seat, after))
    listening = asyncio.create_task(_listen(websocket, seat))
    seat.reader.on_overflow = telling.cancel  # it may be stuck in a send that nobody reads
    try:
        await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, listening):
            task.cancel()
        ended = await asyncio.gather(telling, listening, return_exceptions=True)
    if seat.reader.overflowed:
        raise TooSlow
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _tell(websocket: WebSocket, seat: Seat, after: int | None) -> None:
    async for frame in seat.frames(after):
        seat.reader.sending_at = time.monotonic()
        try:
            await websocket.send_text(frame.text)
        except (RuntimeError, OSError) as error:  # it closed meanwhile; servers differ in the word
            raise WebSocketDisconnect(1006) from error
        seat.reader.sending_at = None


async def _listen(websocket: WebSocket, seat: Seat) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            seat.reader.offer(error_frame("BINARY_REFUSED", "send JSON texts"))
        else:
            frame = _answer(text)
            if frame is None:
                seat.refresh()
            else:
                seat.reader.offer(frame)
        await asyncio.sleep(MESSAGE_PAUSE_S)


def _answer(text: str) -> Frame | None:
    """What a message is answered with; None: with the state."""
    if len(text) > MESSAGE_CHARS_MAX:
        told = f"a message has at most {MESSAGE_CHARS_MAX:,} characters, this one {len(text):,}"
        return error_frame("MESSAGE_TOO_LARGE", told)
    try:
        said: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return error_frame("NOT_JSON", f"the message is not JSON: {error}")
    kind = said.get("message_type") if isinstance(said, dict) else None
    if kind == "ping":
        return PONG
    if kind == "refresh":
        return None
    return error_frame(
        "UNKNOWN_MESSAGE",
        'send {"message_type": "ping"} or {"message_type": "refresh"}; what is done to an '
        "execution goes over HTTP",
    )


def code_of(error: Exception) -> int:
    """The close code that an error is told by."""
    match error:
        case TooSlow():
            return TOO_SLOW
        case Leaving():
            return RESTARTS
        case TooMany():
            return TRY_LATER
        case NotFound():
            return NOT_FOUND
        case Refused() | InputError():
            return BAD_REQUEST
        case HeliostatError():
            return TRY_LATER
    return FAULT


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    if websocket.application_state is not WebSocketState.CONNECTED:
        return
    told = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    with suppress(RuntimeError, OSError, TimeoutError):  # it is closed, or nobody is there
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(code, told)
