"""An answer to a request that is still being sent.

A server that closes a connection with bytes unread makes the operating system reset it, and a
client that sends all of its request before it reads sees the reset and never the answer. So the
answer goes out first, for those who listen while they send, and what still comes is read and
dropped, up to bounds; only then the connection is closed. (nginx calls this a lingering close.)
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

LINGER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Read and dropped of one request: several times what any body may have. Beyond it the connection
is closed whatever still comes."""

LINGER_S: Final = 10.0
"""How long is read on. It holds a connection and no memory."""


class LingeringResponse(Response):
    """Sends the answer, reads on, and then ends it; to be sent with `Connection: close`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        start: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await _read_on(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_on(receive: Receive) -> None:
    """Drop what comes, until it has ended or is too much."""
    dropped = 0
    while dropped <= LINGER_BYTES_MAX:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))
