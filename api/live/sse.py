"""An execution as Server-Sent Events: the frames of the socket, for those who only read.

`event:` is the frame's type, `data:` the frame, `id:` of events their `seq`, so that a browser goes
on after the last one by itself (`Last-Event-ID`). A reader that is too slow is cut off; it comes
back, and goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from heliostat.api.http.errors import Refused, invalid
from heliostat.engine.errors import HeliostatError

from .asked import SEQ_MAX, asked, hub_of
from .frames import Frame
from .hub import Hub, Leaving, Seat, TooMany
from .readers import TooSlow

SILENCE_S: Final = 15.0
"""Then something is said that means nothing, so that nobody in between takes it for dead."""

CLOSE_S: Final = 5.0
"""How long ending a stream may take."""

RETRY_MS: Final = 1_000
"""When a browser comes back."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",  # proxies of that family hold nothing back
}

_LINE_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""No line breaks to the protocol, but to many who read it; JSON may write them so."""

_SILENCE: Final = Frame("silence", None, "")


async def execution_events(request: Request) -> Response:
    """What an execution does, as it does it.

    Errors before the stream begins are answered as those of any route.
    """
    key, after = asked(request)
    last = request.headers.get("last-event-id")
    if last is not None:  # what the browser has counts more than what its page was opened with
        if not (last.isascii() and last.isdigit()) or int(last[:20]) > SEQ_MAX:
            raise invalid([("Last-Event-ID", f"{last[:60]!r} is no `id` of an event")])
        after = int(last)
    return EventStream(hub_of(request), key, after)


class EventStream(Response):
    """A stream that goes on until its reader leaves."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, key: Any, after: int | None) -> None:
        self._hub, self._key, self._after = hub, key, after
        super().__init__(None, headers=HEADERS)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            seating = self._hub.seat(self._key)
            seat = await seating.__aenter__()
        except (TooMany, Leaving) as error:
            raise _overloaded(error) from error
        try:
            start = {"status": 200, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            left = await self._stream(seat, receive, send)
        finally:
            await seating.__aexit__(None, None, None)
        if not left:
            with suppress(OSError, TimeoutError):  # one that does not read does not hear this
                async with asyncio.timeout(CLOSE_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, seat: Seat, receive: Receive, send: Send) -> bool:
        """Until nothing more is to be told, or the reader left; whether it did."""
        telling = asyncio.create_task(self._tell(seat, send))
        leaving = asyncio.create_task(_left(receive))
        seat.reader.on_overflow = telling.cancel
        silence = asyncio.create_task(_break_silence(seat))
        tasks = (telling, leaving, silence)
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            told, *_ = await asyncio.gather(*tasks, return_exceptions=True)
        ends = (TooSlow, Leaving, HeliostatError, OSError)
        if isinstance(told, Exception) and not isinstance(told, ends):
            raise told
        return not leaving.cancelled()

    async def _tell(self, seat: Seat, send: Send) -> None:
        await _say(send, f"retry: {RETRY_MS}\n\n")
        async for frame in seat.frames(self._after):
            seat.reader.sending_at = time.monotonic()
            await _say(send, event_text(frame))
            seat.reader.sending_at = None


def event_text(frame: Frame) -> str:
    """A frame as the protocol writes it, in one line."""
    if frame.kind == "silence":
        return ": still here\n\n"
    id = "" if frame.seq is None else f"id: {frame.seq}\n"
    text = frame.text if frame.text.isascii() else frame.text.translate(_LINE_BREAKS)
    return f"{id}event: {frame.kind}\ndata: {text}\n\n"


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _break_silence(seat: Seat) -> None:
    while True:
        await asyncio.sleep(SILENCE_S)
        seat.reader.offer(_SILENCE)


def _overloaded(error: Exception) -> HeliostatError:
    return Refused("OVERLOADED", str(error), headers={"Retry-After": "1"})
