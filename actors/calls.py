"""Bytes for calls between actors.

Every call of an actor takes and returns bytes, so that Ray never pickles a user's object in a
process that runs no user code. What a call carries are msgspec Structs, whose values may hold
references (engine/values.py).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from heliostat.engine.values import decoder, encoder

_T = TypeVar("_T")

_encode: Final = encoder().encode
_decoders: Final[dict[tuple[Any, bool], msgspec.msgpack.Decoder[Any]]] = {}


def pack(message: Any) -> bytes:
    """Bytes for a call."""
    return _encode(message)


def unpack(body: bytes, kind: type[_T], *, sealed: bool = False) -> _T:
    """The counterpart of `pack`; raises `msgspec.ValidationError` on anything else.

    Args:
        sealed: accept sealed values, as a host sends them towards a runner and nobody else may.
    """
    made = _decoders.get((kind, sealed))
    if made is None:
        made = _decoders[kind, sealed] = decoder(kind, sealed=sealed)
    message: _T = made.decode(body)
    return message
