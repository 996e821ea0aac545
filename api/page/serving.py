"""Hands out the page: `/` and the files below `/page/`.

Knows no workflow. The headers let the page load and call only what comes from its own origin, and
run no script or style but its own files: a value that some execution carries stays text, whatever
it says.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

__all__ = ["PAGE_HEADERS", "page_routes"]

_FILES: Final = Path(__file__).parent

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Files are asked for again, by their ETag: after an upgrade no browser mixes two releases.
    "Cache-Control": "no-cache",
}
"""On every answer of the page."""

_SUFFIXES: Final = frozenset({".css", ".html", ".js", ".svg", ".md", ""})
"""What may be handed out of this folder; the empty one is for licences."""


class _PageFiles(StaticFiles):
    """The folder's files but its Python, each with the page's headers."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        if Path(path).suffix not in _SUFFIXES:
            return Response("Not found", status_code=404, media_type="text/plain")
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        if Path(path).suffix in ("", ".md") and response.status_code == 200:
            response.headers["Content-Type"] = "text/plain; charset=utf-8"  # read, not saved
        return response


async def _index(request: Request) -> Response:
    return FileResponse(_FILES / "index.html", media_type="text/html", headers=PAGE_HEADERS)


def page_routes() -> list[BaseRoute]:
    """Routes to add behind all others of an application; they are no part of its OpenAPI."""
    return [
        Route("/", _index, methods=["GET", "HEAD"], include_in_schema=False),
        Mount("/page", _PageFiles(directory=_FILES), name="page"),
    ]
