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

    turn_arrivals: int = 256
    """Messages and events of one turn; so runners' reports are not starved by them."""

    # what may wait

    starts_queued: int = 20_000
    """Starts not committed yet; the next is refused as `OVERLOADED`."""
    executions_resident: int = 100_000
    """Executions in memory; a start above it is refused as `OVERLOADED`."""
    requests_queued: int = 10_000
    """Cancels and other requests not committed yet; the next is refused as `OVERLOADED`."""
    request_bytes: int = 64 * 1024
    """Of a signal, an event or a submission; a larger one is refused as `INVALID_INPUT`."""
    retry_after_ms: int = 1_000
    """What a refusal as `OVERLOADED` advises."""
    claim_wait_ms: int = 15_000
    """How long a start waits for its shard to be claimed here, then `OVERLOADED`."""

    # dedicated executions

    dedicated: int = 1_000
    """Unfinished ones that a host guards; a start above it is refused as `OVERLOADED`. Each is a
    process of some 70 MB somewhere in the cluster."""
    carrier_ms: int = 15_000
    """How long an actor that was asked for may take to claim its execution's shard, before it is
    asked for again: a new process takes two seconds, on a busy machine ten."""
    dedicated_linger_ms: int = 5_000
    """How long an actor stays when its execution has ended and nobody asks anything of it."""

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

    # messages between executions

    outbox_messages: int = 2_000
    """Of one shard, on their way; further ones stay in the journal until there is room."""
    message_pause_ms: int = 60_000
    """Longest pause before a message that was refused is offered again; the first is
    `backoff_ms`."""
    signal_keep_ms: int = 3_600_000
    """How long a signal to a receiver whose buffer is full is offered again; then it is dropped,
    with a line in the log, and counted."""

    # events

    bus_page: int = 100
    """Events passed on together. With `bus_unsaved` far below what an execution remembers."""
    bus_keys: int = 1_000
    """Executions that want an event, read at once from a shard."""
    events_flying: int = 1_000
    """Events on their way to an execution, counted for each; the next waits."""
    bus_save_ms: int = 1_000
    bus_unsaved: int = 400
    """A shard's place in the bus is made durable after this long, or so many events: what a new
    owner passes on again."""
    bus_look_ms: int = 200
    """Between two looks for events that other hosts published, while something waits for any."""
    bus_idle_ms: int = 5_000
    """The same where nothing is known to wait, or all shards are this host's."""
    bus_keep_ms: int = 24 * 3_600_000
    """Events leave the bus this long after they were published: much longer than any shard is
    without an owner while somebody publishes."""
    bus_purge_ms: int = 600_000
    """Between two purges of the bus."""

    # retention

    keep_ms: int | None = None
    """Executions are deleted this long after their end; None: never."""
    retention_look_ms: int = 60_000
    """Between two looks for what is past its retention."""
    purge_executions: int = 200
    """Executions deleted in one commit: some 10 ms in which the journal takes nothing else."""
    retention_rest: int = 9
    """Rest for so many times as long as a part took: at most a tenth of the journal's time."""
    blob_keep_ms: int = 24 * 3_600_000
    """A blob that nobody names is deleted when it is this old: much longer than anybody takes to
    commit the event that names what he stored."""
    blob_sweep_ms: int = 6 * 3_600_000
    """Between two looks at all blobs."""

    # timers

    horizon_ms: int = 60_000
    """Timers due within this are in the heap; later ones are only in the journal."""
    due_page: int = 5_000
    """Timers read at once from a shard's index."""
    clock_jump_ms: int = 1_000
    """The wall clock differs from the steady one by this much between two turns: logged."""

    # what is held against the plan

    conformance: bool = True
    """Whether every event is held against its plan before it is stored, and every history that is
    taken over: about 1 µs an event."""

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
    followers: int = 2_000
    """Executions that are followed at once, each by somebody; beyond, `OVERLOADED`. Each is a call
    that stays open, and reads the journal when something is recorded."""
    follow_page: int = 500
    """Events told at once to one who follows."""
    follow_ms: int = 60_000
    """Then a stream of one who follows ends and is opened anew: nobody tells when he is gone."""
    followed: int = 10_000
    """Executions that one client's feed brings; beyond, `OVERLOADED`."""
    feed_bytes: int = 16 * 1024 * 1024
    """Events that wait for one client's feed; beyond, it says `resync`."""
    feed_batch_bytes: int = 1024 * 1024
    """Events in one batch of a feed: more would make the first wait for the last."""
    feed_notices: int = 1_000
    """Notices that wait for one client's feed; further ones are left out."""
    client_linger_ms: int = 60_000
    """A client without a stream for this long is forgotten with all that it watched."""
