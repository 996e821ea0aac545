"""The `Dispatch` port: how a host has attempts made elsewhere and hears of their ends.

A host knows nothing of sockets, Ray calls, runners or launchers. It says which attempts should
run, and is told how each ended. Two lanes stand behind the port: a Unix-domain socket to a warm
runner on the host's node, and Ray calls to the launcher.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from heliostat.engine.expressions import Read
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.plan.plan import Resources
from heliostat.engine.scheduling.protocol import PRIORITY
from heliostat.engine.values import Value


class StepCode(Struct, frozen=True, kw_only=True):
    """All that a runner must know of a plan's step; constant, so a lane sends it once.

    `key` is `<content hash of the definition>:<step number>`.
    """

    key: str
    step_id: str
    target: str  # `module:function`, or a registered name
    code: str | None  # the blob with the modules pinned to the version
    reads: tuple[Read, ...] = ()  # what expressions read of the output
    timeout_ms: int | None = None
    at_most_once: bool = False
    resources: Resources = Resources()


class Assignment(Struct, frozen=True, kw_only=True):
    """One attempt to be made; its events are durable already."""

    key: ExecutionKey
    at: Address
    code: StepCode
    input: Value
    alone: bool = False  # nothing else may be queued at the runner that gets it
    priority: int = PRIORITY  # the execution's, 1–10, 10 is most urgent
    shard: str = ""  # the execution's
    workflow: str = ""  # the definition's id: what fair share is among, below the namespace
    path_ms: int = 0  # the longest path that still follows, the step itself included
    semaphores: Mapping[str, int] = {}  # of the deployment, held while the attempt runs

    @property
    def is_tiny(self) -> bool:
        """Whether a warm runner makes it, one of its runtime environment, and nobody is asked."""
        return not self.semaphores and not self.code.resources.reserves


class Returned(Struct, frozen=True, kw_only=True):
    """The function returned and its output is stored (large leaves as blobs)."""

    key: ExecutionKey
    at: Address
    output: Value
    output_bytes: int
    extracts: dict[str, Value] | None
    started_at_ms: int
    elapsed_ms: int
    runner: str
    stdout: str | None = None
    stderr: str | None = None


class Raised(Struct, frozen=True, kw_only=True):
    """The function raised, could not be found, or returned what cannot be stored."""

    key: ExecutionKey
    at: Address
    failure: Failure
    started_at_ms: int
    elapsed_ms: int
    runner: str


class Lost(Struct, frozen=True, kw_only=True):
    """The runner ended without a report of this attempt."""

    key: ExecutionKey
    at: Address
    cause: str
    counted: bool  # it ran alone, and neither node, host nor an operator ended the runner


class TimedOut(Struct, frozen=True, kw_only=True):
    """The attempt has run for its `timeout`. It still runs: the kernel decides to stop it."""

    key: ExecutionKey
    at: Address


class Stopped(Struct, frozen=True, kw_only=True):
    """An attempt that was told to stop is over and left no output (it raised, was never begun, or
    its runner was killed after the grace)."""

    key: ExecutionKey
    at: Address


class Noticed(Struct, frozen=True, kw_only=True):
    """Lossy: an attempt began, or reported progress. For watchers, never for decisions."""

    key: ExecutionKey
    at: Address
    kind: str  # "started" | "progress"
    data: Value = None


Report: TypeAlias = Returned | Raised | Lost | TimedOut | Stopped | Noticed


class Dispatch(Protocol):
    """Attempts out, reports in.

    - `send` never blocks and never refuses; an assignment sent twice runs once where the lane can
      tell, and its second report is void by number where it cannot.
    - Every assignment sent ends in exactly one of `Returned`, `Raised`, `Lost`, `Stopped` reports
      while this process lives; reports may repeat, and arrive in any order between attempts.
    - A `Returned` or `Raised` is held at the runner or launcher until `acknowledge`d, across the
      death of the host: call it only after the commit of what the report led to.
    - `recover` tells which attempts the runners and launchers of the deployment hold or run; they
      report to this host from then on. Whatever it does not name is not running anywhere, or its
      runner can no longer report.
    """

    def send(self, assignments: Sequence[Assignment]) -> None: ...

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """Set `cancelled` for each; end its runner when it has not ended after the grace (ms)."""
        ...

    def acknowledge(self, attempts: Sequence[tuple[ExecutionKey, Address]]) -> None:
        """What these attempts reported is durable, or void; runners may forget it."""
        ...

    def hold(self, shard: str, epoch: int, assignments: Sequence[Assignment]) -> None:
        """A shard is served from now on, claimed at this epoch. These of its attempts were named by
        `recover`, and are wanted: the capacity that they use is accounted for, and whatever else
        earlier owners of the shard had taken is free. One that has ended meanwhile changes
        nothing."""
        ...

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """Executions that another host owns now: what was given to no runner yet is dropped, and
        nothing told of it. What runs goes on; its reports are void here."""
        ...

    def reasons(
        self, attempts: Sequence[tuple[ExecutionKey, Address]]
    ) -> Mapping[tuple[ExecutionKey, Address], str]:
        """Why some of these attempts have not begun, as words for people; nothing is known to hold
        up the others."""
        ...

    async def recover(
        self, shards: Collection[str] = ()
    ) -> frozenset[tuple[ExecutionKey, Address]]:
        """Ask every runner and launcher what it holds and runs; bounded, silent ones are skipped
        only when their process is dead.

        Args:
            shards: the names of those just claimed: what other hosts have queued of them is theirs
                no more.
        """
        ...

    async def close(self) -> None: ...


Deliver: TypeAlias = Callable[[Sequence[Report]], None]
"""How a lane hands over reports; called on the host's event loop, never blocks."""
