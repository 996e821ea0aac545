"""Frames come out as they went in, however the socket cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from heliostat.actors.dispatch.frames import (
    PROTOCOL,
    Disowned,
    FrameError,
    FrameReader,
    Hello,
    Item,
    Progress,
    Welcome,
    Withdraw,
    Withdrawn,
    Work,
    decode_to_host,
    decode_to_runner,
    encode_value,
    frame,
)
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.values import Reference

KEY, AT = ExecutionKey("n", "e"), Address(1, 2, 3, 4)


@given(st.lists(st.binary(max_size=200), max_size=10), st.data())
def test_any_cut(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, found = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [bytes(body) for body in reader.feed(stream[start:end])]
    assert found == bodies


def test_round_trips() -> None:
    item = Item(KEY, AT, "code", Raw(encode_value({"x": Reference("n/h", "arrow", 3)})))
    for message in (Hello(PROTOCOL, "d", "i", True, 16, ("3",)), Work((item,)), Withdraw()):
        again = decode_to_runner(memoryview(frame(message))[4:])
        assert type(again) is type(message)
    welcome = Welcome("r", 1, "n", 0.5, ((KEY, AT),), None, True, False)
    for answer in (
        welcome,
        Withdrawn([(KEY, AT)]),
        Disowned([(KEY, AT)]),
        Progress(KEY, AT, {"progress": 1}),
    ):
        assert decode_to_host(memoryview(frame(answer))[4:]) == answer


def test_nonsense_is_refused() -> None:
    with pytest.raises(FrameError):
        decode_to_host(memoryview(b"\xc1"))
    with pytest.raises(FrameError, match="at most"):
        list(FrameReader().feed(b"\xff\xff\xff\xff\x00"))
