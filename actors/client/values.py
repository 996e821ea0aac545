"""Values on their way between a user's process and the hosts.

What goes in is written as runners write results: plain data as JSON, tables, arrays and other
objects as blobs, and with it what expressions read of the part that lies in blobs. What comes out
has its references replaced by the values they stand for; this is the user's own process, so that
pickles may be opened here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from heliostat.actors.runner.encoding import UnserializableResult, encode
from heliostat.actors.runner.extracts import extracts
from heliostat.actors.runner.objects import read_all
from heliostat.engine.errors import InputError, NotFound
from heliostat.engine.identity import NAME
from heliostat.engine.journal.protocol import BlobStore
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import INLINE_BYTES_MAX, Json, Reference, Value, decoder, to_json

_unpack: Final = decoder().decode


_decode_json: Final = msgspec.json.Decoder().decode

JSON_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of JSON in blobs that `receive_json` brings unless it is told otherwise."""

PLAIN_BYTES_MAX: Final = INLINE_BYTES_MAX
"""Of what a signal, an event or a submission carries: it is copied into histories."""


class Sent(Struct, frozen=True):
    """An input, ready to be sent; its blobs are stored."""

    value: Value
    bytes: int
    extracts: Mapping[str, Value] | None


def send(value: Any, *, namespace: str, blobs: BlobStore, plan: Callable[[], Plan]) -> Sent:
    """The value as it travels. `plan` is asked only where some of it went into blobs.

    Raises:
        InputError: a part of it can be written in no way, or it breaks the input schema (a host
            checks what it sees, and it does not look into blobs).
    """
    try:
        encoded = encode(value, namespace=namespace, blobs=blobs)
    except UnserializableResult as error:
        message = str(error).replace("the result", "the input").replace("return", "send")
        raise InputError(message) from error
    found = None
    if encoded.outside:
        known = plan()
        if known.validate_input is not None:
            fault = known.validate_input(_unpack(encoded.tree))
            if fault is not None:
                raise InputError(f"the input of {known.id!r} breaks its input_schema: {fault}")
        reads = known.input_reads
        found = extracts(reads, encoded, lambda content: blobs.put(namespace, content))
    return Sent(_unpack(encoded.packed), encoded.bytes, found)


def plain(value: Any, what: str) -> Value:
    """The value as a signal, an event or a submission carries it: JSON, and all of it.

    Conditions look into it, and people's forms are held against it, so that nothing of it may lie
    elsewhere.

    Raises:
        InputError: `what`, as "the signal's data", cannot be written so, or is too large.
    """
    try:
        return _unpack(encode(value, namespace="", blobs=_NoBlobs(what)).packed)
    except UnserializableResult as error:
        message = str(error).replace("the result", what).replace("return", "send")
        raise InputError(message) from error


def checked_name(name: str, what: str) -> str:
    """The name itself, if a definition could say it: what nobody can wait for is a slip.

    Raises:
        InputError: it could not.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what} cannot be {name[:200]!r}; letters, digits and _ . : + @ -, beginning with a "
            f"letter or digit, at most 200"
        )
    return name


def check_texts(texts: Iterable[str | None], what: str) -> None:
    """Raises `InputError` where one of `what`, as "a tag", is no text that can be stored."""
    for text in texts:
        if text is None or text.isascii():
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{what} cannot be {text[:200]!r}: {error.reason}") from error


def receive_json(value: Value, blobs: BlobStore, limit_bytes: int) -> Json:
    """A value with the JSON that lies in blobs in place of references, up to a bound.

    Every other reference stays one: tables and arrays, what is gone or would be too much, and
    pickles, which nobody but the user's own process may open.
    """
    left = limit_bytes

    def opened(part: Value) -> Json:
        nonlocal left
        if isinstance(part, Reference):
            if part.encoding != "json" or part.bytes > left:
                return to_json(part)
            left -= part.bytes
            try:
                return _decode_json(blobs.get(part.blob))
            except NotFound:
                return to_json(part)
        if isinstance(part, Mapping):
            return {name: opened(each) for name, each in part.items()}
        if isinstance(part, list | tuple):
            return [opened(each) for each in part]
        return to_json(part)

    return opened(value)


class _NoBlobs:
    """Refuses what would need a blob."""

    def __init__(self, what: str) -> None:
        self._what = what

    def put(self, namespace: str, content: bytes) -> str:
        raise InputError(
            f"{self._what} must be JSON of at most {PLAIN_BYTES_MAX:,} bytes, and holds a part of "
            f"{len(content):,} bytes; put it where both sides find it, and send where that is"
        )

    def get(self, name: str) -> bytes:
        raise NotFound("blob", name)

    def exists(self, name: str) -> bool:
        return False

    def aged(self, *, older_than_s: float) -> Iterator[Sequence[str]]:
        return iter(())

    def delete(self, names: Sequence[str], *, older_than_s: float) -> int:
        return 0


def receive(value: Value, blobs: BlobStore) -> Any:
    """The value with every reference in it replaced by what it stands for.

    Raises:
        NotFound: one of its blobs is gone.
    """
    return read_all(value, blobs)
