"""Tables, arrays and other objects as blobs, and blobs as what they were.

Only a runner opens a pickle, and only one that a runner of the same namespace wrote.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
from typing import Any, Final

import msgspec

from heliostat.actors.objects.shared import Content, SharedBlobs
from heliostat.engine.journal.protocol import BlobStore
from heliostat.engine.values import Encoding, Held, Reference, Sealed, Value


class Unpicklable(TypeError):
    """An object that pickle refuses; reads as the end of a sentence."""


def write_object(value: Any, *, whole: bool = False) -> tuple[Encoding, bytes]:
    """An object's encoding and bytes; `whole` pickles a tree of them.

    Raises:
        Unpicklable: there is no way to write it.
    """
    if not whole:
        written = _written_by_library(value)
        if written is not None:
            return written
    try:
        return "pickle", pickle.dumps(value, protocol=5)
    except Exception as plain:  # noqa: BLE001  # an object's own __reduce__ raises what it likes
        try:
            return "pickle", _by_value(value)
        except Exception as error:
            raise Unpicklable(
                f"is a {_name(value)}, which is no JSON and cannot be pickled "
                f"({type(plain).__name__}: {plain}): return what it stands for"
            ) from error


def _written_by_library(value: Any) -> tuple[Encoding, bytes] | None:
    kind = type(value)
    pyarrow, numpy, pandas = map(sys.modules.get, ("pyarrow", "numpy", "pandas"))
    if pyarrow is not None and kind is pyarrow.Table:
        return "arrow", _arrow(value)
    if numpy is not None and kind is numpy.ndarray and not value.dtype.hasobject:
        target = io.BytesIO()
        numpy.save(target, value, allow_pickle=False)
        return "numpy", target.getvalue()
    if pandas is not None and kind is pandas.DataFrame and not value.attrs:
        import pyarrow as arrow

        try:
            return "pandas", _arrow(arrow.Table.from_pandas(value))
        except (arrow.ArrowException, TypeError, ValueError):
            return None  # columns of mixed objects have no Arrow type: pickled
    return None


def _arrow(table: Any) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _by_value(value: Any) -> bytes:
    """For lambdas and objects of classes that no other process can import."""
    from ray import cloudpickle  # slow to import, and rarely needed

    content: bytes = cloudpickle.dumps(value)  # type: ignore[no-untyped-call]
    return content


def read(reference: Reference, blobs: BlobStore) -> Any:
    """The value that a reference stands for.

    Where processes share blobs, arrays and frames read the bytes where they lie and are read-only,
    whether they came by object store or from a file; a client's are its own.

    Raises:
        NotFound: the blob is gone.
    """
    shares = isinstance(blobs, SharedBlobs)
    content = blobs.view(reference) if isinstance(blobs, SharedBlobs) else blobs.get(reference.blob)
    match reference.encoding:
        case "json":
            return msgspec.json.decode(content)
        case "arrow":
            return _table(content)
        case "numpy":
            return _array_within(content) if shares else _array(content)
        case "pandas":
            # A block for each column: those of numbers without gaps stay where they are.
            return _table(content).to_pandas(split_blocks=shares)
        case "pickle":
            return pickle.loads(content)


def _array(content: Content) -> Any:
    import numpy

    return numpy.load(io.BytesIO(content), allow_pickle=False)


def _array_within(content: Content) -> Any:
    """A NumPy array that reads its numbers where they lie, after the header of its file."""
    import numpy

    head = io.BytesIO(bytes(memoryview(content)[:_HEAD_BYTES]))
    version = numpy.lib.format.read_magic(head)
    read = {
        (1, 0): numpy.lib.format.read_array_header_1_0,
        (2, 0): numpy.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None or len(content) <= _HEAD_BYTES:  # a header of its own kind, or a small array
        array = _array(content)
        array.flags.writeable = False
        return array
    shape, in_columns, kind = read(head)
    flat = numpy.frombuffer(content, kind, count=math.prod(shape), offset=head.tell())
    return flat.reshape(shape, order="F" if in_columns else "C")


_HEAD_BYTES: Final = 64 * 1024
"""More than the header of any array but one with thousands of named fields."""


def _table(content: Content) -> Any:
    import pyarrow

    with pyarrow.ipc.open_stream(pyarrow.py_buffer(content)) as reader:
        return reader.read_all()


def read_all(value: Value, blobs: BlobStore) -> Any:
    """A value with every reference in it replaced by what it stands for."""
    if isinstance(value, Reference):
        return read(value, blobs)
    if isinstance(value, Held):
        raise TypeError(f"{value!r} reached a runner: hosts send values or references")
    if isinstance(value, Sealed):
        raise TypeError(f"{value!r}: secrets are for service calls and the `env` of scripts")
    if type(value) is dict:
        return {name: read_all(member, blobs) for name, member in value.items()}
    if type(value) is list:
        return [read_all(item, blobs) for item in value]
    return value


def _name(value: Any) -> str:
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
