"""The keeper's bound, and values outside Ray: both without a Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from heliostat.actors.objects.keeper import ObjectKeeper, ObjectsSettings
from heliostat.actors.objects.shared import SharedBlobs
from heliostat.actors.runner.encoding import encode
from heliostat.actors.runner.objects import read
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.values import Reference, decoder


class TestKeeper:
    def test_what_was_asked_for_longest_ago_goes_first(self) -> None:
        keeper = ObjectKeeper(100)
        for name in ("a", "b"):
            keeper.keep(name, [name], 40)
        assert keeper.find("a") == ["a"]
        keeper.keep("c", ["c"], 40)
        assert [list(keeper.find(name)) for name in "abc"] == [["a"], [], ["c"]]
        assert keeper.figures() == {
            "objects": 2,
            "bytes": 80,
            "found": 3,
            "missed": 1,
            "evicted": 1,
        }

    def test_the_first_object_of_a_name_stays(self) -> None:
        keeper = ObjectKeeper(100)
        keeper.keep("a", ["first"], 40)
        keeper.keep("a", ["second"], 40)
        assert keeper.find("a") == ["first"]
        assert keeper.figures()["bytes"] == 40

    def test_one_larger_than_the_bound_puts_nobody_out(self) -> None:
        keeper = ObjectKeeper(100)
        keeper.keep("a", ["a"], 40)
        keeper.keep("huge", ["huge"], 101)
        assert keeper.find("huge") == ()
        assert keeper.find("a") == ["a"]

    def test_a_lost_one_gives_its_room_back(self) -> None:
        keeper = ObjectKeeper(100)
        keeper.keep("a", ["a"], 90)
        keeper.forget("a")
        keeper.forget("a")
        keeper.keep("b", ["b"], 90)
        assert keeper.figures()["bytes"] == 90
        assert keeper.figures()["evicted"] == 0


MANY = 300_000


@pytest.fixture(params=["file", "shared"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    files = FileBlobStore(tmp_path)
    settings = None if request.param == "file" else ObjectsSettings(keeper="none")
    return SharedBlobs(files, settings)


def passed_on(value: Any, store: Any) -> Any:
    reference = decoder().decode(encode(value, namespace="default", blobs=store).packed)
    assert isinstance(reference, Reference)
    return read(reference, store)


class TestReading:
    """With or without objects, what a step gets is the same, and reads its bytes where they lie."""

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(MANY, dtype="f8"),
            np.arange(MANY, dtype="i4").reshape(300, 1000),
            np.asfortranarray(np.arange(MANY, dtype="f8").reshape(300, 1000)),
            np.zeros(MANY, dtype=[("a", "i4"), ("b", "S3")]),
            np.arange(3),
            np.zeros((0, 5)),
            np.full((), 7.5),
        ],
        ids=["flat", "square", "columns", "fields", "small", "empty", "scalar"],
    )
    def test_arrays(self, store: Any, array: Any) -> None:
        got = passed_on(array, store)
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert got.flags.f_contiguous == array.flags.f_contiguous
        assert (got == array).all()
        assert not got.flags.writeable
        if array.nbytes > 100_000:
            assert not got.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            got[...] = 0

    def test_a_client_may_change_what_it_gets(self, tmp_path: Path) -> None:
        files = FileBlobStore(tmp_path)
        array = passed_on(np.arange(MANY, dtype="f8"), files)
        array[:] = 1.0
        frame = passed_on(pd.DataFrame({"n": np.arange(MANY, dtype="f8")}), files)
        frame.loc[frame["n"] > 3, "n"] = 0.0
        assert (array.sum(), frame["n"].sum()) == (MANY, 6.0)

    def test_tables_and_frames(self, store: Any) -> None:
        numbers = np.arange(MANY, dtype="f8")
        table = pa.table({"n": numbers, "t": ["x"] * MANY})
        assert passed_on(table, store) == table
        frame = pd.DataFrame({"n": numbers, "k": np.arange(MANY), "t": ["x"] * MANY})
        got = passed_on(frame, store)
        pd.testing.assert_frame_equal(got, frame)
        assert not got["n"].to_numpy().flags.owndata
        copy = got.copy()
        copy.loc[copy["k"] > 3, "n"] = 0.0  # a copy is the step's own
        assert copy["n"].sum() == 6.0
