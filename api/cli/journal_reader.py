"""What commands look at, read from the journal of a data directory: no Ray, no host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from heliostat.actors.host.api import ExecutionView, TaskInfo, TaskInfos
from heliostat.actors.host.reads import view_of
from heliostat.cluster import reading
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)
from heliostat.engine.kernel.codec import OtherVersion, first_version
from heliostat.engine.kernel.state import ROOT
from heliostat.engine.status import TERMINAL
from heliostat.engine.values import to_json

if TYPE_CHECKING:
    from heliostat.cluster.config import Configuration
    from heliostat.engine.plan.plan import Plan

LOOK_S: Final = 0.2
"""Between two reads of a journal by a command that follows."""


class JournalReader:
    """See `reach.Reader`, which this is."""

    def __init__(self, settings: Configuration) -> None:
        self._settings = settings
        self.waits_unknown = False

    def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """See `Reader`."""
        return reading.read_list(self._settings, query)

    def view(self, key: ExecutionKey) -> ExecutionView:
        """See `Reader`."""
        found = reading.read_view(self._settings, key, followed=True)
        self.waits_unknown = found.may_wait
        misfit = None if found.misfit is None else str(found.misfit)
        return view_of(key, found.plan, found.state, misfit=misfit)

    def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """See `Reader`."""
        state = reading.read_view(self._settings, key).state
        root = state.scopes.get(ROOT)
        given = {} if root is None else root.variables
        return {name: to_json(state.resolve(value)) for name, value in given.items()}

    def history(self, key: ExecutionKey, after: int) -> list[dict[str, Any]]:
        """See `Reader`."""
        return reading.read_history(self._settings, key, after_seq=after)

    def tasks(self, query: TaskQuery) -> TaskInfos:
        """See `Reader`."""
        return reading.read_tasks(self._settings, query)

    def task(self, key: ExecutionKey, id: str) -> TaskInfo:
        """See `Reader`."""
        return reading.read_task(self._settings, key, id)

    def definitions(self, query: DefinitionQuery) -> DefinitionPage:
        """See `Reader`."""
        return reading.read_definitions(self._settings, query)

    def graph(self, key: ExecutionKey) -> dict[str, Any]:
        """See `Reader`."""
        return _graph(reading.read_stored(self._settings, key, after_seq=0, limit=1).definition)[0]

    def events(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """See `Reader`. The journal is looked at again and again."""
        while True:
            ended = self.view(key).status in TERMINAL  # asked first: nothing comes after the end
            for event in self.history(key, after):
                yield event
                after = event["seq"]
            if ended:
                return
            time.sleep(LOOK_S)

    def frames(self, key: ExecutionKey, after: int) -> Iterator[dict[str, Any]]:
        """See `Reader`. The journal is looked at again and again."""
        from heliostat.api.http import rendering
        from heliostat.api.live.progress import Progress, Told

        stored = reading.read_stored(self._settings, key, after_seq=0)
        plans: dict[str, Plan] = {stored.plan.version: stored.plan}

        def plan(version: str) -> Plan:
            if version not in plans:
                plans[version] = reading.read_plan(
                    self._settings, key.namespace, stored.row.definition, version
                )
            return plans[version]

        def tell(progress: Progress, body: bytes) -> Told:
            try:
                return progress.tell(body)
            except OtherVersion as other:
                progress.go_on_with(plan(other.version))
                return progress.tell(body)

        first = plan(first_version(stored.bodies))
        progress, told = Progress(first), list[Told]()
        for place, body in enumerate(stored.bodies):
            each = tell(progress, body)
            if place >= after:
                told.append(each)
        _, name, steps = _graph(stored.definition)
        state = rendering.state(
            view_of(key, progress.plan, progress.state),
            progress.steps(),
            name=name,
            total=steps,
            now_ms=time.time_ns() // 1_000_000,
        )
        yield {"type": "state", "seq": progress.seq, "state": state}
        new = True  # what the end of the run has not been told of
        while True:
            for each in told:
                yield {
                    "type": "event",
                    "seq": each.seq,
                    "event": each.event,
                    "status": each.status,
                    "changes": each.changes,
                }
            if progress.ended and new:
                yield {"type": "end", "seq": progress.seq, "status": progress.state.status}
            time.sleep(LOOK_S)
            bodies = reading.read_bodies(self._settings, key, after_seq=progress.seq)
            told = [tell(progress, body) for body in bodies]
            new = bool(told)


def stored_result(settings: Configuration, key: ExecutionKey) -> tuple[bool, Any]:
    """Whether an execution has ended, and with which output; raises its error."""
    from heliostat.actors.client.refusals import error_of_end
    from heliostat.actors.client.values import receive
    from heliostat.engine.journal.blobs import FileBlobStore

    ended = reading.read_view(settings, key).ended
    if ended is None:
        return False, None
    error = error_of_end(ended)
    if error is not None:
        raise error
    return True, receive(ended.output, FileBlobStore(settings.blobs_path))


def _graph(row: DefinitionRow) -> tuple[dict[str, Any], str | None, int]:
    """A version's graph, its name, and how many steps it has."""
    import msgspec

    from heliostat.api.http.graph import graph_of
    from heliostat.engine.authoring.model import Definition
    from heliostat.engine.authoring.versions import Compiled

    definition = Definition.model_validate_json(row.body)
    numbering = msgspec.msgpack.decode(row.compiled, type=Compiled).numbering
    graph = graph_of(definition, numbering)
    return graph, definition.name, len(graph["nodes"])
