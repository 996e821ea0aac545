"""What a connection to hosts is made of; everything here blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.actors.client.comparing import (
    Comparable,
    described,
    described_row,
    name_of,
)
from heliostat.actors.client.functions import prepare_function, with_children
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.inputs import Inputs
from heliostat.actors.client.interface import (
    Begun,
    Registrable,
    Start,
    Startable,
    Version,
)
from heliostat.actors.client.proving import Proving, Verification
from heliostat.actors.client.registrar import Registrar
from heliostat.actors.client.registration import Prepared, prepare
from heliostat.actors.client.starts import Starter
from heliostat.actors.client.stream import ResultStream
from heliostat.actors.host.api import (
    Started,
    StartRequest,
)
from heliostat.actors.host.questions import (
    DefinitionRequest,
    DeleteDefinition,
    Forgotten,
)
from heliostat.engine.authoring.changes import Described, Differences, differences
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import HeliostatError, InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import (
    BlobStore,
    DefinitionRow,
    Deletion,
)
from heliostat.engine.plan.mapping import MigrationCheck, map_plans


@dataclass
class RayParts:
    """What the connections of one client share. All of it blocks, and any thread may use it."""

    hosts: Hosts
    blobs: BlobStore
    namespace: str
    code_path: tuple[Path, ...]
    calendars: Mapping[str, Calendar]
    semaphores: Mapping[str, int] | None
    """Of the deployment, with their capacities; None: not known here."""
    proving: Proving | None
    """How what is registered is proved; None: not at all."""
    end_deployment: Callable[[], None]
    """Called once, after the result stream was closed."""
    stream: ResultStream = field(init=False)
    starter: Starter = field(init=False)
    inputs: Inputs = field(init=False)
    registrar: Registrar = field(init=False)

    def __post_init__(self) -> None:
        client_id = new_id()
        self.stream = ResultStream(self.hosts, client_id)
        self.starter = Starter(self.hosts, self.stream, client_id)
        self.inputs = Inputs(self.blobs, self.find)
        self.registrar = Registrar(
            blobs=self.blobs,
            find=self.find,
            put=lambda row: self.hosts.ask("put_definition", row, DefinitionRow),
            calendars=self.calendars,
            semaphores=self.semaphores,
        )

    def find(
        self, namespace: str, id: str, version: str | None, *, deleted: bool = False
    ) -> DefinitionRow:
        """A registered version; None: the one registered last. Raises `NotFound`.

        Args:
            deleted: also one that is deleted, where `version` names it.
        """
        request = DefinitionRequest(namespace=namespace, id=id, version=version, deleted=deleted)
        return self.hosts.ask("get_definition", request, DefinitionRow)

    def delete(self, namespace: str, id: str, version: str | None) -> Sequence[str]:
        """Delete versions, and have every host know it before one starts again."""
        request = DeleteDefinition(namespace=namespace, id=id, version=version)
        deletion = self.hosts.ask("delete_definition", request, Deletion)
        gone = Forgotten(namespace=namespace, id=id, versions=deletion.versions)
        for host in self.hosts.names:
            with suppress(HeliostatError):  # one that does not live asks the journal when it does
                self.hosts.once(host, "forget_definition", gone, type(None))
        return deletion.versions

    def diff(self, before: Comparable, after: Comparable, namespace: str) -> Differences:
        """What changed between two versions, registered or not."""
        return differences(*(self._described(each, namespace) for each in (before, after)))

    def migration_check(self, before: DefinitionRow, after: DefinitionRow) -> MigrationCheck:
        """Whether executions of one version could go on with another."""
        mapping = map_plans(plan_of(before), plan_of(after))
        prover = None if self.proving is None else self.proving.migrations
        if prover is None:
            return MigrationCheck(obstacles=mapping.obstacles, decided_by="structure")
        definition = Definition.model_validate_json(before.body)
        return prover(definition, mapping)

    def _described(self, what: Comparable, namespace: str) -> Described:
        name = name_of(what)
        if name is None:
            return described(what, namespace=namespace, code_path=self.code_path)
        row = self.find(name.namespace or namespace, name.id, name.version)
        return described_row(row, self.blobs)

    def register(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """Prepare and prove what is not yet, and register all of it, with what functions bring
        along."""
        asked = list(definitions)

        def ready(each: Registrable) -> Prepared:
            made = prepared(each)
            return made if self.proving is None else self.proving.proved(made, verification)

        def prepared(each: Registrable) -> Prepared:
            if isinstance(each, Prepared):
                return each
            known: dict[str, Any] = {"namespace": self.namespace, "code_path": self.code_path}
            if isinstance(each, WorkflowFunction):
                return prepare_function(each, **known)
            return prepare(each, functions=functions, dev=dev, **known)

        entered = self.registrar.register([ready(each) for each in with_children(asked)])
        return [version_of(*each) for each in entered[: len(asked)]]

    def start(
        self,
        definition: Startable,
        inputs: Sequence[Any],
        ids: Sequence[str],
        *,
        version: str | None,
        namespace: str | None,
        tags: Mapping[str, str],
        priority: int | None,
        correlation_id: str | None,
    ) -> Sequence[Begun | HeliostatError]:
        """Write the inputs, and send the starts in batches."""
        id, version, namespace = self._resolved(definition, version, namespace)

        def requests() -> Iterator[StartRequest]:
            for execution_id, value in zip(ids, inputs, strict=True):
                key = ExecutionKey(namespace, execution_id)
                yield self.inputs.request(key, id, version, value, tags, priority, correlation_id)

        return [
            given if isinstance(given, HeliostatError) else Begun(*given)
            for given in self.starter.start(requests())
        ]

    def start_each(
        self, starts: Sequence[Start], full_timeout_s: float
    ) -> list[Started | HeliostatError]:
        """Write the inputs, and send the starts in batches; one that cannot be written is
        refused here."""
        answers: list[Started | HeliostatError | None] = [None] * len(starts)
        places: list[int] = []
        requests: list[StartRequest] = []
        for place, start in enumerate(starts):
            try:
                request = self.inputs.request(
                    start.key,
                    start.definition,
                    start.version,
                    start.input,
                    start.tags,
                    start.priority,
                    start.correlation_id,
                )
            except HeliostatError as error:
                answers[place] = error
            else:
                places.append(place)
                requests.append(request)
        given = self.starter.start_each(requests, full_timeout_s=full_timeout_s)
        for place, answer in zip(places, given, strict=True):
            answers[place] = answer
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """End the result stream, and what was given to end with it; twice is harmless."""
        self.stream.close()
        self.hosts.close()
        end, self.end_deployment = self.end_deployment, lambda: None
        end()

    def _resolved(
        self, definition: Startable, version: str | None, namespace: str | None
    ) -> tuple[str, str | None, str]:
        if isinstance(definition, str):
            return definition, version, namespace or self.namespace
        known = definition if isinstance(definition, Version) else self.register([definition])[0]
        if version not in (None, known.version) or namespace not in (None, known.namespace):
            raise InputError(
                f"version {version!r} in namespace {namespace!r} is asked for, but what is given "
                f"is version {known.version!r} in {known.namespace!r}; leave the two out"
            )
        return known.id, known.version, known.namespace


def version_of(
    row: DefinitionRow, existed: bool = False, warnings: tuple[Diagnostic, ...] = ()
) -> Version:
    """A stored definition, as clients are told of it."""
    return Version(
        namespace=row.namespace,
        id=row.id,
        version=row.version,
        content_hash=row.content_hash,
        registered_at_ms=row.registered_at_ms,
        existed=existed,
        warnings=warnings,
    )
