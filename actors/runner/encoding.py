"""What a function returned, as a value that travels.

| returned | becomes |
| --- | --- |
| None, bool, int, float, str, list, dict | itself; number-like keys become strings |
| tuple, set, frozenset, deque, range | a list |
| datetime, date, time, timedelta, Decimal, UUID, path | its text (RFC 3339, ISO 8601) |
| Enum | its value |
| bytes | Base64 text |
| dataclass, attrs, msgspec and pydantic objects, other mappings | a mapping |
| NumPy scalars | the number; `pandas.NaT` and `NA` become None |
| Arrow table, NumPy array, pandas data frame, at any depth | a blob of its own |
| any other object that can be pickled | a blob of its own |

A value above 64 KiB becomes a blob: of a mapping the largest members first, else the whole. Where
the whole holds objects of its own it is pickled in one piece, as a blob may not name blobs: nothing
would keep those alive. NaN and the infinities do not exist in JSON and are refused, since a reader
further on would find a null in their place.

A blob is durable before the report that names it exists.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

import msgspec
from msgspec import Struct

from heliostat.actors.objects.shared import SharedBlobs
from heliostat.engine.errors import HeliostatError
from heliostat.engine.journal.protocol import BlobStore
from heliostat.engine.values import INLINE_BYTES_MAX, Encoding, Reference, Value, encoder

from .objects import Unpicklable, write_object

MEMBER_BYTES_MIN: Final = 4 * 1024
"""Smaller members of a large mapping stay: thousands of small blobs would cost more than one."""

_pack: Final = encoder().encode
_NOT_FINITE: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_LEAF: Final = f"\0{os.urandom(8).hex()}:"
"""Stands for a leaf while the tree is built; drawn anew in each process, so nobody returns it."""


class UnserializableResult(TypeError):
    """A returned value can be written neither as JSON nor as an object; names type and place."""


class Encoded(Struct, frozen=True):
    """A value ready to report: `packed` travels, `tree` is all of it but its objects."""

    packed: bytes
    tree: bytes
    bytes: int  # of what travels and of the blobs it names

    @property
    def outside(self) -> bool:
        """Whether some of the value is in blobs."""
        return self.bytes != len(self.packed)


def encode(
    returned: Any,
    *,
    namespace: str,
    blobs: BlobStore,
    write: Callable[[Any], Any] | None = None,
) -> Encoded:
    """The value of a result, its blobs stored.

    Raises:
        UnserializableResult: a part of it can be written in no way.
        HeliostatError: the blob store failed.
    """
    return _Result(namespace, blobs).encode(returned, write)


class _Result:
    """One result being encoded."""

    def __init__(self, namespace: str, blobs: BlobStore) -> None:
        self._namespace, self._blobs = namespace, blobs
        self._leaves: list[Reference] = []
        self._blob_bytes = 0

    def encode(self, returned: Any, write: Callable[[Any], Any] | None) -> Encoded:
        tree = self._tree(returned, write)
        packed = self._packed(tree)
        if len(packed) <= INLINE_BYTES_MAX:
            return Encoded(packed, packed, len(packed) + self._blob_bytes)
        value = self._members_outside(tree) if type(tree) is dict else None
        if value is None:
            value = self._whole_outside(tree, returned)
        travels = _pack(value)
        return Encoded(travels, packed, len(travels) + self._blob_bytes)

    def _tree(self, returned: Any, write: Callable[[Any], Any] | None) -> Value:
        if write is not None:
            # A user's serializer raises what it likes; the natural form remains.
            with contextlib.suppress(Exception):
                returned = write(returned)
        try:
            tree = msgspec.to_builtins(returned, enc_hook=self._leaf, str_keys=True)
        except HeliostatError:
            raise
        except RecursionError:
            raise UnserializableResult("the result contains itself, or nests too deep") from None
        except Exception as error:
            # Whatever a user's object raises while it is read. Said again with the place.
            raise UnserializableResult(_Search().told(returned, error)) from error
        return _with_leaves(tree, self._leaves) if self._leaves else tree

    def _leaf(self, leaf: Any) -> Any:
        """What stands in place of an object that msgspec does not know."""
        if isinstance(leaf, Reference):
            return self._placed(leaf)
        plain = natural(leaf)
        if plain is not leaf:
            return plain
        encoding, content = write_object(leaf)
        return self._placed(self._put(encoding, content))

    def _placed(self, reference: Reference) -> str:
        self._leaves.append(reference)
        return f"{_LEAF}{len(self._leaves) - 1}"

    def _put(self, encoding: Encoding, content: bytes) -> Reference:
        self._blob_bytes += len(content)
        put = self._blobs.put
        if encoding != "json" and isinstance(self._blobs, SharedBlobs):
            put = self._blobs.put_shared
        return Reference(put(self._namespace, content), encoding, len(content))

    def _packed(self, tree: Value) -> bytes:
        try:
            packed = _pack(tree)
        except RecursionError:
            raise UnserializableResult("the result nests too deep") from None
        except (OverflowError, UnicodeEncodeError) as error:
            raise UnserializableResult(_Search().told(tree, error)) from None
        if _NOT_FINITE.search(packed) is not None:  # rarely anything but a float
            place = _not_finite(tree, "the result")
            if place is not None:
                raise UnserializableResult(
                    f"{place}, which JSON does not have: return None, or a text, in its place"
                )
        return packed

    def _members_outside(self, tree: dict[str, Value]) -> Value | None:
        """The mapping with its largest members as blobs; None where that is not enough."""
        sizes = {name: len(_pack(member)) for name, member in tree.items()}
        rest = sum(sizes.values()) + sum(len(name) + 5 for name in tree)
        outside = dict(tree)
        for name in sorted(sizes, key=lambda member: -sizes[member]):
            if rest <= INLINE_BYTES_MAX:
                return outside
            if sizes[name] < MEMBER_BYTES_MIN or _has_reference(tree[name]):
                return None
            outside[name] = self._put("json", msgspec.json.encode(tree[name]))
            rest -= sizes[name] - 100  # about what a reference takes
        return outside if rest <= INLINE_BYTES_MAX else None

    def _whole_outside(self, tree: Value, returned: Any) -> Reference:
        if not self._leaves:
            return self._put("json", msgspec.json.encode(tree))
        try:
            return self._put("pickle", write_object(returned, whole=True)[1])
        except Unpicklable as error:
            raise UnserializableResult(f"the result {error}") from error


def natural(leaf: Any) -> Any:
    """The plain form of an object that msgspec does not know, or the object itself."""
    if isinstance(leaf, str):
        return str.__str__(leaf)
    if isinstance(leaf, int):
        return int.__int__(leaf)
    if isinstance(leaf, float):
        return float.__float__(leaf)
    if isinstance(leaf, deque | range | set | frozenset):
        return list(leaf)
    if isinstance(leaf, PurePath):
        return str(leaf)
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None and (leaf is pandas.NaT or leaf is pandas.NA):
        return None
    if isinstance(leaf, datetime.datetime | datetime.date | datetime.time):
        return leaf.isoformat()
    if numpy is not None and isinstance(leaf, numpy.generic):
        plain = leaf.item()
        return leaf if isinstance(plain, numpy.generic) else plain
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(leaf, pydantic.BaseModel):
        return _model(leaf, pydantic)
    if isinstance(leaf, Mapping):
        return dict(leaf)
    return leaf


def _model(model: Any, pydantic: Any) -> Any:
    """As the model writes itself, under the names by which it is read again; field by field where
    it holds an object that is not JSON."""
    try:
        return model.model_dump(mode="json", by_alias=True, warnings=False)
    except pydantic.PydanticUserError:
        raise
    except (ValueError, TypeError):
        return model.model_dump(mode="python", by_alias=True, warnings=False)


def _with_leaves(tree: Value, leaves: list[Reference]) -> Value:
    """The tree with its references where they belong."""
    if type(tree) is str:
        return leaves[int(tree[len(_LEAF) :])] if tree.startswith(_LEAF) else tree
    if type(tree) is dict:
        return {name: _with_leaves(member, leaves) for name, member in tree.items()}
    if type(tree) is list or type(tree) is tuple:
        return [_with_leaves(item, leaves) for item in tree]
    return tree


def _has_reference(tree: Value) -> bool:
    if type(tree) is dict:
        return any(map(_has_reference, tree.values()))
    if type(tree) is list or type(tree) is tuple:
        return any(map(_has_reference, tree))
    return isinstance(tree, Reference)


def _not_finite(tree: Value, place: str) -> str | None:
    if type(tree) is float:
        return None if math.isfinite(tree) else f"{place} is {tree}"
    if type(tree) is dict:
        found = (_not_finite(member, f"{place}[{name!r}]") for name, member in tree.items())
        return next((told for told in found if told is not None), None)
    if type(tree) is list or type(tree) is tuple:
        found = (_not_finite(item, f"{place}[{index}]") for index, item in enumerate(tree))
        return next((told for told in found if told is not None), None)
    return None


class _Search:
    """Finds the part of a result that cannot be written, for the message only."""

    PARTS_MAX: Final = 100_000

    def __init__(self) -> None:
        self._left = self.PARTS_MAX

    def told(self, returned: Any, error: BaseException) -> str:
        found = self._find(returned, "the result", 0)
        if found is None:
            return f"the result, a {type(returned).__name__}, cannot be written: {error}"
        return found

    def _find(self, part: Any, place: str, depth: int) -> str | None:
        self._left -= 1
        if self._left < 0 or depth > 50:
            return None
        if isinstance(part, dict):
            for name, member in part.items():
                inside = f"{place}[{name!r}]"
                if not isinstance(name, str | int | float) or isinstance(name, bool):
                    return f"{place} has the key {name!r}, a {type(name).__name__}: use a text"
                if (found := self._find(member, inside, depth + 1)) is not None:
                    return found
            return None
        if isinstance(part, list | tuple | set | frozenset):
            for index, item in enumerate(part):
                if (found := self._find(item, f"{place}[{index}]", depth + 1)) is not None:
                    return found
            return None
        if isinstance(part, Reference):
            return None
        if type(part) is int and not -(2**63) <= part < 2**64:
            bits = part.bit_length()
            return f"{place} is an integer of {bits} bits; at most 64 travel: return a text"
        return self._written(part, place, depth)

    def _written(self, part: Any, place: str, depth: int) -> str | None:
        try:
            _pack(msgspec.to_builtins(part, enc_hook=_refuse))
        except UnicodeEncodeError:
            return f"{place} holds half a surrogate pair, which UTF-8 cannot carry"
        except _Foreign:
            pass
        except Exception as error:  # noqa: BLE001  # a user's object raises what it likes
            return f"{place} is a {type(part).__name__} that cannot be written: {error}"
        else:
            return None
        plain = natural(part)
        if plain is not part:
            return self._find(plain, place, depth + 1)
        try:
            write_object(part)
        except Unpicklable as error:
            return f"{place} {error}"
        return None


class _Foreign(Exception):
    """A part that msgspec does not know."""


def _refuse(leaf: Any) -> Any:
    raise _Foreign
