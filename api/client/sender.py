"""Sends requests to the door, and repeats them until an answer or a bound.

All of it happens on one event loop in a thread of the connection's own: so one connection serves
any number of event loops and threads, and keeps its sockets open between requests.

What changes something carries an id that was drawn before the first send, so that it may be sent
again when no answer came: whether it arrived need not be known.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from heliostat.engine.errors import HeliostatError, InputError, Unreachable

from . import unreached
from .refusals import error_of

if TYPE_CHECKING:
    import aiohttp

_T = TypeVar("_T")

PREFIX: Final = "/api/v1"

ANSWER_S: Final = 30.0
"""One try; the door itself waits up to 20 s for a host."""

CONNECT_S: Final = 5.0
"""To open a connection: what does not come up in that time is tried again."""

CONNECT_FIRST_S: Final = 1.0
"""As much for the first try, so that whoever waits for a host that is silent hears of it soon."""

TOLD_AFTER_S: Final = 1.0
"""How long nobody answers before whoever waits is told that it goes on being tried."""

CONNECTIONS_MAX: Final = 256
"""Open at once by one client; further requests wait for one. A wait for an end holds one."""

_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
_RETRY_AFTER_MAX_S: Final = 10.0
"""A server that says it wants longer is asked sooner all the same, within the bound of the call."""

_NOT_THERE: Final = (502, 503, 504)
"""Statuses of a door, or of a proxy before it, that has no deployment behind it just now."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: Any


class Sender:
    """Requests to one door. Made in any thread; its methods that wait run on its own loop."""

    def __init__(
        self,
        url: str,
        *,
        call_timeout_s: float,
        full_timeout_s: float = 30.0,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        """Args:
        call_timeout_s: how long a request is repeated that gets no answer.
        full_timeout_s: how long one is repeated that a full host refuses, where it may be.
        waiting: told once of each request that has no answer soon, why that is and for how long
            it is still repeated; called in the connection's own thread.
        """
        self._base = checked_url(url)
        self.url = without_password(self._base)
        """The address, as messages show it."""
        self.call_timeout_s, self.full_timeout_s = call_timeout_s, full_timeout_s
        self._waiting = waiting
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    # from any thread

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Have something done on the loop of this connection."""
        try:
            loop = self._running()
        except BaseException:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, loop)

    def close(self) -> None:
        """Close the connections, and cancel what waits; twice is harmless."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            thread = self._thread
        if loop is None:
            return
        ended = asyncio.run_coroutine_threadsafe(self._end(), loop)
        with suppress(TimeoutError):
            ended.result(CONNECT_S)
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(CONNECT_S)

    # on the loop

    async def ask(
        self,
        method: str,
        path: str,
        *,
        namespace: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        name: str = "the definition",
        repeats_full: bool = False,
        accepted: tuple[int, ...] = (200, 201, 202),
        timeout_s: float | None = None,
        answer_s: float = ANSWER_S,
    ) -> Answer:
        """The answer to a request, repeated while there is none.

        Args:
            body: sent as JSON; or `content` as it is.
            name: what a definition that is sent is called, for its faults.
            repeats_full: repeat it while a host is full.
            accepted: statuses that are no error.
            timeout_s: bound of all tries; None: the connection's.
            answer_s: bound of one try.

        Raises:
            Unreachable: nobody answered within the bound.
            HeliostatError: what the door refused the request with.
        """
        told = {"X-Namespace": namespace, **(headers or {})}
        if body is not None:
            content = msgspec.json.encode(body)
        if content is not None:
            told["Content-Type"] = content_type
        bound_s = self.call_timeout_s if timeout_s is None else timeout_s
        now = time.monotonic()
        end_at, full_until = now + bound_s, now + self.full_timeout_s
        pause_s = _PAUSE_S
        told_at = now + TOLD_AFTER_S
        connect_s = CONNECT_FIRST_S
        while True:
            after_s: float | None = None
            try:
                try_s = min(answer_s, max(end_at - now, 0.1))
                answer, after_s = await self._once(
                    method, path, query, content, told, answer_s=try_s, connect_s=connect_s
                )
            except Unreachable as error:
                why: HeliostatError = error
                until = end_at
            else:
                if answer.status in accepted:
                    return answer
                why = error_of(answer.body, answer.status, name=name)
                if answer.status == 429 and repeats_full:
                    until = full_until
                elif answer.status in _NOT_THERE:
                    until = end_at
                else:
                    raise why
            now = time.monotonic()
            wait_s = pause_s * random.uniform(0.5, 1.0)
            if after_s is not None:
                wait_s = min(max(after_s, wait_s), _RETRY_AFTER_MAX_S)
            if now + wait_s >= until:
                if isinstance(why, Unreachable):
                    raise Unreachable(
                        f"{self.url} has not answered within {until - (end_at - bound_s):g} s: "
                        f"{why}. {unreached.CURE}"
                    ) from why
                raise why
            if self._waiting is not None and now >= told_at and until == end_at:
                told_at = until
                self._waiting(
                    f"{self.url} does not answer: {why}; trying for another {until - now:.0f} s"
                )
            await asyncio.sleep(wait_s)
            now = time.monotonic()
            pause_s, connect_s = min(pause_s * 2, _PAUSE_MAX_S), CONNECT_S

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        content: bytes | None,
        headers: Mapping[str, str],
        *,
        answer_s: float,
        connect_s: float,
    ) -> tuple[Answer, float | None]:
        """One try, and after how many seconds to try again, if the server says so."""
        import aiohttp

        session = self.session()
        try:
            async with session.request(
                method,
                _url(self._base, path),
                params=_params(query or {}),
                data=content,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=answer_s, sock_connect=connect_s),
                allow_redirects=False,
            ) as response:
                said = await response.read()
                return Answer(response.status, _decoded(said)), _retry_after_s(response.headers)
        except TimeoutError as error:
            late = unreached.too_late(error, connect_s=connect_s, answer_s=answer_s)
            raise Unreachable(late) from error
        except aiohttp.InvalidURL as error:
            raise InputError(f"{self.url!r} is no address: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(unreached.broken(error)) from error

    def socket_url(self, path: str) -> Any:
        """Where a live socket is opened."""
        return _url("ws" + self._base.removeprefix("http"), path)

    def session(self) -> aiohttp.ClientSession:
        """The open connections; made by the first who asks, on the loop."""
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # helpers

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Unreachable(f"the client of {self.url} was closed; connect again")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="heliostat-http", daemon=True
                )
                self._thread.start()
            return self._loop


async def drained(told: AsyncGenerator[_T, None]) -> _T | None:
    """The next of a generator; None: there is no more."""
    return await anext(told, None)


def checked_url(url: str) -> str:
    """The address of a door, without a slash at its end; raises `InputError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{url!r} is no address of a deployment; write http://HOST:PORT")
    if parts.query or parts.fragment:
        raise InputError(f"{url!r} has a query or a fragment; write http://HOST:PORT")
    return url.rstrip("/").removesuffix(PREFIX)


def without_password(url: str) -> str:
    """The address without who connects: messages go into logs."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _url(base: str, path: str) -> Any:
    from yarl import URL

    return URL(f"{base}{PREFIX}{path}", encoded=True)


def _params(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters; what is None is left out, of a list each item is one."""
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is not None:
                text = ("false", "true")[each] if isinstance(each, bool) else str(each)
                found.append((name, text))
    return found


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return content.decode("utf-8", "replace")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Of the header's two forms only the seconds: dates are for pages."""
    said = headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else None
