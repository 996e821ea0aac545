"""What a host and a runner say to each other: length-prefixed MessagePack frames.

A frame is four bytes of length (little-endian) and a tagged array. Both ends are of one release:
`PROTOCOL` is compared in the greeting and a stranger is refused, so fields need no defaults. A
runner answers `Hello` with `Welcome`, and sends nothing before.

Reports travel as they are held: encoded once, by the runner, when the attempt ends; inputs are
decoded when their attempt begins. `Results` and `Work` are therefore declared twice, raw at one end
and typed at the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct as Layout
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from heliostat.engine.errors import HeliostatError
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.values import Value, decoder, encoder

from .protocol import Raised, Returned, StepCode

PROTOCOL: Final = 2
"""Raised whenever a frame changes."""

FRAME_BYTES_MAX: Final = 512 * 1024 * 1024
"""A longer frame is a broken peer: leaves above 64 KiB travel as blobs, batches are bounded."""

READ_BYTES: Final = 256 * 1024
"""Asked of the kernel at once; what a Unix-domain socket holds by default, and no more."""

AttemptKey: TypeAlias = tuple[ExecutionKey, Address]

_LENGTH: Final = Layout("<I")


class FrameError(HeliostatError):
    """The peer sent what is no frame; the connection is closed and made again."""


# from host to runner


class Hello(Struct, frozen=True, array_like=True, tag=0):
    """Who connects; everything unfinished here is reported to it from now on."""

    protocol: int
    deployment: str
    incarnation: str
    feeds: bool  # it sends the work; what another incarnation of it queued is given back
    shard_count: int = 0
    shards: tuple[str, ...] = ()
    """Those that are its own: nobody else's work of them is begun here from now on."""


class Codes(Struct, frozen=True, array_like=True, tag=1):
    """Steps that later work names by their keys; sent once on a connection."""

    codes: tuple[StepCode, ...]


class Item(Struct, frozen=True, array_like=True):
    """One attempt to make; `input` is decoded when its turn comes."""

    key: ExecutionKey
    at: Address
    code: str
    input: Raw


class Work(Struct, frozen=True, array_like=True, tag=2):
    """Attempts to make, in this order, after those sent before."""

    items: tuple[Item, ...]


class ItemSent(Struct, frozen=True, array_like=True):
    """`Item` as the host writes it."""

    key: ExecutionKey
    at: Address
    code: str
    input: Value


class WorkSent(Struct, frozen=True, array_like=True, tag=2):
    """`Work` as the host writes it."""

    items: list[ItemSent]


class Withdraw(Struct, frozen=True, array_like=True, tag=3):
    """Give back all that was not begun; answered by `Withdrawn`."""


class Stop(Struct, frozen=True, array_like=True, tag=4):
    """Set `cancelled` for those that run; give back those not begun."""

    attempts: tuple[AttemptKey, ...]


class Acknowledge(Struct, frozen=True, array_like=True, tag=5):
    """These reports are durable, or void: forget them."""

    attempts: tuple[AttemptKey, ...]


class Leave(Struct, frozen=True, array_like=True, tag=6):
    """Exit when nothing is queued, running or held."""


ToRunner: TypeAlias = Hello | Codes | Work | Withdraw | Stop | Acknowledge | Leave

# from runner to host


class Running(Struct, frozen=True, array_like=True):
    """The attempt that a runner is making, as a host needs it that did not send it."""

    key: ExecutionKey
    at: Address
    started_at_ms: int
    timeout_ms: int | None


class Welcome(Struct, frozen=True, array_like=True, tag=0):
    """What a runner holds and runs. What was queued here is given back by not being named."""

    name: str
    pid: int
    node: str  # Ray's id; empty without Ray
    cpus: float  # reserved in Ray's accounting
    held: tuple[AttemptKey, ...]  # their reports follow
    running: Running | None
    fed: bool  # whether a host that sends work is connected
    leaving: bool


