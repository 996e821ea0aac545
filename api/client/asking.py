"""What every part of a connection over HTTP is made of: asking, and waiting for the answer.

The work is done on the sender's loop. A method hands it over and waits, beside an event loop or
blocking a thread (`blocks`); so two connections of one client share the parts, as those of Ray do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from heliostat.engine.errors import InputError
from heliostat.engine.ids import new_id

from .ends import Ends
from .reading import told
from .sender import Sender

_T = TypeVar("_T")

PAGE: Final = 100
"""Rows that one request brings; a page of more is made of several."""


@dataclass
class HttpParts:
    """What the connections of one client share."""

    sender: Sender
    namespace: str
    ends: Ends = field(init=False)

    def __post_init__(self) -> None:
        self.ends = Ends(self.sender)


class Asking:
    """One way to the door."""

    def __init__(self, parts: HttpParts, *, blocks: bool) -> None:
        """Args:
        blocks: whether waiting blocks the thread (then no coroutine of this ever suspends).
        """
        self._parts, self._blocks = parts, blocks
        self._sender = parts.sender

    @property
    def namespace(self) -> str:
        """Where a call names none."""
        return self._parts.namespace

    @property
    def url(self) -> str:
        """The door's address."""
        return self._sender.url

    async def _waited(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What was done on the sender's loop."""
        future = self._sender.submit(work)
        if not self._blocks:
            return await asyncio.wrap_future(future)
        try:
            return future.result()
        except BaseException:  # as Ctrl-C: what nobody waits for any more is not done
            future.cancel()
            raise

    async def _get(
        self,
        path: str,
        namespace: str,
        kind: type[Any],
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        answer = await self._sender.ask("GET", path, namespace=namespace, query=query)
        return told(answer.body, kind)

    async def _page(
        self,
        path: str,
        namespace: str,
        query: Mapping[str, Any],
        limit: int,
        cursor: str | None,
    ) -> Page:
        """Rows of a list; several requests, where more are wanted than one brings."""
        if query.get("page") is not None and limit > PAGE:
            raise InputError(f"over HTTP a page has {PAGE} rows at most; {limit} are asked for")
        rows: list[Any] = []
        while True:
            asked = {**query, "per_page": min(limit - len(rows), PAGE)}
            if cursor is not None:
                asked |= {"cursor": cursor, "page": None}
            body = await self._get(path, namespace, dict, asked)
            rows += body["data"]
            cursor = body["meta"]["next_cursor"]
            if cursor is None or len(rows) >= limit:
                return Page(rows, cursor, body["meta"]["total"])

    async def _change(
        self,
        path: str,
        namespace: str,
        body: dict[str, Any],
        request_id: str | None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
    ) -> dict[str, Any]:
        """A request that changes something, by an id that is drawn before it is sent first."""
        drawn = {"Idempotency-Key": request_id or new_id(), **(headers or {})}
        answer = await self._waited(
            self._sender.ask(method, path, namespace=namespace, body=body, headers=drawn)
        )
        answered: dict[str, Any] = told(answer.body, dict)
        return answered

    def _within(self, what: str) -> InputError:
        return InputError(
            f"{what} is not reached over HTTP; connect within the cluster, with "
            f"`heliostat.connect()` and the deployment's data directory"
        )


class Page(NamedTuple):
    """Rows of a list as the wire has them."""

    rows: list[Any]
    next_cursor: str | None
    total: int


def page_number(offset: int, limit: int) -> int | None:
    """The number of the page that begins after so many rows; None of the first."""
    if offset % limit:
        raise InputError(f"over HTTP lists have pages: {offset} rows are no pages of {limit}")
    return offset // limit + 1 if offset else None
