"""Calls of a host over a Unix-domain socket, for clients on its machine.

By Ray a call takes two milliseconds there and back, by a socket a tenth of one. What can be called
is the same, and so is what is answered. A connection carries one call at a time, or one stream. The
socket lies in a folder of this user alone, and nobody else is answered.

Where it lies is said by `HostCalls.address`. Its name holds the incarnation, so that whoever was
told it speaks to this process or to nobody.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from inspect import getmembers, isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from typing import Final, cast

import msgspec
from msgspec import Struct

from heliostat.actors.calls import unpack
from heliostat.actors.dispatch.frames import FrameError, FrameReader, framed
from heliostat.actors.dispatch.sockets import SUFFIX, peer, private_folder
from heliostat.actors.host.host import ExecutionHost

_log = logging.getLogger(__name__)

WAITING_MAX: Final = 256
"""Clients that connect while the event loop is busy; further ones are refused, and try again."""


def _public(kind: Callable[[object], bool]) -> frozenset[str]:
    found = getmembers(ExecutionHost, kind)
    return frozenset(name for name, _ in found if not name.startswith("_"))


ANSWERED: Final = _public(iscoroutinefunction)
"""What answers once."""

STREAMED: Final = _public(isasyncgenfunction)
"""What answers piece by piece."""


class Call(Struct, frozen=True, array_like=True):
    """What a client sends. The body of each frame that it gets back is an answer or a piece."""

    method: str
    body: bytes | None = None


class LocalCalls:
    """A host's socket; on the host's event loop."""

    def __init__(self, host: ExecutionHost, folder: Path, key: str) -> None:
        """Args:
        key: the host's in this folder; what lies there of its earlier incarnations is removed.
        """
        self._host, self._folder, self._key = host, folder, key
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the folder cannot be used.
            OSError: nor can the socket.
        """
        host = self._host
        folder = private_folder(self._folder)
        for left in folder.glob(f"host-{self._key}-*{SUFFIX}"):
            left.unlink(missing_ok=True)
        path = folder / f"host-{self._key}-{host.incarnation[-12:]}{SUFFIX}"
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Conversation(host), path, backlog=WAITING_MAX
        )
        host.listens_at = path

    def close(self) -> None:
        """Listen no more; calls under way are answered."""
        if self._server is not None:
            self._server.close()
        path, self._host.listens_at = self._host.listens_at, None
        if path is not None:
            path.unlink(missing_ok=True)


class _Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, host: ExecutionHost) -> None:
        self._host = host
        self._reader = FrameReader()
        self._transport: asyncio.Transport
        self._call: asyncio.Task[None] | None = None
        self._streams = False
        self._room = asyncio.Event()  # whether the client reads what it is sent
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        pid, user = peer(transport.get_extra_info("socket"))
        if user != os.getuid():
            _log.warning("process %d of user %d called this host; it is not answered", pid, user)
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                if self._call is not None:
                    raise FrameError("it called while a call was under way")
                call = unpack(bytes(body), Call)
                self._call = asyncio.get_running_loop().create_task(self._carry_out(call))
        except (FrameError, msgspec.DecodeError) as error:
            _log.warning("a client of this machine sent nonsense: %s", error)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.set()
        if self._streams and self._call is not None:
            self._call.cancel()  # a plain call goes on, as it does when a client of Ray's has gone

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def _carry_out(self, call: Call) -> None:
        arguments = () if call.body is None else (call.body,)
        try:
            if call.method in ANSWERED:
                answered = await getattr(self._host, call.method)(*arguments)
                self._call = None  # first: the client may call again at once
                self._transport.write(framed(answered))
            elif call.method in STREAMED:
                self._streams = True
                await self._stream(getattr(self._host, call.method)(*arguments))
                self._transport.close()
            else:
                _log.warning("a client of this machine called %r, which there is not", call.method)
                self._transport.abort()
        except Exception:  # noqa: BLE001 – the outer edge of a call: its client tries again
            _log.exception("call %r broke", call.method)
            self._transport.abort()

    async def _stream(self, pieces: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                self._transport.write(framed(piece))
                await self._room.wait()  # what waits for a slow client stays where it is bounded
