"""Every bound of the dispatch, in one place, each with its reason."""

from __future__ import annotations

from msgspec import Struct


class DispatchBounds(Struct, frozen=True, kw_only=True):
    """How much is sent ahead, how long is waited, how many runners there are."""

    window_us: int = 5_000
    """Work sent to a runner and not begun. Longer than a host's turn, so that a runner never runs
    dry; short enough that waiting behind it is not felt."""
    remote_window_us: int = 25_000
    """The same for a runner of another node: a Ray call takes milliseconds, or ten."""
    window_items: int = 512
    """The same as a number: bounds the memory, and what a crash makes run again."""
    frame_items: int = 64
    """Of one frame: the first of them begins when all are decoded."""
    runners_min: int = 1
    runners_max: int = 2
    """Of this host; with a scheduler, for each node of the cluster."""
    lease_wait_ms: int = 1_000
    """Where the scheduler does not answer for this long and no runner is there, one is started that
    reserves nothing: tiny steps need nobody's leave."""
    handover_ms: int = 600_000
    """The last runner of a crew that is asked to leave goes on until another is there, but no
    longer: others wait for what it reserves. Several tries to begin a process, of a minute each:
    on a machine where one takes that long, those who wait could not begin theirs either."""
    reserve_again_ms: int = 30_000
    """After a lease was asked back, or refused, a runner that reserves nothing is not replaced by
    one that does for so long: it would soon be asked back again, and each costs a second to begin.
    Work that waits for one more runner asks at once."""
    unfed_ms: int = 15_000
    """A runner that a host listens to, and whose own host has not come back for this long, is told
    to leave when it is empty. A host that Ray restarts is back sooner."""
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
