"""What a request asks: its namespace, its person, its query and its body, each bounded.

Everything that is wrong with a query or a body is named at once, by field. Nothing unknown passes:
a query parameter or a field that is not there is refused with the nearest that is, since a filter
that is silently dropped shows somebody what they did not ask for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, Final, TypeVar, get_origin

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection, Request

from heliostat.engine.errors import InputError
from heliostat.engine.expressions import parse_duration
from heliostat.engine.identity import DEFAULT_NAMESPACE, NAME

from .errors import Refused, invalid
from .models.common import NAME_PATTERN

_Model = TypeVar("_Model", bound=BaseModel)

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of a request: what a batch of 10,000 starts takes with 1.6 KB each. Read into memory whole."""

DEPTH_MAX: Final = 200
"""How deep JSON may nest. Every reader further on recurses, and must not meet its limit."""

DAY_MS: Final = 86_400_000

ANONYMOUS: Final = "anonymous"
"""The person of a request that names none."""

_JSON: Final = ("application/json", "text/json")
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
# One that is not ended reaches to the end, and nothing is tried twice: a text of `"\\"\\"…` would
# otherwise take minutes.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {b: 1 if b in b"[{" else -1 for b in b"[]{}"}


def namespace_of(request: HTTPConnection, default: str = DEFAULT_NAMESPACE) -> str:
    """The namespace that a request, or a socket, is about.

    Raises:
        Refused: header and query disagree, or it is no name.
    """
    header = request.headers.get("x-namespace")
    query = request.query_params.get("namespace")
    if header is not None and query is not None and header != query:
        raise invalid(
            [
                (
                    "namespace",
                    f"the header X-Namespace says {header[:200]!r}, the query {query[:200]!r}",
                )
            ]
        )
    name = header if header is not None else query
    if name is None:
        return default
    return checked(name, "namespace")


def person_of(request: HTTPConnection) -> str:
    """Who acts: the header X-User. There is no security yet, so that it is only what is said."""
    person = request.headers.get("x-user")
    if person is None:
        return ANONYMOUS
    with suppress(UnicodeDecodeError):  # headers are read as Latin-1, and names sent as UTF-8
        person = person.encode("latin-1").decode()
    if not person.strip() or len(person) > 200:
        raise invalid([("X-User", "must be a name of 1 to 200 characters")])
    return person.strip()


def checked(name: str, field: str) -> str:
    """A name that a definition, an execution or a namespace can have."""
    if not NAME.fullmatch(name):
        raise invalid([(field, _no_name(name))])
    return name


def _no_name(said: str) -> str:
    return (
        f"{said[:200]!r} is no name: letters, digits and _ . : + @ -, beginning with a letter or "
        f"digit, at most 200"
    )


def query_of(request: HTTPConnection, model: type[_Model]) -> _Model:
    """The query parameters.

    Raises:
        Refused: with each parameter that is not there, or has no such value.
    """
    given: dict[str, Any] = {}
    unknown: list[tuple[str, str]] = []
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, value in request.query_params.multi_items():
        field = known.get(name)
        if field is None:
            if name != "namespace":
                unknown.append((name[:200], _unknown(name, [*known, "namespace"])))
        elif get_origin(field.annotation) is list:
            given.setdefault(name, []).append(value)
        elif name in given:
            unknown.append((name, "is given twice"))
        else:
            given[name] = value
    try:
        found = model.model_validate(given)
    except ValidationError as error:
        raise invalid([*unknown, *faults_of(error)]) from None
    if unknown:
        raise invalid(unknown)
    return found


async def content_of(request: Request, limit: int = BODY_BYTES_MAX) -> bytes:
    """The body, whole.

    Raises:
        Refused: it is larger than the limit; nothing of it is kept.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > limit:
            raise _too_large(limit)
    return bytes(chunks)


async def json_of(request: Request, *, optional: bool = False) -> Any:
    """The JSON of the body; an empty body is `{}` where it is optional."""
    content = await content_of(request)
    if optional and not content.strip():
        return {}
    check_content_type(request)
    return decoded(content)


def check_content_type(request: Request) -> None:
    """Refuses a body that does not call itself JSON.

    A page of another origin can make a browser send a text or a form anywhere, JSON only where it
    is allowed to: so this is also what keeps such pages away from a door that has no security.
    """
    if content_type(request) not in _JSON:
        said = request.headers.get("content-type", "no content type")
        raise Refused(
            "UNSUPPORTED_MEDIA_TYPE",
            f"the body is sent as {said[:100]!r}; send JSON, with Content-Type: application/json",
        )


def content_type(request: Request) -> str:
    """The content type, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_yaml(request: Request) -> bool:
    """Whether the body calls itself YAML."""
    return content_type(request) in _YAML


