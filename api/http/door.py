"""What the routes work with: the way to the deployment, the starts on their way there, and what is
known of versions. One per application, and so per replica.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol, cast

import msgspec

from heliostat.actors.client.client import Client
from heliostat.actors.client.interface import Connection, Start
from heliostat.actors.client.proving import Proving
from heliostat.actors.host.api import ExecutionView, Started
from heliostat.actors.host.attempts import AttemptInfo
from heliostat.actors.host.reads import view_of
from heliostat.api.live.hub import Hub, Source
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.versions import Compiled
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import DefinitionRow

from .gathering import Gathering
from .graph import graph_of
from .inspecting import Inspector

VERSIONS_MAX: Final = 200
"""Versions kept with their graphs; they are read again when more are in use."""

VERSION_S: Final = 30.0
"""How long one is kept. A version never changes, but it may be deleted and registered anew."""


@dataclass(frozen=True)
class Known:
    """A registered version, with what is made of it."""

    row: DefinitionRow
    name: str | None
    steps: tuple[str, ...]
    graph: dict[str, Any]
    read_at_s: float


class Way(Connection, Source, Protocol):
    """The way to a deployment, for clients and for those who watch."""

    async def attempts(self, key: ExecutionKey) -> Sequence[AttemptInfo]:
        """Attempts of an execution that are under way or have failed."""
        ...


def way_of(client: Client) -> Way:
    """The way that a client in the cluster has. It is the same one each time."""
    return cast("Way", client._ways.awaited)


@dataclass(frozen=True)
class Now:
    """What an execution does, its steps, and how often each way was taken, by its two ends."""

    view: ExecutionView
    steps: dict[str, Any]
    taken: dict[tuple[str, str], int]


class Door:
    """The deployment, as the routes see it.

    Args:
        connection: the way to it; called for each request, since it may not be there yet or come
            back after a loss. Raises `Unreachable` while there is none.
        code_path: where modules are looked for, as runners look.
        proving: how definitions are proved; None: not at all.
    """

    def __init__(
        self,
        connection: Callable[[], Way],
        *,
        code_path: Sequence[Path] = (),
        proving: Proving | None = None,
    ) -> None:
        self.connection = connection
        self.inspector = Inspector(code_path, proving)
        self.hub = Hub(connection)
        self._gathering = Gathering(lambda starts: self.connection().start_each(starts))
        self._versions: OrderedDict[tuple[str, str, str], Known] = OrderedDict()

    async def start(self, start: Start) -> Started:
        """Start one execution, together with whichever others come at the time."""
        return await self._gathering.start(start)

    async def version(
        self, namespace: str, id: str, version: str | None, *, deleted: bool = False
    ) -> Known:
        """A registered version; None: the one registered last, which is asked for each time.

        Args:
            deleted: also one that is deleted, for executions of it.
        """
        if version is not None and deleted:
            known = self._versions.get((namespace, id, version))
            if known is not None and monotonic() - known.read_at_s < VERSION_S:
                return known
        row = await self.connection().definition_row(
            id, version, namespace=namespace, deleted=deleted
        )
        known = _known(row)
        self._versions[namespace, id, known.row.version] = known
        self._versions.move_to_end((namespace, id, known.row.version))
        while len(self._versions) > VERSIONS_MAX:
            self._versions.popitem(last=False)
        return known

    async def now(self, key: ExecutionKey) -> Now:
        """What an execution does now: all of it after the same event."""
        progress = await self.hub.progress(key)
        view = view_of(key, progress.plan, progress.state)
        now = Now(view, progress.steps(), dict(progress.taken))
        if any(visit["phase"] == "running" for visit in view.active):
            told = await self.connection().status(key)  # knows why attempts wait, too
            if told.seq == view.seq or told.misfit is not None:
                return replace(now, view=told)
        return now

    def forget(self, namespace: str, id: str) -> None:
        """A definition was deleted here."""
        for key in [key for key in self._versions if key[:2] == (namespace, id)]:
            del self._versions[key]

    async def close(self) -> None:
        """Tell readers to come back, and wait for the starts that are on their way."""
        await self.hub.close()
        await self._gathering.close()


_fixed: Final = msgspec.msgpack.Decoder(Compiled).decode


def _known(row: DefinitionRow) -> Known:
    definition = Definition.model_validate_json(row.body)
    graph = graph_of(definition, _fixed(row.compiled).numbering)
    return Known(
        row=row,
        name=definition.name,
        steps=tuple(node["id"] for node in graph["nodes"]),
        graph=graph,
        read_at_s=monotonic(),
    )
