"""Values that travel: JSON trees whose leaves may be references to blobs.

The journal, the lanes to the runners and the snapshots all write values with the two codecs here.
A host copies references and never follows them; nothing in `engine/` unpickles.

The value of a secret is no part of any value here: a `Sealed` says where it belongs, and only the
runner that makes the attempt puts it there. What clients send and runners return is read by a
decoder that refuses sealed leaves, so that nobody but a definition's own text can name a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A JSON value: dict with str keys, list, str, int, float, bool or None."""

Value: TypeAlias = Any
"""A `Json` tree whose leaves may be `Reference`s, and in recorded inputs `Held`s and `Sealed`s."""

Encoding: TypeAlias = Literal["json", "arrow", "numpy", "pandas", "pickle"]

INLINE_BYTES_MAX: Final = 64 * 1024
"""A larger JSON value becomes a blob of its own: histories stay small and cheap to load."""

EXTRACT_BYTES_MAX: Final = 4 * 1024 * 1024
"""What expressions may read of a large value, per path."""


class Reference:
    """A claim check: names a blob that holds a value in place of the value itself.

    Not a Struct, so that the codecs meet it as a foreign leaf anywhere in an untyped tree.
    """

    __slots__ = ("blob", "bytes", "encoding")

    def __init__(self, blob: str, encoding: Encoding, bytes: int) -> None:
        self.blob = blob  # `namespace/hash`
        self.encoding = encoding
        self.bytes = bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and (self.blob, self.encoding) == (
            other.blob,
            other.encoding,
        )

    def __hash__(self) -> int:
        return hash((self.blob, self.encoding))

    def __repr__(self) -> str:
        return f"Reference({self.blob!r}, {self.encoding!r}, {self.bytes})"


class Held:
    """A large value that an earlier event of the same execution already holds.

    Stands in recorded inputs in place of a copy: `at` names the visit whose output it is, or is
    `None` for the execution's input; `path` leads from that value to the part meant.
    """

    __slots__ = ("at", "path")

    def __init__(self, at: tuple[int, int, int] | None, path: tuple[str | int, ...] = ()) -> None:
        self.at = at  # (scope instance, step, visit)
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and (self.at, self.path) == (other.at, other.path)

    def __hash__(self) -> int:
        return hash((self.at, self.path))

    def __repr__(self) -> str:
        return f"Held({self.at!r}, {self.path!r})"


class Sealed:
    """A text with secrets in it, by name; what `$.secrets.x` and templates around it evaluate to.

    The first of `texts`, the first named secret, the second text, and so on: there is one text more
    than names. Immutable.
    """

    __slots__ = ("names", "texts")

    def __init__(self, texts: tuple[str, ...], names: tuple[str, ...]) -> None:
        assert len(texts) == len(names) + 1
        self.texts, self.names = texts, names

    @classmethod
    def joined(cls, parts: Iterable[str | Sealed]) -> str | Sealed:
        """The parts one after another; a plain text where none is sealed."""
        texts: list[str] = [""]
        names: list[str] = []
        for part in parts:
            if isinstance(part, str):
                texts[-1] += part
            else:
                first, *rest = part.texts
                texts[-1] += first
                texts += rest
                names += part.names
        return cls(tuple(texts), tuple(names)) if names else texts[0]

    def opened(self, value_of: Callable[[str], str]) -> str:
        """The text with each secret's value in its place."""
        first, *rest = self.texts
        pairs = zip(self.names, rest, strict=True)
        return first + "".join([value_of(name) + text for name, text in pairs])

    @property
    def shown(self) -> str:
        """As the definition would write it."""
        return self.opened(lambda name: f"${{ $.secrets.{name} }}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and (self.texts, self.names) == (other.texts, other.names)

    def __hash__(self) -> int:
        return hash((self.texts, self.names))

    def __repr__(self) -> str:
        return f"Sealed({self.shown!r})"


class _Secrets(Mapping[str, Sealed]):
    """Every secret by its name, sealed. Which there are is known only where they are used."""

    def __getitem__(self, name: str) -> Sealed:
        return Sealed(("", ""), (name,))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


SECRETS: Final[Mapping[str, Sealed]] = _Secrets()
"""What `$.secrets` is in an evaluation; checks see to it that it is read only where it may be."""

_REFERENCE_CODE: Final = 1
_HELD_CODE: Final = 2
_SEALED_CODE: Final = 3

_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode


def _to_ext(leaf: Any) -> Any:
    if isinstance(leaf, Reference):
        return msgspec.msgpack.Ext(_REFERENCE_CODE, _pack((leaf.blob, leaf.encoding, leaf.bytes)))
    if isinstance(leaf, Held):
        return msgspec.msgpack.Ext(_HELD_CODE, _pack((leaf.at, leaf.path)))
    if isinstance(leaf, Sealed):
        return msgspec.msgpack.Ext(_SEALED_CODE, _pack((leaf.texts, leaf.names)))
    raise NotImplementedError(f"{type(leaf).__name__} is not a value of a workflow")


def _from_ext(code: int, data: memoryview) -> Any:
    if code == _REFERENCE_CODE:
        return Reference(*_unpack(data))
    if code == _HELD_CODE:
        at, path = _unpack(data)
        return Held(None if at is None else tuple(at), tuple(path))
    if code == _SEALED_CODE:
        raise msgspec.ValidationError("a sealed value came from where none may come from")
    raise ValueError(f"unknown extension {code} in a stored value")


def _from_ext_or_sealed(code: int, data: memoryview) -> Any:
    if code == _SEALED_CODE:
        texts, names = _unpack(data)
        return Sealed(tuple(texts), tuple(names))
    return _from_ext(code, data)


def encoder(*, named: Callable[[str], object] | None = None) -> msgspec.msgpack.Encoder:
    """A MessagePack encoder that knows the foreign leaves of values.

    Args:
        named: is told the blob of each reference; values without any cost nothing more for it.
    """
    if named is None:
        return msgspec.msgpack.Encoder(enc_hook=_to_ext)

    def to_ext(leaf: Any) -> Any:
        if isinstance(leaf, Reference):
            named(leaf.blob)
        return _to_ext(leaf)

    return msgspec.msgpack.Encoder(enc_hook=to_ext)


def decoder(type: Any = Any, *, sealed: bool = False) -> msgspec.msgpack.Decoder[Any]:
    """A MessagePack decoder for `type` that knows the foreign leaves of values.

    Args:
        sealed: accept `Sealed` leaves too. Only for what the kernel evaluated: events, snapshots,
            and inputs on their way to a runner.
    """
    return msgspec.msgpack.Decoder(type, ext_hook=_from_ext_or_sealed if sealed else _from_ext)


def to_json(value: Value) -> Json:
    """For people and the wire: references become `{"$blob": …}`, held values `{"$held": …}`, and
    sealed ones `{"$secret": …}` with the text that the definition has, never with a value."""
    if isinstance(value, Reference):
        return {"$blob": value.blob, "encoding": value.encoding, "bytes": value.bytes}
    if isinstance(value, Held):
        return {"$held": "input" if value.at is None else list(value.at), "path": list(value.path)}
    if isinstance(value, Sealed):
        return {"$secret": value.shown}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def refers(value: Value) -> bool:
    """Whether some of a value lies elsewhere."""
    if isinstance(value, Mapping):
        return any(map(refers, value.values()))
    if isinstance(value, list | tuple):
        return any(map(refers, value))
    return isinstance(value, Reference)
