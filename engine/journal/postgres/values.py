"""How values travel: whole columns as arrays, and texts that PostgreSQL would refuse.

A statement over many rows takes one array for each column, in place of a parameter for each value:
one statement text, prepared once, whatever the count. The arrays are written in PostgreSQL's binary
form here, which is a few times faster than psycopg's general way.

PostgreSQL's texts cannot hold U+0000, ours may: it is written as U+0001 U+0001, and U+0001 as
U+0001 U+0002. That keeps texts apart, and in the order of their code points.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_INT8: Final = 20
_TEXT: Final = 25
_BYTEA: Final = 17
_INT8_ARRAY: Final = 1016
_TEXT_ARRAY: Final = 1009
_BYTEA_ARRAY: Final = 1001

_header: Final = Struct("!iiIii").pack  # dimensions, has nulls, type, length, first index
_length: Final = Struct("!i").pack
_int8: Final = Struct("!iq").pack
_NULL: Final = _length(-1)


class Column:
    """The values of one parameter: those of a column, for all rows."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values


class Int8s(Column):
    """Numbers, or None."""

    __slots__ = ()


class Texts(Column):
    """Texts, or None."""

    __slots__ = ()


class Bytes(Column):
    """Bytes."""

    __slots__ = ()


def encode_text(text: str) -> bytes:
    """UTF-8, without a U+0000."""
    if "\0" in text or "\1" in text:
        text = text.replace("\1", "\1\2").replace("\0", "\1\1")
    return text.encode()


def decode_text(data: Buffer) -> str:
    """What `encode_text` was given."""
    text = str(data, "utf-8")
    if "\1" in text:
        text = text.replace("\1\1", "\0").replace("\1\2", "\1")
    return text


class _Int8sDumper(Dumper):
    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Column) -> bytes:
        values = obj.values
        parts = [_NULL if each is None else _int8(8, each) for each in values]
        return _header(1, 1, _INT8, len(values), 1) + b"".join(parts)


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: Column) -> bytes:
        parts = [_header(1, 1, _TEXT, len(obj.values), 1)]
        for each in obj.values:
            if each is None:
                parts.append(_NULL)
            else:
                encoded = encode_text(each)
                parts += (_length(len(encoded)), encoded)
        return b"".join(parts)


class _BytesDumper(Dumper):
    format = Format.BINARY
    oid = _BYTEA_ARRAY

    def dump(self, obj: Column) -> bytes:
        parts = [_header(1, 0, _BYTEA, len(obj.values), 1)]
        for each in obj.values:
            parts += (_length(len(each)), each)
        return b"".join(parts)


class _TextDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT

    def dump(self, obj: str) -> bytes:
        return encode_text(obj)


class _TextLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return decode_text(data)


def prepare_adapters(connection: Connection[Any]) -> None:
    """Make a connection speak as this module says."""
    adapters = connection.adapters
    adapters.register_dumper(Int8s, _Int8sDumper)
    adapters.register_dumper(Texts, _TextsDumper)
    adapters.register_dumper(Bytes, _BytesDumper)
    adapters.register_dumper(str, _TextDumper)
    adapters.register_dumper(int, Int8BinaryDumper)  # one width: statements are prepared by types
    adapters.register_loader("text", _TextLoader)
