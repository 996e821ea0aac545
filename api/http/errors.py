"""From whatever goes wrong to an answer: `{code, error, message, details}`, with its status.

An error of ours keeps its `code`, but for three that the wire calls otherwise (`WIRE_CODES`). What
is not ours (an unknown path, a wrong method, a body that is no JSON) is told in the same shape. A
fault in heliostat itself is a 500 that says nothing of its cause: the log has it, under the id that
the answer names.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from heliostat.engine import errors
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.errors import HeliostatError
from heliostat.engine.ids import new_id

from .lingering import LingeringResponse

_log = logging.getLogger(__name__)

WIRE_CODES: Final[Mapping[str, str]] = {
    "CONFLICT": "INVALID_STATE",
    "INVALID_INPUT": "VALIDATION_ERROR",
    "INVALID_DEFINITION": "VALIDATION_ERROR",
}
"""Codes that the wire calls otherwise, and `details.kind` then has ours."""

STATUSES: Final[Mapping[str, int]] = {
    "VALIDATION_ERROR": 400,
    "EXPRESSION_ERROR": 400,
    "INVALID_CONFIGURATION": 400,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "INVALID_STATE": 409,
    "DUPLICATE_ERROR": 409,
    "VERSION_CONFLICT": 409,
    "DEPENDENCY_ERROR": 409,
    "UNMAPPED": 409,
    "EXECUTION_FAILED": 409,
    "EXECUTION_CANCELED": 409,
    "TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "OVERLOADED": 429,
    "INTERNAL": 500,
    "UNREACHABLE": 503,
    "RESULT_TIMEOUT": 503,
    "JOURNAL_ERROR": 503,
    "JOURNAL_LOCKED": 503,
    "JOURNAL_UNAVAILABLE": 503,
    "NO_JOURNAL": 503,
    "JOURNAL_FORMAT": 503,
    "OUTCOME_UNKNOWN": 503,
}
"""By wire code. A code that is not here is a fault of ours."""

TITLES: Final[Mapping[str, str]] = {
    "VALIDATION_ERROR": "The request is not valid",
    "EXPRESSION_ERROR": "An expression has no value",
    "INVALID_CONFIGURATION": "A setting cannot be used",
    "FORBIDDEN": "Not allowed from here",
    "NOT_FOUND": "Not found",
    "METHOD_NOT_ALLOWED": "Not allowed for this path",
    "INVALID_STATE": "Not possible in this state",
    "DUPLICATE_ERROR": "Taken by something else",
    "VERSION_CONFLICT": "Version conflict",
    "DEPENDENCY_ERROR": "Something depends on it",
    "UNMAPPED": "The version lacks what the execution has",
    "TOO_LARGE": "Too large",
    "UNSUPPORTED_MEDIA_TYPE": "Content type not understood",
    "OVERLOADED": "Overloaded",
    "UNREACHABLE": "The deployment does not answer",
    "INTERNAL": "Internal error",
}

FIELDS_MAX: Final = 100
"""Faulty fields that an answer lists; who sent more corrects these first."""

RETRY_AFTER_S: Final = 1
"""Told with a 503: a host that was killed answers again after about a second."""

FRESH: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""On every answer: what is told holds for a moment only, and is no page."""

_encode: Final = msgspec.json.Encoder().encode


class Refused(HeliostatError):
    """A request that the door itself refuses; `code` is one of `STATUSES`."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, message, dict(details or {}), dict(headers or {}))
        self.code = code  # type: ignore[misc]  # of each one, not of the class
        self._message, self._details = message, dict(details or {})
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return self._message

    @property
    def details(self) -> Mapping[str, Any]:
        return self._details


def invalid(fields: Sequence[tuple[str, str]]) -> Refused:
    """A request with faulty fields, each with what is wrong with it."""
    told = "; ".join(f"{field}: {text}" if field else text for field, text in fields[:5])
    more = f"; and {len(fields) - 5} more" if len(fields) > 5 else ""
    listed = [{"field": field, "message": text} for field, text in fields[:FIELDS_MAX]]
    return Refused("VALIDATION_ERROR", f"{told}{more}", {"fields": listed})


def body_of(error: HeliostatError) -> dict[str, Any]:
    """What an error says on the wire."""
    code = WIRE_CODES.get(error.code, error.code)
    if code not in STATUSES:
        code = "INTERNAL"
    details = dict(error.details)
    if code == "VALIDATION_ERROR" and "field" in details and "fields" not in details:
        details["fields"] = [{"field": details["field"], "message": error.message}]
    if isinstance(error, errors.DefinitionError):
        details["diagnostics"] = [diagnostic(each) for each in error.diagnostics]
    title = TITLES.get(code) or code.replace("_", " ").capitalize()
    return {"code": code, "error": title, "message": error.message, "details": details}


def diagnostic(found: Any) -> dict[str, Any]:
    """One fault of a definition, for programs and, as `text`, for people."""
    if not isinstance(found, Diagnostic):
        return {"code": None, "severity": "error", "message": str(found), "text": str(found)}
    return {
        "code": found.code,
        "severity": found.severity,
        "step": found.step,
        "field": found.field,
        "line": found.line or None,
        "column": found.column or None,
        "message": found.message,
        "cure": found.cure,
        "text": str(found),
    }


def status_of(error: HeliostatError) -> int:
    """The status of an error's answer."""
    return STATUSES[body_of(error)["code"]]


def error_response(error: HeliostatError) -> Response:
    """The answer that tells an error."""
    body = body_of(error)
    status = STATUSES[body["code"]]
    if status == 500:
        _log.error("a request ended with an error that has no answer", exc_info=error)
    headers = dict(error.headers) if isinstance(error, Refused) else {}
    if isinstance(error, errors.Overloaded):
        headers["Retry-After"] = str(max(math.ceil(error.retry_after_s), 1))
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    kind = LingeringResponse if body["code"] == "TOO_LARGE" else Response
    return json_response(body, status, headers, kind)


def json_response(
    value: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    kind: type[Response] = Response,
) -> Response:
    """A value as the JSON body of an answer."""
    return kind(
        _encode(value),
        status_code=status,
        media_type="application/json",
        headers={**FRESH, **(headers or {})},
    )


async def on_error(_request: Request, error: Exception) -> Response:
    """For errors of ours that a route lets pass."""
    assert isinstance(error, HeliostatError)
    return error_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """For what the routing refuses."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 404:
        return error_response(
            Refused(
                "NOT_FOUND",
                f"there is no {path!r} here; the paths are in /api/v1/openapi.json",
                {"path": path},
            )
        )
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        return error_response(
            Refused(
                "METHOD_NOT_ALLOWED",
                f"{request.method} is not allowed for {path!r}; use {allowed or 'another method'}",
                {"allowed": _methods(request)},
                {"Allow": allowed},
            )
        )
    code = {413: "TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}.get(
        error.status_code, "VALIDATION_ERROR" if error.status_code < 500 else "INTERNAL"
    )
    return error_response(Refused(code, str(error.detail)))


def _methods(request: Request) -> list[str]:
    """What the path takes; the routing names those of its first route only."""
    found = set[str]()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def on_fault(_request: Request, error: Exception) -> Response:
    """For faults of ours: the log has the traceback, the answer only where to look for it."""
    fault = new_id()
    _log.error("fault %s in a request", fault, exc_info=error)
    told = Refused(
        "INTERNAL",
        f"a fault in heliostat itself; the log of the door has it as {fault}",
        {"fault": fault},
    )
    body = body_of(told)
    return json_response(body, 500)
