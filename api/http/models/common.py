"""Shapes that many routes share."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_Row = TypeVar("_Row")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:+@-]{0,199}$"

Identifier = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="Letters, digits and `_ . : + @ -`, beginning with a letter or digit.",
        examples=["order-o-1"],
    ),
]

Instant = Annotated[
    str,
    Field(
        description="RFC 3339, UTC, with milliseconds.",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]

Ignored = Annotated[
    Any, Field(description="Accepted and ignored: the server says who acts, and the path which.")
]


class Request(BaseModel):
    """A request's body: fields that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """Query parameters; those that it does not know are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer's body; later releases may add fields."""

    model_config = ConfigDict()


class Paging(Query):
    """Which part of a list."""

    page: Annotated[int, Field(ge=1, le=1_000_000, description="Counts from 1.")] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[
        str | None,
        Field(
            max_length=1_000,
            description="`meta.next_cursor` of a page: goes on after it, at the same cost however "
            "far in. In place of `page`.",
        ),
    ] = None

    @property
    def offset(self) -> int:
        """Rows to leave out before the page."""
        return 0 if self.cursor is not None else (self.page - 1) * self.per_page


class PageMeta(Answer):
    """Where a page is in its list."""

    total: Annotated[
        int,
        Field(
            description="Of all that fit, not of the page; with filters beyond namespace and "
            "status counted up to a bound."
        ),
    ]
    page: int
    per_page: int
    total_pages: int
    next_cursor: str | None


class Page(Answer, Generic[_Row]):
    """A part of a list."""

    data: list[_Row]
    meta: PageMeta


class FieldFault(Answer):
    """One field of a request, and what is wrong with it."""

    field: str
    message: str


class Error(Answer):
    """Every answer that is no success."""

    code: Annotated[str, Field(description="Stable, for programs.", examples=["NOT_FOUND"])]
    error: Annotated[str, Field(description="A short title.", examples=["Not found"])]
    message: Annotated[
        str,
        Field(
            description="What happened, to what, and what to do next.",
            examples=["there is no execution 'order-o-1'"],
        ),
    ]
    details: Annotated[
        dict[str, Any],
        Field(
            description="Facts for programs. Of `VALIDATION_ERROR`: `fields`, each `{field, "
            "message}`, or of a definition its `diagnostics`.",
            examples=[{"kind": "execution", "name": "order-o-1"}],
        ),
    ]
