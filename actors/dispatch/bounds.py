"""Every bound of the dispatch, in one place, each with its reason."""

from __future__ import annotations

from msgspec import Struct


class DispatchBounds(Struct, frozen=True, kw_only=True):
    """How much is sent ahead, how long is waited, how many runners there are."""

    window_us: int = 5_000
    """Work sent to a runner and not begun. Longer than a host's turn, so that a runner never runs
    dry; short enough that waiting behind it is not felt."""
    window_items: int = 512
    """The same as a number: bounds the memory, and what a crash makes run again."""
    frame_items: int = 64
    """Of one frame: the first of them begins when all are decoded."""
    runners_min: int = 1
    runners_max: int = 2
    slot_ttl_ms: int = 5_000
    """A slot that is not renewed for this long is free again; renewed every `look_ms`."""
    grow_ms: int = 20
    """Work that waited this long for a runner gets another one, up to `runners_max`."""
    blocked_ms: int = 1_000
    """When every runner has been at one step for this long, the steps may be waiting for each
    other: work that waits gets a runner beyond `runners_max`, which reserves nothing."""
    runners_extra: int = 8
    """Of those, at most. Steps that wait for steps this deep belong into one workflow."""
    idle_ms: int = 30_000
    """A runner above `runners_min` without work for this long ends."""
    look_ms: int = 500
    """Between two looks at idle runners and waiting demand."""
    yield_ms: int = 5_000
    """After giving way to demand, nothing is reserved for this long."""
    answer_ms: int = 10_000
    """A runner that does not greet within this, with its process alive, is ended: what it holds
    cannot be known otherwise. Longer than C code usually keeps the interpreter from answering."""
    frozen_ms: int = 3_000
    """A runner whose process is stopped, by a signal or a debugger, for this long with attempts in
    it is ended; shorter stops do no harm."""
    retry_ms: int = 500
    retry_max_ms: int = 15_000
    """First and longest pause after a runner did not come up."""
    withdrawn_grace_ms: int = 1_000
    """A grace of 0 kills at once what runs. What waits in the queue is asked back first; this long
    is waited for the answer, as killing would hit a neighbour."""