def decoded(content: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        Refused: it is none, holds a number that no double can hold, or nests too deep.
    """
    if not content.strip():
        raise invalid([("", "the body is empty; send JSON")])
    if content.count(b"[") + content.count(b"{") > DEPTH_MAX and _depth(content) > DEPTH_MAX:
        raise invalid([("", f"the body nests deeper than {DEPTH_MAX} levels")])
    try:
        return msgspec.json.decode(content)
    except UnicodeDecodeError as error:
        raise invalid([("", f"the body is not UTF-8, at byte {error.start}")]) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise invalid([("", f"the body is not JSON: {error}")]) from None


def _depth(content: bytes) -> int:
    """How deep a JSON text nests; of what is no JSON some number."""
    brackets = _STRING.sub(b"", content).translate(None, _NO_BRACKETS)
    return max(itertools.accumulate(_STEP[bracket] for bracket in brackets), default=0)


def model_of(value: Any, model: type[_Model]) -> _Model:
    """A decoded body in its shape.

    Raises:
        Refused: with every field that is not there, is missing, or has no such value.
    """
    if not isinstance(value, dict):
        raise invalid([("", f"the body must be a JSON object, not {_kind(value)}")])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(faults_of(error, [*model.model_fields])) from None


def faults_of(error: ValidationError, known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The fields that are faulty, and why."""
    found = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"])[:300]
        match fault["type"]:
            case "missing":
                text = "is required"
            case "extra_forbidden":
                top = len(fault["loc"]) == 1
                text = _unknown(str(fault["loc"][-1]), known if top else ())
            case "string_pattern_mismatch" if fault["ctx"]["pattern"] == NAME_PATTERN:
                text = _no_name(fault["input"])
            case _:
                text = fault["msg"].removeprefix("Value error, ")
                text = text[:1].lower() + text[1:]
        found.append((place, text))
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"there is no such name; did you mean `{close[0]}`?"
    listed = ", ".join(f"`{each}`" for each in names)
    return f"there is no such name{f'; known are {listed}' if listed else ''}"


def instant_ms(text: str, field: str) -> int:
    """An RFC 3339 instant, or a date (its first instant in UTC), in milliseconds since 1970."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("it has no zone")
        return int(instant.timestamp() * 1_000)
    except (ValueError, OverflowError) as error:
        raise invalid(
            [
                (
                    field,
                    f"{text[:60]!r} is no instant ({error}); write 2026-01-31T12:00:00Z or a date",
                )
            ]
        ) from None


def duration_s(text: str, field: str, *, at_most_s: float) -> float:
    """A duration such as `30s`, in seconds."""
    try:
        seconds = parse_duration(text[:64]) / 1_000
    except ValueError as error:
        raise invalid([(field, str(error))]) from None
    if seconds > at_most_s:
        raise invalid([(field, f"{text[:60]!r} is longer than {at_most_s:g}s, which is the most")])
    return seconds


def several(given: Iterable[str]) -> list[str]:
    """The values of a parameter that is repeated or holds several, divided by commas."""
    return [each for text in given for each in (part.strip() for part in text.split(",")) if each]


def one_of(text: str, known: Sequence[str], field: str) -> str:
    """One of the words that a parameter may have, however it is capitalised."""
    for word in known:
        if word.lower() == text.lower():
            return word
    close = get_close_matches(text, known, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else f"it is one of {', '.join(known)}"
    raise invalid([(field, f"there is no {field} {text[:60]!r}; {cure}")])


def pair(text: str, field: str) -> tuple[str, str]:
    """A `name=value`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise invalid([(field, f"{text[:100]!r} is no name=value")])
    return name, value


def split_task_id(text: str) -> tuple[str, str]:
    """The execution and the task of a task's id on the wire, `<execution id>~<task id>`."""
    execution, tilde, task = text.partition("~")
    if not tilde or not NAME.fullmatch(execution) or not task:
        raise InputError(
            f"{text[:200]!r} is no task's id; it is <execution id>~<task id>, as lists show it"
        )
    return execution, task


def _too_large(limit: int) -> Refused:
    return Refused(
        "TOO_LARGE",
        f"the body has more than {limit:,} bytes; send less at once, or put the data where steps "
        f"find it and send where that is",
        {"limit_bytes": limit},
        {"Connection": "close"},
    )


def _kind(value: Any) -> str:
    names: Mapping[type, str] = {list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")
