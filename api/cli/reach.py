"""Which deployment a command is about, and how it is reached: a data directory, or an address.

What is read of a data directory comes from its journal, so that it needs no deployment that is up.
Over HTTP everything is asked of the door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from heliostat.api.cli.inputs import read_value
from heliostat.api.cli.options import configuration
from heliostat.engine.errors import InputError, Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.host.api import ExecutionView, TaskInfo, TaskInfos
    from heliostat.cluster.config import Configuration

SERVER_VARIABLE: Final = "HELIOSTAT_SERVER"


class Reader(Protocol):
    """What commands look at. All of it may raise `NotFound` and `Unreachable`."""

    waits_unknown: bool
    """Attempts of the execution that was viewed last may wait for capacity, and it is not known."""

    def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """A page of executions."""
        ...

    def view(self, key: ExecutionKey) -> ExecutionView:
        """What an execution does now."""
        ...

    def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """The variables of an execution."""
        ...

    def history(self, key: ExecutionKey, after: int) -> list[dict[str, Any]]:
        """The events after a `seq`."""
        ...

    def tasks(self, query: TaskQuery) -> TaskInfos:
        """A page of human tasks."""
        ...

    def task(self, key: ExecutionKey, id: str) -> TaskInfo:
        """One human task."""
        ...

    def definitions(self, query: DefinitionQuery) -> DefinitionPage:
        """A page of definitions."""
        ...

    def events(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """The events after a `seq`, as they come, until it has ended."""
        ...

    def frames(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """How an execution is and what becomes of it, as the live socket says it; without end."""
        ...

    def graph(self, key: ExecutionKey) -> dict[str, Any]:
        """The graph of an execution's version."""
        ...


@dataclass(frozen=True)
class Reach:
    """A deployment, and the namespace within it."""

    server: str | None
    """The address of its door; None: what is in a data directory is meant."""
    data: Path | None
    config: Path | None
    namespace: str
    given: bool = False
    """The server is named on the command line, and not only in the environment."""
    note: Callable[[str], None] | None = None
    """Where people are told that nobody answers yet."""

    def key(self, execution_id: str) -> ExecutionKey:
        """An execution of the namespace."""
        return ExecutionKey(self.namespace, execution_id)

    @property
    def over_http(self) -> bool:
        """Whether the deployment is reached by an address."""
        return self.address is not None

    @property
    def address(self) -> str | None:
        """The address, where one is meant; raises `InputError` where two deployments are named."""
        if self.server is None or self.data is None:
            return self.server
        if self.given:
            raise InputError("--server and --data name two deployments; leave one of them out")
        return None

    @property
    def settings(self) -> Configuration:
        """The configuration of the data directory."""
        return configuration(self.data, self.config)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the deployment, which must be up."""
        if self.address is not None:
            from heliostat.api.client.connecting import connect_http

            with connect_http(
                self.address, namespace=self.namespace, config=self.config, waiting=self.note
            ) as client:
                yield client
            return
        settings = self.settings
        from heliostat.cluster.connect import attach

        with attach(settings, namespace=self.namespace) as client:
            yield client

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """What can be looked at."""
        if self.address is None:
            from heliostat.api.cli.journal_reader import JournalReader

            yield JournalReader(self.settings)
            return
        from heliostat.api.cli.http_reader import HttpReader

        with self.client() as client:
            yield HttpReader(client)

    def result(self, execution_id: str, timeout: float | None) -> Any:
        """The output of an execution, when it has ended; of one that has, also of a data directory
        where nothing is up. Raises as `Handle.result`."""
        if self.address is None:
            from heliostat.api.cli.journal_reader import stored_result

            ended, value = stored_result(self.settings, self.key(execution_id))
            if ended:
                return value
        with self.client() as client:
            return client.get(execution_id).result(timeout)

    def reasons(self, view: ExecutionView) -> ExecutionView:
        """The view of the execution's host, which knows why attempts wait; the one given where no
        deployment is up."""
        try:
            with self.client() as client:
                return client.get(view.key.execution_id).status()
        except Unreachable:
            return view


def carried(reach: Reach, value: str | None, option: str) -> tuple[Reach, Any]:
    """What a command sends, where `--data` may name it too: a file, or JSON, is no data directory.

    Raises:
        InputError: it cannot be read.
    """
    said = None if reach.data is None else str(reach.data)
    if said is None or not (said.startswith(("{", "[", '"', "@")) or Path(said).is_file()):
        return reach, read_value(value, option)
    if value is not None:
        raise InputError(f"--data {said!r} and {option} both say what is sent; leave one out")
    return replace(reach, data=None), read_value(said, "--data")
