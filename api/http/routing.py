"""One operation of the door: what it takes, what it answers, what it is called by.

`operation` makes a route of a function that takes an `Ask`. Query and body are read into their
models before the function is called, so that what is documented is what is checked. FastAPI
collects the answers' models; those of queries and bodies are added in `document.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from heliostat.engine.identity import ExecutionKey

from .asking import checked, json_of, model_of, namespace_of, person_of, query_of
from .door import Door, Way
from .models import common

PREFIX: Final = "/api/v1"

_Query = TypeVar("_Query", bound=common.Query)
_Body = TypeVar("_Body", bound=BaseModel)


class NoBody(common.Request):
    """An operation that takes none; one that is sent is not read."""


@dataclass(frozen=True, slots=True)
class Ask(Generic[_Query, _Body]):
    """One request, read and checked."""

    request: Request
    door: Door
    namespace: str
    query: _Query
    body: _Body

    @property
    def connection(self) -> Way:
        """The way to the deployment; raises `Unreachable` while there is none."""
        return self.door.connection()

    @property
    def person(self) -> str:
        """Who acts."""
        return person_of(self.request)

    @property
    def request_id(self) -> str | None:
        """What makes a request that is sent again the same one: the header Idempotency-Key."""
        key = self.request.headers.get("idempotency-key")
        return None if key is None else checked(key, "Idempotency-Key")

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def key(self) -> ExecutionKey:
        """The execution that the path names."""
        return ExecutionKey(self.namespace, self.path("id"))


class _Plain(APIRoute):
    """A route whose endpoint takes a request and returns a response, and nothing is to be found out
    for it: half the cost of a small request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route to be, and what the OpenAPI document needs beyond what FastAPI collects of it."""

    method: str
    path: str
    endpoint: Callable[[Request], Awaitable[Response]]
    more: Mapping[str, Any]
    """For FastAPI's `add_api_route`."""
    status: int
    example: Any
    """Of the answer with that status."""
    query: type[common.Query]
    body: type[BaseModel] | None
    body_optional: bool
    body_types: Mapping[str, Any]
    headers: Sequence[tuple[str, str]]
    ids: Mapping[str, str]


class Operations(list[Operation]):
    """Those that are about one thing; the tag says which."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag

    def add_to(self, app: FastAPI) -> None:
        """Have them answered by an application."""
        for each in self:
            app.router.add_api_route(
                each.path,
                each.endpoint,
                methods=[each.method],
                tags=[self.tag],
                route_class_override=_Plain,
                **each.more,
            )


_NO_BODY: Final = NoBody()

REPEATED: Final = (
    "Idempotency-Key",
    "A name of this request, drawn by the caller: sent again with it, it is done once.",
)
"""A header of what is asked of one execution or task."""

PERSON: Final = (
    "X-User",
    "Who acts, in UTF-8; `anonymous` when absent. Believed, while there is no security.",
)

ERRORS: Final[Mapping[int, str]] = {
    400: "Something in the request is not valid; `details.fields` says what.",
    403: "The request comes from a page of another origin.",
    404: "There is no such thing.",
    409: "It does not fit the state of what it names.",
    413: "The body is too large.",
    415: "The body is not sent as JSON.",
    429: "Full: nothing was accepted. `Retry-After` says when to try again.",
    503: "The deployment does not answer. What changes something is safe to send again.",
}


Function: TypeAlias = Callable[[Ask[_Query, _Body]], Awaitable[Response]]
Decorator: TypeAlias = Callable[[Function[_Query, _Body]], Function[_Query, _Body]]


def operation(
    operations: Operations,
    method: str,
    path: str,
    *,
    answer: type[BaseModel] | Any,
    example: Any,
    query: type[_Query] = common.Query,  # type: ignore[assignment]  # what takes none
    body: type[_Body] = NoBody,  # type: ignore[assignment]  # what takes none
    body_optional: bool = False,
    read_body: bool = True,
    body_types: Mapping[str, Any] | None = None,
    status: int = 200,
    also: Mapping[int, tuple[str, Any]] | None = None,
    errors: Sequence[int] = (),
    headers: Sequence[tuple[str, str]] = (),
    ids: Mapping[str, str] | None = None,
) -> Decorator[_Query, _Body]:
    """Make a function an operation; its docstring is the documentation.

    Args:
        answer: the model of the answer.
        example: of the answer.
        body_optional: no body is the same as `{}`.
        read_body: False where the function reads it itself.
        body_types: examples of other content types that it takes.
        status: of the answer.
        also: other successes, with what they mean and their model.
        errors: statuses beyond those that every operation may answer.
        headers: that it looks at, with what they mean.
        ids: the parts of the path, with an example each.
    """
    reads = body is not NoBody

    def decorate(function: Function[_Query, _Body]) -> Function[_Query, _Body]:
        async def endpoint(request: Request) -> Response:
            namespace = namespace_of(request)
            found = query_of(request, query)
            given: Any = _NO_BODY
            if reads and read_body:
                given = model_of(await json_of(request, optional=body_optional), body)
            door = cast("Door", request.app.state.door)
            return await function(Ask(request, door, namespace, found, given))

        summary, _, description = (function.__doc__ or "").partition("\n")
        statuses = {400, 403, 503, *errors, *({413, 415} if reads else ())}
        if method == "GET":
            statuses.discard(403)
        responses: dict[int | str, dict[str, Any]] = {status: {"description": "Done."}}
        for code, (meaning, model) in (also or {}).items():
            responses[code] = {"description": meaning, "model": model}
        for code in sorted(statuses):
            responses[code] = {"description": ERRORS[code], "model": common.Error}
        operations.append(
            Operation(
                method=method,
                path=f"{PREFIX}{path}",
                endpoint=endpoint,
                more={
                    "response_model": answer,
                    "status_code": status,
                    "responses": responses,
                    "name": function.__name__,
                    "operation_id": function.__name__,
                    "summary": summary.strip().rstrip("."),
                    "description": " ".join(description.split()) or None,
                },
                status=status,
                example=example,
                query=query,
                body=body if reads else None,
                body_optional=body_optional,
                body_types=body_types or {},
                headers=headers,
                ids=ids or {},
            )
        )
        return function

    return decorate