class Refused(Struct, frozen=True, array_like=True, tag=1):
    """The greeting was not accepted; the runner closes the connection."""

    reason: str


class Results(Struct, frozen=True, array_like=True, tag=2):
    """Ends of attempts; held until acknowledged. `spent_us` are their times, in this order."""

    returned: tuple[Returned, ...]
    raised: tuple[Raised, ...]
    spent_us: tuple[int, ...]


class RawResults(Struct, frozen=True, array_like=True, tag=2):
    """`Results` as the runner writes it."""

    returned: list[Raw]
    raised: list[Raw]
    spent_us: list[int]


class Withdrawn(Struct, frozen=True, array_like=True, tag=3):
    """These were not begun and are forgotten here."""

    attempts: list[AttemptKey]


class Disowned(Struct, frozen=True, array_like=True, tag=5):
    """These were not begun, and are another host's by now: it claimed their shards."""

    attempts: list[AttemptKey]


class Progress(Struct, frozen=True, array_like=True, tag=4):
    """A running attempt told of its progress. Lossy."""

    key: ExecutionKey
    at: Address
    data: Value


ToHost: TypeAlias = Welcome | Refused | Results | Withdrawn | Progress | Disowned

_encode: Final = encoder().encode
_decode_to_runner: Final[Callable[[memoryview], ToRunner]] = decoder(ToRunner).decode
_decode_to_host: Final[Callable[[memoryview], ToHost]] = decoder(ToHost).decode

encode_value: Final = _encode
"""A value, or a report, as the frames carry it."""


def frame(message: Any) -> bytes:
    """A message ready to be written.

    Raises:
        FrameError: it is longer than any peer would read.
    """
    return framed(_encode(message))


def framed(body: bytes) -> bytes:
    """A body that is encoded already, as a frame; raises as `frame`."""
    if len(body) > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {len(body):,} bytes; at most {FRAME_BYTES_MAX:,} are read")
    return _LENGTH.pack(len(body)) + body


def decode_to_runner(body: memoryview) -> ToRunner:
    """Raises `FrameError` for anything but a frame to a runner."""
    try:
        return _decode_to_runner(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"not a frame: {error}") from error


def decode_to_host(body: memoryview) -> ToHost:
    """Raises `FrameError` for anything but a frame to a host."""
    try:
        return _decode_to_host(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"not a frame: {error}") from error


class FrameReader:
    """Puts frames together from the pieces that a socket delivers."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[memoryview]:
        """The bodies completed by `piece`; each is valid until the next is asked for.

        Raises:
            FrameError: the peer announces a frame beyond the bound.
        """
        if not self._buffer:
            # The usual case: whole frames arrive, and are decoded without being copied.
            used = yield from self._bodies(memoryview(piece))
            self._buffer += memoryview(piece)[used:]
            return
        self._buffer += piece
        if not self._is_complete():
            return
        whole = bytes(self._buffer)
        self._buffer.clear()
        used = yield from self._bodies(memoryview(whole))
        self._buffer += memoryview(whole)[used:]

    def _is_complete(self) -> bool:
        if len(self._buffer) < _LENGTH.size:
            return False
        return len(self._buffer) >= _LENGTH.size + self._length(self._buffer, 0)

    def _bodies(self, data: memoryview) -> Any:
        position, end = 0, len(data)
        while end - position >= _LENGTH.size:
            stop = position + _LENGTH.size + self._length(data, position)
            if stop > end:
                break
            yield data[position + _LENGTH.size : stop]
            position = stop
        return position

    @staticmethod
    def _length(data: bytearray | memoryview, position: int) -> int:
        length: int = _LENGTH.unpack_from(data, position)[0]
        if length > FRAME_BYTES_MAX:
            raise FrameError(f"a frame of {length:,} bytes; at most {FRAME_BYTES_MAX:,} are read")
        return length
