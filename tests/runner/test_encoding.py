"""What a returned value becomes, and what comes of it where it is an argument again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.actors.runner.encoding import UnserializableResult, encode
from heliostat.actors.runner.extracts import extracts
from heliostat.actors.runner.objects import read_all
from heliostat.engine.expressions import Read
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.values import INLINE_BYTES_MAX, Reference, decoder

unpack = decoder().decode


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


@dataclasses.dataclass
class Line:
    name: str
    at: dt.datetime


class Order(pydantic.BaseModel):
    id: int
    due: dt.date


class Renamed(pydantic.BaseModel):
    how_many: int = pydantic.Field(alias="howMany")


class Custom:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.x == self.x

    __hash__ = None  # type: ignore[assignment]  # only compared


NAIVE = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path)


def value_of(returned: Any, blobs: FileBlobStore) -> Any:
    return unpack(encode(returned, namespace="n", blobs=blobs).packed)


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (None, None),
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        ((1, (2, 3)), [1, [2, 3]]),
        ({1: "a"}, {"1": "a"}),
        ({4}, [4]),
        (range(3), [0, 1, 2]),
        (NAIVE, "2026-03-01T12:00:00Z"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.timedelta(seconds=90), "PT90S"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (b"ab", "YWI="),
        (Path("/a/b"), "/a/b"),
        (Text("x"), "x"),
        (np.float64(1.5), 1.5),
        ({"n": np.int64(3), "b": np.bool_(True)}, {"n": 3, "b": True}),
        (pd.Timestamp("2026-03-01"), "2026-03-01T00:00:00"),
        ([pd.NaT, pd.NA], [None, None]),
        (Line("a", NAIVE), {"name": "a", "at": "2026-03-01T12:00:00Z"}),
        (Order(id=1, due=dt.date(2026, 3, 1)), {"id": 1, "due": "2026-03-01"}),
        (Renamed(howMany=3), {"howMany": 3}),
        (
            {"orders": [Order(id=1, due=dt.date(2026, 3, 1))]},
            {"orders": [{"id": 1, "due": "2026-03-01"}]},
        ),
    ],
)
def test_natural_forms(returned: Any, value: Any, blobs: FileBlobStore) -> None:
    assert value_of(returned, blobs) == value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc$\0"), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_stays_as_it_is(value: Any) -> None:
    assert value_of(value, FileBlobStore(Path("/nonexistent"))) == value


def test_objects_at_any_depth_are_blobs_and_come_back(blobs: FileBlobStore) -> None:
    table = pa.table({"a": [1, 2, 3]})
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["p", "q"])
    array = np.arange(6, dtype="int16").reshape(2, 3)
    mixed = np.array([{"a": 1}, None], dtype=object)
    value = value_of(
        {"t": table, "deep": [{"f": frame}, array], "o": Custom(4), "m": mixed, "n": 1}, blobs
    )
    assert value["n"] == 1
    assert [value["t"].encoding, value["deep"][0]["f"].encoding] == ["arrow", "pandas"]
    assert [value["deep"][1].encoding, value["o"].encoding] == ["numpy", "pickle"]
    again = read_all(value, blobs)
    assert again["t"].equals(table)
    pd.testing.assert_frame_equal(again["deep"][0]["f"], frame)
    assert again["deep"][1].dtype == array.dtype
    assert (again["deep"][1] == array).all()
    assert again["o"] == Custom(4)
    assert again["m"][0] == {"a": 1}


def test_frames_that_arrow_cannot_hold_are_pickled(blobs: FileBlobStore) -> None:
    value = value_of(pd.DataFrame({"x": [1, "a", object]}), blobs)
    assert value.encoding == "pickle"


def test_the_largest_members_leave_a_mapping_first(blobs: FileBlobStore) -> None:
    returned = {"big": "x" * 200_000, "bigger": ["y" * 100] * 5_000, "small": 1}
    encoded = encode(returned, namespace="n", blobs=blobs)
    value = unpack(encoded.packed)
    assert isinstance(value["big"], Reference)
    assert isinstance(value["bigger"], Reference)
    assert value["small"] == 1
    assert len(encoded.packed) < INLINE_BYTES_MAX
    assert encoded.bytes > 700_000
    assert read_all(value, blobs) == returned


def test_a_long_list_leaves_whole(blobs: FileBlobStore) -> None:
    returned = [{"n": n} for n in range(50_000)]
    value = value_of(returned, blobs)
    assert isinstance(value, Reference)
    assert read_all(value, blobs) == returned


def test_a_large_whole_with_objects_is_one_pickle(blobs: FileBlobStore) -> None:
    returned = [np.arange(3) for _ in range(2_000)]
    value = value_of(returned, blobs)
    assert value.encoding == "pickle"
    assert len(read_all(value, blobs)) == 2_000


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ({"a": {"b": [threading.Lock()]}}, ["['a']['b'][0]", "lock"]),
        ({"a": {(1, 2): 3}}, ["['a']", "(1, 2)"]),
        ([2**70], ["[0]", "71 bits"]),
        ({"a": "\ud800"}, ["['a']", "surrogate"]),
        ({"loss": float("nan")}, ["['loss']", "nan"]),
        ([1.0, float("-inf")], ["[1]", "-inf"]),
    ],
)
def test_what_cannot_be_stored_is_named(
    returned: Any, told: list[str], blobs: FileBlobStore
) -> None:
    with pytest.raises(UnserializableResult) as caught:
        encode(returned, namespace="n", blobs=blobs)
    for part in told:
        assert part in str(caught.value)


def test_one_that_contains_itself(blobs: FileBlobStore) -> None:
    returned: list[Any] = []
    returned.append(returned)
    with pytest.raises(UnserializableResult, match="itself"):
        encode(returned, namespace="n", blobs=blobs)


def test_fifty_megabytes(blobs: FileBlobStore) -> None:
    rows = [{"id": n, "name": "x" * 80} for n in range(500_000)]
    value = value_of({"rows": rows, "count": len(rows)}, blobs)
    assert value["count"] == 500_000
    assert value["rows"].bytes > 50_000_000
    table = pa.table({"a": np.zeros(7_000_000)})
    assert value_of({"t": table}, blobs)["t"].bytes > 50_000_000


class TestExtracts:
    def extracts(
        self, returned: Any, *paths: str, blobs: FileBlobStore, whole: bool = False
    ) -> Any:
        encoded = encode(returned, namespace="n", blobs=blobs)
        reads = [Read(("output",), path, whole) for path in paths]
        return extracts(reads, encoded, lambda content: blobs.put("n", content))

    def test_parts_of_a_blob_only(self, blobs: FileBlobStore) -> None:
        returned = {"rows": [{"n": n, "t": "x" * 100} for n in range(2_000)], "small": {"a": 1}}
        found = self.extracts(returned, "$.rows[3].n", "$.small.a", "$.rows[*].n", blobs=blobs)
        assert found == {"$.rows[3].n": 3, "$.rows[*].n": list(range(2_000))}

    def test_too_large_a_part_is_left_out(self, blobs: FileBlobStore) -> None:
        assert self.extracts({"rows": ["x" * 1_000] * 5_000}, "$.rows", blobs=blobs) is None

    def test_one_that_is_passed_on_stays_a_reference(self, blobs: FileBlobStore) -> None:
        returned = [{"a": "x" * 100_000, "b": 1}]
        found = self.extracts(returned, "$[0].a", "$[0].b", blobs=blobs, whole=True)
        assert isinstance(found["$[0].a"], Reference)
        assert found["$[0].b"] == 1

    def test_a_table_is_opaque(self, blobs: FileBlobStore) -> None:
        assert self.extracts({"t": pa.table({"a": [1]})}, "$.t.a", "$.t", blobs=blobs) is None
