"""What a connection to a deployment can do: the one interface of clients, whatever carries it.

`Connection` is asynchronous, speaks of executions by their keys, and takes and gives the values
that users write. `ray_connection.py` is one that calls hosts as Ray actors; one over HTTP stands
beside it. What users hold (`Client`, `Handle`, `Task`) is made of any of them, and has each method
twice: one that blocks, and one whose name ends in `_async`.

A `Connection` may be used from several event loops and threads. How its calls are finished in a
thread without a loop is its maker's affair (`Ways`).

Imports neither Ray nor anything that does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from heliostat.actors.host.api import (
    Accepted,
    Ended,
    ExecutionView,
    Started,
    TaskInfo,
    TaskInfos,
)
from heliostat.actors.host.questions import HistoryPage
from heliostat.engine.errors import HeliostatError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)
from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.values import Json, Value

if TYPE_CHECKING:
    from heliostat.actors.client.actor import ExecutionActor
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.comparing import Comparable
    from heliostat.actors.client.proving import Verification
    from heliostat.actors.client.registration import Prepared
    from heliostat.engine.authoring.changes import Differences
    from heliostat.engine.authoring.diagnostics import Diagnostic
    from heliostat.engine.authoring.model import Definition
    from heliostat.engine.authoring.python.decorators import WorkflowFunction
    from heliostat.engine.plan.mapping import MigrationCheck

_T = TypeVar("_T")

End: TypeAlias = "Future[Ended]"
"""An end to come; of a thread's future, so that threads and event loops may wait for the same."""

Registrable: TypeAlias = "Definition | WorkflowFunction[..., Any] | Prepared | Path | str"
"""A path, a definition's text, a definition, a compiled function, or one that was prepared."""

Startable: TypeAlias = "str | Version | Definition | WorkflowFunction[..., Any]"
"""The id of a registered definition, a `Version`, or what is to be registered."""

Followed: TypeAlias = "ExecutionView | dict[str, Any]"
"""What `follow` tells: first how the execution is, then its events, each with its `seq`."""


class Version(Struct, frozen=True, kw_only=True):
    """A registered version of a definition."""

    namespace: str
    id: str
    version: str
    content_hash: str
    registered_at_ms: int
    existed: bool = False
    """Of what a registration answers: the same content was registered before."""
    warnings: tuple[Diagnostic, ...] = ()
    """Of what a registration answers: what a proof found, or could not find out."""


class Registered(Version, frozen=True, kw_only=True):
    """A registered version with what it says: the definition as plain data."""

    content: dict[str, Any]


class Begun(NamedTuple):
    """A start that is durable, and its end to come; None: watched when somebody asks for it."""

    key: ExecutionKey
    end: End | None


class Start(Struct, frozen=True, kw_only=True):
    """One execution to start, whatever its definition and namespace."""

    key: ExecutionKey
    definition: str
    version: str | None = None  # None: the one registered last
    input: Any = None
    tags: Mapping[str, str] = {}
    priority: int | None = None
    correlation_id: str | None = None


