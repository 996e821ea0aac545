"""Every bound of an execution host: named, with a default and what happens when it is reached."""

from __future__ import annotations

from msgspec import Struct


class HostBounds(Struct, frozen=True, kw_only=True):
    """How much a host takes on, and for how long it waits. Instances are shared, never changed."""

    # what a turn takes

    turn_stimuli: int = 512
    """Stimuli of one turn; the rest waits for the next. About 10 ms of deciding: more would not
    make a commit cheaper, and every execution waits for the turn's commit."""
    turn_starts: int = 128
    """Starts that a turn always has room for, whatever else gathered: they are not starved."""

    # what may wait

    starts_queued: int = 20_000
    """Starts not committed yet; the next is refused as `OVERLOADED`."""
    executions_resident: int = 100_000
    """Executions in memory; a start above it is refused as `OVERLOADED`."""
    requests_queued: int = 10_000
    """Cancels and other requests not committed yet; the next is refused as `OVERLOADED`."""
    retry_after_ms: int = 1_000
    """What a refusal as `OVERLOADED` advises."""
    claim_wait_ms: int = 15_000
    """How long a start waits for its shard to be claimed here, then `OVERLOADED`."""

    # what stays in memory

    idle_ms: int = 5_000
    """An execution with nothing at a runner leaves memory after this long without a stimulus."""
    idle_max: int = 10_000
    """Of those, this many stay in memory at most; the longest idle leaves first."""
    loads_at_once: int = 8
    """Executions loaded side by side, for messages and timers to sleepers."""
    plans: int = 1_000
    """Compiled plans in memory; the least recently used leaves first."""
    snapshot_bytes: int = 16 * 1024
    """A snapshot is written when the events since the last exceed its size, and this."""

    # timers

    horizon_ms: int = 60_000
    """Timers due within this are in the heap; later ones are only in the journal."""
    due_page: int = 5_000
    """Timers read at once from a shard's index."""
    clock_jump_ms: int = 1_000
    """The wall clock differs from the steady one by this much between two turns: logged."""

    # ownership

    beat_ms: int = 500
    """Between two beats of the owner row, written by the turn loop itself."""
    look_ms: int = 1_000
    """Between two looks at owners and shards."""
    silent_ms: int = 10_000
    """An owner on another node whose row has not moved for this long is taken as gone. Being
    wrong costs a take-over, never a history."""
    busy_page: int = 200
    """Executions loaded at once in a take-over; between pages the turns of other shards go on."""

    # failures

    backoff_ms: int = 50
    backoff_max_ms: int = 2_000
    """First and longest pause after a failure of the journal; doubled each time, with jitter."""
    faults: int = 100
    """Recent faults kept for `info`."""

    # result streams

    heartbeat_ms: int = 1_000
    """A result stream with nothing to say says so this often."""
    batch_ends: int = 5_000
    """Ends in one batch of a result stream."""
    stream_ends: int = 100_000
    stream_bytes: int = 64 * 1024 * 1024
    """Ends and their bytes that wait for one client; beyond, the stream says `resync`."""
    watched: int = 500_000
    """Executions that one client may watch; beyond, `OVERLOADED`."""
    client_linger_ms: int = 60_000
    """A client without a stream for this long is forgotten with all that it watched."""
