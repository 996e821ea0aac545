"""Which blobs stored bytes name, found without knowing what the bytes mean.

A reference is MessagePack's extension 1 around `[name, encoding, bytes]` (`engine/values.py`). A
host tells the journal the names with each append; what is here reads them out of histories that
were written before it did, and out of definitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from ..identity import NAME

# The extension's code, an array of three, and a string too long for the short form.
_REFERENCE: Final = re.compile(rb"\x01\x93(?:\xd9(.)|\xda(..))", re.DOTALL)
_BLOB: Final = re.compile(rf"({NAME.pattern})/[0-9a-f]{{64}}")


def is_blob(name: str) -> bool:
    """Whether a text has the form of a blob's name, `namespace/sha256`."""
    return _BLOB.fullmatch(name) is not None


def blobs_in(body: bytes) -> Iterator[str]:
    """Every blob that an event or a snapshot names, as often as it does.

    A text that only looks like a reference is named too; that keeps a blob that may go, never the
    other way round.
    """
    for found in _REFERENCE.finditer(body):
        size = int.from_bytes(found[1] or found[2])
        name = body[found.end() : found.end() + size].decode("ascii", errors="replace")
        if is_blob(name):
            yield name


class _Code(Struct):
    code: str | None = None


_decode_code: Final = msgspec.msgpack.Decoder(_Code).decode


def code_of(compiled: bytes) -> str | None:
    """The blob with a definition's code bundle; None where nothing was shipped with it."""
    try:
        code = _decode_code(compiled).code
    except msgspec.DecodeError:  # of another kind of client: what is no version names nothing
        return None
    return code if code is not None and is_blob(code) else None