class Connection(Protocol):
    """A way to one deployment.

    Every method that waits is bounded by the connection's `call_timeout`, and raises `Unreachable`
    when no answer came within it; one that changes something is then done, or not done, and safe to
    repeat under the same `request_id`, `id` or `ids`. Those that are drawn here are drawn before
    the first send.

    Of what concerns one execution, `NotFound` where it does not exist. `namespace` is that of
    definitions and executions where a call names none.
    """

    @property
    def namespace(self) -> str: ...

    # definitions

    async def register_many(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """See `Client.register_many`."""
        ...

    async def definitions(
        self, id: str | None = None, *, namespace: str | None = None, limit: int, offset: int
    ) -> Sequence[Version]:
        """Registered versions, the one registered last first."""
        ...

    async def definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Registered:
        """One version, absent the one registered last; raises `NotFound`."""
        ...

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """What definitions say of themselves, the one registered last first."""
        ...

    async def definition_row(
        self,
        id: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
        deleted: bool = False,
    ) -> DefinitionRow:
        """One version as it is stored; raises `NotFound`.

        Args:
            deleted: also one that is deleted, where `version` names it: for its histories.
        """
        ...

    async def diff(
        self, before: Comparable, after: Comparable, *, namespace: str | None = None
    ) -> Differences:
        """See `Client.diff`."""
        ...

    async def migration_check(
        self,
        id: str,
        from_version: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
    ) -> MigrationCheck:
        """See `Client.migration_check`."""
        ...

    async def delete_definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Sequence[str]:
        """Delete a version, absent all of them; which were deleted. See
        `Client.delete_definition`."""
        ...

    # executions

    async def start_many(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> Sequence[Begun | HeliostatError]:
        """Start an execution per input; per input, in order, what became of it."""
        ...

    async def start_each(
        self, starts: Sequence[Start], *, full_timeout_s: float = 0.0
    ) -> Sequence[Started | HeliostatError]:
        """Start executions of any definitions and namespaces; what became of each, in order.

        Nobody is told of their ends, and nothing is kept of them here. An equal start that was
        there before is `Started.existed`.

        Args:
            full_timeout_s: for how long those that a full host refuses are sent again, before
                `Overloaded` is what became of them.
        """
        ...

    async def watch(self, key: ExecutionKey, *, run: int = 1) -> End:
        """The end of an execution, of this run or a later one. The future raises `NotFound`."""
        ...

    async def output_of(self, ended: Ended) -> Any:
        """The output that an end carries, its references replaced by values; or raises its
        error."""
        ...

    async def received(self, value: Value) -> Any:
        """A value with the references in it replaced by what they stand for."""
        ...

    async def received_json(self, value: Value, *, limit_bytes: int = 16 * 1024 * 1024) -> Json:
        """A value as JSON, with the JSON that lies elsewhere in place of references while all of
        it fits in a bound. Other references stay as `engine.values.to_json` writes them: nothing
        is unpickled here."""
        ...

    async def status(self, key: ExecutionKey) -> ExecutionView:
        """What an execution does now."""
        ...

    async def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """The variables of its root scope, as they are now or were when it ended; values of more
        than 4 MiB together are left out."""
        ...

    async def history(
        self, key: ExecutionKey, *, after: int = 0, limit: int = 1_000
    ) -> HistoryPage:
        """A page of its events after `seq` `after`."""
        ...

    def follow(self, key: ExecutionKey, *, after: int | None = 0) -> AsyncGenerator[Followed, None]:
        """How an execution is, and then each of its events after `seq` `after`, as they come.

        No event is left out or told twice, also when hosts die meanwhile. Ends when the execution
        has ended and all was told.

        Args:
            after: None: only what follows the state that is told first.
        """
        ...

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """A page of executions, newest first."""
        ...

    async def count(self, namespace: str | None = None) -> Mapping[str, int]:
        """How many executions have each status, of one namespace or of all."""
        ...

    # what is asked of one execution; the answer comes when it is durable

    async def signal(
        self, key: ExecutionKey, name: str, data: Any = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Handle.signal`."""
        ...

    async def pause(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Handle.pause`."""
        ...

    async def resume(self, key: ExecutionKey, *, request_id: str | None = None) -> Accepted:
        """See `Handle.resume`."""
        ...

    async def retry(
        self, key: ExecutionKey, from_step: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Handle.retry`."""
        ...

    async def migrate(
        self,
        key: ExecutionKey,
        version: str | None = None,
        *,
        reason: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Accepted:
        """See `Handle.migrate`."""
        ...

    async def cancel(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Handle.cancel`."""
        ...

    async def metadata(self, key: ExecutionKey) -> dict[str, str]:
        """What people noted about it."""
        ...

    async def set_metadata(
        self, key: ExecutionKey, metadata: Mapping[str, str], *, request_id: str | None = None
    ) -> Accepted:
        """See `Handle.set_metadata`."""
        ...

    # events and people

    async def publish(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """See `Client.publish`."""
        ...

    async def tasks(self, query: TaskQuery) -> TaskInfos:
        """A page of human tasks, newest first."""
        ...

    async def task(self, key: ExecutionKey, task_id: str) -> TaskInfo:
        """One human task."""
        ...

    async def act_on_task(
        self,
        key: ExecutionKey,
        task_id: str,
        verb: TaskVerb,
        user: str,
        *,
        assignees: Sequence[str] = (),
        candidates: Sequence[str] = (),
        data: Any = None,
        error: str = "",
        progress: int | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> TaskInfo:
        """A person claims, releases, assigns, completes or fails a task, or says how far it is;
        how it is afterwards.

        Args:
            data: of `complete` what is submitted, of `fail` and `progress` details.
            error: of `fail`, what went wrong.
            progress: of `progress`, 0 to 100.
        """
        ...

    async def heartbeat_task(
        self,
        key: ExecutionKey,
        task_id: str,
        progress: int | None = None,
        details: Any = None,
        *,
        user: str | None = None,
    ) -> TaskInfo:
        """Say of a claimed task how far it is, for who has claimed it; the same again is not
        recorded. Raises `Conflict` where it has ended, or nobody has claimed it."""
        ...

    # the deployment

    def actor(self, key: ExecutionKey, client: Client) -> ExecutionActor:
        """See `Client.actor`; the client is the one that it is used by in this process."""
        ...

    async def info(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as `Client.info`
        """See `Client.info`."""
        ...

    async def drain_node(
        self,
        node: str,
        *,
        wait_ms: int,
        timeout: float,  # noqa: ASYNC109 - as `Client.drain_node`
    ) -> Sequence[str]:
        """See `Client.drain_node`."""
        ...

    async def close(self) -> None:
        """Let go of the deployment; twice is harmless. Ends that are awaited are canceled."""
        ...


class Finish(Protocol):
    """Finishes a call of a connection in a thread that has no event loop."""

    def __call__(self, call: Coroutine[Any, Any, _T], /) -> _T: ...


@dataclass(frozen=True)
class Ways:
    """A connection for event loops, and one for threads that block; they may be the same."""

    awaited: Connection
    blocking: Connection
    finish: Finish
    """For calls of `blocking`."""
